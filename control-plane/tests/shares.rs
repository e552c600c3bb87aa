//! What one who has a credential can take from the others who have one: connections, places for pages, the lists' readers. Each test
//! is one attempt with something stolen.

#[path = "pages/browser.rs"]
#[allow(dead_code, reason = "each test program uses a part")]
mod browser;
mod common;

use std::future::pending;
use std::time::Duration;

use browser::Browser;
use common::gateway::Gateway;
use common::{ADMIN, Control, PATIENCE, SYNC, eventually};
use flamegate_control::domain::error::Error;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

const KEYS: &str = "/w/demo/settings/api-keys";

/// A connection on which this was asked and something was answered; both ends keep it open.
async fn ask(control: &Control, path: &str, header: &str) -> TcpStream {
    let mut stream = TcpStream::connect(control.server.address).await.unwrap();
    ask_again(&mut stream, path, header).await;
    stream
}

async fn ask_again(stream: &mut TcpStream, path: &str, header: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{header}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 16 * 1024];
    assert_ne!(timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap(), 0, "{path}");
}

fn open(control: &Control) -> [usize; 4] {
    control.server.app.connections.census().open
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

/// A control plane with a few connections, and the token of a credential.
async fn start() -> (Control, String) {
    let control = Control::tuned(|config| config.max_connections = 40).await;
    control.post("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    let made = control.post("/v1/gateway-credentials", json!({"name": "stolen"})).await.expect(201);
    (control, made["token"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stolen_credential_leaves_connections_to_the_others() {
    let (control, stolen) = start().await;
    let mut thiefs = Vec::new();
    for number in 0..40 {
        let path = format!("/sync/v1/changes?gateway=gw-{number}");
        thiefs.push(ask(&control, &path, &bearer(&stolen)).await);
    }
    // On connections of its own, none of which waits for the next request.
    let http =
        reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE).build().unwrap();
    let mut gateway = Gateway::at(http, control.url(""), "good");
    gateway.catch_up(&control).await;
    gateway.query.wait = 60;
    let poll = tokio::spawn(async move { gateway.poll().await.map(|()| gateway.table.len()) });
    let gateways = control.server.app.gateways.clone();
    eventually("the poll is held", || gateways.counts().1 == 1).await;
    // Whoever has a credential can be a stranger as well.
    for _ in 0..40 {
        thiefs.push(ask(&control, "/healthz", "x-none: 1").await);
    }
    eventually("three quarters of 36, and the gateway", || open(&control)[3] == 27 + 1).await;
    control.create_key().await;
    let table = timeout(PATIENCE, poll).await.unwrap().unwrap();
    assert_eq!(table.expect("it was not closed for a stranger"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_credential_has_no_connections_any_more() {
    let (control, stolen) = start().await;
    let mut thiefs = Vec::new();
    for number in 0..20 {
        let path = format!("/sync/v1/changes?gateway=gw-{number}");
        thiefs.push(ask(&control, &path, &bearer(&stolen)).await);
    }
    let own = ask(&control, "/sync/v1/changes?gateway=good", &bearer(SYNC)).await;
    assert_eq!(open(&control)[3], 21);
    let path = "/v1/gateway-credentials/stolen";
    let revoked = control.request(reqwest::Method::DELETE, path).send().await.unwrap();
    assert_eq!(revoked.status(), 200);
    assert_eq!(open(&control)[3], 1, "who has another one keeps theirs");
    drop((thiefs, own));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_refused_makes_its_connection_a_strangers_again() {
    let (control, _) = start().await;
    for (path, good, class) in [("/sync/v1/changes?gateway=gw", SYNC, 3), ("/v1/workspaces", ADMIN, 2)] {
        let before = open(&control)[class];
        let mut stream = ask(&control, path, &bearer(good)).await;
        assert_eq!(open(&control)[class], before + 1);
        ask_again(&mut stream, path, &bearer("no-token-of-ours")).await;
        assert_eq!(open(&control)[class], before, "{path}");
    }
    let browser = Browser::of(&control, "ada@example.com", "viewer").await;
    let cookie = format!("cookie: {}={}", browser::session_name(&control), browser.cookie().unwrap());
    let mut stream = ask(&control, "/account", &cookie).await;
    browser.submit("/account", "/account/sign-out-everywhere", &[]).await;
    let before = open(&control)[1];
    ask_again(&mut stream, "/account", &cookie).await;
    assert_eq!(open(&control)[1], before - 1, "signed out");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_sixteen_connections_and_one_admin_token_three_quarters() {
    let (control, _) = start().await;
    let mut streams = Vec::new();
    for email in ["ada@example.com", "bob@example.com"] {
        let browser = Browser::of(&control, email, "viewer").await;
        let cookie = format!("cookie: {}={}", browser::session_name(&control), browser.cookie().unwrap());
        for _ in 0..if email.starts_with("ada") { 40 } else { 1 } {
            streams.push(ask(&control, "/account", &cookie).await);
        }
    }
    assert_eq!(open(&control)[1], 16 + 1);
    for _ in 0..40 {
        streams.push(ask(&control, "/v1/workspaces", &bearer(ADMIN)).await);
    }
    assert_eq!(open(&control)[2], 24, "three quarters of 32");
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_that_wait_for_gateways_hold_no_places_for_pages() {
    // So long that they all wait when it is looked at.
    let control = Control::tuned(|config| config.receipt_wait = PATIENCE).await;
    control.post("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    // Connected, and it will not acknowledge.
    let mut slow = Gateway::new(&control, "slow");
    slow.catch_up(&control).await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(control.create_key_id().await);
    }
    let ada = Browser::of(&control, "ada@example.com", "member").await;
    let csrf = ada.get(&format!("{KEYS}/{}/revoke", ids[0])).await.value("csrf");
    let slots = control.server.app.page_admission.clone();
    let most = slots.available_permits();
    let mut revocations = JoinSet::new();
    for id in ids {
        let (browser, csrf) = (ada.at(&control), csrf.clone());
        revocations.spawn(async move {
            browser.post(&format!("{KEYS}/{id}/revoke"), &[("csrf", &csrf)]).await.status
        });
    }
    // More than eight at once wait for nothing: these four are answered while the others wait.
    for _ in 0..4 {
        assert_eq!(revocations.join_next().await.unwrap().unwrap(), 303);
    }
    eventually("the places are given back", || slots.available_permits() == most).await;
    assert!(revocations.try_join_next().is_none() && revocations.len() == 8, "eight of them wait");
    slow.catch_up(&control).await;
    while let Some(status) = revocations.join_next().await {
        assert_eq!(status.unwrap(), 303);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_looks_at_a_workspaces_rows_is_one_at_a_time_for_a_person() {
    let control = Control::with_workspace().await;
    let ada = Browser::of(&control, "ada@example.com", "owner").await;
    let user = control.get("/v1/users/ada@example.com").await.expect(200);
    let (id, turns) = (user["id"].as_str().unwrap(), &control.server.app.turns);
    let list = || Box::pin(turns.run(id, pending::<Result<(), Error>>()));
    let mut lists: Vec<_> = (0..6).map(|_| list()).collect();
    for list in &mut lists {
        assert!(timeout(Duration::ZERO, list.as_mut()).await.is_err(), "one is made, five wait");
    }
    for path in ["/w/demo", KEYS, "/w/demo/audit", "/w/demo/settings"] {
        assert_eq!(ada.get(path).await.status, 503, "{path}");
    }
    assert_eq!(ada.get("/account").await.status, 200);
}
