//! The case table on the fake host: the same rows that the end-to-end tests send to a real Envoy, here in milliseconds.
//! Each row goes the whole way from serialised header bytes to an outcome, and moves exactly one counter.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test"
)]
#![allow(missing_docs, reason = "a test")]

// The other runner uses the rest.
#[allow(dead_code)]
#[path = "common/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::rc::Rc;

use cases::{
    BYPASS_JSON, Bypass, Case, Expect, GATEWAYS, Gateway, KEY_SOURCES_JSON, KeyKind, RESTRICT_JSON, ROUTES,
    UNKNOWN_KEY,
};
use flamegate::config::{Config, handed_over};
use flamegate::contract::key::{ApiKey, Environment};
use flamegate::contract::page::{Page, Upsert, WireHash};
use flamegate::contract::record::{KeyRecord, Limit, Scope};
use flamegate::decision::metrics::COUNTERS;
use flamegate::decision::reply;
use flamegate::decision::request::{IDENTITY_PREFIX, Request};
use flamegate::decision::sources::{Change, Found};
use flamegate::host::Clock as _;
use flamegate::host::fake::FakeHost;
use flamegate::table::writer::TableWriter;
use flamegate::worker::Worker;
use flamegate::worker::decide::{Outcome, decide};
use flamegate::worker::edits::{Edits, IDENTITY_HEADERS, Pass, identity};

const KEYS: [KeyKind; 8] = [
    KeyKind::Live,
    KeyKind::Test,
    KeyKind::Expired,
    KeyKind::Revoked,
    KeyKind::KeyLimitReached,
    KeyKind::WorkspaceLimitReached,
    KeyKind::Restricted,
    KeyKind::Elsewhere,
];

fn plaintext(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::None => "",
        KeyKind::Unknown => UNKNOWN_KEY,
        KeyKind::Live => "sk_live_filterflow1",
        KeyKind::Test => "sk_test_filterflow2",
        KeyKind::Expired => "sk_live_filterflow3",
        KeyKind::Revoked => "sk_live_filterflow4",
        KeyKind::KeyLimitReached => "sk_live_filterflow5",
        KeyKind::WorkspaceLimitReached => "sk_live_filterflow6",
        KeyKind::Restricted => "sk_live_filterflow8",
        KeyKind::Elsewhere => "sk_live_filterflow9",
    }
}

const NEIGHBOUR: &str = "sk_live_filterflow7";

fn limit(scope: Scope) -> Limit {
    let one = 1.try_into().unwrap();
    Limit { scope, ..Limit::per(one, 600.try_into().unwrap()) }
}

fn upsert(key: &str, workspace: &str, expires_at: Option<u64>, limits: Vec<Limit>) -> Upsert {
    let environment = if key.starts_with("sk_test_") { Environment::Test } else { Environment::Live };
    let hash = ApiKey::from_bytes(key.as_bytes()).unwrap().hash();
    let id = format!("key_{}", &key[8..]);
    let record = KeyRecord { expires_at, limits, ..KeyRecord::new(id, workspace.into(), environment) };
    Upsert { hash: WireHash(hash), record }
}

/// A table with every kind of key, written as the sync writes it.
fn fill_table(host: &FakeHost) {
    let mut upserts = vec![
        upsert(plaintext(KeyKind::Live), "ws_1", None, Vec::new()),
        upsert(plaintext(KeyKind::Test), "ws_1", None, Vec::new()),
        upsert(plaintext(KeyKind::Expired), "ws_1", Some(999), Vec::new()),
        upsert(plaintext(KeyKind::Revoked), "ws_1", None, Vec::new()),
        upsert(plaintext(KeyKind::KeyLimitReached), "ws_1", None, vec![limit(Scope::Key)]),
        upsert(plaintext(KeyKind::WorkspaceLimitReached), "ws_2", None, vec![limit(Scope::Workspace)]),
        upsert(NEIGHBOUR, "ws_2", None, vec![limit(Scope::Workspace)]),
    ];
    for (kind, json) in
        [(KeyKind::Restricted, RESTRICT_JSON), (KeyKind::Elsewhere, r#"{"addresses":["192.0.2.0/24"]}"#)]
    {
        let mut upsert = upsert(plaintext(kind), "ws_1", None, Vec::new());
        upsert.record.restrict = Some(serde_json::from_str(json).unwrap());
        upserts.push(upsert);
    }
    upserts.sort_by_key(|upsert| upsert.hash);
    let page = Page {
        epoch: "e_1".into(),
        revision: 1,
        tag: None,
        more: false,
        reset: true,
        plans: BTreeMap::new(),
        upserts,
        removals: Vec::new(),
    };
    let mut writer = TableWriter::default();
    writer.apply_reset(host, &page, None, host.now()).unwrap();
    let revoked = ApiKey::from_bytes(plaintext(KeyKind::Revoked).as_bytes()).unwrap().hash();
    let revocation =
        Page { revision: 2, reset: false, upserts: Vec::new(), removals: vec![WireHash(revoked)], ..page };
    writer.apply_difference(host, &revocation, host.now()).unwrap();
}

fn gateway(kind: Gateway, shadow: bool) -> (FakeHost, Worker) {
    let environments = if kind == Gateway::LiveOnly { r#"["live"]"# } else { r#"["live","test"]"# };
    let sources = if kind == Gateway::Sources { KEY_SOURCES_JSON } else { r#"[{"bearer":"authorization"}]"# };
    let routes = kind == Gateway::Routes;
    let json = format!(
        r#"{{"sync":{{}},"bypass":{BYPASS_JSON},"environments":{environments},"key_sources":{sources},"shadow":{shadow},"route_settings":{routes}}}"#
    );
    let host = FakeHost::at(1_000);
    host.set_client_address("127.0.0.1:50000");
    if kind != Gateway::Unsynced {
        fill_table(&host);
    }
    let mut worker = Worker::new(Rc::new(Config::parse(json.as_bytes(), |_| None).unwrap()));
    worker.tick(&host);
    for used_up in [plaintext(KeyKind::KeyLimitReached), NEIGHBOUR] {
        let hash = ApiKey::from_bytes(used_up.as_bytes()).unwrap().hash();
        if let Ok(Some(key)) = worker.find(&host, &hash) {
            worker.limiter.admit(&host, key.slots()).unwrap();
        }
    }
    (host, worker)
}

/// All that a row sends.
fn headers(case: &Case) -> Vec<(&'static str, Vec<u8>)> {
    let key = plaintext(case.key);
    let mut headers = vec![(":method", case.method.into()), (":path", case.path_with(key).into_bytes())];
    headers.extend(case.header_lines(key));
    headers.extend(case.authorization_lines(key).into_iter().map(|line| ("authorization", line)));
    headers
}

/// The header map as the host serialises it; values are any bytes.
fn header_map(headers: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let number = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let mut map = number(headers.len()).to_vec();
    for (name, value) in headers {
        map.extend(number(name.len()));
        map.extend(number(value.len()));
    }
    for (name, value) in headers {
        map.extend([name.as_bytes(), &[0][..], value, &[0]].concat());
    }
    map
}

/// What the row's route says, as Envoy hands it over; an error where it cannot.
fn route_settings(case: &Case) -> Result<Option<Vec<u8>>, u32> {
    let says = ROUTES.iter().find(|(path, _)| case.path.starts_with(path));
    says.map(|(_, metadata)| handed_over(&serde_json::from_str(metadata).unwrap()).ok_or(9)).transpose()
}

fn check(case: &Case, host: &FakeHost, worker: &mut Worker) {
    host.set_route_settings(route_settings(case));
    let map = header_map(&headers(case));
    let shadow = worker.config().shadow;
    let sources = worker.config().key_sources.clone();
    let mut found = None;
    let mut request = Request::with_body(case.body.is_some());
    match &sources {
        None => request.read(&map).unwrap(),
        Some(sources) => {
            let found = found.insert(Found::new(sources));
            request.read_with(&map, found).unwrap();
            request.found = Some(found);
        }
    }
    let decision = decide(worker, host, &request);
    let (verdict, reason) = case.expect.counter().unwrap();
    let counter = COUNTERS[decision.counter as usize];
    assert_eq!(counter, format!("flamegate_requests_total.{verdict}.{reason}"), "{}", case.name);
    assert_eq!(decision.shadow, shadow && matches!(case.expect, Expect::Denied(_)), "{}", case.name);
    match (case.expect, decision.outcome) {
        (Expect::Denied(denial), Outcome::Pass(edits)) if shadow => {
            check_shadowed(case, denial, &edits);
            check_removals(case, &edits, true);
        }
        (Expect::Denied(denial), Outcome::Answer(reply)) => check_reply(case, denial, &reply),
        (Expect::Permitted, Outcome::Pass(edits)) => {
            let Pass::Permit(permit) = &edits.pass else { panic!("{}: {:?}", case.name, edits.pass) };
            let workspace = if case.key == KeyKind::WorkspaceLimitReached { "ws_2" } else { "ws_1" };
            let key_id = format!("key_{}", &plaintext(case.key)[8..]);
            let environment = if case.key == KeyKind::Test { "test" } else { "live" };
            assert_eq!(identity(permit.key()), [workspace, &key_id, environment], "{}", case.name);
            check_removals(case, &edits, shadow);
        }
        (Expect::Bypassed(bypass), Outcome::Pass(edits)) => {
            let Pass::Bypass(passed) = &edits.pass else { panic!("{}: {:?}", case.name, edits.pass) };
            let expected = if bypass == Bypass::Path { "path" } else { "preflight" };
            assert_eq!(passed.as_str(), expected, "{}", case.name);
            check_removals(case, &edits, shadow);
        }
        (expected, outcome) => panic!("{}: wanted {expected:?}, got {outcome:?}", case.name),
    }
}

fn check_reply(case: &Case, denial: cases::Denial, reply: &flamegate::decision::reply::Reply) {
    let contract = denial.reply();
    assert_eq!(reply.status, u32::from(contract.status), "{}", case.name);
    assert_eq!(reply.grpc_status, i32::from(contract.grpc_status), "{}", case.name);
    assert_eq!(reply.details, contract.details, "{}", case.name);
    let grpc = case.is_grpc();
    let body = if grpc { contract.message.to_owned() } else { contract.body() };
    assert_eq!(reply.body, body, "{}", case.name);
    assert_eq!(reply.headers.get("grpc-status-details-bin").is_some(), grpc, "{}", case.name);
    for (name, value) in contract.headers.iter().filter(|(name, _)| !grpc || *name != "content-type") {
        let pairs = reply.headers.pairs();
        let found: Vec<&str> = pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| *value).collect();
        let expected = match value {
            Some(value) if *name == "www-authenticate" => case.challenges(value),
            value => vec![value.unwrap_or_else(|| found.first().copied().unwrap_or_default())],
        };
        assert_eq!(found, expected, "{}: {name}", case.name);
    }
}

/// What would be refused passes as it was sent, but for a forged identity, and with what it would be told.
fn check_shadowed(case: &Case, denial: cases::Denial, edits: &Edits<'_>) {
    let Pass::Shadowed(shadowed) = &edits.pass else { panic!("{}: {:?}", case.name, edits.pass) };
    assert_eq!(reply::code(&shadowed.denial), denial.reply().code, "{}", case.name);
    let is_known = matches!(denial.counter().0, "rate_limited" | "forbidden");
    assert_eq!(shadowed.permit.is_some(), is_known, "{}: only a good key has an identity", case.name);
    assert!(!edits.leaves_headers(), "{}", case.name);
}

fn is_identity(name: &[u8]) -> bool {
    let dash = |byte: &u8| if byte.is_ascii_alphanumeric() { *byte } else { b'-' };
    let dashed: Vec<u8> = name.iter().map(dash).collect();
    dashed.starts_with(IDENTITY_PREFIX)
}

/// No identity of the client's, and no credential, may reach the upstream.
fn check_removals(case: &Case, edits: &Edits<'_>, shadow: bool) {
    let removed: Vec<&[u8]> = edits.removals().collect();
    let overwritten = IDENTITY_HEADERS
        .iter()
        .zip(edits.overwritten())
        .filter(|(_, yes)| *yes)
        .map(|(name, _)| name.as_bytes());
    let overwritten: Vec<&[u8]> = overwritten.collect();
    let sent = case.headers.iter().map(|(name, _)| name.as_bytes());
    for name in sent.filter(|name| is_identity(name)) {
        let copies = case.headers.iter().filter(|(other, _)| other.as_bytes() == name).count();
        let safe = removed.contains(&name) || (copies == 1 && overwritten.contains(&name));
        assert!(safe, "{}: {name:?}", case.name);
    }
    if shadow {
        // The API behind has asked for it so far.
        assert!(!removed.contains(&&b"authorization"[..]) && changes(edits).is_empty(), "{}", case.name);
    } else {
        let strips = removed.contains(&&b"authorization"[..]);
        assert_eq!(strips, !case.authorization.is_empty(), "{}", case.name);
        check_arrival(case, edits);
    }
    assert!(IDENTITY_HEADERS.iter().all(|name| name.as_bytes().starts_with(IDENTITY_PREFIX)));
}

fn changes<'a>(edits: &Edits<'a>) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    let all: Result<(), ()> = edits.try_changes(|change| {
        changes.push(change);
        Ok(())
    });
    all.unwrap();
    changes
}

/// No credential is left anywhere, and of what the row names so much as it says.
fn check_arrival(case: &Case, edits: &Edits<'_>) {
    let mut left = headers(case);
    left.retain(|(name, _)| !edits.removals().any(|removed| removed == name.as_bytes()));
    for change in changes(edits) {
        match change {
            Change::Remove(name) => left.retain(|(own, _)| *own != name),
            Change::Set(name, value) => {
                let path = left.iter_mut().find(|(own, _)| *own == name);
                match path {
                    Some((_, own)) => *own = value,
                    None => {
                        let name = case.headers.iter().find(|(own, _)| *own == name).unwrap().0;
                        left.push((name, value));
                    }
                }
            }
        }
    }
    let key = plaintext(case.key).as_bytes();
    let has_key = |value: &[u8]| !key.is_empty() && value.windows(key.len()).any(|part| part == key);
    assert!(!left.iter().any(|(_, value)| has_key(value)), "{}: {left:?}", case.name);
    for (name, expected) in case.arrives.unwrap_or_default() {
        let values: Vec<_> = left
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| String::from_utf8_lossy(value))
            .collect();
        assert_eq!(values, Vec::from_iter(*expected), "{}: {name}", case.name);
    }
}

#[test]
fn every_row_of_the_case_table_holds_on_the_fake_host() {
    let mut rows = 0;
    for kind in GATEWAYS {
        let (host, mut worker) = gateway(kind, false);
        for case in cases::all().filter(|case| case.gateway == kind) {
            check(case, &host, &mut worker);
            rows += 1;
        }
    }
    assert_eq!(rows, cases::all().count());
    assert!(rows > 60, "{rows} rows");
    assert!(
        KEYS.iter().all(|kind| cases::all().any(|case| case.key == *kind)),
        "every kind of key has a row"
    );
}

#[test]
fn in_shadow_every_row_passes_and_is_counted() {
    for kind in GATEWAYS {
        let (host, mut worker) = gateway(kind, true);
        // As if the VM had just started: what is refused would wait for the table.
        worker.hold_since(host.now().monotonic);
        for case in cases::all().filter(|case| case.gateway == kind) {
            check(case, &host, &mut worker);
        }
    }
}

#[test]
fn a_key_in_shadow_passes_over_its_limit_with_its_identity_and_without_its_credential() {
    let host = FakeHost::at(1_000);
    let hash = ApiKey::from_bytes(b"sk_live_filterflow1").unwrap().hash().to_hex();
    let key = format!(
        r#"{{"hash":"{hash}","id":"key_1","workspace":"ws_1","environment":"live","shadow":true,"expires_at":2000,
            "limits":[{{"requests":1,"window_seconds":600}}]}}"#
    );
    let config = Config::parse(format!(r#"{{"static_keys":[{key}]}}"#).as_bytes(), |_| None).unwrap();
    let mut worker = Worker::new(Rc::new(config));
    let map = header_map(&[("authorization", b"Bearer sk_live_filterflow1".to_vec())]);
    let request = Request::from_map(&map).unwrap();
    let mut ask = |host: &FakeHost| {
        let decision = decide(&mut worker, host, &request);
        let (counter, shadow) = (decision.counter as usize, decision.shadow);
        (decision.outcome, COUNTERS[counter], shadow)
    };
    let (Outcome::Pass(edits), counter, false) = ask(&host) else { panic!("a permit") };
    assert!(matches!(edits.pass, Pass::Permit(_)) && counter.ends_with("permitted.key"));
    let (Outcome::Pass(edits), counter, true) = ask(&host) else { panic!("in shadow") };
    assert!(edits.strips() && counter.ends_with("rate_limited.key"));
    let Pass::Shadowed(shadowed) = edits.pass else { panic!("in shadow") };
    assert_eq!(identity(shadowed.permit.unwrap().key()), ["ws_1", "key_1", "live"]);
    // A key that is over is over.
    host.advance_ns(2_000_000_000_000);
    let (Outcome::Answer(reply), _, false) = ask(&host) else { panic!("an answer") };
    assert_eq!(reply.status, 401);
}
