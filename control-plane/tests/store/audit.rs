//! The audit log. That nothing changes or deletes an entry is shown by the seam itself: there is no function for it.

use flamegate_control::domain::audit::{Action, Actor, AuditFilter, Entry, NewEntry, Via};
use flamegate_control::domain::lists::MOST_COUNTED;
use serde_json::{Value, json};

use crate::fixtures::{Database, Error, at};

async fn append(
    database: &Database,
    number: i64,
    action: Action,
    workspace_seq: Option<i64>,
    details: Value,
) {
    let write = database.write(move |tx| {
        Box::pin(async move {
            let by = Actor::admin_token(Via::Api, None);
            let target = format!("target {number}");
            let entry =
                NewEntry { by: &by, action, workspace_seq, target_id: None, target: &target, details };
            tx.append_entry(&entry, at(number)).await
        })
    });
    write.await;
}

async fn list(database: &Database, filter: &AuditFilter, limit: u32) -> Vec<Entry> {
    database.store.read().await.unwrap().list_entries(filter, limit).await.unwrap()
}

pub async fn entries_come_back_newest_first_as_they_were_written(database: Database) {
    let workspace = database.workspace("demo").await;
    let details = json!({"text": "„neu“ 👩‍👩‍👧 ' \" \\ \u{0}", "number": 1.5, "list": [null, {"a": true}]});
    let (by, wanted) = (
        Actor {
            user_id: Some("usr_ada".to_owned()),
            name: "ada@example.com".to_owned(),
            ..Actor::admin_token(Via::Page, Some("2001:db8::1".parse().unwrap()))
        },
        details.clone(),
    );
    let seq = workspace.seq;
    database
        .write(move |tx| {
            Box::pin(async move {
                let entry = NewEntry {
                    by: &by,
                    action: Action::KeyRotated,
                    workspace_seq: Some(seq),
                    target_id: Some("key_k1"),
                    target: "東京",
                    details: wanted,
                };
                tx.append_entry(&entry, at(1)).await
            })
        })
        .await;
    append(&database, 2, Action::SignedIn, None, json!({})).await;
    let found = list(&database, &AuditFilter::default(), 10).await;
    let [second, first] = &found[..] else { panic!("{found:?}") };
    assert!(second.seq > first.seq);
    assert_eq!((first.at, &first.details, first.target.as_str()), (at(1), &details, "東京"));
    assert_eq!(
        (first.workspace.as_deref(), first.workspace_slug.as_deref()),
        (Some("ws_demo"), Some("demo"))
    );
    assert_eq!((first.actor_kind.as_str(), first.actor_id.as_deref()), ("user", Some("usr_ada")));
    assert_eq!((first.actor.as_str(), first.via.as_str()), ("ada@example.com", "page"));
    assert_eq!((first.address.as_deref(), first.action.as_str()), (Some("2001:db8::1"), "api_key.rotated"));
    assert_eq!(first.target_id.as_deref(), Some("key_k1"));
    assert_eq!(
        (second.actor_kind.as_str(), &second.workspace, &second.address),
        ("admin_token", &None, &None)
    );
}

pub async fn a_filter_takes_one_workspace_or_one_action(database: Database) {
    let (demo, other) = (database.workspace("demo").await, database.workspace("other").await);
    for (number, action, workspace) in [
        (1, Action::KeyCreated, Some(demo.seq)),
        (2, Action::KeyRevoked, Some(demo.seq)),
        (3, Action::KeyCreated, Some(other.seq)),
        (4, Action::SignedIn, None),
    ] {
        append(&database, number, action, workspace, json!({})).await;
    }
    let all = list(&database, &AuditFilter::default(), 10).await;
    for (filter, expected) in [
        (AuditFilter::default(), &[4, 3, 2, 1][..]),
        (AuditFilter { workspace_seq: Some(demo.seq), ..AuditFilter::default() }, &[2, 1]),
        (AuditFilter { action: Some(Action::KeyCreated), ..AuditFilter::default() }, &[3, 1]),
        (AuditFilter { before: Some(all[1].seq), ..AuditFilter::default() }, &[2, 1]),
        (AuditFilter { workspace_seq: Some(i64::MAX), ..AuditFilter::default() }, &[]),
    ] {
        let found = list(&database, &filter, 10).await;
        let times: Vec<_> = found.iter().map(|entry| entry.at).collect();
        assert_eq!(times, expected.iter().map(|number| at(*number)).collect::<Vec<_>>(), "{filter:?}");
        let count = database.store.read().await.unwrap().count_entries(&filter).await.unwrap();
        assert_eq!(count, expected.len() as u64, "{filter:?}");
    }
    let part = list(&database, &AuditFilter { offset: 1, ..AuditFilter::default() }, 2).await;
    assert_eq!(part.iter().map(|entry| entry.at).collect::<Vec<_>>(), [at(3), at(2)]);
}

pub async fn the_log_only_grows(database: Database) {
    append(&database, 1, Action::SignedIn, None, json!({"first": true})).await;
    let first = format!("{:?}", list(&database, &AuditFilter::default(), 10).await[0]);
    let refused = database.store.write(|tx| {
        Box::pin(async move {
            let by = Actor::admin_token(Via::Cli, None);
            let (action, details) = (Action::UserDisabled, json!({}));
            let entry =
                NewEntry { by: &by, action, workspace_seq: None, target_id: None, target: "lost", details };
            tx.append_entry(&entry, at(2)).await?;
            Err::<(), _>(Error::NotFound("anything"))
        })
    });
    refused.await.unwrap_err();
    // In parts: a write has so many seconds, and a machine that is busy with other things needs some of them for thousands of entries.
    let all: Vec<_> = (0..i64::from(MOST_COUNTED) + 5).collect();
    for part in all.chunks(500) {
        let part = part.to_vec();
        let write = database.write(move |tx| {
            Box::pin(async move {
                let by = Actor::admin_token(Via::Cli, None);
                for number in part {
                    let (action, details) = (Action::SignedOut, json!({}));
                    let entry = NewEntry {
                        by: &by,
                        action,
                        workspace_seq: None,
                        target_id: None,
                        target: "many",
                        details,
                    };
                    tx.append_entry(&entry, at(number)).await?;
                }
                Ok(())
            })
        });
        write.await;
    }
    let count = database.store.read().await.unwrap().count_entries(&AuditFilter::default()).await.unwrap();
    assert_eq!(count, u64::from(MOST_COUNTED) + 1, "counted no further");
    let filter = AuditFilter { action: Some(Action::UserDisabled), ..AuditFilter::default() };
    assert!(list(&database, &filter, 10).await.is_empty(), "what came to nothing is not told");
    let filter = AuditFilter { action: Some(Action::SignedIn), ..AuditFilter::default() };
    assert_eq!(format!("{:?}", list(&database, &filter, 10).await[0]), first);
}
