//! Plans: who has them, what gateways hear of them, and that a change of one is one revision.

use flamegate::contract::restrict::Restrict;
use flamegate_control::domain::keys::{Key, KeyFilter, NewKey};
use flamegate_control::domain::log::Since;
use flamegate_control::domain::plans::{Plan, PlanUses};

use crate::fixtures::{Database, Scope, at, limit, new_key};

fn plan(name: &str, scope: Scope, requests: u32) -> Plan {
    let restrict = Some(Restrict { methods: vec!["GET".to_owned()], ..Restrict::default() });
    let limits = vec![limit("default", scope, requests)];
    Plan { name: name.to_owned(), scope, limits, restrict, revision: 0, created_at: at(3) }
}

async fn names_since(database: &Database, after: u64) -> (Vec<String>, usize) {
    let mut reader = database.store.read().await.unwrap();
    match reader.changes_since(after, None, 100).await.unwrap() {
        Since::Changes { page, .. } => {
            (page.plans.into_iter().map(|plan| plan.name).collect(), page.changes.len())
        }
        other => panic!("{other:?}"),
    }
}

pub async fn a_change_of_a_plan_is_one_revision_for_all_who_have_it(database: Database) {
    let workspace = database.workspace("demo").await;
    let (gold, house) = (plan("gold", Scope::Key, 5), plan("house", Scope::Workspace, 9));
    let stored = [gold.clone(), house.clone()];
    database
        .write(move |tx| {
            Box::pin(async move {
                for plan in &stored {
                    tx.insert_plan(plan).await?;
                }
                Ok(())
            })
        })
        .await;
    let keys: Vec<_> = (0..50)
        .map(|n| NewKey {
            plan: Some("gold".to_owned()),
            limits: None,
            ..new_key(&workspace, &format!("k{n}"))
        })
        .collect();
    let seq = workspace.seq;
    database
        .write(move |tx| {
            Box::pin(async move {
                tx.insert_keys(&keys).await?;
                tx.set_workspace_plan(seq, Some("house")).await
            })
        })
        .await;
    let before = database.store.head().revision;
    assert_eq!(names_since(&database, before).await, (vec![], 0));
    let changed = Plan { limits: vec![limit("default", Scope::Key, 7)], restrict: None, ..gold.clone() };
    let wanted = changed.clone();
    database.write(move |tx| Box::pin(async move { tx.change_plan(&wanted).await })).await;
    let head = database.store.head().revision;
    assert_eq!(head, before + 1);
    assert_eq!(names_since(&database, before).await, (vec!["gold".to_owned(), "house".to_owned()], 0));
    let mut reader = database.store.read().await.unwrap();
    let found = reader.find_plan("gold").await.unwrap().unwrap();
    assert_eq!(found, Plan { revision: head, ..changed });
    assert_eq!(reader.plan_uses("gold").await.unwrap(), PlanUses { keys: 50, workspaces: 0 });
    assert_eq!(reader.plan_uses("house").await.unwrap(), PlanUses { keys: 0, workspaces: 1 });
    let filter = KeyFilter { plan: Some("gold".to_owned()), ..KeyFilter::default() };
    assert_eq!(reader.list_keys(&filter, at(9), 100).await.unwrap().len(), 50);
    let gone = database.find_key("key_k7").await.unwrap().seq;
    database.write(move |tx| Box::pin(async move { tx.revoke_key(gone, at(8)).await })).await;
    // For pages: who is on it, newest first, without those that are revoked.
    let on_it = KeyFilter { look: Some(10_000), offset: 40, ..filter };
    let ids = |keys: Vec<Key>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
    let late = ids(reader.list_keys(&on_it, at(9), 5).await.unwrap());
    assert_eq!(late, ["key_k9", "key_k8", "key_k6", "key_k5", "key_k4"]);
    assert_eq!(reader.count_keys(&KeyFilter { offset: 0, ..on_it }, at(9)).await.unwrap(), 49);
    let there: Vec<_> = reader.workspaces_on_plan("house", 0, 9).await.unwrap();
    assert_eq!((there.len(), there[0].seq), (1, seq));
    assert!(reader.workspaces_on_plan("house", 1, 9).await.unwrap().is_empty());
    assert!(reader.workspaces_on_plan("gold", 0, 9).await.unwrap().is_empty());
    let part = reader.part_of_table(None, 10).await.unwrap();
    assert_eq!((part.plans.len(), part.changes.len()), (2, 10));
    let record = part.changes[0].record.as_ref().unwrap();
    assert_eq!((record.plan.as_deref(), record.workspace_plan.as_deref()), (Some("gold"), Some("house")));
    assert!(record.limits.is_empty(), "the plan's come at the gateway: {:?}", record.limits);
    let behind = Some(part.changes[9].hash);
    assert!(reader.part_of_table(behind, 10).await.unwrap().plans.is_empty());
}

pub async fn a_plan_that_somebody_has_stays(database: Database) {
    let workspace = database.workspace("demo").await;
    let gold = plan("gold", Scope::Key, 5);
    let twin = gold.clone();
    database.write(move |tx| Box::pin(async move { tx.insert_plan(&gold).await })).await;
    let again = database.store.write(move |tx| Box::pin(async move { tx.insert_plan(&twin).await }));
    assert!(again.await.is_err(), "a name is given once");
    let key = NewKey { plan: Some("gold".to_owned()), ..new_key(&workspace, "k1") };
    database.store_key(key).await;
    let unknown = NewKey { plan: Some("none".to_owned()), ..new_key(&workspace, "k2") };
    let write = database.store.write(move |tx| Box::pin(async move { tx.insert_keys(&[unknown]).await }));
    assert!(write.await.is_err(), "a plan that is not there is nobody's");
    let delete = || database.store.write(|tx| Box::pin(async move { tx.delete_plan("gold").await }));
    assert!(delete().await.is_err(), "a key has it");
    let seq = database.find_key("key_k1").await.unwrap().seq;
    database.write(move |tx| Box::pin(async move { tx.revoke_key(seq, at(5)).await })).await;
    delete().await.unwrap();
    assert_eq!(database.find_key("key_k1").await.unwrap().plan, None);
}
