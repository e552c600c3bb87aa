//! A control plane whose machine's clock is wrong, beside one whose clock is right.

use std::time::Duration;

use flamegate_control::config::{Config, ServeArgs};
use flamegate_control::http::server::Server;
use flamegate_control::service::clock::Clock;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::fleet::client;
use crate::common::{ADMIN, Answer, SYNC};
use crate::new_database;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

async fn start(url: &str, clock: Clock) -> Server {
    let source = |name: &str| match name {
        "FLAMEGATE_ADMIN_TOKEN" => Some(ADMIN.to_owned()),
        "FLAMEGATE_SYNC_TOKEN" => Some(SYNC.to_owned()),
        "FLAMEGATE_LISTEN" => Some("127.0.0.1:0".to_owned()),
        "FLAMEGATE_DATABASE" => Some(url.to_owned()),
        _ => None,
    };
    let config = Config::load(&ServeArgs { init: true, ..ServeArgs::default() }, &source).unwrap();
    Server::start(config, clock).await.unwrap()
}

async fn call(server: &Server, method: Method, path: &str, body: Value) -> Answer {
    let url = format!("http://{}{path}", server.address);
    Answer::of(client().request(method, url).bearer_auth(ADMIN).json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_whose_clock_is_wrong_ends_no_key_early_and_none_late() {
    let url = new_database();
    let right = start(&url, Clock::default()).await;
    call(&right, Method::POST, "/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    let end = right.app.clock.now().as_second() + 1_800;
    let body =
        json!({"workspace": "demo", "name": "Production App", "environment": "live", "expires_at": end});
    let key = call(&right, Method::POST, "/v1/api-keys", body).await.expect(201);
    let key = format!("/v1/api-keys/{}", key["id"].as_str().unwrap());
    for (wrong, by) in [(HOUR, "ahead"), (-HOUR, "behind")] {
        let clock = Clock::default();
        clock.set_wrong(wrong);
        let server = start(&url, clock.clone()).await;
        assert!((clock.ahead() - wrong).abs() < SignedDuration::from_mins(1), "{:?} {by}", clock.ahead());
        server.app.housekeeping(1_000).round().await.unwrap();
        for server in [&right, &server] {
            let status = call(server, Method::GET, &key, json!({})).await.expect(200)["status"].clone();
            assert_eq!(status, "active", "{by}");
        }
        let metrics = String::from_utf8(server.app.metrics_text().await.unwrap()).unwrap();
        let sign = if wrong.is_negative() { "-3" } else { "3" };
        assert!(metrics.contains(&format!("\nflamegate_control_clock_ahead_seconds {sign}")), "{metrics}");
        server.stop().await;
    }
    // It ends for one whose clock is an hour behind when it does for the others.
    let clock = Clock::default();
    clock.set_wrong(-HOUR);
    clock.advance(Duration::from_secs(1_801));
    let server = start(&url, clock).await;
    let status = call(&server, Method::GET, &key, json!({})).await.expect(200)["status"].clone();
    assert_eq!(status, "expired");
    server.stop().await;
    right.stop().await;
}
