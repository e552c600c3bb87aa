//! Hostile clients of many kinds at once, against the program as it is shipped: no credential, or a viewer's. Meanwhile an
//! operator makes and revokes keys, and a gateway follows. The server's memory, its log and the revocations stay within bounds.
//!
//! `FLAMEGATE_STRANGERS_SECONDS` says for how long (`make hostile` takes a minute), `FLAMEGATE_STRANGERS_KEYS` among how many keys.

#[path = "pages/browser.rs"]
#[allow(dead_code, reason = "each test program uses a part")]
mod browser;
mod common;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use browser::{Form as _, PASSWORD};
use common::gateway::Gateway;
use common::program::Program;
use common::{ADMIN, PATIENCE};
use flamegate_control::domain::random;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How much more memory the server may have, in MiB, however long it lasts: 32 KiB of a head, 16 KiB of a form and an answer for each
/// of 1,000 strangers, 64 MiB of the allocator's for each thread that hashes passwords, 2 MiB for each connection to SQLite, and
/// what lies between all that.
const MORE_MEMORY: u64 = 256;
/// Lines that one line of the code may write: ten at once and one a second. So many of them can strangers cause.
const LINES_OF_CODE: u64 = 12;
/// So many revocations at least, however long that takes on this machine.
const REVOCATIONS: usize = 5;

/// What all hostile clients share.
#[derive(Clone)]
struct Attack {
    address: SocketAddr,
    base: String,
    http: Client,
    over: Arc<AtomicBool>,
    done: Arc<[(&'static str, AtomicU64)]>,
}

const KINDS: [&str; 12] = [
    "unknown methods",
    "huge headers",
    "headers that do not end",
    "bodies that do not end",
    "nothing sent",
    "answers never read",
    "malformed cookies",
    "wrong tokens",
    "scrapes and probes",
    "sign-ins",
    "searches of a viewer",
    "asked and gone",
];

impl Attack {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Counts one attempt.
    fn did(&self, kind: &str) {
        if let Some((_, count)) = self.done.iter().find(|(name, _)| *name == kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection on which these bytes were sent, as far as the server takes them.
    async fn send(&self, bytes: &[u8]) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        let _ = timeout(Duration::from_secs(2), stream.write_all(bytes)).await;
        Some(stream)
    }

    /// Opens connections on which these bytes were sent, and leaves up to 200 of them as they are.
    async fn leave_open(self, kind: &str, bytes: Vec<u8>) {
        let mut open = std::collections::VecDeque::new();
        while !self.is_over() {
            open.extend(self.send(&bytes).await);
            self.did(kind);
            if open.len() > 200 {
                open.pop_front();
            }
        }
    }

    /// Asks and does not wait for the answer.
    async fn ask_and_go(self, kind: &str, bytes: Vec<u8>) {
        while !self.is_over() {
            drop(self.send(&bytes).await);
            self.did(kind);
        }
    }

    /// Sends these bytes on one connection after the other and reads what comes.
    async fn exchange(self, kind: &str, bytes: impl Fn() -> Vec<u8>) {
        while !self.is_over() {
            if let Some(mut stream) = self.send(&bytes()).await {
                let mut answer = Vec::new();
                let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
            }
            self.did(kind);
        }
    }

    /// Makes requests one after the other.
    async fn ask(self, kind: &str, request: impl Fn(&Client, &str) -> reqwest::RequestBuilder) {
        while !self.is_over() {
            if let Ok(answer) = request(&self.http, &self.base).send().await {
                let _ = answer.bytes().await;
            }
            self.did(kind);
        }
    }
}

/// Text that was never sent before.
fn fresh() -> String {
    random::base62(12).unwrap().to_string()
}

/// Starts everybody who attacks.
fn begin(attack: &Attack, session: &str, session_name: &str) -> JoinSet<()> {
    let mut all = JoinSet::new();
    let mut start = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| drop(all.spawn(task));
    let of = || attack.clone();
    let method =
        || format!("{} /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", fresh()).into_bytes();
    start(Box::pin(of().exchange(KINDS[0], method)));
    let huge = || format!("GET / HTTP/1.1\r\nx-long: {}\r\n\r\n", "a".repeat(100_000)).into_bytes();
    start(Box::pin(of().exchange(KINDS[1], huge)));
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}", "a".repeat(30_000)).into_bytes();
    start(Box::pin(of().leave_open(KINDS[2], head)));
    let body = "POST /sign-in HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\n\
        content-type: application/x-www-form-urlencoded\r\ncontent-length: 16000\r\n\r\nemail=";
    let body = format!("{body}{}", "a".repeat(15_000)).into_bytes();
    start(Box::pin(of().leave_open(KINDS[3], body)));
    start(Box::pin(of().leave_open(KINDS[4], Vec::new())));
    let unread = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    start(Box::pin(of().leave_open(KINDS[5], unread)));
    let name = session_name.to_owned();
    let cookie = move || format!("{name}={}", if fresh() < fresh() { fresh() } else { "A".repeat(22) });
    let with_cookie =
        move |http: &Client, base: &str| http.get(format!("{base}/sign-in")).header("cookie", cookie());
    start(Box::pin(of().ask(KINDS[6], with_cookie)));
    for path in ["/v1/workspaces", "/sync/v1/changes?gateway=gw", "/metrics"] {
        let guess = move |http: &Client, base: &str| http.get(format!("{base}{path}")).bearer_auth(fresh());
        start(Box::pin(of().ask(KINDS[7], guess)));
    }
    for path in ["/metrics", "/healthz", "/readyz", "/metrics"] {
        start(Box::pin(of().ask(KINDS[8], move |http, base| http.get(format!("{base}{path}")))));
    }
    let sign_in = |http: &Client, base: &str| {
        let form = http.post(format!("{base}/sign-in")).header("sec-fetch-site", "same-origin");
        form.form(&[("email", &format!("{}@example.com", fresh())), ("password", "wrong")])
    };
    start(Box::pin(of().ask(KINDS[9], sign_in)));
    for path in ["/readyz", "/metrics", "/w/demo/settings/api-keys?q=nothing"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\ncookie: {session_name}={session}\r\n\r\n");
        start(Box::pin(of().ask_and_go(KINDS[11], head.into_bytes())));
    }
    for _ in 0..8 {
        let cookie = format!("{session_name}={session}");
        let search = move |http: &Client, base: &str| {
            let list = http.get(format!("{base}/w/demo/settings/api-keys?status=all&q={}", fresh()));
            list.header("cookie", &cookie)
        };
        start(Box::pin(of().ask(KINDS[10], search)));
    }
    all
}

/// The operator's client, and what it needs to know.
struct Operator {
    http: Client,
    base: String,
}

impl Operator {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(ADMIN).json(body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str::<Value>(&text).unwrap()["data"].take()
    }

    async fn import(&self, keys: usize) {
        for first in (0..keys).step_by(1_000) {
            let key = |number: usize| {
                let hash = format!("{number:064x}");
                json!({"hash": hash, "workspace": "demo", "name": format!("Device {number}"), "environment": "live"})
            };
            let batch: Vec<_> = (first..keys.min(first + 1_000)).map(key).collect();
            self.post("/v1/api-keys/import-batch", &json!({ "keys": batch })).await;
        }
    }

    /// Makes a key and revokes it; how long it took until the gateway had confirmed that.
    async fn revoke_one(&self) -> Duration {
        let draft = json!({"workspace": "demo", "name": "Short-lived", "environment": "live"});
        let key = self.post("/v1/api-keys", &draft).await;
        let started = Instant::now();
        let path = format!("/v1/api-keys/{}/revoke?wait=60s", key["id"].as_str().unwrap());
        let receipt = self.post(&path, &json!({})).await;
        assert_eq!((&receipt["enforced"], &receipt["gateways"]), (&json!(1), &json!(1)), "{receipt}");
        started.elapsed()
    }
}

/// A viewer signs in: their session, and the name of its cookie.
async fn sign_in(http: &Client, base: &str) -> (String, String) {
    let request =
        http.request(Method::POST, format!("{base}/sign-in")).header("sec-fetch-site", "same-origin");
    let answer = request.form(&[("email", "eve@example.com"), ("password", PASSWORD)]).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (name, value) = cookie.split_once('=').unwrap();
    (value.to_owned(), name.to_owned())
}

/// Resident memory of a process, in MiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

/// How often each line of the log came, by its text up to the first value; answers to the operator are left out.
fn lines(log: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in log.lines().filter(|line| !line.contains("http::layers: answered")) {
        // Time, level and the request's id, then the place and the text.
        let behind_spans = line.rsplit_once('}').and_then(|(_, rest)| rest.split_once(": "));
        let text = behind_spans.map(|(_, text)| text).or_else(|| line.splitn(3, ' ').nth(2)).unwrap_or(line);
        *counts.entry(text.split('=').next().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_all_kinds_at_once_delay_no_revocation_and_fill_neither_memory_nor_log() {
    let seconds = number("FLAMEGATE_STRANGERS_SECONDS", 8);
    let keys = number("FLAMEGATE_STRANGERS_KEYS", 20_000);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let program = Program::serve_by(
        &[],
        &folder.path().join("control.db"),
        &[("FLAMEGATE_LOG", "info"), ("FLAMEGATE_DEFAULT_MAX_ACTIVE_KEYS", "none")],
    );
    let base = program.url.clone();
    let http = || {
        let client = Client::builder().no_proxy().timeout(PATIENCE * 2);
        client.redirect(reqwest::redirect::Policy::none()).build().unwrap()
    };
    let operator = Operator { http: http(), base: base.clone() };
    operator.post("/v1/workspaces", &json!({"name": "Demo"})).await;
    operator.import(keys).await;
    let eve =
        json!({"email": "eve@example.com", "workspace": "demo", "role": "viewer", "password": PASSWORD});
    operator.post("/v1/users", &eve).await;
    let (session, name) = sign_in(&http(), &base).await;
    let mut gateway = Gateway::at(http(), base.clone(), "gw-1");
    gateway.query.limit = 5_000;
    gateway.poll().await.unwrap();
    let gateway = gateway.run();
    for _ in 0..5 {
        operator.revoke_one().await;
    }
    let before = resident(program.pid());
    let done = KINDS.map(|kind| (kind, AtomicU64::new(0)));
    let address = base.strip_prefix("http://").unwrap().parse().unwrap();
    let attack =
        Attack { address, base: base.clone(), http: http(), over: Arc::default(), done: done.into() };
    let (started, mut everybody) = (Instant::now(), begin(&attack, &session, &name));
    let (mut took, mut most) = (Vec::new(), before);
    while started.elapsed() < Duration::from_secs(seconds as u64) || took.len() < REVOCATIONS {
        took.push(operator.revoke_one().await);
        most = most.max(resident(program.pid()));
    }
    attack.over.store(true, Ordering::Relaxed);
    while everybody.join_next().await.is_some() {}
    let after = resident(program.pid());
    gateway.abort();
    program.signal("-TERM");
    let (code, log) = program.end();
    let alike = lines(&log);
    took.sort();
    let (middle, slowest) = (took[took.len() / 2], *took.last().unwrap());
    println!(
        "{seconds} s among {keys} keys: {} revocations, middle {middle:?}, slowest {slowest:?}",
        took.len()
    );
    println!(
        "memory: {before} MiB before, at most {most}, {after} at the end; log: {} bytes, {alike:#?}",
        log.len()
    );
    for slow in log.lines().filter(|line| line.contains("slow statement")) {
        println!("{}", slow.get(..400).unwrap_or(slow));
    }
    for (kind, count) in attack.done.iter() {
        println!("  {kind}: {}", count.load(Ordering::Relaxed));
        assert!(count.load(Ordering::Relaxed) > 0, "{kind}: nothing was tried");
    }
    assert_eq!(code, Some(0));
    assert!(most < before + MORE_MEMORY, "{before} MiB, then {most}");
    let longest = started.elapsed().as_secs() + 11;
    for (line, times) in &alike {
        assert!(*times <= longest, "{line}: {times} times");
    }
    let all: u64 = alike.values().sum();
    assert!(all <= LINES_OF_CODE * longest, "{all} lines: {alike:#?}");
    assert!(log.lines().all(|line| line.len() < 1_000), "a line has what a stranger wrote");
}
