//! The second pass of a redirected request, decided on the fake host.

use std::rc::Rc;

use super::*;
use crate::config::Config;
use crate::contract::key::ApiKey;
use crate::decision::headers::serialize_map;
use crate::decision::metrics::Counter;
use crate::host::fake::FakeHost;
use crate::worker::decide::{Decision, Outcome, decide};
use crate::worker::edits::Pass;

const KEY: &str = "sk_live_redirected";

fn worker(more: &str) -> Worker {
    worker_with("", more)
}

/// `key`: more fields of the key.
fn worker_with(key: &str, more: &str) -> Worker {
    let of_key = key;
    let hash = ApiKey::from_bytes(KEY.as_bytes()).unwrap().hash();
    let limit = r#"{"requests": 1, "window_seconds": 600, "burst": 1}"#;
    let key = format!(
        r#"{{"hash": "{}", "id": "key_1", "workspace": "ws_1", "environment": "live", "expires_at": 2000, "limits": [{limit}] {of_key}}}"#,
        hash.to_hex()
    );
    let json = format!(r#"{{"static_keys": [{key}], "bypass": [{{"path": "/open"}}] {more}}}"#);
    Worker::new(Rc::new(Config::parse(json.as_bytes(), |_| None).unwrap()))
}

fn hash() -> KeyHash {
    ApiKey::from_bytes(KEY.as_bytes()).unwrap().hash()
}

const ON: &str = r#", "internal_redirects": true"#;

fn map(path: &str, headers: &[(&'static str, &'static str)]) -> Vec<u8> {
    let pseudo = [(":method", "GET"), (":path", path)];
    serialize_map(pseudo.into_iter().chain(headers.iter().copied()))
}

const CLAIM: (&str, &str) = ("x-envoy-original-url", "http://gateway.test/first");
const CREDENTIAL: (&str, &str) = ("authorization", "Bearer sk_live_redirected");

/// The counter that moves, the key id if there is one, and whether the key is noted.
fn outcome(decision: &Decision<'_>) -> (Counter, Option<String>, bool) {
    match &decision.outcome {
        Outcome::Pass(edits) => {
            let id = match &edits.pass {
                Pass::Permit(permit) | Pass::Returned(permit) => Some(permit.key().record().id.clone()),
                Pass::Bypass(_) | Pass::Shadowed(_) => None,
            };
            (decision.counter, id, edits.notes_key)
        }
        Outcome::Answer(_) | Outcome::Hold | Outcome::Await(_) => (decision.counter, None, false),
    }
}

fn ask(
    worker: &mut Worker,
    host: &FakeHost,
    path: &str,
    headers: &[(&'static str, &'static str)],
) -> (Counter, Option<String>, bool) {
    let map = map(path, headers);
    let request = Request::from_map(&map).unwrap();
    outcome(&decide(worker, host, &request))
}

#[test]
fn a_noted_key_is_admitted_again_and_its_limit_is_not_taken_again() {
    let (host, mut worker) = (FakeHost::at(1_000), worker(ON));
    let id = Some("key_1".to_owned());
    assert_eq!(ask(&mut worker, &host, "/a", &[CREDENTIAL]), (Counter::PermittedKey, id.clone(), true));
    host.set_note(Some(&note(&hash())));
    for path in ["/b", "/c"] {
        let again = ask(&mut worker, &host, path, &[CLAIM]);
        assert_eq!(again, (Counter::PermittedRedirected, id.clone(), false));
    }
    // The credential of the first pass may still be there, with `forward_authorization`.
    let again = ask(&mut worker, &host, "/b", &[CLAIM, CREDENTIAL]);
    assert_eq!(again, (Counter::PermittedRedirected, id, false));
    host.set_note(None);
    assert_eq!(ask(&mut worker, &host, "/a", &[CREDENTIAL]).0, Counter::RateLimitedKey);
}

#[test]
fn without_the_option_nothing_is_noted_and_no_note_counts() {
    let (host, mut worker) = (FakeHost::at(1_000), worker(""));
    assert!(!ask(&mut worker, &host, "/a", &[CREDENTIAL]).2);
    host.set_note(Some(&note(&hash())));
    assert_eq!(ask(&mut worker, &host, "/b", &[CLAIM]), (Counter::UnauthorizedRedirected, None, false));
}

#[test]
fn a_note_counts_only_where_it_is_whole_and_the_request_is_redirected() {
    let (host, mut worker) = (FakeHost::at(1_000), worker(ON));
    // A client's claim, and nothing else.
    assert_eq!(ask(&mut worker, &host, "/a", &[CLAIM]).0, Counter::UnauthorizedRedirected);
    let whole = note(&hash());
    let mut other_version = whole;
    other_version[0] = 2;
    for bytes in [&b""[..], b"\x01", &whole[..32], &[&whole[..], b"x"].concat(), &other_version] {
        host.set_note(Some(bytes));
        assert_eq!(ask(&mut worker, &host, "/a", &[CLAIM]).0, Counter::UnauthorizedRedirected, "{bytes:?}");
    }
    host.set_note(Some(&whole));
    assert_eq!(ask(&mut worker, &host, "/a", &[]).0, Counter::UnauthorizedMissing);
    host.set_note(Some(&note(&KeyHash([7; 32]))));
    assert_eq!(ask(&mut worker, &host, "/a", &[CLAIM]).0, Counter::InvalidUnknown);
}

#[test]
fn the_key_is_checked_again_by_this_filters_rules() {
    let host = FakeHost::at(1_000);
    host.set_note(Some(&note(&hash())));
    let mut test_only = worker(r#", "internal_redirects": true, "environments": ["test"]"#);
    assert_eq!(ask(&mut test_only, &host, "/b", &[CLAIM]).0, Counter::InvalidEnvironment);
    let mut worker = worker(ON);
    assert_eq!(ask(&mut worker, &host, "/open", &[CLAIM]), (Counter::BypassedPath, None, false));
    host.advance_ns(1_000_000_000_000);
    assert_eq!(ask(&mut worker, &host, "/b", &[CLAIM]).0, Counter::InvalidExpired);
}

/// As if the client had followed the redirect itself.
#[test]
fn a_redirect_leads_nowhere_where_the_key_may_not_be_used() {
    let host = FakeHost::at(1_000);
    let mut worker = worker_with(r#", "restrict": {"paths": ["/a", "/b"]}"#, ON);
    assert_eq!(ask(&mut worker, &host, "/a", &[CREDENTIAL]).0, Counter::PermittedKey);
    host.set_note(Some(&note(&hash())));
    assert_eq!(ask(&mut worker, &host, "/b", &[CLAIM]).0, Counter::PermittedRedirected);
    assert_eq!(ask(&mut worker, &host, "/c", &[CLAIM]), (Counter::ForbiddenPath, None, false));
}
