//! The control plane as a process, and its REST API.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::{
    Answer, Protocol, Request,
    envoy::SYNC_TOKEN,
    eventually,
    metrics::Metrics,
    process::{Process, free_port, root},
};

/// The admin token of every stack.
pub const ADMIN_TOKEN: &str = "admin-token-of-the-end-to-end-tests";

/// A control plane; it may be stopped and started again.
pub struct Control {
    process: Option<Process>,
    name: &'static str,
    folder: PathBuf,
    /// Where its database is: a file of its own, or an address.
    database: OsString,
    /// More variables, from its next start.
    pub environment: Vec<(&'static str, String)>,
    /// Tokens for gateways, comma-separated, from its next start.
    pub sync_tokens: String,
    /// Whether it is started with `--init`: it then makes its database, and gateways take it whatever they had.
    pub init: bool,
    /// Its port, the same after a restart.
    pub port: u16,
}

/// A key that was just made.
#[derive(Clone)]
pub struct NewKey {
    /// `key_…`
    pub id: String,
    /// The plaintext.
    pub key: String,
    /// Id of its workspace.
    pub workspace: String,
}

impl Control {
    /// A control plane with a database of its own that is not started yet: only its port is known.
    pub fn prepare(folder: &Path) -> Self {
        Self::prepare_on("control-plane", folder, folder.join("flamegate.db").into_os_string())
    }

    /// The same on a database that has been made or that others share, and with a name for its log.
    pub fn prepare_on(name: &'static str, folder: &Path, database: impl Into<OsString>) -> Self {
        let (sync_tokens, database) = (SYNC_TOKEN.to_owned(), database.into());
        let folder = folder.to_owned();
        let environment = Vec::new();
        Self {
            process: None,
            name,
            folder,
            database,
            environment,
            sync_tokens,
            init: true,
            port: free_port(),
        }
    }

    /// Starts it and waits until it is ready.
    pub fn start(&mut self) {
        let program = root().join("dist/flamegate-control");
        let process = Process::start(self.name, &program, &self.folder, |command| {
            command
                .arg("serve")
                .args(self.init.then_some("--init"))
                .env("FLAMEGATE_ADMIN_TOKEN", ADMIN_TOKEN)
                .env("FLAMEGATE_SYNC_TOKEN", &self.sync_tokens);
            command.env("FLAMEGATE_LISTEN", format!("127.0.0.1:{}", self.port));
            command.env("FLAMEGATE_DATABASE", &self.database);
            command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        });
        let process = self.process.insert(process);
        eventually("the control plane is ready", || {
            process.assert_alive();
            Request::get("/readyz").send(Protocol::Http1, self.port)?.expect_status(200)
        });
    }

    /// Stops it in good order.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let (status, _) = process.stop();
            assert!(status.success(), "the control plane stopped with {status}: {}", process.log());
        }
    }

    /// Makes a new, empty database in the place of its own, while it does not run.
    pub fn replace_database(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.database().into_os_string();
            file.push(suffix);
            drop(std::fs::remove_file(file));
        }
        let program = root().join("dist/flamegate-control");
        let made = Command::new(program).args(["init", "--database"]).arg(self.database()).output();
        let made = made.expect("flamegate-control");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Kills it in the middle of whatever it does (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Its database file; SQLite puts others beside it.
    pub fn database(&self) -> PathBuf {
        PathBuf::from(&self.database)
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, signal: &str) {
        self.process.as_ref().expect("a started control plane").signal(signal);
    }

    /// True when it was started and has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::has_ended)
    }

    /// What it has logged since its last start.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// One call with the admin token.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.call_with(ADMIN_TOKEN, method, path, body)
    }

    /// One call with this token.
    pub fn call_with(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let mut request = Request::new(method, path).bearer(token);
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        request = request.header("content-length", body.len().to_string());
        crate::http1::Connection::open(self.port)
            .and_then(|mut connection| {
                connection.send_bytes(&crate::http1::encode(&request))?;
                connection.send_bytes(body.as_bytes())?;
                connection.read_answer(false)
            })
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Its metrics.
    pub fn metrics(&self) -> Metrics {
        let answer = Request::get("/metrics").send(Protocol::Http1, self.port);
        Metrics::parse(&answer.unwrap_or_else(|error| panic!("/metrics: {error}")).text())
    }

    /// The `data` of a call that succeeds.
    pub fn data(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.call(method, path, body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        answer.json()["data"].clone()
    }

    /// Makes a workspace without a bound on its keys; its slug.
    pub fn create_workspace(&self, slug: &str) -> String {
        let body = json!({"name": slug, "slug": slug, "max_active_keys": null});
        self.data("POST", "/v1/workspaces", Some(&body));
        slug.to_owned()
    }

    /// Changes what an operator allows a workspace, such as `workspace_limits`.
    pub fn bound(&self, workspace: &str, bounds: &Value) {
        self.data("PATCH", &format!("/v1/workspaces/{workspace}"), Some(bounds));
    }

    /// Makes a key with `more` fields, such as `limits` or `expires_at`.
    pub fn create_key(&self, workspace: &str, environment: &str, more: Value) -> NewKey {
        let mut body = json!({"workspace": workspace, "name": "e2e", "environment": environment});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        NewKey::from_answer(&self.data("POST", "/v1/api-keys", Some(&body)))
    }

    /// Revokes a key; the receipt, after at most `wait` (such as `5s`).
    pub fn revoke(&self, id: &str, wait: &str) -> Value {
        self.data("POST", &format!("/v1/api-keys/{id}/revoke?wait={wait}"), None)
    }

    /// Replaces a key; the old one dies after the grace.
    pub fn rotate(&self, id: &str, grace_seconds: u32) -> NewKey {
        let body = json!({"grace_seconds": grace_seconds});
        NewKey::from_answer(&self.data("POST", &format!("/v1/api-keys/{id}/rotate"), Some(&body)))
    }
}

impl NewKey {
    fn from_answer(data: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let workspace = text(&data["workspace"]).or_else(|| text(&data["workspace"]["id"]));
        Self {
            id: text(&data["id"]).unwrap_or_else(|| panic!("no id in {data}")),
            key: text(&data["key"]).expect("no key in the answer"),
            workspace: workspace.unwrap_or_else(|| panic!("no workspace in {}", data["id"])),
        }
    }
}
