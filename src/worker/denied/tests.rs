//! Which refusals have a key to name, on the fake host.

use super::*;
use crate::config::Config;
use crate::contract::key::ApiKey;
use crate::decision::headers::serialize_map;
use crate::host::fake::FakeHost;
use crate::worker::decide::{Outcome, decide};

const KEY: &str = "sk_live_denied";

/// A worker that accepts live keys, and knows one of each environment.
fn worker(more: &str) -> Worker {
    let record = |key: &str, id: &str, environment: &str| {
        let hash = ApiKey::from_bytes(key.as_bytes()).unwrap().hash().to_hex();
        format!(
            r#"{{"hash": "{hash}", "id": "{id}", "workspace": "ws_1", "environment": "{environment}", "expires_at": 2000,
                "limits": [{{"requests": 1, "window_seconds": 600, "burst": 1{more}}}]}}"#
        )
    };
    let keys = [record(KEY, "key_1", "live"), record("sk_test_denied", "key_2", "test")].join(",");
    let json = format!(r#"{{"static_keys": [{keys}], "environments": ["live"]}}"#);
    Worker::new(Rc::new(Config::parse(json.as_bytes(), |_| None).unwrap()))
}

/// What the log gets of a request with this value, which is refused.
fn ask(worker: &mut Worker, host: &FakeHost, authorization: &str) -> Option<String> {
    let headers = [(":method", "GET"), (":path", "/a"), ("authorization", authorization)];
    let map = serialize_map(headers.iter().copied());
    let request = Request::from_map(&map).unwrap();
    let decision = decide(worker, host, &request);
    assert!(matches!(decision.outcome, Outcome::Answer(_)), "{authorization} passed");
    denied(worker, host, &request, decision.counter)
}

/// Uses the limit up.
fn use_up(worker: &mut Worker, host: &FakeHost) {
    let authorization = format!("Bearer {KEY}");
    let headers = [(":method", "GET"), (":path", "/a"), ("authorization", authorization.as_str())];
    let map = serialize_map(headers.iter().copied());
    assert!(matches!(decide(worker, host, &Request::from_map(&map).unwrap()).outcome, Outcome::Pass(_)));
}

#[test]
fn a_used_up_limit_names_the_key_and_whose_limit_it_is() {
    for (scope, text) in [("key", "key;key_1"), ("workspace", "workspace;key_1")] {
        let (host, mut worker) = (FakeHost::at(1_000), worker(&format!(r#", "scope": "{scope}""#)));
        use_up(&mut worker, &host);
        assert_eq!(ask(&mut worker, &host, &format!("Bearer {KEY}")).as_deref(), Some(text));
    }
}

#[test]
fn an_expired_key_is_named_whether_it_was_used_before_or_not() {
    let (host, mut worker) = (FakeHost::at(3_000), worker(""));
    assert_eq!(ask(&mut worker, &host, &format!("Bearer {KEY}")).as_deref(), Some("expired;key_1"));
    let (host, mut worker) = (FakeHost::at(1_999), self::worker(""));
    use_up(&mut worker, &host);
    host.advance_ns(2_000_000_000);
    assert_eq!(ask(&mut worker, &host, &format!("Bearer {KEY}")).as_deref(), Some("expired;key_1"));
}

#[test]
fn a_key_of_another_environment_is_named_if_it_is_one() {
    let (host, mut worker) = (FakeHost::at(1_000), worker(""));
    assert_eq!(ask(&mut worker, &host, "Bearer sk_test_denied").as_deref(), Some("environment;key_2"));
    assert_eq!(ask(&mut worker, &host, "Bearer sk_test_nobody"), None);
}

#[test]
fn nobody_is_named_where_no_key_is_known() {
    let (host, mut worker) = (FakeHost::at(1_000), worker(""));
    for authorization in ["Bearer sk_live_nobody", "Bearer x", "Basic x", "Bearer", "Bearer sk_live_denied,x"]
    {
        assert_eq!(ask(&mut worker, &host, authorization), None, "{authorization}");
    }
}
