//! Tags of revisions: who has seen another history than the database starts over, and nobody else.

mod common;

use std::path::Path;

use common::gateway::{Gateway, random_session};
use common::{Control, eventually};
use flamegate_control::domain::log::Since;

fn copy_file(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

/// One that is up to date.
async fn synced(control: &Control, name: &str) -> Gateway {
    let mut gateway = Gateway::new(control, name);
    gateway.catch_up(control).await;
    gateway
}

#[tokio::test]
async fn pages_carry_the_tag_of_their_revision_and_polls_echo_it() {
    let control = Control::with_workspace().await;
    let mut gateway = synced(&control, "gw").await;
    let empty = gateway.query.tag.clone().expect("revision 0 has one, too");
    let tags = async |gateway: &mut Gateway, count: usize| {
        let mut seen = Vec::new();
        for _ in 0..count {
            control.create_key().await;
            gateway.poll().await.unwrap();
            seen.push(gateway.query.tag.clone().unwrap());
        }
        seen
    };
    let mut seen = tags(&mut gateway, 3).await;
    seen.push(empty);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "each commit has one of its own");
    // A page without news, and the first page of a reset.
    let page = gateway.page().await.unwrap();
    assert_eq!((page.tag.clone(), page.revision), (gateway.query.tag.clone(), control.revision()));
    assert_eq!(Gateway::new(&control, "new").page().await.unwrap().tag, page.tag);
    // The middle of a commit has the commit's.
    let mut slow = synced(&control, "slow").await;
    let keys: Vec<_> = (0..9u32)
        .map(|n| serde_json::json!({"hash": format!("{n:064x}"), "workspace": "demo", "name": "k", "environment": "live"}))
        .collect();
    control.post("/v1/api-keys/import-batch", serde_json::json!({"keys": keys})).await.expect(200);
    slow.query.limit = 4;
    let part = slow.page().await.unwrap();
    assert_eq!((part.more, part.tag.as_ref()), (true, Some(&control.server.app.store.head().tag)));
    (slow.query.after, slow.query.tag) = (part.revision, part.tag);
    slow.poll().await.unwrap();
    assert_eq!((slow.resets, slow.query.after), (1, control.revision()));
}

#[tokio::test]
async fn an_older_copy_put_in_place_by_hand_reloads_exactly_who_had_seen_more() {
    let control = Control::with_workspace().await;
    let old = control.create_key_id().await;
    let copy = tempfile::NamedTempFile::new().unwrap();
    let control = control.restart(|database| copy_file(database, copy.path())).await;
    let mut behind = synced(&control, "gw-behind").await;
    let lost = control.create_key_id().await;
    let (mut ahead, mut late) = (synced(&control, "gw-ahead").await, synced(&control, "gw-late").await);
    let epoch = control.server.app.store.head().epoch;
    let control = control.restart(|database| copy_file(copy.path(), database)).await;
    for gateway in [&mut ahead, &mut behind, &mut late] {
        gateway.reconnect(&control);
    }
    ahead.catch_up(&control).await;
    behind.catch_up(&control).await;
    assert_eq!((ahead.ids(), ahead.resets), (vec![old.as_str()], 2), "it was ahead");
    assert_eq!((behind.ids(), behind.resets), (vec![old.as_str()], 1), "it had seen nothing that was lost");
    // The numbers meet again: only the tag tells that the third one has another history.
    let new = control.create_key_id().await;
    assert_eq!(late.query.after, control.revision());
    late.catch_up(&control).await;
    behind.catch_up(&control).await;
    assert_eq!((late.resets, behind.resets), (2, 1));
    assert!(late.ids().contains(&new.as_str()) && !late.ids().contains(&lost.as_str()));
    assert_eq!(control.server.app.store.head().epoch, epoch, "nobody else was disturbed");
}

#[tokio::test]
async fn a_gateway_that_is_ahead_gets_a_reset_of_its_own_while_others_hold_their_polls() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    let mut others = Vec::new();
    for n in 0..5 {
        let mut gateway = synced(&control, &format!("gw-{n}")).await;
        gateway.query.wait = 60;
        others.push(tokio::spawn(async move {
            gateway.poll().await.unwrap();
            gateway
        }));
    }
    eventually("their polls are held", || control.server.app.gateways.counts().1 == 5).await;
    let head = control.server.app.store.head();
    let mut thief = synced(&control, "thief").await;
    for beyond in [1, 1_000, u64::MAX / 2, u64::MAX - 1] {
        (thief.query.after, thief.query.tag) = (head.revision + beyond, None);
        thief.query.wait = 60;
        let page = thief.page().await.unwrap();
        assert!(page.reset && page.revision == head.revision, "{beyond}");
        let acknowledged =
            control.server.app.gateways.list().into_iter().find(|one| one.id == "shared/thief");
        assert_eq!(acknowledged.unwrap().acknowledged, None, "what it had acknowledged is taken back");
    }
    assert_eq!(control.server.app.store.head(), head, "no epoch, no revision");
    let new = control.create_key_id().await;
    for other in others {
        let other = other.await.unwrap();
        assert!(
            other.resets == 1 && other.ids().contains(&new.as_str()),
            "the first thing they hear is the change"
        );
    }
}

#[tokio::test]
async fn an_unknown_tag_is_another_history_wherever_it_stands() {
    let control = Control::with_workspace().await;
    for _ in 0..100 {
        control.create_key().await;
    }
    let mut gateway = synced(&control, "gw").await;
    let (at, tag) = (gateway.query.after, gateway.query.tag.clone());
    // At the head, a little behind, far behind.
    for behind in [0, 1, 90] {
        (gateway.query.after, gateway.query.tag) = (at - behind, Some("t_of_nobody".to_owned()));
        assert!(gateway.page().await.unwrap().reset, "{behind} behind");
        gateway.query.tag = None;
        assert!(!gateway.page().await.unwrap().reset, "{behind} behind, judged by the revision alone");
    }
    (gateway.query.after, gateway.query.tag) = (at, tag);
    assert!(!gateway.page().await.unwrap().reset);
}

#[tokio::test]
async fn a_flood_from_the_future_begins_no_epoch_and_delays_no_revocation() {
    let control = Control::with_workspace().await;
    let victim = control.create_key_id().await;
    let gateway = synced(&control, "gw").await;
    let epoch = gateway.query.epoch.clone();
    let live = gateway.run();
    eventually("it holds a poll", || control.server.app.gateways.counts().1 == 1).await;
    let flood: Vec<_> = (0..8)
        .map(|n| {
            let mut thief = Gateway::new(&control, &format!("thief-{n}"));
            thief.query.epoch.clone_from(&epoch);
            tokio::spawn(async move {
                for round in 1.. {
                    (thief.query.after, thief.session) = (1_000_000 + round, Some(random_session()));
                    if thief.page().await.is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    let known = || control.server.app.gateways.list();
    eventually("the flood is there", || known().len() > 50).await;
    let told = control.revoke(&victim, "0").await;
    assert!(told["gateways"].as_u64().unwrap() > 50, "what is invented shows: {}", told["gateways"]);
    let enforces =
        || known().iter().any(|one| one.id == "shared/gw" && one.acknowledged == told["revision"].as_u64());
    eventually("the real one enforces it", enforces).await;
    assert_eq!(control.server.app.store.head().epoch, epoch.unwrap());
    flood.iter().for_each(tokio::task::JoinHandle::abort);
    live.abort();
}

#[tokio::test]
async fn tags_below_the_floor_and_beyond_the_bound_go_and_gateways_there_start_over() {
    let control = Control::with_workspace().await;
    let mut old = synced(&control, "gw-old").await;
    for _ in 0..20 {
        control.create_key().await;
    }
    let mut recent = synced(&control, "gw-recent").await;
    control.create_key().await;
    let prune = control.server.app.store.write(|tx| tx.prune_tags(3));
    prune.await.unwrap();
    assert_eq!(control.rows("revision_tags").await, 3);
    old.catch_up(&control).await;
    recent.catch_up(&control).await;
    assert_eq!((old.resets, recent.resets), (2, 1));
    // A compaction lifts the floor; what lies below it is never asked for again.
    for _ in 0..3 {
        let id = control.create_key_id().await;
        control.revoke(&id, "0").await;
    }
    control.housekeeping(0).await;
    assert_eq!(control.rows("revision_tags").await, 1);
    let mut connection = control.server.app.store.read().await.unwrap();
    // Not another history: its tag went with the compaction, and nobody is to look for a backup.
    let (after, tag) = (recent.query.after, recent.query.tag.clone());
    let found = connection.changes_since(after, tag.as_deref(), 10).await.unwrap();
    assert!(matches!(found, Since::TooOld), "{found:?}");
    drop(connection);
    recent.catch_up(&control).await;
    assert_eq!(recent.resets, 2, "it was below the floor");
}

#[tokio::test]
async fn a_poll_at_the_head_reads_nothing_and_a_thousand_that_wake_read_once() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    let mut polls = Vec::new();
    for n in 0..100 {
        let mut gateway = synced(&control, &format!("gw-{n}")).await;
        gateway.query.wait = 60;
        polls.push(gateway);
    }
    let pages = async || -> u64 {
        let text = control.http.get(control.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.contains("sync_pages_total{kind=\"difference\"}"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let before = pages().await;
    let polls: Vec<_> = polls
        .into_iter()
        .map(|mut gateway| tokio::spawn(async move { gateway.poll().await.unwrap() }))
        .collect();
    eventually("all are held", || control.server.app.gateways.counts().1 == 100).await;
    assert_eq!(pages().await, before);
    control.create_key().await;
    for poll in polls {
        poll.await.unwrap();
    }
    assert_eq!(pages().await, before + 1);
    // Whoever has cut its pages short is served as well.
    let mut short = synced(&control, "gw-short").await;
    for _ in 0..5 {
        control.create_key().await;
    }
    short.query.limit = 2;
    short.query.wait = 1;
    short.poll().await.unwrap();
    assert_eq!((short.query.after, short.resets), (control.revision(), 1));
}
