//! Host calls that fail: Envoy's own `capability_restriction_config` takes them away from the filter, one at a time. Whatever is
//! missing, the answer is a refusal.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flamegate_e2e::{
    Envoy, Plugin, Request,
    envoy::{Upstreams, render},
    eventually,
    http1::encode,
    process::{Folder, root},
    upstream::Upstream,
};
use serde_json::{Value, json};
use walrus::Module;

/// SHA-256 of [`KEY`], computed elsewhere.
const HASH: &str = "68eade98c9651b765058d6875a435a2b575b4a2962f1f70d90cd00e1d7a0a14d";
const KEY: &str = "sk_test_staticKeyOfTheEndToEndTests";

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
        let folder = Folder::new(name);
        let upstream = Upstream::start(&folder);
        let upstreams = Upstreams { upstream: upstream.port, control: 1 };
        let plugin = Plugin::alone(filter);
        let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
            let own = "                        root_id: flamegate\n";
            let allowed =
                format!("{own}                        capability_restriction_config: {}\n", allowed(denied));
            let text = render(&plugin, upstreams, ports, log);
            assert!(text.contains(own));
            text.replacen(own, &allowed, 1)
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
    let expires_at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 8;
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
