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

/// The id of a replica, by itself.
async fn id_of(fleet: &Fleet, at: usize) -> String {
    let replicas = fleet.get(at, "/v1/replicas").await;
    let this = replicas.as_array().unwrap().iter().find(|replica| replica["this"] == true).unwrap();
    this["id"].as_str().unwrap().to_owned()
}

/// Whether one replica sees another one, and what that is.
async fn sees(fleet: &Fleet, at: usize, id: &str, answers: bool) -> bool {
    let replicas = fleet.get(at, "/v1/replicas").await;
    let is_it = |replica: &Value| replica["id"] == id && replica["answers"] == answers;
    replicas.as_array().unwrap().iter().any(is_it)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_confirm_is_named_wherever_it_polls_and_wherever_is_asked() {
    let fleet = Fleet::start(2, &[]).await;
    let _theirs = fleet.gateways(1, &["runs"]).await;
    let id = fleet.key(0).await;
    let mut stuck = fleet.gateway(1, "stuck");
    while stuck.ids() != [id.as_str()] {
        stuck.poll().await.unwrap();
    }
    stuck.poll().await.unwrap();
    fleet.await_gateways(0, &["stuck", "runs"]).await;
    for at in [0, 1] {
        let receipt = fleet.revoke(at, &id, "1s").await;
        assert_eq!(
            (&receipt["gateways"], &receipt["pending"]),
            (&json!(2), &json!(["shared/stuck"])),
            "{receipt}"
        );
    }
    // It comes back, to the other one.
    stuck.move_to(&fleet.planes[0].url);
    let _stuck = stuck.run();
    says_all(&fleet.revoke(1, &id, "50s").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_of_a_replica_that_was_killed_are_told_until_they_are_back() {
    let fleet = Fleet::start(2, &[]).await;
    let _ours = fleet.gateways(0, &["ours"]).await;
    let dead = id_of(&fleet, 1).await;
    let id = fleet.key(0).await;
    let mut theirs = fleet.gateway(1, "theirs");
    while theirs.ids() != [id.as_str()] {
        theirs.poll().await.unwrap();
    }
    theirs.poll().await.unwrap();
    fleet.await_gateways(0, &["theirs", "ours"]).await;
    fleet.planes[1].signal("-KILL");
    let receipt = fleet.revoke(0, &id, "1s").await;
    assert_eq!(receipt["pending"], json!(["shared/theirs"]), "{receipt}");
    until("the other one is missed", async || sees(&fleet, 0, &dead, false).await).await;
    let receipt = fleet.revoke(0, &id, "1s").await;
    let named = |list: &Value| list.as_array().unwrap().contains(&json!("shared/theirs"));
    assert!(named(&receipt["pending"]) || named(&receipt["cut_off"]), "{receipt}");
    theirs.move_to(&fleet.planes[0].url);
    let _theirs = theirs.run();
    fleet.await_gateways(0, &["theirs"]).await;
    says_all(&fleet.revoke(0, &id, "50s").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_replica_is_frozen_nobody_says_all_and_afterwards_everybody_counts() {
    let fleet = Fleet::start(2, &[]).await;
    let _ours = fleet.gateways(0, &["ours"]).await;
    let frozen = id_of(&fleet, 1).await;
    until("they know each other", async || sees(&fleet, 0, &frozen, true).await).await;
    let id = fleet.key(0).await;
    fleet.planes[1].signal("-STOP");
    // It has no gateway that anybody knows of, and may have one all the same: until it counts as dead, which takes seconds.
    let receipt = fleet.revoke(0, &id, "0s").await;
    assert_eq!(receipt["replicas_behind"], json!([frozen]), "{receipt}");
    until("the frozen one is missed", async || sees(&fleet, 0, &frozen, false).await).await;
    says_all(&fleet.revoke(0, &id, "50s").await, 1);
    fleet.planes[1].signal("-CONT");
    let late = fleet.gateways(1, &["late"]).await;
    // Under another name, when it was stopped between a commit and its answer: it does not know then what the database has of it.
    until("it is back", async || sees(&fleet, 0, &id_of(&fleet, 1).await, true).await).await;
    fleet.await_gateways(0, &["late"]).await;
    let id = fleet.key(1).await;
    says_all(&fleet.revoke(0, &id, "50s").await, 2);
    late.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_ends_lets_its_gateways_go_and_is_missed_at_once() {
    let mut fleet = Fleet::start(2, &[]).await;
    let theirs = fleet.gateways(1, &["theirs"]).await;
    let gone = id_of(&fleet, 1).await;
    let ended = fleet.planes.remove(1);
    ended.signal("-TERM");
    let (code, log) = ended.end();
    assert_eq!(code, Some(0), "{log}");
    // Its row says so before it ends.
    until("the other one is gone", async || sees(&fleet, 0, &gone, false).await).await;
    for gateway in theirs {
        gateway.await.unwrap();
    }
    let mut again = fleet.gateway(0, "theirs");
    again.poll().await.unwrap();
    let ids = fleet.get(0, "/v1/gateways").await;
    let ids: Vec<_> = ids.as_array().unwrap().iter().map(|gateway| gateway["id"].as_str().unwrap()).collect();
    assert!(
        ids.len() == 2 && ids[0] == "shared/theirs" && ids[1].starts_with("shared/theirs~"),
        "another session: {ids:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_revoked_at_one_is_refused_by_all_and_its_polls_end() {
    let fleet = Fleet::start(2, &[]).await;
    let made =
        fleet.call(0, Method::POST, "/v1/gateway-credentials", json!({"name": "eu"})).await.expect(201);
    let mut gateway = fleet.gateway(1, "gw");
    gateway.token = made["token"].as_str().unwrap().to_owned();
    until("the other one knows the credential", async || gateway.poll().await.is_ok()).await;
    gateway.query.wait = 60;
    let held = tokio::spawn(async move {
        loop {
            if let Err(error) = gateway.poll().await {
                return error.status();
            }
        }
    });
    until("its poll is held", async || {
        fleet
            .get(0, "/v1/replicas")
            .await
            .as_array()
            .unwrap()
            .iter()
            .any(|replica| replica["polls_held"] == 1)
    })
    .await;
    fleet.call(0, Method::DELETE, "/v1/gateway-credentials/eu", json!({})).await.expect(200);
    assert_eq!(held.await.unwrap().map(|status| status.as_u16()), Some(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_operator_and_a_browser_are_known_to_all() {
    let fleet = Fleet::start(2, &[]).await;
    let made = fleet.call(0, Method::POST, "/v1/tokens", json!({"name": "ci"})).await.expect(201);
    let token = made["token"].as_str().unwrap();
    let status = async |at: usize| {
        let url = format!("{}/v1/tokens", fleet.planes[at].url);
        fleet.http.get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    until("the other one knows the token", async || status(1).await == 200).await;
    fleet.call(1, Method::DELETE, "/v1/tokens/ci", json!({})).await.expect(200);
    assert_eq!(status(1).await, 401);
    until("the first one has heard of its end", async || status(0).await == 401).await;
    // Both sign with the same key, so a browser that has signed in at one is known at the other: what it tries counts for itself there.
    let user = json!({"email": "ada@example.com", "workspace": "demo", "role": "viewer", "password": "correct horse battery"});
    fleet.call(0, Method::POST, "/v1/users", user).await.expect(201);
    let browser = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let sign_in = async |at: usize, cookie: &str, password: &str| {
        let request = browser.post(format!("{}/sign-in", fleet.planes[at].url)).header("cookie", cookie);
        let form = format!("email=ada%40example.com&password={password}");
        let request = request.header("sec-fetch-site", "same-origin");
        request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap()
    };
    let first = sign_in(0, "", "correct+horse+battery").await;
    let cookies = first.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let device =
        cookies.map(|cookie| cookie.split(';').next().unwrap()).find(|cookie| cookie.contains("_device_"));
    let device = device.unwrap().to_owned();
    let mut tries = 0;
    while sign_in(tries % 2, "", "wrong").await.status() == 401 {
        tries += 1;
        assert!(tries < 100, "strangers are slowed down");
    }
    assert_eq!(sign_in(1, &device, "wrong").await.status(), 401, "not one of the strangers");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_at_two_replicas_is_two_gateways() {
    let fleet = Fleet::start(2, &[]).await;
    let (mut one, mut other) = (fleet.gateway(0, "gw"), fleet.gateway(1, "gw"));
    let (first, second) = tokio::join!(one.poll(), other.poll());
    first.unwrap();
    second.unwrap();
    for at in [0, 1] {
        until("both are there", async || {
            let list = fleet.get(at, "/v1/gateways").await;
            let ids: Vec<_> =
                list.as_array().unwrap().iter().map(|gateway| gateway["id"].as_str().unwrap()).collect();
            ids.len() == 2 && ids[0] == "shared/gw" && ids[1].starts_with("shared/gw~")
        })
        .await;
    }
    // Each stays itself when it goes to the other's control plane.
    one.move_to(&fleet.planes[1].url);
    one.poll().await.unwrap();
    assert_eq!(fleet.get(1, "/v1/gateways").await.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_to_sign_in_count_for_all() {
    let fleet = Fleet::start(2, &[]).await;
    let attempt = async |at: usize| {
        let url = format!("{}/sign-in", fleet.planes[at].url);
        let form = fleet.http.post(url).header("origin", &fleet.planes[at].url);
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        form.body("email=nobody%40example.com&password=wrong-password")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    // More than a burst at the first one; the second hears of them with its own first attempt.
    for _ in 0..8 {
        assert_eq!(attempt(0).await, 401);
    }
    assert_eq!(attempt(0).await, 429);
    let mut admitted = 0;
    until("the other one slows down as well", async || {
        let status = attempt(1).await;
        admitted += u32::from(status == 401);
        status == 429
    })
    .await;
    assert!(admitted < 8, "{admitted} attempts as if there had been none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_forgotten_at_one_is_forgotten_by_all() {
    let fleet = Fleet::start(2, &[]).await;
    let running = fleet.gateways(1, &["gone"]).await;
    fleet.await_gateways(0, &["gone"]).await;
    running.iter().for_each(JoinHandle::abort);
    let forgotten = fleet.call(0, Method::DELETE, "/v1/gateways/shared/gone", json!({})).await.expect(200);
    assert_eq!(forgotten["leaving"], true);
    for at in [0, 1] {
        until("it is leaving, or gone", async || {
            let list = fleet.get(at, "/v1/gateways").await;
            list.as_array()
                .unwrap()
                .iter()
                .all(|gateway| gateway["leaving"] == true || gateway["connected"] == false)
        })
        .await;
    }
}
