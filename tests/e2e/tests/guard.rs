//! The guard behind the filter: Envoy goes on without a Wasm filter whose VM it could not make on a worker. And what the filter
//! publishes for it, on every kind of request that passes.

#[path = "guard/faulty.rs"]
mod faulty;

use std::{fs, thread};

use faulty::faulty_module;
use flamegate_e2e::{
    Answer, Envoy, Plugin, Protocol, Request,
    envoy::Upstreams,
    eventually,
    gateway::Gateway,
    process::{Folder, root},
    stack::surroundings,
    upstream::Upstream,
};
use serde_json::{Value, json};

/// SHA-256 of [`KEY`], computed elsewhere.
const HASH: &str = "68eade98c9651b765058d6875a435a2b575b4a2962f1f70d90cd00e1d7a0a14d";
const KEY: &str = "sk_test_staticKeyOfTheEndToEndTests";

/// A filter with one key and a path that needs none, and more fields.
fn filter(more: &Value) -> Value {
    let mut filter = json!({
        "static_keys": [{"hash": HASH, "id": "static_1", "workspace": "ws_1", "environment": "test"}],
        "bypass": [{"path": "/healthz"}],
        "readiness_path": "/.flamegate/ready",
    });
    for (name, value) in more.as_object().expect("an object") {
        filter[name] = value.clone();
    }
    filter
}

fn preflight(path: &str) -> Request {
    let request = Request::new("OPTIONS", path).header("origin", "https://app.example");
    request.header("access-control-request-method", "GET")
}

/// Every kind of request, none of which may reach the upstream. Some say that they are who they are not.
fn all_kinds() -> Vec<Request> {
    let forged = |request: Request| {
        request.header("x-flametalk-key-id", "key_1").header("wasm.flamegate.key_id", "key_1")
    };
    let socket = Request::get("/v1/socket").header("connection", "upgrade").header("upgrade", "websocket");
    vec![
        Request::get("/v1/agents").bearer(KEY),
        forged(Request::get("/v1/agents")),
        Request::get("/v1/events").bearer(KEY),
        Request::get("/healthz"),
        Request::get("/public/a"),
        Request::get("/.flamegate/ready"),
        preflight("/v1/agents"),
        socket.clone(),
        socket.bearer(KEY),
        Request::new("POST", "/v1/agents").bearer(KEY).body("{}"),
        Request::get("/v1/agents").bearer(KEY).header("x-envoy-original-url", "http://gateway.test/v1/x"),
    ]
}

fn assert_refused(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (403, Some("MISCONFIGURED")),
        "{what}: {}",
        answer.text()
    );
    let header = |name| answer.header(name);
    assert_eq!(header("content-type").as_deref(), Some("application/json"), "{what}");
    assert_eq!(header("cache-control").as_deref(), Some("no-store"), "{what}");
}

#[test]
fn without_the_filter_nothing_reaches_the_upstream() {
    let folder = Folder::new("guard");
    let upstream = Upstream::start(&folder);
    let upstreams = Upstreams { upstream: upstream.port, control: 1 };
    let envoy = Envoy::start_without_filter("envoy", &folder, &Plugin::alone(filter(&json!({}))), upstreams);
    for request in all_kinds() {
        assert_refused(&envoy.send(&request), &format!("{} {}", request.method, request.path));
    }
    let answer = envoy.send_by(Protocol::Http2, &Request::get("/v1/agents").bearer(KEY));
    assert_refused(&answer, "HTTP/2");
    let call = Request::new("POST", "/flametalk.v1.Agents/List").header("te", "trailers").bearer(KEY);
    let answer = envoy.send_by(Protocol::Http2, &call.header("content-type", "application/grpc"));
    assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("7")), "{answer:?}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/grpc"));

    let refused = all_kinds().len() + 2;
    let stats = envoy.admin("/stats/prometheus?filter=rq_direct_response").text();
    let counter =
        format!("envoy_http_rq_direct_response{{envoy_http_conn_manager_prefix=\"gateway\"}} {refused}");
    assert!(stats.lines().any(|line| line == counter), "{stats}");
    let lines = eventually("the access log", || {
        let lines = envoy.access_lines();
        if lines.len() == refused { Ok(lines) } else { Err(format!("{lines:?}")) }
    });
    for line in lines {
        assert_eq!(
            (&line["route"], &line["details"]),
            (&json!("flamegate-guard"), &json!("direct_response"))
        );
        assert_eq!(line["key_id"], Value::Null);
    }
}

/// A filter in shadow lets pass what it would refuse; a guard that was not told of it does not.
#[test]
fn a_guard_that_was_not_told_of_shadow_refuses_what_passes_in_it() {
    let folder = Folder::new("guard-shadow");
    let upstream = Upstream::start(&folder);
    let upstreams = Upstreams { upstream: upstream.port, control: 1 };
    let limits = json!([{"requests": 1, "window_seconds": 3600}]);
    let key = json!({"hash": HASH, "id": "static_1", "workspace": "ws_1", "environment": "test", "limits": limits, "shadow": true});
    for shadow in [true, false] {
        let plugin = Plugin::alone(filter(&json!({"shadow": shadow, "static_keys": [key]})));
        let envoy = Envoy::start("envoy", &folder, &plugin, upstreams);
        let good = Request::get("/v1/agents").bearer(KEY);
        assert_eq!(envoy.send(&good).status, 200);
        assert_eq!(envoy.send(&Request::get("/healthz")).status, 200);
        assert_refused(&envoy.send(&good), "over its limit");
        let without = envoy.send(&Request::get("/v1/agents"));
        if shadow { assert_refused(&without, "without a key") } else { assert_eq!(without.status, 401) }
    }
}

/// Two workers, and a module that fails to be configured from the second of them on, or on both.
#[test]
fn a_worker_whose_vm_could_not_be_configured_lets_nothing_through() {
    for (name, successes, wanted) in [("guard-one", 3, [200, 403]), ("guard-both", 2, [403, 403])] {
        let folder = Folder::new(name);
        let upstream = Upstream::start(&folder);
        let upstreams = Upstreams { upstream: upstream.port, control: 1 };
        let mut plugin = Plugin::alone(filter(&json!({})));
        plugin.module = Some(faulty_module(&folder, successes));
        let envoy = Envoy::start("envoy", &folder, &plugin, upstreams);
        let mut connections = envoy.connection_to_each_worker();
        let mut statuses = |request: &Request| {
            let mut statuses: Vec<u16> = connections
                .iter_mut()
                .map(|worker| worker.send(request).expect("an answer").status)
                .collect();
            statuses.sort_unstable();
            statuses
        };
        assert_eq!(statuses(&Request::get("/v1/agents").bearer(KEY)), wanted, "{name}");
        assert_eq!(statuses(&Request::get("/healthz")), wanted, "{name}");
        let without_key = if wanted[0] == 200 { [401, 403] } else { wanted };
        assert_eq!(statuses(&Request::get("/v1/agents")), without_key, "{name}");
    }
}

/// The filter goes with a new listener and comes with the next.
#[test]
fn a_listener_that_is_replaced_by_one_without_the_filter_is_closed() {
    let folder = Folder::new("guard-lds");
    let upstream = Upstream::start(&folder);
    let upstreams = Upstreams { upstream: upstream.port, control: 1 };
    let gateway = Gateway::start(&folder, &Plugin::alone(filter(&json!({}))), upstreams, 0);
    let status = |wanted: u16| {
        eventually("the new listener", || {
            let request = Request::get("/v1/agents").bearer(KEY);
            request.send(Protocol::Http1, gateway.envoy.port)?.expect_status(wanted)
        })
    };
    status(200);
    let mut with_filter = String::new();
    gateway.reload(|text| {
        with_filter.clone_from(&text);
        let begin = text.find("                  - name: flamegate\n").expect("the filter");
        let end = text.find("                  - name: envoy.filters.http.router").expect("the router");
        format!("{}{}", &text[..begin], &text[end..])
    });
    assert_refused(&status(403), "without the filter");
    gateway.reload(|_| with_filter);
    status(200);
}

/// The host looks for the route again only where a header changes: the filter has to see to it where none does.
#[test]
fn what_passes_without_a_changed_header_finds_its_route() {
    let folder = Folder::new("guard-unchanged");
    let upstream = Upstream::start(&folder);
    let upstreams = Upstreams { upstream: upstream.port, control: 1 };
    let unchanged = json!({"identity_headers": false, "forward_authorization": true});
    let envoy = Envoy::start("envoy", &folder, &Plugin::alone(filter(&unchanged)), upstreams);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for request in
            [Request::get("/v1/agents").bearer(KEY), Request::get("/healthz"), preflight("/v1/agents")]
        {
            let answer = envoy.send_by(protocol, &request);
            assert_eq!(answer.status, 200, "{} {}: {}", request.method, request.path, answer.text());
        }
        assert_eq!(envoy.send_by(protocol, &Request::get("/v1/agents")).status, 401);
    }
}

/// The same for a request that has waited for the first table: it goes on from a tick, not from a callback of its own.
#[test]
fn what_has_waited_without_a_changed_header_finds_its_route() {
    let (folder, upstream, mut control) = surroundings("guard-waited");
    let key = control.create_key("e2e", "live", json!({}));
    control.stop();
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let unchanged =
        json!({"identity_headers": false, "forward_authorization": true, "start_hold_ms": 60_000});
    let envoy = Envoy::start("envoy", &folder, &Plugin::singleton(unchanged), upstreams);
    let port = envoy.port;
    let waiting =
        thread::spawn(move || Request::get("/v1/agents").bearer(&key.key).send(Protocol::Http1, port));
    eventually("it waits", || match envoy.metrics().value("flamegate_held_requests_total") {
        Some(count) if count >= 1.0 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    control.start();
    assert_eq!(waiting.join().expect("the client").expect("an answer").status, 200);
}

/// The access log tells whose request was refused, if it is asked to; and no refusal has what a guard wants to see.
#[test]
fn refusals_name_the_key_in_the_log_and_nowhere_that_a_guard_looks() {
    let folder = Folder::new("guard-denied");
    let upstream = Upstream::start(&folder);
    let upstreams = Upstreams { upstream: upstream.port, control: 1 };
    // SHA-256 of each, computed elsewhere.
    let keys = [
        (
            "sk_live_guardGood",
            "good",
            "live",
            "dd1215c2b33ad1a01bfd249d2f6e29ff85efa569639db91afce25149d8d1d194",
        ),
        (
            "sk_live_guardLimited",
            "limited",
            "live",
            "f986da508d375e488bdc2779dde2c890f0cb97f4054d56f5c925525579d50a0f",
        ),
        (
            "sk_live_guardExpired",
            "expired",
            "live",
            "82ba8df3864170c6146aebafcc392977c17bb2018b787139d611aeb9411d850b",
        ),
        (KEY, "foreign", "test", HASH),
    ];
    let records = keys.map(|(_, id, environment, hash)| {
        let mut record = json!({"hash": hash, "id": id, "workspace": "ws_1", "environment": environment});
        match id {
            "limited" => record["limits"] = json!([{"requests": 1, "window_seconds": 36_000, "burst": 1}]),
            "expired" => record["expires_at"] = json!(1),
            _ => {}
        }
        record
    });
    let filter = json!({"static_keys": records, "environments": ["live"],
        "filter_state": ["key_id", "workspace_id", "environment", "denied"]});
    let envoy = Envoy::start("envoy", &folder, &Plugin::alone(filter), upstreams);
    let [good, limited, expired, foreign] = keys.map(|(key, ..)| key);
    for (path, key, status, denied) in [
        ("/good", good, 200, None),
        ("/first", limited, 200, None),
        ("/second", limited, 429, Some("key;limited")),
        ("/expired", expired, 401, Some("expired;expired")),
        ("/foreign", foreign, 401, Some("environment;foreign")),
        ("/unknown", "sk_live_nobody", 401, None),
        ("/malformed", "x", 401, None),
    ] {
        let forged = Request::get(path).bearer(key).header("x-flametalk-workspace-id", "ws_forged");
        assert_eq!(envoy.send(&forged).status, status, "{path}");
        let line = eventually("its line", || {
            let lines = envoy.access_lines();
            lines.into_iter().find(|line| line["path"] == path).ok_or_else(|| path.to_owned())
        });
        assert_eq!(line["denied"], json!(denied), "{line}");
        assert_eq!(line["key_id"].is_string(), status == 200, "{line}");
        assert_eq!(line["workspace_id"], if status == 200 { json!("ws_1") } else { Value::Null }, "{line}");
    }
}

/// Guards know what is there on a permit alone: nothing else of the filter's stands where one matches.
#[test]
fn no_guard_of_ours_looks_at_a_refusal() {
    let folders =
        ["envoy", "envoy/recipes", "envoy/istio/base", "envoy/istio/sidecar", "envoy/envoy-gateway"];
    let mut guards = 0;
    for folder in folders {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            for line in text.lines().filter(|line| line.contains("key: wasm.flamegate.")) {
                guards += 1;
                let known = ["key_id", "bypass", "workspace_id"];
                let after = line.split("key: wasm.flamegate.").nth(1).expect("a name");
                assert!(known.iter().any(|name| after.starts_with(name)), "{}: {line}", path.display());
            }
        }
    }
    assert!(guards > 20, "{guards}");
}
