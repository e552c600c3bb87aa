//! Credentials of gateways.

use flamegate_control::domain::credentials::StoredCredential;

use crate::fixtures::{Database, SERVER, at, postgres};

fn credential(name: &str) -> StoredCredential {
    StoredCredential {
        id: format!("gwc_{name}"),
        name: name.to_owned(),
        created_at: at(0),
        created_by: "admin token".to_owned(),
        revoked_at: None,
    }
}

async fn insert(database: &Database, stored: StoredCredential, hash: [u8; 32]) -> bool {
    let write =
        database.store.write(move |tx| Box::pin(async move { tx.insert_credential(&stored, &hash).await }));
    write.await.is_ok()
}

pub async fn a_credential_is_found_by_its_name_and_never_with_its_token(database: Database) {
    assert!(insert(&database, credential("eu-1"), [1; 32]).await);
    let mut reader = database.store.read().await.unwrap();
    assert_eq!(reader.find_credential("eu-1").await.unwrap(), Some(credential("eu-1")));
    for name in ["", "EU-1", "gwc_eu-1"] {
        assert_eq!(reader.find_credential(name).await.unwrap(), None, "{name}");
    }
    assert_eq!(reader.good_credentials().await.unwrap(), [("eu-1".to_owned(), [1; 32])]);
}

pub async fn a_name_is_given_once_for_good(database: Database) {
    assert!(insert(&database, credential("eu"), [1; 32]).await);
    database.write(|tx| Box::pin(async { tx.revoke_credential("eu", at(1)).await })).await;
    let again = StoredCredential { id: "gwc_again".to_owned(), ..credential("eu") };
    assert!(!insert(&database, again, [2; 32]).await, "also after its end");
    assert!(!insert(&database, credential("us"), [1; 32]).await, "nor a token");
}

pub async fn an_ended_credential_is_listed_and_good_no_more(database: Database) {
    for (number, name) in [(2, "b"), (1, "a"), (3, "c")] {
        assert!(insert(&database, credential(name), [number; 32]).await);
    }
    let revoke = async |seconds| {
        database.write(move |tx| Box::pin(async move { tx.revoke_credential("b", at(seconds)).await })).await;
    };
    revoke(5).await;
    revoke(9).await;
    let mut reader = database.store.read().await.unwrap();
    let all = reader.list_credentials().await.unwrap();
    let told: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.revoked_at)).collect();
    assert_eq!(told, [("a", None), ("b", Some(at(5))), ("c", None)], "by name; the first end counts");
    let good = reader.good_credentials().await.unwrap();
    assert_eq!(good, [("a".to_owned(), [1; 32]), ("c".to_owned(), [3; 32])]);
}

/// A failover loses a change that others have seen, and the next one comes before they look again.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_lost_has_another_mark_than_the_one_in_its_place() {
    let database = postgres().await;
    let change = async |name: &str, hash| {
        assert!(insert(&database, credential(name), hash).await);
        SERVER.sql(database.name(), "SELECT credentials FROM revision_log")
    };
    let lost = change("a", [1; 32]).await;
    SERVER.sql(database.name(), "UPDATE revision_log SET credentials = 0");
    assert_ne!(change("b", [2; 32]).await, lost);
}
