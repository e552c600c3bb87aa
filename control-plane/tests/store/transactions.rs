//! How transactions begin and end, whatever they do.

use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flamegate_control::domain::log::Since;
use flamegate_control::store::Purpose;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::fixtures::{Database, Error, new_key};

const PURPOSES: [Purpose; 5] =
    [Purpose::Sync, Purpose::Api, Purpose::Pages, Purpose::Lists, Purpose::Metrics];

pub async fn ok_commits_and_every_reader_sees_it(database: Database) {
    let workspace = database.workspace("demo").await;
    let written = database.store_key(new_key(&workspace, "k1")).await;
    assert_eq!(written.head, database.store.head(), "published before the writer knows");
    for purpose in PURPOSES {
        let mut reader = database.store.reading_for(purpose).read().await.unwrap();
        assert_eq!(reader.find_key("key_k1").await.unwrap().unwrap().revision, Some(written.head.revision));
    }
}

pub async fn an_error_leaves_nothing_and_no_gap(database: Database) {
    let workspace = database.workspace("demo").await;
    let before = database.store.head();
    for number in 0..3 {
        let (key, seq) = (new_key(&workspace, &format!("lost{number}")), workspace.seq);
        let refused = database.store.write(move |tx| {
            Box::pin(async move {
                tx.insert_keys(slice::from_ref(&key)).await?;
                tx.rename_workspace(seq, "renamed").await?;
                assert!(tx.find_key(&key.id).await?.is_some(), "seen by the transaction itself");
                Err::<(), _>(Error::NotFound("anything"))
            })
        });
        assert!(matches!(refused.await.unwrap_err(), Error::NotFound("anything")), "the error as it was");
    }
    assert_eq!(database.store.head(), before);
    assert!(database.find_key("key_lost0").await.is_none());
    let kept = database.store.read().await.unwrap().find_workspace("demo").await.unwrap().unwrap();
    assert_eq!(kept.name, "Workspace demo");
    let key = database.key(&workspace, "k1").await;
    assert_eq!(key.revision, Some(before.revision + 1), "no revision was lost");
}

pub async fn a_panic_leaves_nothing_and_the_next_writer_goes_on(database: Database) {
    let workspace = database.workspace("demo").await;
    let before = database.store.head();
    for number in 0..3 {
        let key = new_key(&workspace, &format!("lost{number}"));
        let panicked = database.store.write(move |tx| {
            Box::pin(async move {
                tx.insert_keys(&[key]).await?;
                if number < 3 {
                    panic!("a writer that fails");
                }
                Ok(())
            })
        });
        assert!(matches!(panicked.await.unwrap_err(), Error::Internal(_)));
    }
    assert_eq!(database.store.head(), before);
    assert!(database.find_key("key_lost0").await.is_none());
    assert_eq!(database.key(&workspace, "k1").await.revision, Some(before.revision + 1));
}

pub async fn whoever_asked_may_go_and_the_write_is_done_all_the_same(database: Database) {
    let workspace = database.workspace("demo").await;
    let mut heads = database.store.watch();
    heads.mark_unchanged();
    let (entered, inside) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let (store, key) = (database.store.clone(), new_key(&workspace, "k1"));
    let asks = tokio::spawn(async move {
        let write = store.write(move |tx| {
            Box::pin(async move {
                entered.send(()).unwrap();
                released.await.map_err(Error::internal)?;
                tx.insert_keys(&[key]).await
            })
        });
        write.await.map(|_| ())
    });
    inside.await.unwrap();
    asks.abort();
    assert!(asks.await.unwrap_err().is_cancelled());
    release.send(()).unwrap();
    heads.changed().await.unwrap();
    assert!(database.find_key("key_k1").await.is_some());
}

pub async fn one_writes_at_a_time(database: Database) {
    let inside = Arc::new(AtomicU64::new(0));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut writers = JoinSet::new();
    for number in 0..16 {
        let (store, inside, order) = (database.store.clone(), Arc::clone(&inside), Arc::clone(&order));
        writers.spawn(async move {
            let write = store.write(move |tx| {
                Box::pin(async move {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "nobody else is writing");
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                        tx.touch().await?;
                    }
                    order.lock().unwrap().push(number);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                })
            });
            write.await.unwrap();
        });
    }
    writers.join_all().await;
    let mut order = order.lock().unwrap().clone();
    order.sort_unstable();
    assert_eq!(order, (0..16).collect::<Vec<_>>(), "each once");
}

pub async fn what_is_read_to_be_written_is_still_so_when_it_is_written(database: Database) {
    let workspace = database.workspace("demo").await;
    let mut writers = JoinSet::new();
    for _ in 0..20 {
        let (store, workspace) = (database.store.clone(), workspace.clone());
        writers.spawn(async move {
            let write = store.write(move |tx| {
                Box::pin(async move {
                    let count = tx.active_keys(workspace.seq, crate::fixtures::at(0)).await?;
                    tokio::task::yield_now().await;
                    if count < 7 {
                        tx.insert_keys(&[new_key(&workspace, &format!("k{count}"))]).await?;
                    }
                    Ok(())
                })
            });
            write.await.unwrap();
        });
    }
    writers.join_all().await;
    let mut reader = database.store.read().await.unwrap();
    assert_eq!(reader.active_keys(workspace.seq, crate::fixtures::at(0)).await.unwrap(), 7);
}

pub async fn nobody_sees_what_is_not_committed(database: Database) {
    let workspace = database.workspace("demo").await;
    let (store, key, before) = (database.store.clone(), new_key(&workspace, "k1"), database.store.head());
    let written = database.write(move |tx| {
        Box::pin(async move {
            tx.insert_keys(&[key]).await?;
            let mut reader = store.read().await?;
            assert!(reader.find_key("key_k1").await?.is_none());
            let seen = reader.changes_since(before.revision, Some(&before.tag), 10).await?;
            assert!(
                matches!(seen, Since::Changes { page, .. } if page.changes.is_empty() && page.head == before)
            );
            assert_eq!(store.head(), before);
            Ok(())
        })
    });
    assert_eq!(written.await.head.revision, database.store.head().revision);
    assert!(database.find_key("key_k1").await.is_some());
}

pub async fn what_is_published_can_be_read(database: Database) {
    let workspace = database.workspace("demo").await;
    let mut heads = database.store.watch();
    heads.mark_unchanged();
    let store = database.store.clone();
    let follower = tokio::spawn(async move {
        let mut last = heads.borrow().revision;
        while last < 30 {
            heads.changed().await.unwrap();
            let head = heads.borrow_and_update().clone();
            assert!(head.revision > last, "never back");
            let mut reader = store.read().await.unwrap();
            let since = reader.changes_since(last, None, 100).await.unwrap();
            let Since::Changes { page, .. } = since else { panic!("{since:?}") };
            let seen: Vec<_> = page.changes.iter().map(|change| change.revision).collect();
            let expected: Vec<_> = (last + 1..=page.revision).collect();
            assert!(page.revision >= head.revision && seen == expected, "everything up to it");
            last = head.revision;
        }
    });
    for number in 0..30 {
        database.key(&workspace, &format!("k{number}")).await;
    }
    follower.await.unwrap();
}

pub async fn the_head_goes_forward_without_a_gap_however_many_write(database: Database) {
    let workspace = database.workspace("demo").await;
    let before = database.store.head();
    let mut writers = JoinSet::new();
    for number in 0..40_u64 {
        let (store, workspace) = (database.store.clone(), workspace.clone());
        writers.spawn(async move {
            let write = store.write(move |tx| {
                Box::pin(async move {
                    let keys = [
                        new_key(&workspace, &format!("a{number}")),
                        new_key(&workspace, &format!("b{number}")),
                    ];
                    tx.insert_keys(&keys).await?;
                    // A third of them come to nothing.
                    if number % 3 == 0 { Err(Error::NotFound("anything")) } else { Ok(()) }
                })
            });
            write.await.map(|written| written.head.revision).ok()
        });
    }
    let mut heads: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    heads.sort_unstable();
    let expected: Vec<_> = (1..=heads.len() as u64).map(|commit| before.revision + 2 * commit).collect();
    assert_eq!(heads, expected);
    assert_eq!(database.store.head().revision, *heads.last().unwrap());
}

pub async fn a_closed_store_comes_back_as_it_was(database: Database) {
    let workspace = database.workspace("demo").await;
    let key = database.key(&workspace, "k1").await;
    let head = database.store.head();
    let closed = database.store.clone();
    let database = database.again().await;
    assert_eq!(database.store.head(), head, "epoch, revision and tag");
    assert_eq!(format!("{:?}", database.find_key(&key.id).await), format!("{:?}", Some(key)));
    assert!(closed.read().await.is_err() && closed.check_writable().await.is_err(), "closed for good");
}

pub async fn a_database_can_be_written_while_it_is_open(database: Database) {
    let before = database.store.head();
    database.store.check_writable().await.unwrap();
    assert_eq!(database.store.head(), before, "and looking changes nothing");
}
