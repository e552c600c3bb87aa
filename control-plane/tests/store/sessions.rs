//! Sessions of the pages.

use flamegate_control::domain::sessions::StoredSession;

use crate::fixtures::{Database, at};

fn session(number: u8, data: &str, seconds: i64) -> StoredSession {
    StoredSession {
        id_hash: [number; 32],
        user_id: None,
        data: data.to_owned(),
        expires_at: at(seconds).as_second(),
    }
}

async fn insert(database: &Database, session: StoredSession) -> bool {
    database.write(move |tx| Box::pin(async move { tx.insert_session(&session).await })).await.value
}

async fn find(database: &Database, number: u8, seconds: i64) -> Option<StoredSession> {
    database.store.read().await.unwrap().find_session([number; 32], at(seconds)).await.unwrap()
}

pub async fn a_session_is_there_until_it_is_over(database: Database) {
    let data = "{\"text\":\"„neu“ 👩‍👩‍👧 \\u0000\"}";
    assert!(insert(&database, session(1, data, 60)).await);
    let found = find(&database, 1, 59).await.unwrap();
    assert_eq!((found.data.as_str(), found.expires_at, found.id_hash), (data, at(60).as_second(), [1; 32]));
    assert!(find(&database, 1, 60).await.is_none() && find(&database, 2, 0).await.is_none());
    let later = session(1, "{}", 120);
    database.write(move |tx| Box::pin(async move { tx.update_session(&later).await })).await;
    assert_eq!(find(&database, 1, 119).await.unwrap().data, "{}");
}

pub async fn an_id_is_given_once_and_an_ended_session_stays_ended(database: Database) {
    assert!(insert(&database, session(1, "first", 60)).await);
    assert!(!insert(&database, session(1, "second", 60)).await);
    assert_eq!(find(&database, 1, 0).await.unwrap().data, "first");
    database.write(|tx| tx.delete_session([1; 32])).await;
    database.write(|tx| tx.delete_session([1; 32])).await;
    let late = session(1, "late", 60);
    database.write(move |tx| Box::pin(async move { tx.update_session(&late).await })).await;
    assert!(find(&database, 1, 0).await.is_none(), "what was ended meanwhile does not come back");
}

pub async fn the_sessions_of_a_user_are_theirs_and_not_over(database: Database) {
    for (number, user, seconds) in
        [(1, Some("usr_a"), 60), (2, Some("usr_a"), 90), (3, Some("usr_b"), 90), (4, None, 90)]
    {
        let user_id = user.map(str::to_owned);
        assert!(insert(&database, StoredSession { user_id, ..session(number, "{}", seconds) }).await);
    }
    let of = async |user: &str, seconds, limit| {
        let found =
            database.store.read().await.unwrap().sessions_of(user, at(seconds), (0, limit)).await.unwrap();
        found.into_iter().map(|session| session.id_hash[0]).collect::<Vec<_>>()
    };
    assert_eq!((of("usr_a", 0, 9).await, of("usr_a", 60, 9).await), (vec![2, 1], vec![2]));
    assert_eq!((of("usr_a", 0, 1).await, of("usr_c", 0, 9).await), (vec![2], vec![]));
    let mut reader = database.store.read().await.unwrap();
    let behind = reader.sessions_of("usr_a", at(0), (1, 9)).await.unwrap();
    assert_eq!(behind.iter().map(|session| session.id_hash[0]).collect::<Vec<_>>(), [1]);
    for (user, seconds, begins, found) in [
        ("usr_a", 0, vec![1; 9], true),
        ("usr_a", 60, vec![1; 9], false),
        ("usr_b", 0, vec![1; 9], false),
        ("usr_a", 0, vec![1, 1, 2], false),
    ] {
        let one = reader.session_of(user, at(seconds), &begins).await.unwrap();
        assert_eq!(
            one.map(|session| session.id_hash),
            found.then_some([1; 32]),
            "{user} {seconds} {begins:?}"
        );
    }
    drop(reader);
    // Whoever signs in in a session that is there becomes its user.
    let signed_in = StoredSession { user_id: Some("usr_c".to_owned()), ..session(4, "{}", 90) };
    database.write(move |tx| Box::pin(async move { tx.update_session(&signed_in).await })).await;
    assert_eq!(of("usr_c", 0, 9).await, [4]);
    assert_eq!(find(&database, 4, 0).await.unwrap().user_id.as_deref(), Some("usr_c"));
}

pub async fn sessions_are_forgotten_when_they_are_long_over(database: Database) {
    for (number, seconds) in [(1, 0), (2, 3_600), (3, 10_000)] {
        insert(&database, session(number, "{}", seconds)).await;
    }
    database.write(|tx| tx.forget_expired_sessions(at(3_601))).await;
    // A clock that goes back finds those that were not over for long.
    assert!(find(&database, 1, -1).await.is_none());
    assert!(find(&database, 2, -1).await.is_some() && find(&database, 3, -1).await.is_some());
}
