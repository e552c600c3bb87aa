//! Workspaces, their bounds, and which keys are renewed by a change.

use flamegate_control::domain::bounds::Bounds;
use flamegate_control::domain::keys::{End, NewKey};
use flamegate_control::domain::workspaces::{Renewed, Workspace};

use crate::fixtures::{Database, Scope, at, limit, new_key, new_workspace};

async fn find(database: &Database, id_or_slug: &str) -> Option<Workspace> {
    database.store.read().await.unwrap().find_workspace(id_or_slug).await.unwrap()
}

pub async fn a_workspace_is_found_by_id_and_by_slug(database: Database) {
    let bounds = Bounds {
        ceiling: Some(limit("ceiling", Scope::Key, 50)),
        workspace_limits: vec![limit("shared", Scope::Workspace, 1_000)],
        max_active_keys: Some(7),
    };
    let workspace = Workspace {
        name: "東京 „neu“ 👩‍👩‍👧 ' \" \\".to_owned(),
        created_at: at(9),
        ..new_workspace("demo", vec![limit("default", Scope::Key, 100)], bounds)
    };
    let stored = workspace.clone();
    database.write(move |tx| Box::pin(async move { tx.insert_workspace(&stored).await })).await;
    for name in ["ws_demo", "demo"] {
        let found = find(&database, name).await.unwrap();
        assert!(found.seq > 0);
        assert_eq!(format!("{:?}", Workspace { seq: 0, ..found }), format!("{workspace:?}"));
    }
    for name in ["", "Demo", "ws_other", "' OR 1 = 1 --"] {
        assert!(find(&database, name).await.is_none(), "{name}");
    }
}

pub async fn a_slug_is_given_once(database: Database) {
    database.workspace("demo").await;
    let twin = Workspace { id: "ws_twin".to_owned(), ..new_workspace("demo", Vec::new(), Bounds::default()) };
    database
        .store
        .write(move |tx| Box::pin(async move { tx.insert_workspace(&twin).await }))
        .await
        .unwrap_err();
    assert!(find(&database, "ws_twin").await.is_none());
}

pub async fn lists_are_oldest_first_and_go_on_behind_a_workspace(database: Database) {
    for slug in ["b", "a", "c"] {
        database.workspace(slug).await;
    }
    let mut reader = database.store.read().await.unwrap();
    let first = reader.list_workspaces(0, 2).await.unwrap();
    let rest = reader.list_workspaces(first[1].seq, 2).await.unwrap();
    let slugs: Vec<_> = first.iter().chain(&rest).map(|workspace| workspace.slug.as_str()).collect();
    assert_eq!(slugs, ["b", "a", "c"]);
    assert!(reader.list_workspaces(rest[0].seq, 2).await.unwrap().is_empty());
}

pub async fn bounds_and_defaults_are_what_was_set_last(database: Database) {
    let workspace = database.workspace("demo").await;
    let bounds = Bounds {
        ceiling: Some(limit("ceiling", Scope::Key, 5)),
        workspace_limits: vec![limit("one", Scope::Workspace, 1), limit("two", Scope::Workspace, 2)],
        max_active_keys: Some(0),
    };
    let (seq, wanted) = (workspace.seq, bounds.clone());
    database
        .write(move |tx| {
            Box::pin(async move {
                tx.set_bounds(seq, &wanted).await?;
                tx.set_default_limits(seq, &[limit("default", Scope::Key, 3)]).await?;
                tx.rename_workspace(seq, "Another").await
            })
        })
        .await;
    let found = find(&database, "demo").await.unwrap();
    assert_eq!((&found.bounds, found.name.as_str()), (&bounds, "Another"));
    assert_eq!(found.default_limits, [limit("default", Scope::Key, 3)]);
    database.write(move |tx| Box::pin(async move { tx.set_bounds(seq, &Bounds::default()).await })).await;
    assert_eq!(find(&database, "demo").await.unwrap().bounds, Bounds::default(), "and none again");
}

pub async fn followers_get_a_revision_each_and_the_others_none(database: Database) {
    let (demo, other) = (database.workspace("demo").await, database.workspace("other").await);
    for number in [1, 2, 3] {
        database.key(&demo, &format!("k{number}")).await;
    }
    database.store_key(NewKey { limits: Some(Vec::new()), ..new_key(&demo, "own4") }).await;
    database.key(&other, "theirs5").await;
    let gone = database.find_key("key_k2").await.unwrap();
    database.write(move |tx| Box::pin(async move { tx.revoke_key(gone.seq, at(0)).await })).await;
    let revision = async |id: &str| database.find_key(id).await.unwrap().revision.unwrap();
    let before = database.store.head().revision;
    let seq = demo.seq;
    let renew = async |which: Renewed| {
        database.write(move |tx| Box::pin(async move { tx.renew_keys(seq, which).await })).await.head.revision
    };
    assert_eq!(renew(Renewed::Followers).await, before + 2);
    assert_eq!((revision("key_k1").await, revision("key_k3").await), (before + 1, before + 2));
    assert!(revision("key_own4").await < before && revision("key_theirs5").await <= before);
    assert_eq!(renew(Renewed::All).await, before + 5);
    assert_eq!((revision("key_k1").await, revision("key_own4").await), (before + 3, before + 5));
    assert!(revision("key_k2").await <= before, "what is gone stays gone");
    let empty = database.workspace("empty").await;
    let none =
        database.write(move |tx| Box::pin(async move { tx.renew_keys(empty.seq, Renewed::All).await }));
    assert_eq!(none.await.head.revision, before + 5, "nobody, no revision");
}

pub async fn active_keys_are_those_that_gateways_accept(database: Database) {
    let (demo, other) = (database.workspace("demo").await, database.workspace("other").await);
    let end = End::from_second(at(10).as_second());
    database.key(&demo, "k1").await;
    database.store_key(NewKey { expires_at: end, ..new_key(&demo, "k2") }).await;
    database.key(&other, "k3").await;
    let revoked = database.key(&demo, "k4").await;
    database.write(move |tx| Box::pin(async move { tx.revoke_key(revoked.seq, at(0)).await })).await;
    let active = async |seconds| {
        database.store.read().await.unwrap().active_keys(demo.seq, at(seconds)).await.unwrap()
    };
    assert_eq!((active(9).await, active(10).await), (2, 1));
}

pub async fn each_set_of_own_limits_is_told_once(database: Database) {
    let workspace = database.workspace("demo").await;
    let own = vec![limit("own", Scope::Key, 5)];
    for (name, limits) in
        [("k1", Some(own.clone())), ("k2", Some(own.clone())), ("k3", None), ("k4", Some(Vec::new()))]
    {
        database.store_key(NewKey { limits, ..new_key(&workspace, name) }).await;
    }
    let revoked = NewKey { limits: Some(vec![limit("gone", Scope::Key, 1)]), ..new_key(&workspace, "k5") };
    let revoked = database.store_key(revoked).await.value;
    database.write(move |tx| Box::pin(async move { tx.revoke_key(revoked.seq, at(0)).await })).await;
    let mut sets = database.store.read().await.unwrap().own_limits(workspace.seq).await.unwrap();
    sets.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(sets, [("key_k1".to_owned(), own), ("key_k4".to_owned(), Vec::new())]);
}

pub async fn names_are_told_all_or_those_beyond_ascii(database: Database) {
    for (slug, name) in [("a", "Plain ~ name"), ("b", "Ärger"), ("c", "東京")] {
        let workspace =
            Workspace { name: name.to_owned(), ..new_workspace(slug, Vec::new(), Bounds::default()) };
        database.write(move |tx| Box::pin(async move { tx.insert_workspace(&workspace).await })).await;
    }
    let names = async |also_plain| {
        let mut names = database.store.read().await.unwrap().workspace_names(also_plain).await.unwrap();
        names.sort();
        names.into_iter().map(|(id, name)| format!("{id} {name}")).collect::<Vec<_>>()
    };
    assert_eq!(names(true).await, ["ws_a Plain ~ name", "ws_b Ärger", "ws_c 東京"]);
    assert_eq!(names(false).await, ["ws_b Ärger", "ws_c 東京"]);
}
