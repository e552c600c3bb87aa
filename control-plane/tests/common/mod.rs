//! A control plane in this process on a free port with a database of its own, a client for it, and a gateway that does
//! what the real one does. Time is moved, not slept through.
#![allow(dead_code, reason = "each test program uses a part")]

pub mod database;
pub mod gateway;
pub mod program;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flamegate_control::config::{Config, ServeArgs};
use flamegate_control::http::server::Server;
use flamegate_control::service::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const ADMIN: &str = "admin-token-for-tests";
pub const SYNC: &str = "sync-token-for-tests";
/// Nothing in these tests takes this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running control plane.
pub struct Control {
    pub server: Server,
    pub clock: Clock,
    pub http: reqwest::Client,
    directory: TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Control {
    /// With an empty database.
    pub async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap(), Clock::default()).await
    }

    /// With an empty database and the workspace `demo`.
    pub async fn with_workspace() -> Self {
        let control = Self::start().await;
        control.post("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
        control
    }

    async fn start_in(directory: TempDir, clock: Clock) -> Self {
        Self::start_with(directory, clock, &[]).await
    }

    async fn start_with(directory: TempDir, clock: Clock, settings: &[(&str, &str)]) -> Self {
        let config = config_with(&directory.path().join("control.db"), settings);
        Self::start_from(directory, clock, config).await
    }

    /// With an empty database and a configuration that no setting can make, such as short time-outs.
    pub async fn tuned(change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let mut config = config(&directory.path().join("control.db"));
        change(&mut config);
        Self::start_from(directory, Clock::default(), config).await
    }

    async fn start_from(directory: TempDir, clock: Clock, config: Config) -> Self {
        let server = Server::start(config, clock.clone()).await.unwrap();
        // The client's TLS needs a provider even for plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { server, clock, http, directory }
    }

    pub fn database(&self) -> PathBuf {
        self.directory.path().join("control.db")
    }

    /// Stops it and starts it again on the same database, doing something to that in between.
    pub async fn restart(self, between: impl FnOnce(&Path)) -> Self {
        let Self { server, clock, directory, .. } = self;
        server.stop().await;
        between(&directory.path().join("control.db"));
        Self::start_in(directory, clock).await
    }

    /// Stops it and starts it again on the same database with other settings.
    pub async fn restart_with(self, settings: &[(&str, &str)]) -> Self {
        let Self { server, clock, directory, .. } = self;
        server.stop().await;
        Self::start_with(directory, clock, settings).await
    }

    /// Stops it and starts it again on the same database as `serve` without `--init` does, doing something in between.
    pub async fn restart_uninitialised(self, between: impl FnOnce(&Path)) -> Self {
        let Self { server, clock, directory, .. } = self;
        server.stop().await;
        let database = directory.path().join("control.db");
        between(&database);
        let config = Config { init: false, ..config(&database) };
        Self::start_from(directory, clock, config).await
    }

    /// One round of housekeeping that keeps this many removals in the log.
    pub async fn housekeeping(&self, removals_kept: u32) {
        self.server.app.housekeeping(removals_kept).round().await.unwrap();
    }

    /// How many rows a table of the database has, seen by another reader.
    pub async fn rows(&self, table: &str) -> i64 {
        database::run(&self.database(), &format!("SELECT COUNT(*) FROM {table}")).await.unwrap().unwrap()
    }

    /// Does something to the database that no function of the store does.
    pub async fn sql(&self, sql: &'static str) {
        database::run(&self.database(), sql).await.unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(ADMIN)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PATCH, path).json(&body)).await
    }

    /// Makes a key in `demo` and returns the answer's data.
    pub async fn create_key(&self) -> Value {
        let body = json!({"workspace": "demo", "name": "Production App", "environment": "live"});
        self.post("/v1/api-keys", body).await.expect(201)
    }

    /// Makes a key in `demo` and returns its id.
    pub async fn create_key_id(&self) -> String {
        self.create_key().await["id"].as_str().unwrap().to_owned()
    }

    pub async fn revoke(&self, id: &str, wait: &str) -> Value {
        self.post(&format!("/v1/api-keys/{id}/revoke?wait={wait}"), json!({})).await.expect(200)
    }

    /// Where the log stands.
    pub fn revision(&self) -> u64 {
        self.server.app.store.head().revision
    }
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default();
        Self { status, headers, body }
    }

    /// `data`, when the answer is a success with this status in the envelope.
    #[track_caller]
    pub fn expect(mut self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["success"], true, "{}", self.body);
        self.body["data"].take()
    }

    /// `error`, when the answer is an error with this status and code in the envelope.
    #[track_caller]
    pub fn refused(mut self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["success"], false, "{}", self.body);
        assert_eq!(self.body["error"]["code"], code, "{}", self.body);
        assert!(self.body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
        self.body["error"].take()
    }

    /// The problems of a 422 as `path: message`.
    #[track_caller]
    pub fn problems(self) -> Vec<String> {
        let error = self.refused(422, "VALIDATION_FAILED");
        let problems = error["details"]["problems"].as_array().unwrap().clone();
        let text = |p: &Value| format!("{}: {}", p["path"].as_str().unwrap(), p["message"].as_str().unwrap());
        problems.iter().map(text).collect()
    }
}

pub fn config(database: &Path) -> Config {
    config_with(database, &[])
}

fn config_with(database: &Path, settings: &[(&str, &str)]) -> Config {
    let source = |name: &str| match name {
        "FLAMEGATE_ADMIN_TOKEN" => Some(ADMIN.to_owned()),
        "FLAMEGATE_SYNC_TOKEN" => Some(SYNC.to_owned()),
        "FLAMEGATE_LISTEN" => Some("127.0.0.1:0".to_owned()),
        "FLAMEGATE_DATABASE" => Some(database::address(database)),
        other => settings.iter().find(|(name, _)| *name == other).map(|(_, value)| (*value).to_owned()),
    };
    Config::load(&ServeArgs { init: true, ..ServeArgs::default() }, &source).unwrap()
}

/// Waits for something that another task is about to do.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
