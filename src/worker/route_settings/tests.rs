//! Routes that say what requests cost and whose keys they are for, from header bytes to the verdict.

use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::config::{Config, handed_over};
use crate::contract::key::ApiKey;
use crate::decision::headers::serialize_map;
use crate::decision::metrics::Counter;
use crate::decision::reply::Reply;
use crate::decision::request::Request;
use crate::host::fake::FakeHost;
use crate::worker::decide::{Outcome, decide};
use crate::worker::internal_redirect;

const LIVE: &str = "sk_live_route";
const TEST: &str = "sk_test_route";

struct Gateway {
    host: FakeHost,
    worker: Worker,
}

impl Gateway {
    /// Ten requests in ten seconds for each of two keys. `more` fields of the configuration, and of the keys.
    fn new(more: &str, of_keys: &str) -> Self {
        let key = |key: &str, environment: &str| {
            let hash = ApiKey::from_bytes(key.as_bytes()).unwrap().hash().to_hex();
            let limit = r#"{"requests":10,"window_seconds":10,"burst":10}"#;
            format!(
                r#"{{"hash":"{hash}","id":"key_{environment}","workspace":"ws_1","environment":"{environment}","limits":[{limit}]{of_keys}}}"#
            )
        };
        let keys = [key(LIVE, "live"), key(TEST, "test")].join(",");
        let json = format!(r#"{{"bypass":[{{"path":"/open"}}],"static_keys":[{keys}]{more}}}"#);
        let config = Config::parse(json.as_bytes(), |_| None).unwrap();
        Self { host: FakeHost::at(1_000), worker: Worker::new(Rc::new(config)) }
    }

    fn on() -> Self {
        Self::new(r#","route_settings":true"#, "")
    }

    fn route(&self, metadata: &Value) {
        self.host.set_route_settings(handed_over(metadata).map(Some).ok_or(9));
    }

    fn costs(&self, cost: u32) {
        self.route(&json!({"cost": cost}));
    }

    fn ask_for(&mut self, key: &str, path: &str) -> (Counter, Option<Reply>, bool) {
        let value = format!("Bearer {key}");
        let credential = (!key.is_empty()).then_some(("authorization", value.as_str()));
        let redirected = key.is_empty().then_some(("x-envoy-original-url", "http://gateway.test/"));
        let headers = [(":method", "GET"), (":path", path)];
        let map = serialize_map(headers.into_iter().chain(credential).chain(redirected));
        let request = Request::from_map(&map).unwrap();
        let decision = decide(&mut self.worker, &self.host, &request);
        let shadow = decision.shadow;
        match decision.outcome {
            Outcome::Answer(reply) => (decision.counter, Some(reply), shadow),
            _ => (decision.counter, None, shadow),
        }
    }

    fn ask(&mut self, key: &str) -> Counter {
        self.ask_for(key, "/v1/agents").0
    }
}

#[test]
fn a_route_says_what_its_requests_cost() {
    let mut gateway = Gateway::on();
    gateway.costs(4);
    assert_eq!([(); 2].map(|()| gateway.ask(LIVE)), [Counter::PermittedKey; 2]);
    let (counter, reply, _) = gateway.ask_for(LIVE, "/v1/agents");
    assert_eq!(counter, Counter::RateLimitedKey);
    let headers = reply.unwrap().headers;
    assert_eq!(headers.get("retry-after"), Some("2"));
    assert_eq!(headers.get("ratelimit"), Some("\"default\";r=2;t=2"), "two are left, and too few");
    gateway.host.set_route_settings(Ok(None));
    assert_eq!([(); 2].map(|()| gateway.ask(LIVE)), [Counter::PermittedKey; 2], "another route");
    assert_eq!(gateway.ask(LIVE), Counter::RateLimitedKey);
    gateway.costs(0);
    assert_eq!([(); 20].map(|()| gateway.ask(LIVE)), [Counter::PermittedKey; 20]);
    assert_eq!(gateway.ask("sk_live_nobody"), Counter::InvalidUnknown, "free, and for good keys");
    gateway.costs(1_000);
    assert_eq!(gateway.ask(TEST), Counter::PermittedKey, "more than the burst counts as the burst");
    assert_eq!(gateway.ask(TEST), Counter::RateLimitedKey);
    gateway.host.advance_ns(10_000_000_000);
    assert_eq!(gateway.ask(TEST), Counter::PermittedKey);
}

#[test]
fn a_route_says_whose_keys_it_is_for() {
    let mut gateway = Gateway::on();
    gateway.route(&json!({"environments": ["live"]}));
    for _ in 0..3 {
        assert_eq!(gateway.ask(LIVE), Counter::PermittedKey);
        let (counter, reply, _) = gateway.ask_for(TEST, "/v1/agents");
        assert_eq!((counter, reply.unwrap().status), (Counter::InvalidEnvironment, 401));
    }
    // What the gateway does not accept no route opens.
    let mut gateway = Gateway::new(r#","route_settings":true,"environments":["live"]"#, "");
    gateway.route(&json!({"environments": ["test"]}));
    assert_eq!([LIVE, TEST].map(|key| gateway.ask(key)), [Counter::InvalidEnvironment; 2]);
}

#[test]
fn what_cannot_be_read_closes_the_route_and_takes_nothing() {
    let mut gateway = Gateway::on();
    for metadata in [
        json!({"costs": 2}),
        json!({"cost": "2"}),
        json!({"cost": -1}),
        json!({"environments": [], "cost": 0}),
        json!({"cost": null}),
    ] {
        gateway.route(&metadata);
        for _ in 0..2 {
            let (counter, reply, _) = gateway.ask_for(LIVE, "/v1/agents");
            assert_eq!((counter, reply.unwrap().status), (Counter::UnavailableRouteSettings, 503));
        }
    }
    assert_eq!(gateway.ask("sk_live_nobody"), Counter::InvalidUnknown);
    gateway.costs(10);
    assert_eq!(gateway.ask(LIVE), Counter::PermittedKey, "the whole burst is there");
}

#[test]
fn nobody_is_asked_about_routes_while_that_is_off_or_no_key_was_accepted() {
    let mut off = Gateway::new("", "");
    off.costs(100);
    assert_eq!([(); 10].map(|()| off.ask(LIVE)), [Counter::PermittedKey; 10]);
    assert_eq!(off.host.settings_asked(), 0);
    let mut on = Gateway::on();
    on.route(&json!({"nonsense": ""}));
    for key in ["", "sk_live_nobody", "not a key"] {
        on.ask(key);
    }
    assert_eq!(on.ask_for(LIVE, "/open").0, Counter::BypassedPath);
    assert_eq!(on.host.settings_asked(), 0);
    on.ask(LIVE);
    assert_eq!(on.host.settings_asked(), 1, "once for a request");
}

#[test]
fn in_shadow_nobody_has_an_identity_who_may_not_be_there() {
    let mut filter = Gateway::new(r#","route_settings":true,"shadow":true"#, "");
    filter.route(&json!({"environments": ["live"]}));
    assert_eq!(filter.ask_for(TEST, "/"), (Counter::InvalidEnvironment, None, true));
    filter.route(&json!({"costs": 1}));
    assert_eq!(filter.ask_for(LIVE, "/"), (Counter::UnavailableRouteSettings, None, true));
    filter.costs(11);
    assert_eq!(filter.ask_for(LIVE, "/"), (Counter::PermittedKey, None, false));
    assert_eq!(filter.ask_for(LIVE, "/"), (Counter::RateLimitedKey, None, true));
    // A key in shadow is not held to its limits, and opens no route that is for others.
    let mut keys = Gateway::new(r#","route_settings":true"#, r#","shadow":true"#);
    keys.costs(11);
    assert_eq!(keys.ask_for(TEST, "/"), (Counter::PermittedKey, None, false));
    assert_eq!(keys.ask_for(TEST, "/"), (Counter::RateLimitedKey, None, true));
    keys.route(&json!({"environments": ["live"]}));
    assert!(matches!(keys.ask_for(TEST, "/"), (Counter::InvalidEnvironment, Some(_), false)));
}

#[test]
fn a_redirected_request_takes_nothing_more_and_gets_to_no_route_that_is_for_others() {
    let mut gateway = Gateway::new(r#","route_settings":true,"internal_redirects":true"#, "");
    gateway.costs(10);
    assert_eq!(gateway.ask(TEST), Counter::PermittedKey);
    let hash = ApiKey::from_bytes(TEST.as_bytes()).unwrap().hash();
    gateway.host.set_note(Some(&internal_redirect::note(&hash)));
    assert_eq!(gateway.ask(""), Counter::PermittedRedirected);
    gateway.route(&json!({"environments": ["live"]}));
    assert_eq!(gateway.ask(""), Counter::InvalidEnvironment);
    gateway.route(&json!({"costs": 1}));
    assert_eq!(gateway.ask(""), Counter::UnavailableRouteSettings);
}
