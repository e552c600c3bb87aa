//! Revisions, their tags, and the pages that gateways get.

use flamegate_control::domain::bounds::Bounds;
use flamegate_control::domain::keys::End;
use flamegate_control::domain::log::{Page, Since};

use crate::fixtures::{Database, Scope, at, hash_of, limit, new_key};

/// What came after a revision, when the log knows it.
async fn since(database: &Database, after: u64, tag: Option<&str>, limit: u32) -> (Page, String) {
    let mut reader = database.store.read().await.unwrap();
    match reader.changes_since(after, tag, limit).await.unwrap() {
        Since::Changes { page, base_tag } => (page, base_tag),
        other => panic!("{other:?}"),
    }
}

fn revisions(page: &Page) -> Vec<u64> {
    page.changes.iter().map(|change| change.revision).collect()
}

pub async fn revisions_are_in_order_of_commits_and_each_key_is_there_once(database: Database) {
    let workspace = database.workspace("demo").await;
    for number in 1..=4 {
        database.key(&workspace, &format!("k{number}")).await;
    }
    let second = database.find_key("key_k2").await.unwrap();
    database.write(move |tx| Box::pin(async move { tx.revoke_key(second.seq, at(1)).await })).await;
    let (page, _) = since(&database, 0, None, 100).await;
    assert_eq!(revisions(&page), [1, 3, 4, 5], "the second one moved to the end");
    let hashes: Vec<_> = page.changes.iter().map(|change| change.hash).collect();
    assert_eq!(hashes, ["k1", "k3", "k4", "k2"].map(hash_of));
    let last = page.changes.last().unwrap();
    assert!(last.record.is_none() && page.changes[0].record.is_some());
    assert_eq!((page.revision, page.more, page.head), (5, false, database.store.head()));
    let (nothing, _) = since(&database, 5, None, 100).await;
    assert!(nothing.changes.is_empty() && nothing.revision == 5);
}

pub async fn a_commit_has_one_tag_and_another_tag_is_another_history(database: Database) {
    let workspace = database.workspace("demo").await;
    let first = database.store_key(new_key(&workspace, "k1")).await.head;
    let keys = [new_key(&workspace, "k2"), new_key(&workspace, "k3")];
    let second = database.write(move |tx| Box::pin(async move { tx.insert_keys(&keys).await })).await.head;
    assert_eq!((first.revision, second.revision), (1, 3));
    assert!(first.tag != second.tag && first.epoch == second.epoch && !first.tag.is_empty());
    assert_eq!(since(&database, 1, Some(&first.tag), 10).await.1, first.tag);
    // Revision 2 is of the same commit as 3.
    assert_eq!(since(&database, 2, Some(&second.tag), 10).await.1, second.tag);
    assert_eq!(since(&database, 3, None, 10).await.1, second.tag, "without a tag the revision alone counts");
    let mut reader = database.store.read().await.unwrap();
    for (after, tag) in
        [(1, Some(second.tag.as_str())), (3, Some("t_other")), (4, None), (4, Some(second.tag.as_str()))]
    {
        let found = reader.changes_since(after, tag, 10).await.unwrap();
        assert!(matches!(found, Since::Unknown), "{after} {tag:?}: {found:?}");
    }
}

pub async fn a_page_that_is_cut_says_how_far_it_goes(database: Database) {
    let workspace = database.workspace("demo").await;
    let mut tags = Vec::new();
    for number in 1..=5 {
        tags.push(database.store_key(new_key(&workspace, &format!("k{number}"))).await.head.tag);
    }
    let (mut after, mut tag, mut seen) = (0, None, Vec::new());
    loop {
        let (page, _) = since(&database, after, tag.as_deref(), 2).await;
        assert!(page.changes.len() <= 2);
        seen.extend(revisions(&page));
        assert_eq!(page.tag, tags[usize::try_from(page.revision).unwrap() - 1], "the tag of that revision");
        assert_eq!(page.revision, *seen.last().unwrap());
        if !page.more {
            break;
        }
        (after, tag) = (page.revision, Some(page.tag));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

pub async fn only_what_gateways_see_takes_a_revision(database: Database) {
    let workspace = database.workspace("demo").await;
    let key = database.key(&workspace, "k1").await;
    let start = database.store.head();
    let mut heads = database.store.watch();
    heads.mark_unchanged();
    let (seq, wanted) = (key.seq, workspace.clone());
    let unseen = database.write(move |tx| {
        Box::pin(async move {
            tx.rename_key(&key, "renamed").await?;
            tx.set_rotated_to(seq, "key_other").await?;
            tx.rename_workspace(wanted.seq, "renamed").await?;
            tx.set_bounds(wanted.seq, &Bounds { max_active_keys: Some(5), ..Bounds::default() }).await?;
            tx.remember_request("once", &[1; 32], "key_k1", at(0)).await
        })
    });
    assert_eq!(unseen.await.head, start, "revision and tag");
    assert!(!heads.has_changed().unwrap(), "and no poll is woken");
    let seen = database.write(move |tx| {
        Box::pin(async move {
            tx.set_key_expiry(seq, End::from_second(at(60).as_second())).await?;
            tx.set_key_limits(seq, Some(&[limit("own", Scope::Key, 5)])).await?;
            tx.revoke_key(seq, at(1)).await
        })
    });
    let head = seen.await.head;
    assert!(head.revision == start.revision + 3 && head.tag != start.tag, "{head:?}");
}

pub async fn the_whole_table_comes_in_order_of_hashes(database: Database) {
    let workspace = database.workspace("demo").await;
    for number in [5, 1, 4, 2, 3] {
        database.key(&workspace, &format!("k{number}")).await;
    }
    let gone = database.find_key("key_k3").await.unwrap();
    database.write(move |tx| Box::pin(async move { tx.revoke_key(gone.seq, at(1)).await })).await;
    let (mut cursor, mut found) = (None, Vec::new());
    let mut reader = database.store.read().await.unwrap();
    loop {
        let page = reader.part_of_table(cursor, 2).await.unwrap();
        assert_eq!(
            (page.revision, &page.tag),
            (page.head.revision, &page.head.tag),
            "a reset is of the head"
        );
        cursor = page.changes.last().map(|change| change.hash);
        found.extend(page.changes.iter().map(|change| change.hash));
        assert!(page.changes.iter().all(|change| change.record.is_some()));
        if !page.more {
            break;
        }
    }
    assert_eq!(found, ["k1", "k2", "k4", "k5"].map(hash_of));
    assert!(reader.part_of_table(cursor, 2).await.unwrap().changes.is_empty());
}

pub async fn compaction_keeps_the_newest_removals_and_lifts_the_floor(database: Database) {
    let workspace = database.workspace("demo").await;
    let mut tags = vec![database.store.head().tag];
    for number in 1..=4 {
        tags.push(database.store_key(new_key(&workspace, &format!("k{number}"))).await.head.tag);
    }
    for number in 1..=3 {
        let key = database.find_key(&format!("key_k{number}")).await.unwrap();
        let write = database.write(move |tx| Box::pin(async move { tx.revoke_key(key.seq, at(1)).await }));
        tags.push(write.await.head.tag);
    }
    // Removals at 5, 6 and 7.
    let head = database.store.head();
    assert_eq!(database.write(|tx| tx.compact_log(3)).await.value, None, "all of them may stay");
    let compacted = database.write(|tx| tx.compact_log(1)).await;
    assert_eq!((compacted.value, &compacted.head), (Some(6), &head));
    assert_eq!(database.write(|tx| tx.compact_log(1)).await.value, None, "again, nothing is left to do");
    let mut reader = database.store.read().await.unwrap();
    for after in 0..6 {
        let tag = Some(tags[usize::try_from(after).unwrap()].as_str());
        let found = reader.changes_since(after, tag, 10).await.unwrap();
        assert!(matches!(found, Since::TooOld), "{after}: {found:?}");
    }
    drop(reader);
    let (page, _) = since(&database, 6, Some(&tags[6]), 10).await;
    assert_eq!(revisions(&page), [7]);
    // A key whose removal has left the log is still one that was revoked.
    let forgotten = database.find_key("key_k1").await.unwrap();
    assert!(forgotten.revision.is_none() && forgotten.revoked_at.is_some());
}

pub async fn tags_are_pruned_from_the_oldest(database: Database) {
    let workspace = database.workspace("demo").await;
    let mut tags = vec![database.store.head().tag];
    for number in 1..=5 {
        tags.push(database.store_key(new_key(&workspace, &format!("k{number}"))).await.head.tag);
    }
    database.write(|tx| tx.prune_tags(2)).await;
    assert_eq!(database.store.head().tag, tags[5]);
    for after in [4, 5] {
        let tag = tags[usize::try_from(after).unwrap()].clone();
        assert_eq!(since(&database, after, Some(&tag), 10).await.1, tag);
    }
    let mut reader = database.store.read().await.unwrap();
    let found = reader.changes_since(3, Some(&tags[3]), 10).await.unwrap();
    assert!(matches!(found, Since::Unknown), "it starts over: {found:?}");
}
