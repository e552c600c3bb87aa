//! The sync endpoint: resets in pages, differences, held polls, epochs, restarts and compaction.

mod common;

use std::time::{Duration, Instant};

use common::gateway::Gateway;
use common::{Answer, Control, SYNC, eventually};
use flamegate::contract::page::Page;
use flamegate::contract::protocol::Protocol;
use serde_json::{Value, json};

/// Imports `count` keys and returns nothing but the revision after it.
async fn import(control: &Control, from: usize, count: usize) -> u64 {
    let key =
        |n| json!({"hash": format!("{n:064x}"), "workspace": "demo", "name": "k", "environment": "live"});
    let keys: Vec<Value> = (from..from + count).map(key).collect();
    let done = control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await.expect(200);
    done["revision"].as_u64().unwrap()
}

async fn ask(control: &Control, query: &str) -> Page {
    let request = control.http.get(control.url(&format!("/sync/v1/changes?gateway=gw&{query}")));
    let bytes = request.bearer_auth(SYNC).send().await.unwrap().bytes().await.unwrap();
    Page::parse(&bytes).unwrap()
}

#[tokio::test]
async fn an_empty_table_is_an_empty_reset() {
    let control = Control::start().await;
    let page = ask(&control, "wait=25").await;
    assert_eq!((page.reset, page.more, page.revision), (true, false, 0));
    assert!(page.upserts.is_empty() && page.removals.is_empty() && page.epoch.starts_with("e_"));
}

#[tokio::test]
async fn a_reset_comes_in_sorted_pages_and_holds_every_active_key() {
    let control = Control::with_workspace().await;
    import(&control, 0, 950).await;
    let gone = control.create_key_id().await;
    control.revoke(&gone, "0").await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.query.limit = 100;
    gateway.poll().await.unwrap();
    assert_eq!((gateway.table.len(), gateway.pages, gateway.resets), (950, 10, 1));
    assert_eq!(gateway.query.after, control.revision());
    gateway.poll().await.unwrap();
    assert_eq!(gateway.resets, 1, "a difference follows");
}

#[tokio::test]
async fn changes_between_two_pages_of_a_reset_are_not_lost() {
    let control = Control::with_workspace().await;
    import(&control, 100, 10).await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.query.limit = 4;
    let first = gateway.page().await.unwrap();
    assert!(first.reset && first.more);
    // One key that the first page had goes away, and one comes where the first page has been.
    control.revoke(&first.upserts[0].record.id, "0").await;
    import(&control, 1, 1).await;
    gateway.query.cursor = first.upserts.last().map(|upsert| upsert.hash.0);
    let rest = gateway.page().await.unwrap();
    assert!(rest.reset && rest.upserts[0].hash > first.upserts[3].hash);
    (gateway.query.cursor, gateway.query.epoch, gateway.query.after) =
        (None, Some(first.epoch), first.revision);
    let difference = gateway.page().await.unwrap();
    assert_eq!(difference.removals, [first.upserts[0].hash]);
    assert_eq!(difference.upserts[0].hash.0.to_hex(), format!("{:064x}", 1));
}

#[tokio::test]
async fn a_difference_has_each_hash_once_in_its_last_state() {
    let control = Control::with_workspace().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    let (kept, gone) = (control.create_key_id().await, control.create_key_id().await);
    for requests in [1, 2, 3] {
        let limits = json!({"limits": [{"requests": requests, "window_seconds": 1}]});
        control.patch(&format!("/v1/api-keys/{kept}"), limits).await.expect(200);
    }
    control.revoke(&gone, "0").await;
    let page = gateway.page().await.unwrap();
    assert_eq!((page.upserts.len(), page.removals.len(), page.reset), (1, 1, false));
    assert_eq!(page.upserts[0].record.limits[0].requests.get(), 3);
    assert_eq!((page.revision, page.more), (control.revision(), false));
}

#[tokio::test]
async fn a_long_difference_comes_in_pages_that_can_be_resumed() {
    let control = Control::with_workspace().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    let revision = import(&control, 0, 25).await;
    gateway.query.limit = 10;
    let first = gateway.page().await.unwrap();
    assert_eq!((first.upserts.len(), first.more, first.revision), (10, true, 10));
    (gateway.query.after, gateway.query.tag) = (first.revision, first.tag);
    gateway.poll().await.unwrap();
    assert_eq!((gateway.table.len(), gateway.query.after), (15, revision));
}

#[tokio::test]
async fn a_held_poll_is_answered_by_the_change() {
    let control = Control::with_workspace().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    gateway.query.wait = 60;
    let poll = tokio::spawn(async move {
        gateway.poll().await.unwrap();
        gateway
    });
    eventually("the poll is held", || control.server.app.gateways.counts().1 == 1).await;
    let id = control.create_key_id().await;
    assert_eq!(poll.await.unwrap().ids(), [id]);
}

#[tokio::test]
async fn many_held_polls_get_the_same_change() {
    let control = Control::with_workspace().await;
    let mut polls = Vec::new();
    for n in 0..200 {
        let mut gateway = Gateway::new(&control, &format!("gw-{n}"));
        gateway.catch_up(&control).await;
        gateway.query.wait = 60;
        polls.push(tokio::spawn(async move {
            gateway.poll().await.unwrap();
            gateway.table.len()
        }));
    }
    eventually("all polls are held", || control.server.app.gateways.counts() == (200, 200)).await;
    control.create_key().await;
    for poll in polls {
        assert_eq!(poll.await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_follows_many_writers_misses_nothing() {
    let control = std::sync::Arc::new(Control::with_workspace().await);
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let control = std::sync::Arc::clone(&control);
            tokio::spawn(async move {
                let mut kept = Vec::new();
                for round in 0..10 {
                    let id = control.create_key_id().await;
                    if round % 2 == 0 {
                        control.revoke(&id, "0").await;
                    } else {
                        kept.push(id);
                    }
                }
                kept
            })
        })
        .collect();
    (gateway.query.wait, gateway.query.limit) = (60, 3);
    // 80 creations and 40 revocations: each poll must see revisions in order, so it ends exactly at the last one.
    while gateway.query.after < 120 {
        gateway.poll().await.unwrap();
    }
    let mut expected = Vec::new();
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    let mut ids: Vec<_> = gateway.table.values().map(|record| record.id.clone()).collect();
    ids.sort();
    expected.sort();
    assert_eq!((ids, gateway.resets), (expected, 1));
}

#[tokio::test]
async fn a_poll_without_news_ends_with_an_empty_page_of_the_same_revision() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    let epoch = ask(&control, "").await.epoch;
    let (from, page) = (Instant::now(), ask(&control, &format!("epoch={epoch}&after=1&wait=1s")).await);
    assert!(from.elapsed() >= Duration::from_secs(1));
    assert_eq!((page.revision, page.reset, page.more, page.upserts.len()), (1, false, false, 0));
}

/// Its table is too old, so it answers 503 until a page arrives: with nothing new it gets an empty one, not a poll that is held.
#[tokio::test]
async fn a_gateway_that_refuses_requests_is_not_kept_waiting() {
    let control = Control::with_workspace().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    (gateway.query.wait, gateway.query.stale) = (60, true);
    let page = gateway.page().await.unwrap();
    assert_eq!((page.revision, page.reset, page.upserts.len()), (control.revision(), false, 0));
    gateway.query.stale = false;
    let poll = tokio::spawn(async move { gateway.page().await.unwrap() });
    eventually("the next poll is held", || control.server.app.gateways.counts().1 == 1).await;
    control.create_key().await;
    assert_eq!(poll.await.unwrap().upserts.len(), 1);
}

#[tokio::test]
async fn a_shutdown_lets_held_polls_go_with_an_empty_page() {
    let control = Control::with_workspace().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    gateway.query.wait = 60;
    let poll = tokio::spawn(async move { gateway.page().await.unwrap() });
    eventually("the poll is held", || control.server.app.gateways.counts().1 == 1).await;
    let control = control.restart(|_| {}).await;
    let page = poll.await.unwrap();
    assert_eq!((page.revision, page.reset, page.upserts.len()), (control.revision(), false, 0));
}

#[tokio::test]
async fn a_restart_needs_no_reset_and_keeps_revocations() {
    let control = Control::with_workspace().await;
    let (kept, gone) = (control.create_key_id().await, control.create_key_id().await);
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    control.revoke(&gone, "0").await;
    let control = control.restart(|_| {}).await;
    gateway.reconnect(&control);
    gateway.catch_up(&control).await;
    assert_eq!((gateway.ids(), gateway.resets), (vec![kept.as_str()], 1));
}

#[tokio::test]
async fn another_database_is_another_epoch() {
    let (one, two) = (Control::with_workspace().await, Control::with_workspace().await);
    one.create_key().await;
    let expected = two.create_key_id().await;
    let mut gateway = Gateway::new(&one, "gw");
    gateway.catch_up(&one).await;
    let before = gateway.query.epoch.clone();
    gateway.reconnect(&two);
    gateway.catch_up(&two).await;
    assert_eq!((gateway.ids(), gateway.resets), (vec![expected.as_str()], 2));
    assert_ne!(gateway.query.epoch, before);
}

#[tokio::test]
async fn an_expired_key_leaves_the_table_and_stays_listed_as_expired() {
    let control = Control::with_workspace().await;
    let soon = control.clock.now().as_second() + 30;
    let body = json!({"workspace": "demo", "name": "k", "environment": "live", "expires_at": soon});
    let id = control.post("/v1/api-keys", body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    let expires_at = gateway.table.values().next().unwrap().expires_at;
    assert_eq!(expires_at, u64::try_from(soon).ok());
    control.clock.advance(Duration::from_secs(31));
    control.housekeeping(10).await;
    gateway.catch_up(&control).await;
    assert_eq!((gateway.table.len(), gateway.resets), (0, 1));
    assert_eq!(control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["status"], "expired");
}

#[tokio::test]
async fn a_gateway_behind_the_compaction_floor_gets_a_reset() {
    let control = Control::with_workspace().await;
    let (mut late, mut early) = (Gateway::new(&control, "gw-late"), Gateway::new(&control, "gw-early"));
    late.catch_up(&control).await;
    let kept = control.create_key_id().await;
    for _ in 0..3 {
        let id = control.create_key_id().await;
        control.revoke(&id, "0").await;
    }
    early.catch_up(&control).await;
    control.housekeeping(1).await;
    let control = control.restart(|_| {}).await;
    late.reconnect(&control);
    early.reconnect(&control);
    late.catch_up(&control).await;
    early.catch_up(&control).await;
    assert_eq!((late.resets, early.resets), (2, 1), "the floor survives a restart");
    for gateway in [&late, &early] {
        assert_eq!(gateway.ids(), [kept.as_str()]);
    }
    // Keys that have left the log are still there for people, and revoking one again still answers.
    let revoked = control.get("/v1/api-keys?status=revoked").await.expect(200);
    assert_eq!(revoked.as_array().unwrap().len(), 3);
    let oldest = revoked[2]["id"].as_str().unwrap();
    assert_eq!(control.revoke(oldest, "0").await["enforced"], 2);
}

#[tokio::test]
async fn only_a_poll_that_is_up_to_date_acknowledges() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    let acknowledged = || control.server.app.gateways.list()[0].acknowledged;
    let epoch = ask(&control, "after=1").await.epoch;
    assert_eq!(acknowledged(), None, "no epoch, no table");
    ask(&control, "epoch=e_other&after=1").await;
    assert_eq!(acknowledged(), None, "a table of another epoch");
    ask(&control, &format!("epoch={epoch}&after=1&cursor={}", "00".repeat(32))).await;
    assert_eq!(acknowledged(), None, "a reset in progress");
    ask(&control, &format!("epoch={epoch}&after=1")).await;
    assert_eq!(acknowledged(), Some(1));
    ask(&control, "").await;
    assert_eq!(acknowledged(), None, "it lost its table");
}

#[tokio::test]
async fn polls_that_break_rules_are_refused_in_the_envelope() {
    let control = Control::start().await;
    let answer = async |query: &str| {
        let url = control.url(&format!("/sync/v1/changes?{query}"));
        Answer::of(control.http.get(url).bearer_auth(SYNC)).await
    };
    let problems = answer("gateway=a%20b&cursor=zz").await.problems();
    assert_eq!(
        problems,
        [
            "gateway: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'",
            "cursor: must be 64 hexadecimal digits"
        ]
    );
    assert_eq!(
        answer("gateway=a&wait=long").await.problems(),
        ["wait: must be a time such as 5s, 500ms or 5"]
    );
    answer("gateway=a&after=-1").await.refused(400, "BAD_REQUEST");
    let page = answer("gateway=a&limit=0&wait=0&newer=yes").await;
    assert_eq!(page.status, 200, "limits are clamped, unknown parameters ignored: {}", page.body);
}

async fn restricted(control: &Control, restrict: Value) -> String {
    let body = json!({"workspace": "demo", "name": "A", "environment": "live", "restrict": restrict});
    control.post("/v1/api-keys", body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

fn ids(gateway: &Gateway) -> Vec<&str> {
    let mut ids: Vec<_> = gateway.table.values().map(|record| record.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

/// An old filter ignores what it does not know, and would let pass.
#[tokio::test]
async fn to_an_old_gateway_a_restricted_key_is_gone() {
    let control = Control::with_workspace().await;
    let plain = control.create_key_id().await;
    let (mut old, mut new) = (Gateway::new(&control, "old"), Gateway::new(&control, "new"));
    new.query.accepts = Protocol::Two;
    for gateway in [&mut old, &mut new] {
        gateway.catch_up(&control).await;
        assert_eq!(ids(gateway), [plain.as_str()]);
    }
    // Restricted later: a removal, by a difference.
    let path = format!("/v1/api-keys/{plain}");
    control.patch(&path, json!({"restrict": {"methods": ["GET"]}})).await.expect(200);
    for gateway in [&mut old, &mut new] {
        gateway.catch_up(&control).await;
        assert_eq!(gateway.resets, 1);
    }
    assert!(ids(&old).is_empty(), "{:?}", old.table);
    assert_eq!(new.table.values().next().unwrap().restrict.as_ref().unwrap().methods, ["GET"]);
    // Restricted from the beginning, and many: a reset in small parts of which nothing is left.
    for _ in 0..5 {
        restricted(&control, json!({"paths": ["/v1/*"]})).await;
    }
    let mut small = Gateway::new(&control, "small");
    small.query.limit = 1;
    small.catch_up(&control).await;
    assert!(ids(&small).is_empty());
    control.patch(&path, json!({"restrict": null})).await.expect(200);
    for gateway in [&mut old, &mut small] {
        gateway.catch_up(&control).await;
        assert_eq!(ids(gateway), [plain.as_str()], "nothing that it would misread is left");
    }
    let gateways = control.get("/v1/gateways").await.expect(200);
    let protocols: Vec<_> = gateways.as_array().unwrap().iter().map(|one| &one["protocol"]).collect();
    assert_eq!(protocols, [&json!(2), &json!(1), &json!(1)]);
    let new = restricted(&control, json!({"methods": ["GET"]})).await;
    let explained = control.get(&format!("/v1/explain?id={new}")).await.expect(200);
    assert_eq!(explained["key"]["restrict"], json!({"methods": ["GET"]}));
}

#[tokio::test]
async fn a_table_that_was_made_for_another_version_is_replaced() {
    let control = Control::with_workspace().await;
    let id = restricted(&control, json!({"methods": ["GET"]})).await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    assert!(ids(&gateway).is_empty());
    // Its filter is replaced: nothing has changed, and it is told what it could not be told before.
    gateway.query.accepts = Protocol::Two;
    gateway.catch_up(&control).await;
    assert_eq!((ids(&gateway), gateway.resets), (vec![id.as_str()], 2));
    // And back, as when an old filter is added to the same process.
    gateway.query.accepts = Protocol::One;
    gateway.catch_up(&control).await;
    assert_eq!((ids(&gateway), gateway.resets), (vec![], 3));
    gateway.poll().await.unwrap();
    assert_eq!(gateway.resets, 3);
    let explained = control.get(&format!("/v1/explain?id={id}")).await.expect(200);
    assert_eq!(explained["answer"]["reason"], "not_understood");
}
