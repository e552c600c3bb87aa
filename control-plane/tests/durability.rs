//! The program is killed with SIGKILL in a loop while many clients write. What was acknowledged is there afterwards,
//! what the gateways get is the same, and the file passes `check`.
//!
//! This is a crash of the process. A crash of the machine is `synchronous=FULL`'s business and not simulated here.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::program::{Program, offline, succeeded};
use common::{ADMIN, PATIENCE, SYNC};
use flamegate::contract::page::Page;
use serde_json::{Value, json};

/// Writers at once.
const WRITERS: u64 = 6;
/// Kills in a run, unless `FLAMEGATE_KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 12;

/// What a key must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Active,
    Revoked,
    /// Its revocation was sent and not answered.
    Either,
}

/// What was acknowledged, by key id.
type Model = Arc<Mutex<BTreeMap<String, Expected>>>;

/// Numbers that a seed repeats (splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// One call; `None` when it was not answered.
async fn call(http: &reqwest::Client, url: &str, path: &str, body: Value) -> Option<Value> {
    let answer = http.post(format!("{url}{path}")).bearer_auth(ADMIN).json(&body).send().await.ok()?;
    let status = answer.status();
    let mut body: Value = answer.json().await.ok()?;
    assert!(status.is_success(), "{path}: {status} {body}");
    Some(body["data"].take())
}

/// Makes and revokes keys until the server is gone.
async fn write_until_killed(url: String, model: Model, acknowledged: Arc<AtomicU64>, mut seed: u64) {
    let http = client();
    let mut own: Vec<String> = Vec::new();
    loop {
        if !own.is_empty() && random(&mut seed).is_multiple_of(3) {
            let at = usize::try_from(random(&mut seed)).unwrap() % own.len();
            let id = own.swap_remove(at);
            model.lock().unwrap().insert(id.clone(), Expected::Either);
            let path = format!("/v1/api-keys/{id}/revoke");
            let Some(_) = call(&http, &url, &path, json!({})).await else { return };
            model.lock().unwrap().insert(id, Expected::Revoked);
        } else {
            let body = json!({"workspace": "demo", "name": "Production App", "environment": "live"});
            let Some(made) = call(&http, &url, "/v1/api-keys", body).await else { return };
            let id = made["id"].as_str().unwrap().to_owned();
            model.lock().unwrap().insert(id.clone(), Expected::Active);
            own.push(id);
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

/// Starts the server, lets clients write, and kills it after so many acknowledged writes, with others in progress.
async fn round(database: &Path, model: &Model, seed: &mut u64) -> u64 {
    let program = Program::serve_by(&[], database, &[("FLAMEGATE_LOG", "warn")]);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let kill_after = 1 + random(seed) % 60;
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (url, model, count) = (program.url.clone(), Arc::clone(model), Arc::clone(&acknowledged));
            tokio::spawn(write_until_killed(url, model, count, random(seed)))
        })
        .collect();
    common::eventually("writes are acknowledged", || acknowledged.load(Ordering::SeqCst) >= kill_after).await;
    program.signal("-KILL");
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(program.end().0, None, "it was killed");
    acknowledged.load(Ordering::SeqCst)
}

/// The ids of all keys in the gateways' table.
async fn table(http: &reqwest::Client, url: &str) -> BTreeSet<String> {
    let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("{url}/sync/v1/changes?gateway=gw-1&limit=500{cursor}");
        let bytes = http.get(path).bearer_auth(SYNC).send().await.unwrap().bytes().await.unwrap();
        let page = Page::parse(&bytes).unwrap();
        let last = page.upserts.last().map(|upsert| upsert.hash.0.to_hex());
        ids.extend(page.upserts.into_iter().map(|upsert| upsert.record.id));
        match last {
            Some(last) if page.more => cursor = format!("&cursor={last}"),
            _ => return ids,
        }
    }
}

/// Compares a server on the database with the model, and settles what was open.
async fn compare(database: &Path, model: &Model) {
    let program = Program::serve_by(&[], database, &[("FLAMEGATE_LOG", "warn")]);
    let http = client();
    let listed = table(&http, &program.url).await;
    let known = model.lock().unwrap().clone();
    for (id, expected) in known {
        let url = format!("{}/v1/api-keys/{id}", program.url);
        let answer = http.get(url).bearer_auth(ADMIN).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{id} was acknowledged and is gone");
        let status = answer.json::<Value>().await.unwrap()["data"]["status"].as_str().unwrap().to_owned();
        let is = if status == "active" { Expected::Active } else { Expected::Revoked };
        assert!(expected == Expected::Either || expected == is, "{id} is {status}, not {expected:?}");
        assert_eq!(listed.contains(&id), is == Expected::Active, "{id} is {status}: what gateways get");
        model.lock().unwrap().insert(id, is);
    }
    program.signal("-TERM");
    assert_eq!(program.end().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9_at_any_write() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds = variable("FLAMEGATE_KILL_ROUNDS").unwrap_or(ROUNDS);
    let mut seed = variable("FLAMEGATE_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("FLAMEGATE_KILL_SEED={seed}");
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("control.db");
    let program = Program::serve(&database);
    program.cli(&["workspaces", "create", "--name", "Demo"]);
    program.signal("-KILL");
    program.end();

    let model = Model::default();
    let mut acknowledged = 0;
    for _ in 0..rounds {
        acknowledged += round(&database, &model, &mut seed).await;
        // The file as the kill left it, with its write-ahead log.
        succeeded(&offline(&["check", "--database", database.to_str().unwrap()]));
        compare(&database, &model).await;
    }
    println!("{rounds} kills, {acknowledged} acknowledged writes, {} keys", model.lock().unwrap().len());
}
