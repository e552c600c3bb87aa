//! The gateways page: whose credential, whether it has a session, who is cut off, and which credentials there are.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::common::gateway::Gateway;
use crate::common::{Answer, Control};

#[tokio::test]
async fn the_page_tells_credentials_sessions_and_who_is_cut_off() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    let page = browser.get("/w/demo/gateways").await;
    page.shows("No gateway has connected yet");
    page.hides("cut off");
    let made = control.post("/v1/gateway-credentials", json!({"name": "eu-west-1"})).await.expect(201);
    let token = made["token"].as_str().unwrap();
    Gateway::with_token(&control, token, "edge-1").catch_up(&control).await;
    control.clock.advance(Duration::from_secs(90));
    Gateway::old(&control, "edge-2").catch_up(&control).await;
    let page = browser.get("/w/demo/gateways").await;
    for text in ["eu-west-1/edge-1", "shared/edge-2", "1 connected", "1 cut off", "Cut off", "No session"] {
        page.shows(text);
    }
    let mut alone = Gateway::new(&control, "edge-4");
    alone.catch_up(&control).await;
    browser.get("/w/demo/gateways").await.hides("No worker has the keys");
    alone.query.workers = Some(0);
    alone.poll().await.unwrap();
    browser.get("/w/demo/gateways").await.shows("No worker has the keys");
    let mut refusing = Gateway::new(&control, "edge-3");
    refusing.catch_up(&control).await;
    browser.get("/w/demo/gateways").await.hides("Refuses requests");
    refusing.query.stale = true;
    refusing.poll().await.unwrap();
    browser.get("/w/demo/gateways").await.shows("Refuses requests");
    let mut other = Gateway::new(&control, "edge-5");
    other.query.epoch = Some("another".to_owned());
    browser.get("/w/demo/gateways").await.hides("Another database");
    // The server of this test replaces such tables; what it came with is told until it acknowledges.
    other.poll().await.unwrap();
    browser.get("/w/demo/gateways").await.shows("Another database");
    page.shows("admin token");
    page.hides(token);
    Answer::of(control.request(Method::DELETE, "/v1/gateways/eu-west-1/edge-1")).await.expect(200);
    Answer::of(control.request(Method::DELETE, "/v1/gateway-credentials/eu-west-1")).await.expect(200);
    let page = browser.get("/w/demo/gateways").await;
    page.hides("eu-west-1/edge-1");
    page.shows("Revoked");
}

/// The overview is looked at first: it must not say that all is well while receipts say that somebody is cut off.
#[tokio::test]
async fn who_is_cut_off_or_does_not_enforce_the_latest_change_is_on_the_overview() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    browser.get("/w/demo").await.shows("Nothing enforces your keys");
    Gateway::new(&control, "edge-1").catch_up(&control).await;
    let page = browser.get("/w/demo").await;
    page.shows("All up to date");
    page.hides("cut off");
    control.clock.advance(Duration::from_secs(90));
    let page = browser.get("/w/demo").await;
    page.shows("1 cut off");
    page.hides("Nothing enforces your keys");
    browser.get("/w/demo/gateways").await.shows("Changes reach none of them");
    let mut there = Gateway::new(&control, "edge-2");
    there.catch_up(&control).await;
    let page = browser.get("/w/demo").await;
    page.shows("1 cut off");
    page.hides("All up to date");
    page.hides("not up to date");
    let id = control.create_key_id().await;
    let page = browser.get(&format!("/w/demo/settings/api-keys/{id}/revoke")).await;
    page.shows("on the one connected gateway.");
    page.shows("1 cut off from here may accept the key until it reconnects");
    // It has the latest change, and refuses every request.
    there.catch_up(&control).await;
    there.query.stale = true;
    there.poll().await.unwrap();
    for path in ["/w/demo", "/w/demo/gateways"] {
        browser.get(path).await.shows("1 not up to date");
    }
}

/// What stands for those that were forgotten for room is explained where it is.
#[tokio::test]
async fn nothing_is_explained_that_is_not_there() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    Gateway::new(&control, "edge-1").catch_up(&control).await;
    control.clock.advance(Duration::from_secs(90));
    let page = browser.get("/w/demo/gateways").await;
    page.shows("1 cut off");
    page.hides("pushed-out");
}
