//! `GET /v1/gateways`.

use std::time::Duration;

use serde_json::json;

use crate::common::gateway::Gateway;
use crate::common::{Control, eventually};

#[tokio::test]
async fn status_200_with_version_revision_and_how_far_behind() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    Gateway::new(&control, "gw-b").catch_up(&control).await;
    control.create_key().await;
    Gateway::new(&control, "gw-a").poll().await.unwrap();
    let gateways = control.get("/v1/gateways").await.expect(200);
    let [a, b] = [&gateways[0], &gateways[1]];
    assert_eq!(
        (&a["id"], &a["acknowledged_revision"], &a["behind"]),
        (&json!("shared/gw-a"), &json!(null), &json!(null))
    );
    assert_eq!(
        (&b["id"], &b["acknowledged_revision"], &b["behind"]),
        (&json!("shared/gw-b"), &json!(1), &json!(1))
    );
    assert_eq!((&b["version"], &b["connected"]), (&json!("9.8.7"), &json!(true)));
}

#[tokio::test]
async fn a_gateway_is_connected_between_polls_but_not_for_ever() {
    let control = Control::start().await;
    control.clock.stop();
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    gateway.query.wait = 20;
    gateway.query.after += 1_000; // An answer at once: a reset of its own.
    gateway.poll().await.unwrap();
    let connected = async || control.get("/v1/gateways").await.expect(200)[0]["connected"].clone();
    control.clock.advance(Duration::from_secs(45));
    assert_eq!(connected().await, true, "within twice its wait");
    control.clock.advance(Duration::from_secs(10));
    assert_eq!(connected().await, false);
}

#[tokio::test]
async fn a_gateway_whose_connection_broke_is_expected_back_for_a_while() {
    let control = Control::start().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    let task = gateway.run();
    eventually("the poll is held", || control.server.app.gateways.counts() == (1, 1)).await;
    control.clock.advance(Duration::from_secs(3_600));
    assert_eq!(control.server.app.gateways.counts(), (1, 1), "while it holds a poll it is connected");
    task.abort();
    eventually("the broken poll is noticed", || control.server.app.gateways.counts().1 == 0).await;
    control.clock.advance(Duration::from_secs(16));
    assert_eq!(control.server.app.gateways.counts(), (0, 0));
}

#[tokio::test]
async fn a_gateway_that_was_not_seen_for_a_day_is_forgotten() {
    let control = Control::start().await;
    Gateway::new(&control, "gw").catch_up(&control).await;
    control.housekeeping(10).await;
    control.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    control.housekeeping(10).await;
    assert_eq!(control.get("/v1/gateways").await.expect(200), json!([]));
    let control = control.restart(|_| {}).await;
    assert_eq!(control.get("/v1/gateways").await.expect(200), json!([]));
}

/// It has the keys, and nobody there decides by them.
#[tokio::test]
async fn a_gateway_whose_workers_have_no_keys_shows() {
    let control = Control::with_workspace().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    let workers = async || control.get("/v1/gateways").await.expect(200)[0]["workers"].clone();
    let alone = || control.server.app.gateways.serving_nobody();
    assert_eq!((workers().await, alone()), (json!(null), 0), "a filter that does not say");
    for (told, counted) in [(0, 1), (2, 0), (0, 1)] {
        gateway.query.workers = Some(told);
        gateway.poll().await.unwrap();
        assert_eq!((workers().await, alone()), (json!(told), counted));
    }
    control.clock.advance(Duration::from_secs(3_600));
    assert_eq!(alone(), 0, "it is gone");
}

/// It polls, and answers its clients with 503: no answer of ours has reached it for too long.
#[tokio::test]
async fn a_gateway_that_refuses_requests_is_stale_and_has_acknowledged_nothing() {
    let control = Control::with_workspace().await;
    let key = control.create_key_id().await;
    let mut gateway = Gateway::new(&control, "gw");
    gateway.catch_up(&control).await;
    let view = async || {
        let gateway = control.get("/v1/gateways").await.expect(200)[0].clone();
        ["connected", "stale", "acknowledged_revision", "behind"].map(|field| gateway[field].clone())
    };
    assert_eq!(view().await, [json!(true), json!(false), json!(1), json!(0)]);
    gateway.query.stale = true;
    gateway.poll().await.unwrap();
    assert_eq!(view().await, [json!(true), json!(true), json!(null), json!(null)]);
    let receipt = control.revoke(&key, "0").await;
    assert_eq!(receipt["pending"], json!(["shared/gw"]), "{receipt}");
    // The change is an answer, too: its table is fresh, and it says so.
    gateway.query.stale = false;
    gateway.catch_up(&control).await;
    assert_eq!(view().await, [json!(true), json!(false), json!(2), json!(0)]);
}
