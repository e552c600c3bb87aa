//! API keys: storing, changing, ending, counting.

use flamegate::contract::restrict::Restrict;
use flamegate_control::domain::bounds::Bounds;
use flamegate_control::domain::keys::{End, KeyCounts, KeyFilter, NewKey, Status};
use flamegate_control::domain::log::Since;

use crate::fixtures::{Database, Environment, Scope, at, hash_of, limit, new_key};

const UNICODE: &str = "Zahlung größer – „neu“ 東京 👩‍👩‍👧 e\u{301} 'quoted\" \\ % _ ;--";

fn end(seconds: i64) -> Option<End> {
    End::from_second(at(seconds).as_second())
}

pub async fn a_key_is_found_as_it_was_stored(database: Database) {
    let workspace = database.workspace("demo").await;
    let old = database.key(&workspace, "k1").await;
    let restrict =
        Restrict { methods: vec!["GET".to_owned()], paths: vec!["/*".to_owned()], ..Restrict::default() };
    let stored = NewKey {
        environment: Environment::Test,
        name: UNICODE.to_owned(),
        limits: Some(vec![limit("own", Scope::Key, 7)]),
        restrict: Some(restrict.clone()),
        created_by: "ada@example.com".to_owned(),
        created_at: at(3),
        expires_at: end(60),
        rotated_from: Some(old.id.clone()),
        ..new_key(&workspace, "k2")
    };
    let written = database.store_key(stored.clone()).await;
    let found = database.find_key(&stored.id).await.unwrap();
    assert_eq!((&found.id, &found.name, &found.hint), (&stored.id, &stored.name, &stored.hint));
    assert_eq!((found.workspace.as_str(), found.workspace_slug.as_str()), ("ws_demo", "demo"));
    assert_eq!((found.environment, found.workspace_seq), (Environment::Test, workspace.seq));
    assert_eq!((&found.own_limits, found.limits.len()), (&stored.limits, 1));
    assert_eq!(found.restrict, Some(restrict));
    assert_eq!((found.created_at, found.created_by.as_deref()), (at(3), Some("ada@example.com")));
    assert_eq!((found.expires_at, found.revoked_at), (end(60), None));
    assert_eq!((found.rotated_from, found.rotated_to), (Some(old.id), None));
    assert_eq!(found.revision, Some(written.head.revision));
    assert!(found.seq > old.seq, "in order of creation");
}

pub async fn a_key_that_is_not_there_is_none(database: Database) {
    for id in ["", "key_k1", "' OR 1 = 1 --", "ключ"] {
        assert!(database.find_key(id).await.is_none(), "{id}");
    }
}

pub async fn a_hash_is_stored_once_and_a_second_one_leaves_nothing(database: Database) {
    let workspace = database.workspace("demo").await;
    database.key(&workspace, "k1").await;
    let head = database.store.head();
    for twin in [
        NewKey { hash: hash_of("k1"), ..new_key(&workspace, "k2") },
        NewKey { id: "key_k1".to_owned(), ..new_key(&workspace, "k3") },
    ] {
        let keys = [new_key(&workspace, "k4"), twin];
        let write = database.store.write(move |tx| Box::pin(async move { tx.insert_keys(&keys).await }));
        write.await.unwrap_err();
        assert!(database.find_key("key_k4").await.is_none());
    }
    assert_eq!(database.store.head(), head);
    database.key(&workspace, "k5").await;
}

pub async fn many_keys_are_stored_in_their_order(database: Database) {
    let workspace = database.workspace("demo").await;
    let keys: Vec<_> = (0..2_500).map(|number| new_key(&workspace, &format!("k{number}"))).collect();
    let written = database.write(move |tx| Box::pin(async move { tx.insert_keys(&keys).await })).await;
    assert_eq!(written.head.revision, 2_500);
    for number in [0_u64, 999, 1_000, 2_499] {
        let key = database.find_key(&format!("key_k{number}")).await.unwrap();
        assert_eq!(key.revision, Some(number + 1));
    }
    database.write(|tx| Box::pin(async { tx.insert_keys(&[]).await })).await;
    assert_eq!(database.store.head().revision, 2_500, "no keys are no change");
}

pub async fn a_key_follows_its_workspace_until_it_has_limits_of_its_own(database: Database) {
    let default = vec![limit("default", Scope::Key, 100)];
    let bounds = Bounds {
        ceiling: Some(limit("ceiling", Scope::Key, 50)),
        workspace_limits: vec![limit("shared", Scope::Workspace, 1_000)],
        max_active_keys: None,
    };
    let workspace = database.workspace_with("demo", default, bounds).await;
    let names = |key: &flamegate_control::domain::keys::Key| -> Vec<String> {
        key.limits.iter().map(|limit| limit.name.clone()).collect()
    };
    let key = database.key(&workspace, "k1").await;
    assert_eq!(
        (key.own_limits.is_none(), names(&key)),
        (true, vec!["default".into(), "ceiling".into(), "shared".into()])
    );
    let set = async |limits: Option<Vec<_>>| {
        let seq = key.seq;
        database
            .write(move |tx| Box::pin(async move { tx.set_key_limits(seq, limits.as_deref()).await }))
            .await;
        database.find_key("key_k1").await.unwrap()
    };
    let own = set(Some(vec![limit("own", Scope::Key, 20)])).await;
    assert_eq!(names(&own), ["own", "ceiling", "shared"]);
    let none = set(Some(Vec::new())).await;
    assert_eq!(
        (none.own_limits.as_deref(), names(&none)),
        (Some(&[][..]), vec!["ceiling".into(), "shared".into()])
    );
    assert!(set(None).await.own_limits.is_none(), "follows again");
    let mut reader = database.store.read().await.unwrap();
    let table = reader.part_of_table(None, 10).await.unwrap();
    let record = table.changes[0].record.clone().unwrap();
    assert_eq!(
        record.limits,
        database.find_key("key_k1").await.unwrap().limits,
        "what gateways get is what is shown"
    );
}

pub async fn a_revoked_key_is_gone_from_the_table_and_stays_in_the_list(database: Database) {
    let workspace = database.workspace("demo").await;
    let key = database.key(&workspace, "k1").await;
    let seq = key.seq;
    let head = database.write(move |tx| Box::pin(async move { tx.revoke_key(seq, at(5)).await })).await.head;
    let revoked = database.find_key("key_k1").await.unwrap();
    assert_eq!((revoked.revoked_at, revoked.revision), (Some(at(5)), Some(head.revision)));
    assert_eq!(revoked.status(at(0)), Status::Revoked);
    let mut reader = database.store.read().await.unwrap();
    assert!(reader.part_of_table(None, 10).await.unwrap().changes.is_empty());
    assert_eq!(reader.active_keys(workspace.seq, at(5)).await.unwrap(), 0);
}

pub async fn an_end_may_be_as_far_as_the_calendar_goes(database: Database) {
    let workspace = database.workspace("demo").await;
    let first = End::from_second(-62_167_219_200);
    for (number, end) in [(1, Some(End::LAST)), (2, first), (3, End::from_second(0)), (4, None)] {
        let key = NewKey { expires_at: end, ..new_key(&workspace, &format!("k{number}")) };
        assert_eq!(database.store_key(key).await.value.expires_at, end);
    }
    let key = database.find_key("key_k4").await.unwrap();
    database
        .write(move |tx| Box::pin(async move { tx.set_key_expiry(key.seq, Some(End::LAST)).await }))
        .await;
    assert_eq!(database.find_key("key_k4").await.unwrap().expires_at, Some(End::LAST));
}

pub async fn the_clock_takes_keys_off_the_table_and_puts_them_back(database: Database) {
    let workspace = database.workspace("demo").await;
    for number in 1..=5 {
        let key = NewKey { expires_at: end(10 * number), ..new_key(&workspace, &format!("k{number}")) };
        database.store_key(key).await;
    }
    database.key(&workspace, "forever").await;
    let listed =
        async || database.store.read().await.unwrap().part_of_table(None, 10).await.unwrap().changes.len();
    let by_clock = async |listed: bool, seconds: i64, most: u32| {
        database.write(move |tx| tx.list_by_clock(listed, at(seconds), most)).await
    };
    assert_eq!(by_clock(false, 9, 10).await.value, 0);
    assert_eq!(
        (by_clock(false, 30, 2).await.value, by_clock(false, 30, 2).await.value),
        (2, 1),
        "at most so many at once"
    );
    assert_eq!(listed().await, 3);
    let head = database.store.head();
    assert_eq!((by_clock(true, 30, 10).await.value, database.store.head()), (0, head), "they have expired");
    assert_eq!(by_clock(true, 15, 10).await.value, 2, "the clock went back");
    assert_eq!(listed().await, 5);
    let revoked = database.find_key("key_k1").await.unwrap();
    database.write(move |tx| Box::pin(async move { tx.revoke_key(revoked.seq, at(1)).await })).await;
    assert_eq!(by_clock(true, 0, 10).await.value, 0, "what was revoked stays away");
    // Another end puts a key back by itself.
    let third = database.find_key("key_k3").await.unwrap();
    by_clock(false, 30, 10).await;
    let before = listed().await;
    database.write(move |tx| Box::pin(async move { tx.set_key_expiry(third.seq, end(1_000)).await })).await;
    assert_eq!(listed().await, before + 1);
}

pub async fn a_successor_is_noted_on_both_sides(database: Database) {
    let workspace = database.workspace("demo").await;
    let old = database.key(&workspace, "k1").await;
    let new = NewKey { rotated_from: Some(old.id.clone()), ..new_key(&workspace, "k2") };
    let seq = old.seq;
    database
        .write(move |tx| {
            Box::pin(async move {
                tx.insert_keys(&[new]).await?;
                tx.set_rotated_to(seq, "key_k2").await
            })
        })
        .await;
    assert_eq!(database.find_key("key_k1").await.unwrap().rotated_to.as_deref(), Some("key_k2"));
    assert_eq!(database.find_key("key_k2").await.unwrap().rotated_from.as_deref(), Some("key_k1"));
}

pub async fn keys_are_counted_by_state(database: Database) {
    let counts = async |seconds| database.store.read().await.unwrap().key_counts(at(seconds)).await.unwrap();
    assert_eq!(counts(0).await, KeyCounts::default());
    let workspace = database.workspace("demo").await;
    for number in 1..=4 {
        let key = NewKey { expires_at: end(10 * number), ..new_key(&workspace, &format!("k{number}")) };
        database.store_key(key).await;
    }
    let revoked = database.find_key("key_k1").await.unwrap();
    database.write(move |tx| Box::pin(async move { tx.revoke_key(revoked.seq, at(1)).await })).await;
    assert_eq!(counts(0).await, KeyCounts { active: 3, revoked: 1, expired: 0 });
    assert_eq!(counts(30).await, KeyCounts { active: 1, revoked: 1, expired: 2 }, "the end itself is over");
}

pub async fn known_hashes_are_found_with_their_keys(database: Database) {
    let workspace = database.workspace("demo").await;
    let keys: Vec<_> = (0..1_200).map(|number| new_key(&workspace, &format!("k{number}"))).collect();
    database.write(move |tx| Box::pin(async move { tx.insert_keys(&keys).await })).await;
    let asked: Vec<_> = (600..1_800).map(|number| hash_of(&format!("k{number}"))).collect();
    let mut reader = database.store.read().await.unwrap();
    let found = reader.keys_of_hashes(&asked).await.unwrap();
    assert_eq!(found.len(), 600);
    assert!(found.iter().all(|(hash, key)| hash_of(&key.name) == *hash));
    assert!(reader.keys_of_hashes(&[]).await.unwrap().is_empty());
}

pub async fn a_key_is_in_shadow_until_it_is_taken_out(database: Database) {
    let workspace = database.workspace("demo").await;
    let first = database.key(&workspace, "k1").await;
    let stored = database.store_key(NewKey { shadow: true, ..new_key(&workspace, "k2") }).await;
    assert_eq!((first.shadow, stored.value.shadow), (false, true));
    for shadow in [true, false] {
        let before = database.store.head().revision;
        let seq = first.seq;
        let set =
            database.write(move |tx| Box::pin(async move { tx.set_key_shadow(seq, shadow).await })).await;
        assert_eq!(set.head.revision, before + 1);
        assert_eq!(database.find_key("key_k1").await.unwrap().revision, Some(set.head.revision));
        let mut reader = database.store.read().await.unwrap();
        let Since::Changes { page, .. } = reader.changes_since(before, None, 10).await.unwrap() else {
            panic!("changes")
        };
        let records: Vec<_> =
            page.changes.iter().map(|change| change.record.as_ref().unwrap().shadow).collect();
        assert_eq!(records, [shadow]);
        let table = reader.part_of_table(None, 10).await.unwrap();
        let in_table = table.changes.iter().filter(|change| change.record.as_ref().unwrap().shadow).count();
        assert_eq!(in_table, if shadow { 2 } else { 1 });
        for look in [None, Some(100)] {
            let filter =
                KeyFilter { shadow: true, workspace_seq: Some(workspace.seq), look, ..KeyFilter::default() };
            let found = reader.list_keys(&filter, at(9), 10).await.unwrap();
            let ids: Vec<_> = found.iter().map(|key| key.id.as_str()).collect();
            let wanted: &[&str] = if shadow { &["key_k2", "key_k1"] } else { &["key_k2"] };
            assert_eq!(
                (ids.as_slice(), reader.count_keys(&filter, at(9)).await.unwrap()),
                (wanted, wanted.len() as u64)
            );
        }
    }
}
