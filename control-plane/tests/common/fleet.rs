//! Control planes, as processes, on one PostgreSQL, each with a way of its own to it; their clients and gateways.

use std::path::Path;
use std::time::{Duration, Instant};

use flamegate_engines::{Database, Replication};
use reqwest::Method;
use serde_json::{Value, json};

use super::follower::Follower;
use super::program::Program;
use super::{ADMIN, Answer, PATIENCE, SYNC};

/// The longest that a call may take whatever has happened to the database, on a machine that is busy with other things.
pub const BOUNDED: Duration = Duration::from_secs(30);

/// Those who share a database.
pub struct Fleet {
    pub http: reqwest::Client,
    pub programs: Vec<Program>,
}

impl Fleet {
    /// So many control planes on a new cluster, and the workspace `demo`.
    pub async fn start(count: usize, replication: Option<Replication>) -> (Database, Self) {
        let database = tokio::task::block_in_place(|| Database::start(count, replication));
        let fleet = Self::on(&database, count).await;
        (database, fleet)
    }

    /// The same on a database that is there.
    pub async fn on(database: &Database, count: usize) -> Self {
        let programs = (0..count).map(|number| serve(&database.url(number), number == 0, &[])).collect();
        let fleet = Self { http: client(), programs };
        fleet.post(0, "/v1/workspaces", json!({"name": "Demo", "max_active_keys": null})).await.expect(201);
        fleet
    }

    pub fn bases(&self) -> Vec<String> {
        self.programs.iter().map(|program| program.url.clone()).collect()
    }

    /// A gateway that asks all of them in turn.
    pub fn follower(&self, name: &str) -> Follower {
        Follower::start(&self.http, name, &self.bases())
    }

    pub async fn call(
        &self,
        number: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let url = format!("{}{path}", self.programs[number].url);
        let mut request = self.http.request(method, url).bearer_auth(ADMIN).timeout(BOUNDED);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_str(&response.text().await?).unwrap_or_default();
        Ok(Answer { status, headers, body })
    }

    pub async fn get(&self, number: usize, path: &str) -> Answer {
        self.call(number, Method::GET, path, None).await.unwrap()
    }

    pub async fn post(&self, number: usize, path: &str, body: Value) -> Answer {
        self.call(number, Method::POST, path, Some(body)).await.unwrap()
    }

    /// Makes a key at one of them.
    pub async fn try_create(&self, number: usize) -> reqwest::Result<Answer> {
        let body = json!({"workspace": "demo", "name": "Production App", "environment": "live"});
        self.call(number, Method::POST, "/v1/api-keys", Some(body)).await
    }

    /// Makes a key, and returns its id.
    pub async fn create(&self, number: usize) -> String {
        self.try_create(number).await.unwrap().expect(201)["id"].as_str().unwrap().to_owned()
    }

    pub async fn try_revoke(&self, number: usize, id: &str, wait: &str) -> reqwest::Result<Answer> {
        self.call(number, Method::POST, &format!("/v1/api-keys/{id}/revoke?wait={wait}"), Some(json!({})))
            .await
    }

    /// Waits until one of them takes a change; the id of the key that it made.
    pub async fn recovers(&self, number: usize) -> String {
        let started = Instant::now();
        loop {
            let last = match self.try_create(number).await {
                Ok(answer) if answer.status == 201 => {
                    return answer.expect(201)["id"].as_str().unwrap().to_owned();
                }
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => format!("{error:?}"),
            };
            let log = self.programs[number].log();
            assert!(started.elapsed() < PATIENCE, "no recovery; last: {last}; log: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for a receipt of `gateways` gateways that all enforce; a new key for each try.
    pub async fn all_enforce(&self, number: usize, gateways: usize) {
        let started = Instant::now();
        loop {
            let id = self.recovers(number).await;
            let receipt = self.try_revoke(number, &id, "20s").await.unwrap().expect(200);
            if receipt["gateways"] == gateways && receipt["enforced"] == gateways {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "not all enforce: {receipt}");
        }
    }

    /// Waits until this holds for every gateway.
    pub async fn each(&self, followers: &[Follower], what: &str, holds: impl Fn(&Follower) -> bool) {
        let started = Instant::now();
        while let Some(late) = followers.iter().find(|follower| !holds(follower)) {
            let seen = late.seen();
            assert!(
                started.elapsed() < PATIENCE,
                "{what}: not {}, at revision {} after {} polls, {} failed: {}",
                late.name,
                seen.revision,
                seen.polls,
                seen.failed,
                seen.last_error
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// One control plane; the first makes the tables.
pub fn serve(url: &str, init: bool, more: &[(&str, &str)]) -> Program {
    let mut environment = vec![("FLAMEGATE_LOG", "info")];
    environment.extend(more);
    if init {
        return Program::serve_by(&[], Path::new(url), &environment);
    }
    environment.extend([
        ("FLAMEGATE_ADMIN_TOKEN", ADMIN),
        ("FLAMEGATE_SYNC_TOKEN", SYNC),
        ("FLAMEGATE_DATABASE", url),
    ]);
    Program::serve_plain(&[], &environment)
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
