//! Tokens of operators, and keys to sign with.

use flamegate_control::domain::access::{Place, Scope};
use flamegate_control::domain::keys::End;
use flamegate_control::domain::operators::OperatorToken;
use flamegate_control::domain::users::Role;

use crate::fixtures::{Database, at};

fn token(name: &str, seq: i64) -> OperatorToken {
    OperatorToken {
        seq,
        id: format!("opt_{name}"),
        name: name.to_owned(),
        scope: Scope::Everything,
        created_at: at(0),
        created_by: "admin token".to_owned(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

async fn insert(database: &Database, token: OperatorToken, hash: [u8; 32]) -> bool {
    let write = database.store.write(move |tx| Box::pin(async move { tx.insert_token(&token, &hash).await }));
    write.await.is_ok()
}

pub async fn a_token_is_found_as_it_was_stored(database: Database) {
    let workspace = database.workspace("demo").await;
    let place = Place {
        workspace_seq: workspace.seq,
        workspace: workspace.id.clone(),
        slug: workspace.slug.clone(),
        role: Role::Member,
    };
    let expires_at = End::from_second(at(60).as_second());
    let scoped = OperatorToken { scope: Scope::Workspace(place), expires_at, ..token("acme", 2) };
    assert!(
        insert(&database, token("ci", 1), [1; 32]).await && insert(&database, scoped.clone(), [2; 32]).await
    );
    assert!(
        !insert(&database, token("ci", 3), [3; 32]).await && !insert(&database, token("x", 3), [1; 32]).await
    );
    let mut reader = database.store.read().await.unwrap();
    assert_eq!(reader.find_token("acme").await.unwrap(), Some(scoped.clone()));
    assert_eq!(reader.find_token("opt_acme").await.unwrap(), None);
    let all = reader.list_tokens(0, 9).await.unwrap();
    assert_eq!((&all[0].name, &all[1]), (&"ci".to_owned(), &scoped));
    assert_eq!(reader.list_tokens(all[0].seq, 9).await.unwrap(), [scoped]);
    let names = reader.token_names().await.unwrap();
    assert_eq!(
        names,
        [("opt_ci", "ci"), ("opt_acme", "acme")].map(|(id, name)| (id.to_owned(), name.to_owned()))
    );
}

pub async fn a_token_is_good_until_it_ends(database: Database) {
    let expires_at = End::from_second(at(60).as_second());
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        let token = OperatorToken { expires_at: expires_at.filter(|_| name == "b"), ..token(name, 0) };
        assert!(insert(&database, token, [number; 32]).await);
    }
    let good = async |seconds| {
        let found = database.store.read().await.unwrap().good_tokens(at(seconds)).await.unwrap();
        found.into_iter().map(|(token, hash)| (token.name, hash[0])).collect::<Vec<_>>()
    };
    let names = |names: &[(&str, u8)]| {
        names.iter().map(|(name, hash)| ((*name).to_owned(), *hash)).collect::<Vec<_>>()
    };
    assert_eq!(good(59).await, names(&[("a", 1), ("b", 2), ("c", 3)]));
    assert_eq!(good(60).await, names(&[("a", 1), ("c", 3)]));
    for seconds in [5, 9] {
        database.write(move |tx| Box::pin(async move { tx.revoke_token("c", at(seconds)).await })).await;
    }
    assert_eq!(good(60).await, names(&[("a", 1)]));
    let ended = database.store.read().await.unwrap().find_token("c").await.unwrap().unwrap();
    assert_eq!(ended.revoked_at, Some(at(5)), "the first end counts");
}

pub async fn a_use_never_goes_back(database: Database) {
    for (name, number) in [("a", 1), ("b", 2)] {
        assert!(insert(&database, token(name, 0), [number; 32]).await);
    }
    for (first, second) in [(60, 120), (120, 60)] {
        let uses = [
            ("opt_b".to_owned(), at(first)),
            ("opt_a".to_owned(), at(second)),
            ("opt_none".to_owned(), at(9)),
        ];
        database.write(move |tx| Box::pin(async move { tx.note_token_uses(&uses).await })).await;
    }
    let all = database.store.read().await.unwrap().list_tokens(0, 9).await.unwrap();
    assert!(all.iter().all(|token| token.last_used_at == Some(at(120))), "{all:?}");
}

pub async fn a_signing_key_is_made_once(database: Database) {
    let find = async || database.store.read().await.unwrap().find_signing_key("cookies").await.unwrap();
    assert_eq!(find().await, None);
    for byte in [1, 2] {
        database
            .write(move |tx| Box::pin(async move { tx.insert_signing_key("cookies", [byte; 32]).await }))
            .await;
    }
    assert_eq!(find().await, Some([1; 32]));
}
