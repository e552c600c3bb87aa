//! A plan that many keys have, changed while a gateway runs: one revision, one page, and in force as soon as a change of one key.
//! `FLAMEGATE_PLAN_KEYS` sets the number of keys and `FLAMEGATE_PLAN_ROUNDS` that of rounds; `make plans` asks for 100,000 keys on the plan and
//! 100 rounds, and only then are times compared.

use std::{env, time::Duration};

use flamegate::contract::page::{ChangesQuery, Page};
use flamegate::contract::protocol::Protocol as SyncProtocol;
use flamegate::contract::session::SESSION_HEADER;
use flamegate_e2e::{
    Control, Plugin, Protocol, Request, Stack, envoy::SYNC_TOKEN, eventually, http1::Connection, until,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Keys in one call of the import.
const BATCH: usize = 1_000;
/// From this many rounds on, times are compared.
const ENOUGH_ROUNDS: usize = 100;
/// The workers look for changes this often: nothing that happens once per change is known more exactly.
const TICK: Duration = Duration::from_millis(20);

fn key(number: usize) -> String {
    format!("sk_live_plan{number:08}")
}

/// Makes this many keys on the plan `gold`.
fn import(control: &Control, keys: usize) {
    let draft = |number: usize| {
        let hash = hex::encode(Sha256::digest(key(number)));
        json!({"hash": hash, "workspace": "e2e", "name": "plan", "environment": "live", "plan": "gold"})
    };
    for from in (0..keys).step_by(BATCH) {
        let batch: Vec<Value> = (from..keys.min(from + BATCH)).map(draft).collect();
        let done = control.data("POST", "/v1/api-keys/import-batch", Some(&json!({"keys": batch})));
        assert_eq!(done["refused"].as_u64().unwrap_or(0), 0, "{done}");
    }
}

/// What a key or a plan may be used for: everything, or nothing that is asked here.
fn restrict(is_closed: bool) -> Value {
    if is_closed { json!({"restrict": {"methods": ["DELETE"]}}) } else { json!({"restrict": null}) }
}

/// Closes and opens again what stands at `path`; how long each took until all workers went by it, from the API's answer on.
fn toggle(control: &Control, path: &str, workers: &mut [Connection], request: &Request) -> [Duration; 2] {
    [(true, 403), (false, 200)].map(|(is_closed, status)| {
        control.data("PATCH", path, Some(&restrict(is_closed)));
        until(workers, request, status)
    })
}

/// The median and the longest.
fn told(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}, {} changes: p50 {:?}, p99 {:?}, max {:?}", times.len(), at(50), at(99), at(100));
    at(50)
}

/// What a gateway is sent: it follows the log and decides nothing.
struct Observer<'c> {
    control: &'c Control,
    query: ChangesQuery,
}

impl<'c> Observer<'c> {
    /// One that has the whole table, and how many bytes that was.
    fn start(control: &'c Control) -> (Self, usize) {
        let query = ChangesQuery {
            gateway: "observer".to_owned(),
            limit: 5_000,
            accepts: SyncProtocol::Two,
            ..ChangesQuery::default()
        };
        let mut observer = Self { control, query };
        let (first, mut bytes) = observer.page();
        let mut more = first.more;
        let mut last = first.upserts.last().map(|upsert| upsert.hash.0);
        while more {
            observer.query.cursor = last;
            let (page, size) = observer.page();
            bytes += size;
            more = page.more;
            last = page.upserts.last().map(|upsert| upsert.hash.0);
        }
        let Page { epoch, revision, tag, .. } = first;
        observer.query =
            ChangesQuery { epoch: Some(epoch), after: revision, tag, cursor: None, ..observer.query };
        (observer, bytes)
    }

    /// The answer to the next poll, and its length.
    fn page(&self) -> (Page, usize) {
        let path = self.query.to_path();
        let request = Request::get(&path).bearer(SYNC_TOKEN).header(SESSION_HEADER, "0f".repeat(16));
        let answer = request.send(Protocol::Http1, self.control.port).expect("a page");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let text = answer.text();
        (Page::parse(text.as_bytes()).expect("a page"), text.len())
    }

    /// What is new, and its length.
    fn news(&mut self) -> (Page, usize) {
        let (page, size) = self.page();
        (self.query.after, self.query.tag) = (page.revision, page.tag.clone());
        (page, size)
    }
}

#[test]
fn a_plan_of_many_keys_changes_as_one_key_does() {
    let number = |text: Result<String, env::VarError>| text.ok().and_then(|text| text.parse().ok());
    let keys = number(env::var("FLAMEGATE_PLAN_KEYS")).unwrap_or(2_000);
    let rounds = number(env::var("FLAMEGATE_PLAN_ROUNDS")).unwrap_or(3);
    let stack = Stack::start("plans", &Plugin::singleton(json!({})));
    let (envoy, control) = (&stack.envoy, &stack.control);
    let limits = json!([{"requests": 1_000_000, "window_seconds": 1}]);
    control.data("POST", "/v1/plans", Some(&json!({"name": "gold", "limits": limits})));
    import(control, keys);
    let own = stack.accepted_key("live");
    eventually("all keys at the gateway", || {
        let there = envoy.metrics().value("flamegate_keys").unwrap_or_default();
        if there == (keys + 1) as f64 { Ok(()) } else { Err(format!("{there} of {keys} keys")) }
    });

    // Side by side: a change of one key, a change of the plan of all others.
    let mut workers = envoy.connection_to_each_worker();
    let own_path = format!("/v1/api-keys/{}", own.id);
    let (mut of_key, mut of_plan) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        of_key.extend(toggle(control, &own_path, &mut workers, &Request::get("/v1/agents").bearer(&own.key)));
        // Another one each time, which the workers may know or not.
        let one = Request::get("/v1/agents").bearer(&key(round * 7_919 % keys));
        of_plan.extend(toggle(control, "/v1/plans/gold", &mut workers, &one));
    }
    let (one, all) = (told("one key", of_key), told(&format!("a plan of {keys} keys"), of_plan));
    println!("the plan took {:.2} times as long as the key", all.as_secs_f64() / one.as_secs_f64());
    assert!(rounds < ENOUGH_ROUNDS || all < one + TICK, "p50 {all:?} for the plan, {one:?} for a key");

    // One revision at the gateway, and with it all keys.
    let revision = Observer::start(control).0.query.after;
    let receipt = control.data("PATCH", "/v1/plans/gold?wait=30s", Some(&restrict(true)))["receipt"].clone();
    assert_eq!((&receipt["enforced"], &receipt["pending"]), (&json!(1), &json!([])), "{receipt}");
    for number in (0..keys).step_by((keys / 500).max(1)) {
        let answer = envoy.send(&Request::get("/v1/agents").bearer(&key(number)));
        assert_eq!(answer.status, 403, "key {number} of {keys} after the receipt");
    }
    let expected = (revision + 1) as f64;
    eventually("the gateway's revision", || {
        let told = envoy.metrics().value("flamegate_revision");
        if told == Some(expected) { Ok(()) } else { Err(format!("{told:?}, not {expected}")) }
    });

    // The same page in bytes, beside that of a key and the whole table.
    let (mut observer, table) = Observer::start(control);
    let revision = observer.query.after;
    control.data("PATCH", "/v1/plans/gold", Some(&restrict(false)));
    let (page, of_plan) = observer.news();
    assert!(!page.reset && !page.more);
    assert_eq!(page.revision, revision + 1);
    assert_eq!((page.upserts.len(), page.removals.len(), page.plans.len()), (0, 0, 1));
    control.data("PATCH", &own_path, Some(&restrict(true)));
    let (page, of_key) = observer.news();
    assert_eq!((page.upserts.len(), page.removals.len(), page.plans.len()), (1, 0, 0));
    println!(
        "on the wire: a change of the plan is one page of {of_plan} bytes, of one key {of_key}; the table is {table}"
    );
}
