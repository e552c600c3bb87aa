//! How fast revocations were in force: one for each key, the first; those of a workspace newest first.

use flamegate_control::domain::receipts::Measured;

use crate::fixtures::{Database, at};

fn measured(key_seq: i64, workspace_seq: i64, seconds: i64, slowest_ms: Option<u64>) -> Measured {
    Measured { key_seq, workspace_seq, at: at(seconds), gateways: 3, enforced: 2, cut_off: 1, slowest_ms }
}

async fn store(database: &Database, all: Vec<Measured>) {
    database.store.note(move |tx| Box::pin(async move { tx.store_receipts(&all).await })).await.unwrap();
}

pub async fn a_key_has_one_receipt_the_first(database: Database) {
    let workspace = database.workspace("ours").await;
    let key = database.key(&workspace, "a").await;
    let find = async || database.store.read().await.unwrap().find_receipt(key.seq).await.unwrap();
    assert_eq!(find().await, None);
    let first = measured(key.seq, workspace.seq, 1, Some(25));
    store(&database, vec![first.clone(), measured(key.seq, workspace.seq, 2, None)]).await;
    store(&database, vec![measured(key.seq, workspace.seq, 3, Some(1))]).await;
    assert_eq!(find().await, Some(first));
}

pub async fn the_newest_of_a_workspace_are_found(database: Database) {
    let (ours, other) = (database.workspace("ours").await, database.workspace("other").await);
    for (name, workspace, seconds) in
        [("a", &ours, 10), ("b", &ours, 30), ("c", &ours, 20), ("d", &other, 40)]
    {
        let key = database.key(workspace, name).await;
        store(&database, vec![measured(key.seq, workspace.seq, seconds, None)]).await;
    }
    let found = async |since, most| {
        let mut view = database.store.read().await.unwrap();
        let found = view.newest_receipts(ours.seq, at(since), most).await.unwrap();
        found.iter().map(|one| (one.at - at(0)).get_seconds()).collect::<Vec<_>>()
    };
    assert_eq!(found(0, 10).await, [30, 20, 10]);
    assert_eq!(found(0, 2).await, [30, 20]);
    assert_eq!(found(20, 10).await, [30, 20]);
}
