//! Several control planes on one PostgreSQL, as processes: what one of them changes the gateways of all hear, and receipts that count
//! the gateways of all.

#[path = "common/mod.rs"]
mod common;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use common::gateway::Gateway;
use common::program::Program;
use common::{ADMIN, Answer, PATIENCE};
use flamegate_engines::Postgres;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// One server for all tests; each has a database of its own.
static SERVER: LazyLock<Postgres> = LazyLock::new(Postgres::start);

/// Control planes on one database.
struct Fleet {
    http: Client,
    url: String,
    settings: Vec<(&'static str, &'static str)>,
    planes: Vec<Program>,
}

impl Fleet {
    async fn start(count: usize, settings: &[(&'static str, &'static str)]) -> Self {
        // The client's TLS needs a provider even for plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut fleet = Self {
            http,
            url: SERVER.url(&SERVER.new_database()),
            settings: settings.to_vec(),
            planes: Vec::new(),
        };
        for _ in 0..count {
            fleet.add();
        }
        fleet.call(0, Method::POST, "/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
        fleet
    }

    fn add(&mut self) {
        self.planes.push(Program::serve_by(&[], Path::new(&self.url), &self.settings));
    }

    async fn call(&self, at: usize, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.planes[at].url);
        Answer::of(self.http.request(method, url).bearer_auth(ADMIN).json(&body)).await
    }

    async fn get(&self, at: usize, path: &str) -> Value {
        let url = format!("{}{path}", self.planes[at].url);
        Answer::of(self.http.get(url).bearer_auth(ADMIN)).await.expect(200)
    }

    async fn key(&self, at: usize) -> String {
        let body = json!({"workspace": "demo", "name": "Production App", "environment": "live"});
        let key = self.call(at, Method::POST, "/v1/api-keys", body).await.expect(201);
        key["id"].as_str().unwrap().to_owned()
    }

    async fn revoke(&self, at: usize, id: &str, wait: &str) -> Value {
        self.call(at, Method::POST, &format!("/v1/api-keys/{id}/revoke?wait={wait}"), json!({}))
            .await
            .expect(200)
    }

    fn gateway(&self, at: usize, name: &str) -> Gateway {
        Gateway::at(self.http.clone(), self.planes[at].url.clone(), name)
    }

    /// Gateways that poll this one, once it says that they have its table.
    async fn gateways(&self, at: usize, names: &[&str]) -> Vec<JoinHandle<()>> {
        let run = names.iter().map(|name| self.gateway(at, name).run()).collect();
        self.await_gateways(at, names).await;
        run
    }

    /// Until this one knows that these gateways enforce something.
    async fn await_gateways(&self, at: usize, names: &[&str]) {
        until("gateways enforce the table", async || {
            let list = self.get(at, "/v1/gateways?connected=true").await;
            names.iter().all(|name| {
                let id = format!("shared/{name}");
                let is_there = |gateway: &Value| {
                    gateway["id"] == id.as_str() && gateway["acknowledged_revision"].is_u64()
                };
                list.as_array().unwrap().iter().any(is_there)
            })
        })
        .await;
    }
}

/// Waits for something that another process is about to do.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A receipt that says that all of so many enforce the change.
#[track_caller]
fn says_all(receipt: &Value, count: usize) {
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(count), &json!(count)), "{receipt}");
    assert_eq!((&receipt["pending"], &receipt["cut_off"]), (&json!([]), &json!([])), "{receipt}");
    assert!(receipt.get("replicas_behind").is_none(), "{receipt}");
}

async fn receipts_count_all(settings: &[(&'static str, &'static str)]) {
    let fleet = Fleet::start(2, settings).await;
    let _ours = fleet.gateways(0, &["a1", "a2"]).await;
    let _theirs = fleet.gateways(1, &["b1", "b2"]).await;
    fleet.await_gateways(0, &["b1", "b2"]).await;
    fleet.await_gateways(1, &["a1", "a2"]).await;
    for at in [0, 1] {
        let id = fleet.key(at).await;
        says_all(&fleet.revoke(1 - at, &id, "50s").await, 4);
        // Asked again, and of the other one.
        says_all(&fleet.revoke(at, &id, "50s").await, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_one_reaches_the_gateways_of_all_and_its_receipt_counts_them() {
    receipts_count_all(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_does_without_notices() {
    receipts_count_all(&[("FLAMEGATE_DATABASE_DIRECT", "none")]).await;
}
