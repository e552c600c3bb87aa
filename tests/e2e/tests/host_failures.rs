//! Host calls that fail: Envoy's own `capability_restriction_config` takes them away from the filter, one at a time. Whatever is
//! missing, the answer is a refusal.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flamegate_e2e::{
    Control, Envoy, Plugin, Request,
    envoy::{Upstreams, render, without_guard},
    eventually,
    http1::{Connection, encode},
    process::{Folder, root},
    upstream::Upstream,
};
use serde_json::{Value, json};
use walrus::Module;

/// SHA-256 of [`KEY`], computed elsewhere.
const HASH: &str = "68eade98c9651b765058d6875a435a2b575b4a2962f1f70d90cd00e1d7a0a14d";
const KEY: &str = "sk_test_staticKeyOfTheEndToEndTests";

/// A line of the filter's in `envoy.yaml`, behind which others may stand.
const OWN_FIELD: &str = "                        root_id: flamegate\n";

/// One gateway that knows one key, whose filter may call everything but this.
struct Restricted {
    envoy: Envoy,
    _upstream: Upstream,
    _folder: Folder,
}

impl Restricted {
    fn start(name: &'static str, denied: &[&str], limits: Value) -> Self {
        let record = json!({"hash": HASH, "id": "static_1", "workspace": "ws_1", "environment": "test", "limits": limits});
        let bypass = json!([{"path": "/healthz"}]);
        Self::with(name, denied, json!({"static_keys": [record], "bypass": bypass}))
    }

    fn with(name: &'static str, denied: &[&str], filter: Value) -> Self {
        Self::changed(name, denied, filter, 1, |text| text)
    }

    /// The same with a control plane at this port, and a change to `envoy.yaml`.
    fn changed(
        name: &'static str,
        denied: &[&str],
        filter: Value,
        control: u16,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let folder = Folder::new(name);
        let upstream = Upstream::start(&folder);
        let upstreams = Upstreams { upstream: upstream.port, control };
        let plugin = Plugin::alone(filter);
        let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
            let own = OWN_FIELD;
            let allowed =
                format!("{own}                        capability_restriction_config: {}\n", allowed(denied));
            let text = render(&plugin, upstreams, ports, log);
            assert!(text.contains(own));
            change(text.replacen(own, &allowed, 1))
        });
        Self { envoy, _upstream: upstream, _folder: folder }
    }

    fn ask(&self, path: &str) -> flamegate_e2e::Answer {
        self.envoy.send(&Request::get(path).bearer(KEY))
    }

    /// Nothing passes, with a key, without one, and on a path that needs none.
    fn assert_closed(&self, about: &str) {
        for request in
            [Request::get("/v1/agents").bearer(KEY), Request::get("/v1/agents"), Request::get("/healthz")]
        {
            let answer = self.envoy.send(&request);
            assert_eq!(
                (answer.status, answer.code().as_deref()),
                (503, Some("UNAVAILABLE")),
                "{about}: {}",
                answer.text()
            );
        }
    }
}

/// Everything that the module imports and exports, but not what is denied.
fn allowed(denied: &[&str]) -> Value {
    let module =
        Module::from_file(root().join("dist/flamegate.wasm")).expect("dist/flamegate.wasm: run `make build`");
    let imports = module.imports.iter().map(|import| import.name.clone());
    let names = imports.chain(module.exports.iter().map(|export| export.name.clone()));
    let allowed: serde_json::Map<String, Value> =
        names.filter(|name| !denied.contains(&name.as_str())).map(|name| (name, json!({}))).collect();
    assert!(denied.iter().all(|name| module.imports.iter().any(|import| import.name == *name)), "{denied:?}");
    json!({"allowed_capabilities": allowed})
}

#[test]
fn a_host_call_that_fails_is_a_503_and_never_a_pass() {
    let whole = Restricted::start("nothing-denied", &[], json!([]));
    assert_eq!(whole.ask("/v1/agents").status, 200, "nothing is denied");
    for denied in [
        "proxy_get_header_map_pairs",
        "proxy_remove_header_map_value",
        "proxy_add_header_map_value",
        "proxy_set_property",
    ] {
        let restricted = Restricted::start("denied", &[denied], json!([]));
        for _ in 0..4 {
            let answer = restricted.ask("/v1/agents");
            assert_eq!(
                (answer.status, answer.code().as_deref()),
                (503, Some("UNAVAILABLE")),
                "{denied}: {}",
                answer.text()
            );
        }
        eventually("the counter", || {
            let metrics = restricted.envoy.metrics();
            let (internal, permitted) =
                (metrics.requests("unavailable", "internal"), metrics.requests("permitted", "key"));
            if (internal, permitted) == (4, 0) {
                Ok(())
            } else {
                Err(format!("{denied}: {internal} {permitted}"))
            }
        });
    }
}

/// The filter alone, without the guard behind it. With this setting the host takes StopIteration at its word: headers are held until the first byte of a body comes. Only an
/// answer ends a request then, and where it cannot be sent nothing would hold the body but StopAllIterationAndWatermark.
#[test]
fn a_request_that_stops_goes_nowhere_whatever_comes_behind_its_headers() {
    let change = |text: String| {
        let stops = format!("{OWN_FIELD}                        allow_on_headers_stop_iteration: true\n");
        without_guard(&text).replacen(OWN_FIELD, &stops, 1)
    };
    for denied in [&[][..], &["proxy_send_local_response"]] {
        let filter = json!({"static_keys": [{"hash": HASH, "id": "static_1", "workspace": "ws_1", "environment": "test"}]});
        let restricted = Restricted::changed("stops", denied, filter, 1, change);
        let stat = |name: &str| {
            let text = restricted.envoy.admin(&format!("/stats?filter=^{name}$")).text();
            text.trim().rsplit_once(": ").and_then(|(_, count)| count.parse::<u64>().ok()).expect("a number")
        };
        let mut sent = 0;
        for (key, requests) in [("", 1), ("sk_live_nobody", 2)] {
            let chunks = "transfer-encoding";
            let request = Request::new("POST", "/v1/agents").bearer(key).header(chunks, "chunked");
            let mut connection = Connection::open(restricted.envoy.port).expect("connection");
            connection.send_bytes(&encode(&request)).expect("headers");
            eventually("the headers are there", || match stat("http.gateway.downstream_rq_total") {
                count if count == requests => Ok(()),
                count => Err(count.to_string()),
            });
            let head = encode(&request).len() as u64;
            // An answered request may be closed by now, which is as good.
            let body = format!("1000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x1000));
            let whole = connection.send_bytes(body.as_bytes()).is_ok() && !denied.is_empty();
            sent += head + if whole { body.len() as u64 } else { 0 };
            eventually("what was sent is read", || match stat("http.gateway.downstream_cx_rx_bytes_total") {
                count if count >= sent => Ok(()),
                count => Err(format!("{count} of {sent}")),
            });
            drop(connection);
            eventually("the connection is gone", || match stat("http.gateway.downstream_cx_active") {
                0 => Ok(()),
                count => Err(count.to_string()),
            });
            assert_eq!(stat("cluster.upstream.upstream_rq_total"), 0, "{denied:?} {key:?}");
            assert_eq!(stat("cluster.upstream.upstream_cx_total"), 0, "{denied:?} {key:?}");
        }
        assert_eq!(restricted.ask("/v1/agents").status, 200, "a good key passes all the same");
    }
}

#[test]
fn a_filter_that_cannot_decide_refuses_everything() {
    for (denied, missing) in [
        ("proxy_set_tick_period_milliseconds", "ticks"),
        ("proxy_get_current_time_nanoseconds", "clocks"),
        ("clock_time_get", "clocks"),
        ("proxy_set_effective_context", "other contexts"),
    ] {
        let restricted = Restricted::start("missing", &[denied], json!([]));
        restricted.assert_closed(denied);
        let log = restricted.envoy.log();
        assert!(log.contains(&format!("no {missing}, every request is refused")), "{denied}: {log}");
    }
    let sync = json!({"role": "sync", "sync": {"cluster": "flamegate-control"}});
    let misplaced = Restricted::with("role-sync", &[], sync);
    misplaced.assert_closed("role sync");
    let log = misplaced.envoy.log();
    assert!(log.contains("request refused: the filter is not configured on this worker"), "{log}");
}

#[test]
fn refused_requests_do_not_fill_the_log() {
    for denied in [&[][..], &["clock_time_get"]] {
        let sync = json!({"role": "sync", "sync": {"cluster": "flamegate-control"}});
        let started = Instant::now();
        let restricted = Restricted::with("log-flood", denied, sync);
        let request = Request::get("/v1/agents").bearer(KEY);
        for connection in &mut restricted.envoy.connection_to_each_worker() {
            for _ in 0..600 {
                assert_eq!(connection.send(&request).expect("answer").status, 503);
            }
        }
        // A line a second and the first one, on each of two workers; without a clock the 1st, 2nd, 4th, …, 512th.
        let seconds = started.elapsed().as_secs();
        let allowed = if denied.is_empty() { 2..=2 * (seconds + 1) } else { 20..=20 };
        let log = restricted.envoy.log();
        let lines = log.matches("request refused: ").count() as u64;
        assert!(allowed.contains(&lines), "{denied:?}: {lines} lines, not {allowed:?}: {log}");
        // Envoy itself logs each call of what it has taken away, and a few are made at the start.
        let of_envoy = log.matches("restricted WASI capability: clock_time_get").count() as u64;
        assert!(of_envoy <= lines + 8, "{denied:?}: {of_envoy} lines of Envoy's: {log}");
        eventually("a line with the number of the others", || {
            assert_eq!(restricted.envoy.send(&request).status, 503);
            let log = restricted.envoy.log();
            let told = log.lines().filter(|line| line.contains("more since this was last logged"));
            if told.into_iter().any(|line| !line.contains("(0 more")) { Ok(()) } else { Err(log) }
        });
    }
}

#[test]
fn a_stream_that_cannot_be_ended_shows_in_the_log() {
    // Long enough for an Envoy that starts on a busy machine; the wait below is for the rest of it.
    let expires_at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 15;
    let record = json!({"hash": HASH, "id": "static_1", "workspace": "ws_1", "environment": "test", "expires_at": expires_at});
    let restricted =
        Restricted::with("no-properties", &["proxy_get_property"], json!({"static_keys": [record]}));
    let mut connections = restricted.envoy.connection_to_each_worker();
    for connection in &mut connections {
        connection.send_bytes(&encode(&Request::get("/v1/events").bearer(KEY))).expect("request");
        assert_eq!(connection.read_head().expect("head").0, 200);
    }
    eventually("the line", || {
        let log = restricted.envoy.log();
        if log.contains("streams whose key is gone cannot be ended") { Ok(()) } else { Err(log) }
    });
}

#[test]
fn without_shared_data_limits_hold_per_worker_and_it_shows() {
    let limits = json!([{"requests": 5, "window_seconds": 3600, "burst": 5}]);
    let restricted =
        Restricted::start("no-shared-data", &["proxy_get_shared_data", "proxy_set_shared_data"], limits);
    for connection in &mut restricted.envoy.connection_to_each_worker() {
        let request = Request::get("/v1/agents").bearer(KEY);
        let verdicts: Vec<u16> = (0..8).map(|_| connection.send(&request).expect("answer").status).collect();
        assert_eq!(verdicts, [200, 200, 200, 200, 200, 429, 429, 429]);
    }
    eventually("the fallback is counted", || {
        let count = restricted.envoy.metrics().value("flamegate_limiter_fallback_total").unwrap_or(0.0);
        if count > 0.0 { Ok(()) } else { Err(format!("{count}")) }
    });
}

/// Whoever could not be woken does not wait.
#[test]
fn without_attributes_nobody_waits_for_the_first_table() {
    let filter = json!({"sync": {"mode": "elected"}, "start_hold_ms": 60_000});
    let gateway = Restricted::with("nobody-waits", &["proxy_get_property"], filter);
    let answer = gateway.ask("/v1/agents");
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("UNAVAILABLE")));
    eventually("it is counted as what it is", || {
        match gateway.envoy.metrics().requests("unavailable", "internal") {
            1 => Ok(()),
            count => Err(count.to_string()),
        }
    });
    assert_eq!(gateway.envoy.metrics().value("flamegate_held_requests_total").unwrap_or(0.0), 0.0);
}

/// It may pass and cannot be let go on: it is told so, and counted so.
#[test]
fn a_request_that_waited_and_cannot_be_continued_is_refused() {
    let folder = Folder::new("not-continued-control");
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let key = control.create_key("e2e", "live", json!({"limits": []}));
    control.stop();
    let sync =
        json!({"mode": "elected", "cluster": "flamegate-control", "retry_min_ms": 50, "retry_max_ms": 200});
    let filter = json!({"sync": sync, "start_hold_ms": 60_000});
    let denied = ["proxy_continue_stream"];
    let gateway = Restricted::changed("not-continued", &denied, filter, control.port, |text| text);
    let envoy = &gateway.envoy;
    let mut connection = Connection::open(envoy.port).expect("connection");
    connection.send_bytes(&encode(&Request::get("/v1/agents").bearer(&key.key))).expect("request");
    eventually("it waits", || match envoy.metrics().value("flamegate_held_requests_total") {
        Some(1.0) => Ok(()),
        count => Err(format!("{count:?}")),
    });
    control.start();
    let answer = connection.read_answer(false).expect("answer");
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("UNAVAILABLE")), "{}", answer.text());
    eventually("it is counted as what it is", || {
        let metrics = envoy.metrics();
        match (metrics.requests("unavailable", "internal"), metrics.requests("permitted", "key")) {
            (1, 0) => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    });
    let upstream = envoy.admin("/stats?filter=^cluster.upstream.upstream_rq_total$").text();
    assert_eq!(upstream.trim(), "cluster.upstream.upstream_rq_total: 0");
    let other = envoy.send(&Request::get("/v1/agents").bearer(&key.key));
    assert_eq!(other.status, 200, "who does not wait passes");
}
