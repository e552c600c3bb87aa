//! Every row of the case table on a real Envoy, over HTTP/1.1 and HTTP/2: the reply to the byte, the headers that reach
//! the upstream, and the one counter that moves.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use flamegate_e2e::{
    Answer, Envoy, Plugin, Protocol, Request, Stack,
    cases::{
        self, Case, Denial, Expect, GATEWAYS, Gateway, KEY_SOURCES_JSON, KeyKind, RESTRICT_JSON, ROUTES,
        Reply, UNKNOWN_KEY,
    },
    control::NewKey,
    envoy::{Upstreams, render, without_guard},
    eventually,
    metrics::Metrics,
    process::free_port,
    upstream::echoed,
};
use serde_json::{Value, json};

/// The gateways of the table and the keys that its rows name.
struct Bench {
    stack: Stack,
    live_only: Envoy,
    unsynced: Envoy,
    sources: Envoy,
    routes: Envoy,
    live: NewKey,
    test: NewKey,
    expired: NewKey,
    revoked: NewKey,
    key_limit: NewKey,
    workspace_limit: NewKey,
    restricted: NewKey,
    elsewhere: NewKey,
}

#[test]
fn names_of_the_rows_are_unique() {
    let mut names = BTreeSet::new();
    for case in cases::all() {
        assert!(names.insert(case.name), "two rows are named {:?}", case.name);
    }
}

#[test]
fn every_row_over_http1() {
    Bench::start("contract-http1").run(Protocol::Http1);
}

#[test]
fn every_row_over_http2() {
    Bench::start("contract-http2").run(Protocol::Http2);
}

impl Bench {
    fn start(name: &str) -> Self {
        let stack = Stack::start(name, &Plugin::singleton(json!({})));
        let live_only = Plugin::singleton(json!({"environments": ["live"]}));
        let live_only = Envoy::start("envoy-live-only", &stack.folder, &live_only, stack.upstreams());
        let nowhere = Upstreams { control: free_port(), ..stack.upstreams() };
        let unsynced = Envoy::start("envoy-unsynced", &stack.folder, &Plugin::singleton(json!({})), nowhere);
        let places: Value = serde_json::from_str(KEY_SOURCES_JSON).expect("places");
        let sources = Plugin::singleton(json!({"key_sources": places}));
        let sources = Envoy::start("envoy-sources", &stack.folder, &sources, stack.upstreams());
        let routes = Plugin::singleton(json!({"route_settings": true}));
        let upstreams = stack.upstreams();
        let routes = Envoy::start_with("envoy-routes", &stack.folder, |ports, log| {
            with_routes(&render(&routes, upstreams, ports, log))
        });
        let control = &stack.control;

        let end = SystemTime::now().duration_since(UNIX_EPOCH).expect("clock after 1970").as_secs() + 2;
        let expired = control.create_key("e2e", "live", json!({"expires_at": end}));
        let once = json!({"requests": 1, "window_seconds": 3600, "burst": 1});
        let key_limit = control.create_key("e2e", "live", json!({"limits": [once]}));
        control.create_workspace("full");
        let shared = json!({"name": "shared", "requests": 1, "window_seconds": 3600, "burst": 1});
        control.bound("full", &json!({"workspace_limits": [shared]}));
        let [workspace_limit, used] =
            [(); 2].map(|()| control.create_key("full", "live", json!({"limits": []})));
        let restrict: serde_json::Value = serde_json::from_str(RESTRICT_JSON).expect("JSON");
        let restricted = control.create_key("e2e", "live", json!({"restrict": restrict}));
        let elsewhere = json!({"restrict": {"addresses": ["192.0.2.0/24"]}});
        let elsewhere = control.create_key("e2e", "live", elsewhere);
        let revoked = stack.accepted_key("live");
        control.revoke(&revoked.id, "30s");
        stack.wait_for_status(&revoked.key, 401);
        let (live, test) = (stack.accepted_key("live"), stack.accepted_key("test"));

        // The one request that these limits have room for.
        for key in [&key_limit, &used] {
            let request = Request::get("/v1/agents").bearer(&key.key);
            eventually("the key is known", || stack.envoy.send(&request).expect_status(200));
        }
        let request = Request::get("/v1/agents").bearer(&expired.key);
        eventually("the key has expired", || stack.envoy.send(&request).expect_status(401));
        // It has all keys once it has the one that was made last before a good one.
        for envoy in [&live_only, &sources, &routes] {
            envoy.wait_for(&Request::get("/v1/agents").bearer(&live.key), 200);
        }
        // A limit is each Envoy's own.
        let request = Request::get("/v1/agents").bearer(&key_limit.key);
        eventually("the key is known", || sources.send(&request).expect_status(200));
        for key in [&key_limit, &used] {
            let request = Request::get("/v1/agents").bearer(&key.key);
            eventually("the key is known", || routes.send(&request).expect_status(200));
        }
        Self {
            stack,
            live_only,
            unsynced,
            sources,
            routes,
            live,
            test,
            expired,
            revoked,
            key_limit,
            workspace_limit,
            restricted,
            elsewhere,
        }
    }

    fn run(&self, protocol: Protocol) {
        let mut failures = Vec::new();
        for gateway in GATEWAYS {
            let envoy = self.envoy(gateway);
            let mut metrics = settled(envoy);
            for case in cases::all().filter(|case| case.gateway == gateway) {
                let outcome = self.check(case, envoy, protocol);
                match check_counters(case, envoy, &metrics) {
                    Ok(after) => metrics = after,
                    Err(failure) => {
                        failures.push(format!("{}: {failure}", case.name));
                        metrics = settled(envoy);
                    }
                }
                failures.extend(outcome.err().map(|failure| format!("{}: {failure}", case.name)));
            }
            assert_eq!(settled(envoy).all_requests(), metrics.all_requests(), "something was counted twice");
        }
        assert!(failures.is_empty(), "{} rows fail:\n{}", failures.len(), failures.join("\n"));
    }

    const fn envoy(&self, gateway: Gateway) -> &Envoy {
        match gateway {
            Gateway::Synced => &self.stack.envoy,
            Gateway::LiveOnly => &self.live_only,
            Gateway::Unsynced => &self.unsynced,
            Gateway::Sources => &self.sources,
            Gateway::Routes => &self.routes,
        }
    }

    fn check(&self, case: &Case, envoy: &Envoy, protocol: Protocol) -> Result<(), String> {
        let key = self.key(case.key);
        let request = to_request(case, key.map_or(UNKNOWN_KEY, |key| &key.key));
        let answer = request.send(protocol, envoy.port)?;
        match case.on_envoy() {
            Expect::Denied(denial) => check_denial(case, denial.reply(), &answer),
            Expect::Permitted => {
                check_arrival(case, key, &answer).and_then(|()| check_nothing_left(case, key, &answer))
            }
            Expect::Bypassed(_) => {
                check_arrival(case, None, &answer).and_then(|()| check_nothing_left(case, key, &answer))
            }
            Expect::BadRequest => answer.expect_status(400).map(drop),
        }
    }

    const fn key(&self, kind: KeyKind) -> Option<&NewKey> {
        match kind {
            KeyKind::None | KeyKind::Unknown => None,
            KeyKind::Live => Some(&self.live),
            KeyKind::Test => Some(&self.test),
            KeyKind::Expired => Some(&self.expired),
            KeyKind::Revoked => Some(&self.revoked),
            KeyKind::KeyLimitReached => Some(&self.key_limit),
            KeyKind::WorkspaceLimitReached => Some(&self.workspace_limit),
            KeyKind::Restricted => Some(&self.restricted),
            KeyKind::Elsewhere => Some(&self.elsewhere),
        }
    }
}

/// `envoy.yaml` without the guard, with the table's routes before the one for everything.
fn with_routes(text: &str) -> String {
    let text = without_guard(text);
    let begin = "                      routes:\n";
    assert!(text.contains(begin), "no routes to add to");
    let route = |(path, metadata): &(&str, &str)| {
        format!(
            "                        - {{ match: {{ prefix: {path} }}, route: {{ cluster: upstream, timeout: 0s }}, metadata: {{ filter_metadata: {{ flamegate: {metadata} }} }} }}\n"
        )
    };
    text.replace(begin, &format!("{begin}{}", ROUTES.iter().map(route).collect::<String>()))
}

fn to_request(case: &Case, key: &str) -> Request {
    let mut request = Request::new(case.method, &case.path_with(key));
    for (name, value) in case.header_lines(key) {
        request = request.header(name, value);
    }
    for line in case.authorization_lines(key) {
        request = request.header("authorization", line);
    }
    request.body = case.body.map(<[u8]>::to_vec);
    request
}

/// The reply of the contract, to the byte.
fn check_denial(case: &Case, reply: &Reply, answer: &Answer) -> Result<(), String> {
    if case.is_grpc() {
        let status = answer.header("grpc-status");
        if answer.status != 200 || status != Some(reply.grpc_status.to_string()) {
            return Err(format!(
                "gRPC status {status:?} (HTTP {}), not {}",
                answer.status, reply.grpc_status
            ));
        }
        let message = answer.all("grpc-message");
        return if message == [reply.message] { Ok(()) } else { Err(format!("gRPC message {message:?}")) };
    }
    if answer.status != reply.status {
        return Err(format!("status {} with {:?}, not {}", answer.status, answer.text(), reply.status));
    }
    let body = if case.method == "HEAD" { String::new() } else { reply.body() };
    if answer.text() != body {
        return Err(format!("body {:?}", answer.text()));
    }
    for (name, value) in reply.headers {
        let found = answer.all(name);
        let challenges = value.filter(|_| *name == "www-authenticate").map(|value| case.challenges(value));
        if challenges.is_some_and(|expected| found == expected) {
            continue;
        }
        if found.len() != 1 || value.is_some_and(|value| found[0] != value) {
            return Err(format!("header {name}: {found:?}, not {value:?}"));
        }
    }
    if reply.status == 429 { check_limit_headers(answer) } else { Ok(()) }
}

/// The limit that was reached, in the form of the IETF draft.
fn check_limit_headers(answer: &Answer) -> Result<(), String> {
    let [policy, state, retry] =
        ["ratelimit-policy", "ratelimit", "retry-after"].map(|name| answer.header(name));
    let (policy, state) = (policy.unwrap_or_default(), state.unwrap_or_default());
    let retry: u64 = retry.unwrap_or_default().parse().map_err(|_| "Retry-After is no number".to_owned())?;
    let name = policy.split(';').next().unwrap_or_default();
    if policy != format!("{name};q=1;w=3600") || state != format!("{name};r=0;t={retry}") {
        return Err(format!("RateLimit-Policy: {policy}; RateLimit: {state}; Retry-After: {retry}"));
    }
    if (1..=3600).contains(&retry) { Ok(()) } else { Err(format!("Retry-After: {retry}")) }
}

/// True for an identity header's name, whatever it is spelled with.
fn is_identity(name: &str) -> bool {
    name.replace(|byte: char| !byte.is_ascii_alphanumeric(), "-").starts_with("x-flametalk-")
}

/// What the upstream got: the identity of `key` or none, no credential, and every other header as it was sent.
fn check_arrival(case: &Case, key: Option<&NewKey>, answer: &Answer) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!("status {} with {:?}", answer.status, answer.text()));
    }
    if case.method == "HEAD" {
        return Ok(());
    }
    let arrived = echoed(answer).ok_or_else(|| format!("not from the upstream: {}", answer.text()))?;
    let values = |name: &str| -> Vec<&[u8]> {
        arrived.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_slice()).collect()
    };
    if !values("authorization").is_empty() {
        return Err("authorization reached the upstream".to_owned());
    }
    let environment = if matches!(case.key, KeyKind::Test) { "test" } else { "live" };
    let identity = key.map_or(vec![], |key| {
        vec![
            ("x-flametalk-environment", environment),
            ("x-flametalk-key-id", key.id.as_str()),
            ("x-flametalk-workspace-id", key.workspace.as_str()),
        ]
    });
    let mut found: Vec<(&str, String)> = arrived
        .iter()
        .filter(|(name, _)| is_identity(name))
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    found.sort();
    if !found.iter().map(|(name, value)| (*name, value.as_str())).eq(identity.iter().copied()) {
        return Err(format!("identity {found:?}, not {identity:?}"));
    }
    if let Some(arrives) = case.arrives {
        // Over HTTP/2 the upstream says all of the address.
        let path = answer.json()["path"]
            .as_str()
            .map(|path| path.trim_start_matches("http://gateway.test").to_owned());
        for (name, expected) in arrives {
            let found: Vec<String> =
                values(name).iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
            let found = if *name == ":path" { path.as_slice() } else { &found };
            if found != expected.as_slice() {
                return Err(format!("{name} reached the upstream as {found:?}, not {expected:?}"));
            }
        }
        return Ok(());
    }
    // Envoy leaves empty lines of some headers out.
    for (name, value) in case.headers.iter().filter(|(name, value)| !is_identity(name) && !value.is_empty()) {
        if !values(name).contains(value) {
            return Err(format!("{name} did not reach the upstream as it was sent"));
        }
    }
    Ok(())
}

/// Nothing that reached the upstream has the key in it.
fn check_nothing_left(case: &Case, key: Option<&NewKey>, answer: &Answer) -> Result<(), String> {
    match key {
        Some(key) if answer.text().contains(&key.key) => {
            Err(format!("{}: the key reached the upstream: {}", case.name, answer.text()))
        }
        _ => Ok(()),
    }
}

/// The metrics once nothing is left to be counted: workers hand their counts over at every tick.
fn settled(gateway: &Envoy) -> Metrics {
    gateway.wait_for_ticks();
    gateway.metrics()
}

/// Exactly one counter moves, by one, and it is the right one. Answers with the metrics afterwards.
fn check_counters(case: &Case, gateway: &Envoy, before: &Metrics) -> Result<Metrics, String> {
    let Some((verdict, reason)) = case.on_envoy().counter() else {
        // Whatever is counted later, the next row or the end of all rows sees it.
        return Ok(before.clone());
    };
    let after = eventually("the request is counted", || {
        let after = gateway.metrics();
        if after.all_requests() > before.all_requests() { Ok(after) } else { Err(case.name.to_owned()) }
    });
    let moved = after.requests(verdict, reason) - before.requests(verdict, reason);
    let all = after.all_requests() - before.all_requests();
    // The control plane may take an expired key out of the table at any time; then it is unknown.
    let late = case.on_envoy() == Expect::Denied(Denial::Expired)
        && after.requests("invalid_api_key", "unknown") > before.requests("invalid_api_key", "unknown");
    if all == 1 && (moved == 1 || late) {
        Ok(after)
    } else {
        Err(format!("{verdict}/{reason} moved by {moved}, all by {all}"))
    }
}
