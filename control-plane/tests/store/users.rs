//! People and their roles.

use flamegate_control::domain::users::second_factor::{SecondFactor, Secret};
use flamegate_control::domain::users::{Role, User};

use crate::fixtures::{Database, at, new_user};

const ADA: &str = "ada@example.com";

async fn find(database: &Database, id_or_email: &str) -> Option<User> {
    database.store.read().await.unwrap().find_user(id_or_email).await.unwrap()
}

pub async fn a_user_is_found_by_id_and_by_address(database: Database) {
    let user = database.user("ärger@日本.example").await;
    for name in [user.id.as_str(), "ärger@日本.example"] {
        let found = find(&database, name).await.unwrap();
        assert_eq!((found.seq, &found.email, &found.stamp), (user.seq, &user.email, &user.stamp));
        assert_eq!((found.is_operator, found.disabled_at, found.created_at), (false, None, at(0)));
        assert!(found.memberships.is_empty());
    }
    for name in ["", "nobody@example.com", "' OR 1 = 1 --"] {
        assert!(find(&database, name).await.is_none(), "{name}");
    }
}

pub async fn an_address_is_given_once(database: Database) {
    database.user(ADA).await;
    let twin = flamegate_control::domain::users::NewUser { id: "usr_twin".to_owned(), ..new_user(ADA) };
    database.store.write(move |tx| Box::pin(async move { tx.insert_user(&twin).await })).await.unwrap_err();
    assert!(find(&database, "usr_twin").await.is_none());
}

pub async fn a_role_is_given_changed_and_taken(database: Database) {
    let (one, two) = (database.workspace("one").await, database.workspace("two").await);
    let user = database.user(ADA).await;
    let set = async |workspace: i64, role: Option<Role>| {
        let seq = user.seq;
        database.write(move |tx| Box::pin(async move { tx.set_role(seq, workspace, role).await })).await;
        let memberships = find(&database, ADA).await.unwrap().memberships;
        memberships.into_iter().map(|member| (member.slug, member.role)).collect::<Vec<_>>()
    };
    let of = |slug: &str, role| (slug.to_owned(), role);
    assert_eq!(set(two.seq, Some(Role::Viewer)).await, [of("two", Role::Viewer)]);
    assert_eq!(
        set(one.seq, Some(Role::Owner)).await,
        [of("one", Role::Owner), of("two", Role::Viewer)],
        "oldest first"
    );
    assert_eq!(set(two.seq, Some(Role::Member)).await, [of("one", Role::Owner), of("two", Role::Member)]);
    assert_eq!(set(one.seq, None).await, [of("two", Role::Member)]);
    assert_eq!(set(one.seq, None).await, [of("two", Role::Member)], "again, it changes nothing");
    let member = find(&database, ADA).await.unwrap().memberships.remove(0);
    assert_eq!(
        (member.workspace, member.workspace_seq, member.name),
        ("ws_two".into(), two.seq, "Workspace two".into())
    );
}

pub async fn a_subject_is_one_users_alone(database: Database) {
    let (ada, other) = (database.user(ADA).await, database.user("other@example.com").await);
    let of = async |subject: &str| {
        let found = database.store.read().await.unwrap().user_of_subject(subject).await.unwrap();
        found.map(|user| user.seq)
    };
    assert_eq!((of("42").await, of("").await), (None, None));
    let tie = |seq: i64, subject: &'static str| {
        let write =
            database.store.write(move |tx| Box::pin(async move { tx.set_subject(seq, subject).await }));
        async move { write.await.map(|_| ()) }
    };
    tie(ada.seq, "42").await.unwrap();
    tie(ada.seq, "42").await.unwrap();
    tie(other.seq, "42").await.unwrap_err();
    assert_eq!((of("42").await, of("43").await), (Some(ada.seq), None));
    let mut reader = database.store.read().await.unwrap();
    assert_eq!(reader.subject_of(ada.seq).await.unwrap().as_deref(), Some("42"));
    assert_eq!(reader.subject_of(other.seq).await.unwrap(), None);
}

pub async fn what_is_set_is_read(database: Database) {
    let user = database.user(ADA).await;
    let other = database.user("bob@example.com").await;
    let seq = user.seq;
    database
        .write(move |tx| {
            Box::pin(async move {
                tx.set_password_hash(seq, "another hash").await?;
                tx.set_stamp(seq, "another stamp").await?;
                tx.set_operator(seq, true).await?;
                tx.set_disabled(seq, Some(at(5))).await
            })
        })
        .await;
    let found = find(&database, ADA).await.unwrap();
    assert_eq!(
        (found.stamp.as_str(), found.is_operator, found.disabled_at),
        ("another stamp", true, Some(at(5)))
    );
    let mut reader = database.store.read().await.unwrap();
    assert_eq!(reader.password_hash(seq).await.unwrap(), "another hash");
    assert_eq!(reader.password_hash(other.seq).await.unwrap(), new_user("x").password_hash, "nobody else's");
    let untouched = find(&database, "bob@example.com").await.unwrap();
    assert_eq!(format!("{untouched:?}"), format!("{other:?}"));
    database.write(move |tx| Box::pin(async move { tx.set_disabled(seq, None).await })).await;
    assert_eq!(find(&database, ADA).await.unwrap().disabled_at, None);
}

pub async fn lists_are_of_a_workspace_or_of_all(database: Database) {
    let (one, two) = (database.workspace("one").await, database.workspace("two").await);
    for (email, workspaces) in [("c@x", vec![one.seq]), ("a@x", vec![one.seq, two.seq]), ("b@x", vec![])] {
        let user = database.user(email).await;
        for workspace in workspaces {
            database
                .write(move |tx| {
                    Box::pin(async move { tx.set_role(user.seq, workspace, Some(Role::Member)).await })
                })
                .await;
        }
    }
    let list = async |workspace: Option<i64>, after: i64, limit: u32| {
        let found = database.store.read().await.unwrap().list_users(workspace, after, limit).await.unwrap();
        found.into_iter().map(|user| (user.email, user.seq)).collect::<Vec<_>>()
    };
    let emails = |found: &[(String, i64)]| found.iter().map(|(email, _)| email.clone()).collect::<Vec<_>>();
    let all = list(None, 0, 10).await;
    assert_eq!(emails(&all), ["c@x", "a@x", "b@x"], "oldest first");
    assert_eq!(emails(&list(None, all[0].1, 1).await), ["a@x"]);
    assert_eq!(emails(&list(Some(one.seq), 0, 10).await), ["c@x", "a@x"]);
    assert_eq!(emails(&list(Some(two.seq), 0, 10).await), ["a@x"]);
    assert!(list(Some(i64::MAX), 0, 10).await.is_empty());
}

pub async fn addresses_are_told_all_or_those_beyond_ascii(database: Database) {
    for email in ["ada@example.com", "ärger@example.com"] {
        database.user(email).await;
    }
    let emails = async |also_plain| {
        let mut found = database.store.read().await.unwrap().user_emails(also_plain).await.unwrap();
        found.sort();
        found.into_iter().map(|(_, email)| email).collect::<Vec<_>>()
    };
    assert_eq!(emails(true).await, ["ada@example.com", "ärger@example.com"]);
    assert_eq!(emails(false).await, ["ärger@example.com"]);
}

pub async fn a_second_factor_is_one_users_and_its_codes_are_used_up(database: Database) {
    let (ada, bob) = (database.user(ADA).await, database.user("bob@example.com").await);
    assert!(!ada.has_second_factor);
    let factor =
        |byte: u8| SecondFactor { secret: Secret::of(&[byte; 20]).unwrap(), since: at(5), last_step: 7 };
    for (seq, byte) in [(ada.seq, 1), (bob.seq, 2)] {
        let factor = factor(byte);
        database
            .write(move |tx| {
                Box::pin(async move { tx.insert_second_factor(seq, &factor, &[[1; 32], [2; 32]]).await })
            })
            .await;
    }
    let again = factor(3);
    let twice = database
        .store
        .write(move |tx| Box::pin(async move { tx.insert_second_factor(ada.seq, &again, &[]).await }));
    assert!(twice.await.is_err(), "there is one");
    let use_one = async |seq: i64, hash: [u8; 32]| {
        let write =
            database.store.write(move |tx| Box::pin(async move { tx.use_recovery_code(seq, hash).await }));
        write.await.unwrap().value
    };
    assert_eq!(
        (use_one(ada.seq, [1; 32]).await, use_one(ada.seq, [1; 32]).await, use_one(ada.seq, [3; 32]).await),
        (true, false, false)
    );
    database.write(move |tx| Box::pin(async move { tx.set_last_step(ada.seq, 9).await })).await;
    let mut reader = database.store.read().await.unwrap();
    let (of_ada, of_bob) = (
        reader.second_factor(ada.seq).await.unwrap().unwrap(),
        reader.second_factor(bob.seq).await.unwrap().unwrap(),
    );
    assert_eq!((of_ada.secret.bytes(), of_ada.since, of_ada.last_step), (&[1; 20][..], at(5), 9));
    assert_eq!((of_bob.secret.bytes(), of_bob.last_step), (&[2; 20][..], 7));
    assert_eq!(reader.recovery_codes_left(ada.seq).await.unwrap(), 1);
    assert_eq!(reader.recovery_codes_left(bob.seq).await.unwrap(), 2);
    drop(reader);
    assert!(find(&database, ADA).await.unwrap().has_second_factor);
    database.write(move |tx| Box::pin(async move { tx.delete_second_factor(ada.seq).await })).await;
    let mut reader = database.store.read().await.unwrap();
    assert!(reader.second_factor(ada.seq).await.unwrap().is_none());
    assert_eq!(reader.recovery_codes_left(ada.seq).await.unwrap(), 0);
    assert_eq!(reader.recovery_codes_left(bob.seq).await.unwrap(), 2);
    drop(reader);
    assert!(!find(&database, ADA).await.unwrap().has_second_factor);
}
