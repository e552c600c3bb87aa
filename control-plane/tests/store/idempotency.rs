//! Requests that are done once.

use std::slice;

use tokio::task::JoinSet;

use crate::fixtures::{Database, Error, at, new_key};

const DAY: i64 = 86_400;

async fn find(database: &Database, key: &str, seconds: i64) -> Option<(Vec<u8>, String)> {
    let found = database.store.read().await.unwrap().find_earlier(key, at(seconds)).await.unwrap();
    found.map(|earlier| (earlier.fingerprint, earlier.api_key_id))
}

pub async fn a_request_is_remembered_for_a_day(database: Database) {
    let remember = async |key: &'static str, fingerprint: u8, id: &'static str, seconds: i64| {
        let write = database.write(move |tx| {
            Box::pin(async move { tx.remember_request(key, &[fingerprint; 32], id, at(seconds)).await })
        });
        write.await;
    };
    remember("once", 1, "key_k1", 0).await;
    assert_eq!(find(&database, "once", DAY - 1).await, Some((vec![1; 32], "key_k1".to_owned())));
    assert_eq!(find(&database, "once", DAY).await, None);
    assert_eq!(find(&database, "Once", 0).await, None, "every byte counts");
    remember("once", 2, "key_k2", DAY).await;
    assert_eq!(
        find(&database, "once", DAY + 1).await,
        Some((vec![2; 32], "key_k2".to_owned())),
        "in its place"
    );
    remember("old", 3, "key_k3", 0).await;
    database.write(|tx| tx.forget_old_requests(at(DAY))).await;
    assert_eq!(find(&database, "old", 1).await, None);
    assert!(find(&database, "once", DAY + 1).await.is_some());
}

pub async fn of_two_at_once_one_is_the_first(database: Database) {
    let workspace = database.workspace("demo").await;
    let mut requests = JoinSet::new();
    for number in 0..10 {
        let (store, key) = (database.store.clone(), new_key(&workspace, &format!("k{number}")));
        requests.spawn(async move {
            let write = store.write(move |tx| {
                Box::pin(async move {
                    if tx.find_earlier("once", at(0)).await?.is_some() {
                        return Err(Error::NotFound("anything"));
                    }
                    tx.insert_keys(slice::from_ref(&key)).await?;
                    tx.remember_request("once", &[0; 32], &key.id, at(0)).await
                })
            });
            write.await.is_ok()
        });
    }
    assert_eq!(requests.join_all().await.into_iter().filter(|first| *first).count(), 1);
    let (_, made) = find(&database, "once", 1).await.unwrap();
    assert!(database.find_key(&made).await.is_some());
    assert_eq!(database.store.head().revision, 1);
}

pub async fn a_write_that_fails_remembers_nothing(database: Database) {
    let refused = database.store.write(|tx| {
        Box::pin(async move {
            tx.remember_request("once", &[0; 32], "key_k1", at(0)).await?;
            Err::<(), _>(Error::NotFound("anything"))
        })
    });
    refused.await.unwrap_err();
    assert_eq!(find(&database, "once", 0).await, None);
}
