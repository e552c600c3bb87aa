//! Lists of keys: their order, their parts, what they leave out.

use flamegate_control::domain::keys::{End, KeyFilter, NewKey, Status};
use flamegate_control::domain::lists::MOST_COUNTED;

use crate::fixtures::{Database, Environment, at, new_key};

async fn names(database: &Database, filter: &KeyFilter, limit: u32) -> Vec<String> {
    let found = database.store.read().await.unwrap().list_keys(filter, at(0), limit).await.unwrap();
    found.into_iter().map(|key| key.name).collect()
}

async fn count(database: &Database, filter: &KeyFilter) -> u64 {
    database.store.read().await.unwrap().count_keys(filter, at(0)).await.unwrap()
}

pub async fn lists_are_newest_first_and_go_on_behind_a_key(database: Database) {
    let workspace = database.workspace("demo").await;
    for number in 1..=5 {
        database.key(&workspace, &format!("k{number}")).await;
    }
    let all = KeyFilter::default();
    assert_eq!(names(&database, &all, 10).await, ["k5", "k4", "k3", "k2", "k1"]);
    assert_eq!(names(&database, &all, 2).await, ["k5", "k4"]);
    let fourth = database.find_key("key_k4").await.unwrap();
    let behind = KeyFilter { before: Some(fourth.seq), ..all.clone() };
    assert_eq!(names(&database, &behind, 2).await, ["k3", "k2"]);
    assert_eq!(names(&database, &KeyFilter { offset: 1, ..behind }, 2).await, ["k2", "k1"]);
    assert!(names(&database, &KeyFilter { offset: 5, ..all.clone() }, 2).await.is_empty());
    assert!(names(&database, &all, 0).await.is_empty());
}

pub async fn a_filter_takes_what_it_says_and_no_more(database: Database) {
    let (demo, other) = (database.workspace("demo").await, database.workspace("other").await);
    let end = |seconds| End::from_second(at(seconds).as_second());
    for key in [
        new_key(&demo, "live1"),
        NewKey { environment: Environment::Test, ..new_key(&demo, "test2") },
        NewKey { expires_at: end(0), ..new_key(&demo, "over3") },
        NewKey { expires_at: end(1), ..new_key(&demo, "near4") },
        new_key(&demo, "gone5"),
        new_key(&other, "theirs6"),
    ] {
        database.store_key(key).await;
    }
    let gone = database.find_key("key_gone5").await.unwrap();
    database.write(move |tx| Box::pin(async move { tx.revoke_key(gone.seq, at(0)).await })).await;
    let of = |status| KeyFilter { workspace_seq: Some(demo.seq), status, ..KeyFilter::default() };
    for (filter, expected) in [
        (KeyFilter::default(), &["theirs6", "gone5", "near4", "over3", "test2", "live1"][..]),
        (of(None), &["gone5", "near4", "over3", "test2", "live1"]),
        (of(Some(Status::Active)), &["near4", "test2", "live1"]),
        (of(Some(Status::Expired)), &["over3"]),
        (of(Some(Status::Revoked)), &["gone5"]),
        (KeyFilter { environment: Some(Environment::Test), ..KeyFilter::default() }, &["test2"]),
        (KeyFilter { workspace_seq: Some(i64::MAX), ..KeyFilter::default() }, &[]),
    ] {
        assert_eq!(names(&database, &filter, 10).await, expected, "{filter:?}");
        assert_eq!(count(&database, &filter).await, expected.len() as u64, "{filter:?}");
    }
}

pub async fn a_search_takes_text_as_it_is(database: Database) {
    let workspace = database.workspace("demo").await;
    for (number, name) in
        ["Production 100%", "under_score", "quote ' \" \\", "東京 👩‍👩‍👧"].into_iter().enumerate()
    {
        let key = NewKey { name: name.to_owned(), ..new_key(&workspace, &format!("k{number}")) };
        database.store_key(key).await;
    }
    for (text, expected) in [
        ("production", &["Production 100%"][..]),
        ("100%", &["Production 100%"]),
        ("%", &["Production 100%"]),
        ("r_s", &["under_score"]),
        ("'", &["quote ' \" \\"]),
        ("\\", &["quote ' \" \\"]),
        ("東京", &["東京 👩‍👩‍👧"]),
        ("key_k1", &["under_score"]),
        ("k0\nunder", &[]),
        ("nothing", &[]),
    ] {
        let filter = KeyFilter { search: Some(text.to_owned()), ..KeyFilter::default() };
        assert_eq!(names(&database, &filter, 10).await, expected, "{text}");
        assert_eq!(count(&database, &filter).await, expected.len() as u64, "{text}");
    }
    let hint = KeyFilter { search: Some("…a1b2".to_owned()), ..KeyFilter::default() };
    assert_eq!(names(&database, &hint, 10).await.len(), 4, "hints are searched, too");
}

pub async fn a_search_knows_no_case_and_no_spelling(database: Database) {
    let workspace = database.workspace("demo").await;
    for (number, name) in ["\u{c4}rger", "Straße", "\u{ff21}\u{ff11} wide"].into_iter().enumerate() {
        let key = NewKey { name: name.to_owned(), ..new_key(&workspace, &format!("k{number}")) };
        database.store_key(key).await;
    }
    for (text, number) in [("a\u{308}RGER", 0), ("STRASSE", 1), ("a1 WIDE", 2)] {
        let filter = KeyFilter { search: Some(text.to_owned()), ..KeyFilter::default() };
        let found = database.store.read().await.unwrap().list_keys(&filter, at(0), 10).await.unwrap();
        assert_eq!(
            found.iter().map(|key| key.id.clone()).collect::<Vec<_>>(),
            [format!("key_k{number}")],
            "{text}"
        );
    }
    // By its new name, and not by the old one.
    let key = database.find_key("key_k0").await.unwrap();
    database.write(move |tx| Box::pin(async move { tx.rename_key(&key, "\u{d6}de").await })).await;
    for (text, count) in [("o\u{308}DE", 1), ("\u{e4}rger", 0)] {
        let filter = KeyFilter { search: Some(text.to_owned()), ..KeyFilter::default() };
        assert_eq!(names(&database, &filter, 10).await.len(), count, "{text}");
    }
}

pub async fn nobody_counts_beyond_what_anybody_pages_through(database: Database) {
    let workspace = database.workspace("demo").await;
    let most = usize::try_from(MOST_COUNTED).unwrap();
    let keys: Vec<_> = (0..most + 10).map(|number| new_key(&workspace, &format!("k{number}"))).collect();
    database.write(move |tx| Box::pin(async move { tx.insert_keys(&keys).await })).await;
    assert_eq!(count(&database, &KeyFilter::default()).await, u64::from(MOST_COUNTED) + 1);
}
