//! The recipes of `envoy/recipes`, each started on the real Envoy and checked with requests.

use std::{path::Path, process::Command};

use flamegate_e2e::{
    Control, Envoy, Protocol, Request, Stack,
    envoy::fill_file,
    eventually,
    process::{Folder, root},
    ratelimit::RateLimit,
    upstream::{Upstream, echoed},
};
use serde_json::{Value, json};

const ORIGIN: &str = "https://app.flametalk.test";

/// Starts a recipe; `more` makes further values once the control plane runs.
fn start(recipe: &str, more: impl FnOnce(&Control, &Path) -> Vec<(&'static str, String)>) -> Stack {
    let folder = Folder::new(recipe);
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let more = more(&control, &folder);
    let envoy = Envoy::start_with("envoy", &folder, |(port, admin), access_log| {
        let mut values = more;
        values.extend([
            ("ADMIN_PORT", admin.to_string()),
            ("GATEWAY_PORT", port.to_string()),
            ("WASM", root().join("dist/flamegate.wasm").display().to_string()),
            ("ACCESS_LOG", access_log.display().to_string()),
            ("UPSTREAM_PORT", upstream.port.to_string()),
            ("CONTROL_PORT", control.port.to_string()),
        ]);
        fill_file(&format!("envoy/recipes/{recipe}.yaml"), &values)
    });
    Stack { envoy, control, upstream, folder }
}

fn preflight() -> Request {
    let request = Request::new("OPTIONS", "/v1/agents").header("origin", ORIGIN);
    request.header("access-control-request-method", "GET")
}

#[test]
fn cors_first_makes_refusals_readable_in_browsers() {
    let stack = start("cors-first", |_, _| Vec::new());
    let key = stack.accepted_key("live");
    let allowed = |request: &Request| {
        let answer = stack.envoy.send(request);
        (answer.status, answer.header("access-control-allow-origin"))
    };
    let from_page = Request::get("/v1/agents").header("origin", ORIGIN);
    assert_eq!(allowed(&preflight()), (200, Some(ORIGIN.to_owned())));
    assert_eq!(allowed(&from_page), (401, Some(ORIGIN.to_owned())));
    assert_eq!(allowed(&from_page.clone().bearer(&key.key)), (200, Some(ORIGIN.to_owned())));
    let foreign = Request::get("/v1/agents").header("origin", "https://elsewhere.test");
    assert_eq!(allowed(&foreign), (401, None));
}

#[test]
fn cors_last_answers_preflights_and_keeps_refusals_to_itself() {
    let stack = start("cors-last", |_, _| Vec::new());
    let key = stack.accepted_key("live");
    let allowed = |request: &Request| {
        let answer = stack.envoy.send(request);
        (answer.status, answer.header("access-control-allow-origin"))
    };
    let from_page = Request::get("/v1/agents").header("origin", ORIGIN);
    assert_eq!(allowed(&preflight()), (200, Some(ORIGIN.to_owned())));
    assert_eq!(allowed(&from_page), (401, None));
    assert_eq!(allowed(&from_page.clone().bearer(&key.key)), (200, Some(ORIGIN.to_owned())));
}

#[test]
fn routes_without_a_key_and_for_one_workspace() {
    let mut workspace = String::new();
    let stack = start("routes", |control, _| {
        let limits = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
        workspace = control.create_key("e2e", "live", limits).workspace;
        vec![("WORKSPACE", workspace.clone())]
    });
    stack.control.create_workspace("other");
    let ours = stack.accepted_key("live");
    let limits = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let other = stack.control.create_key("other", "live", limits);
    stack.wait_for_status(&other.key, 200);

    assert_the_open_route_is_clean(&stack, &ours.key);
    assert_eq!(stack.envoy.send(&Request::get("/opened")).status, 401);

    let internal = |key: &str| stack.envoy.send(&Request::get("/internal/a").bearer(key)).status;
    assert_eq!((internal(&ours.key), internal(&other.key), internal("sk_live_nobody")), (200, 403, 401));
    assert_no_spelling_gets_around_a_route(&stack, &other.key);

    let refused = eventually("the access log has the refusal", || {
        let lines = stack.envoy.access_lines();
        let line = lines.iter().find(|line| line["path"] == "/internal/a" && line["status"] == 401);
        line.cloned().ok_or_else(|| format!("{lines:?}"))
    });
    assert_eq!(refused["denial"], "flamegate_invalid_api_key", "{refused}");
    let lines = eventually("the access log has the identity", || {
        let lines = stack.envoy.access_lines();
        let is_ours =
            |line: &&Value| line["key_id"] == json!(ours.id) && line["workspace_id"] == json!(workspace);
        if lines.iter().any(|line| is_ours(&line)) { Ok(lines) } else { Err(format!("{lines:?}")) }
    });
    let text = serde_json::to_string(&lines).expect("JSON");
    for secret in [ours.key.as_str(), other.key.as_str(), "sk_live_"] {
        assert!(!text.contains(secret), "a key stands in the access log");
    }
}

/// Another workspace's key in other spellings of the closed path, and no key under the open route's name.
fn assert_no_spelling_gets_around_a_route(stack: &Stack, other: &str) {
    for (path, refused) in [
        ("//internal", 403),
        ("//internal/a", 403),
        ("/internal//a", 403),
        ("/./internal/a", 403),
        ("/x/../internal/a", 403),
        ("/x\\..\\internal", 403),
        ("/internal%2fx", 400),
        ("/internal%5Cx", 400),
        ("/x/..%2finternal", 400),
        ("/x/%252e%252e/internal", 400),
        ("/%2569nternal/a", 400),
        ("/open/%252e%252e%252fv1/agents", 400),
        ("/open/..%2finternal", 400),
        ("/open/../internal/a", 403),
        ("/Internal/a", 403),
        ("/%69nternal/a", 403),
        ("/internal%20/a", 403),
        ("/internal%3f", 403),
        ("/internal%23", 403),
        ("/internal%00/a", 400),
        ("/internal./a", 403),
        ("/internal;x/a", 400),
        ("/internal%3bx/a", 403),
        ("/x/..%20/internal/a", 400),
        ("/x/..%3bx/internal/a", 400),
        ("/.%00/internal/a", 400),
        ("/internals", 200),
        ("/internal-x", 200),
        ("/.well-known/internal", 200),
    ] {
        assert_eq!(stack.envoy.send(&Request::get(path).bearer(other)).status, refused, "{path}");
    }
    // From 1.39 on Envoy takes a dot segment with a parameter for a dot segment; before, the recipe refuses it.
    for path in ["/x/..;/internal/a", "/.;/internal/a"] {
        let status = stack.envoy.send(&Request::get(path).bearer(other)).status;
        assert!(matches!(status, 400 | 403), "{path}: {status}");
    }
    for (path, refused) in [
        ("/open/..%2fv1/agents", 400),
        ("/open/..%5cv1/agents", 400),
        ("/open/../v1/agents", 401),
        ("/open/%2e%2e/v1/agents", 401),
        ("/open\\..\\v1/agents", 401),
        ("/open//../../v1/agents", 401),
    ] {
        assert_eq!(stack.envoy.send(&Request::get(path)).status, refused, "{path}");
    }
}

/// Where the filter is off the recipe itself removes what the filter would: the identity in any spelling, and the credential.
fn assert_the_open_route_is_clean(stack: &Stack, key: &str) {
    let forged = Request::get("/open/a")
        .header("x-flametalk-workspace-id", "forged")
        .header("x_flametalk_workspace_id", "forged")
        .header("x.flametalk.key.id", "forged")
        .header("X-FlameTalk~Environment", "forged")
        .header("x-flametalk-anything", b"forged \xff")
        .header("x-kept", "kept");
    for request in [forged.clone(), forged.bearer(key)] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let answer = stack.envoy.send_by(protocol, &request);
            assert_eq!(answer.status, 200, "no key is needed: {}", answer.text());
            let lines = echoed(&answer).expect("the upstream's echo");
            let ours = |name: &str| name.contains("flametalk") || name == "authorization";
            assert!(!lines.iter().any(|(name, _)| ours(name)), "{lines:?}");
            assert!(lines.iter().any(|(name, _)| name == "x-kept"), "{lines:?}");
        }
    }
}

#[test]
fn keys_in_other_places_are_nobody_elses_and_stand_in_no_log() {
    let stack = start("key-sources", |_, _| Vec::new());
    let key = stack.accepted_key("live").key;
    let sent = [
        Request::get("/v1/agents").header("x-api-key", &key),
        Request::get(&format!("/v1/agents?api_key={key}&page=2")),
        Request::get("/v1/agents").header("cookie", format!("theme=dark; flametalk_key={key}")),
        Request::get("/v1/agents").bearer(&key),
    ];
    for request in &sent {
        let answer = stack.envoy.send(request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains(&key), "the upstream sees the key: {}", answer.text());
        assert_eq!(answer.all("cache-control"), ["private"]);
        assert_eq!(answer.all("vary"), ["authorization, x-api-key, cookie"]);
    }
    let unknown = "sk_live_0000000000000000000000000000000000001a";
    let refused = Request::get(&format!("/v1/refused?api_key={unknown}")).header("x-api-key", unknown);
    let answer = stack.envoy.send(&refused);
    assert_eq!((answer.status, answer.code().as_deref()), (401, Some("INVALID_API_KEY")));
    assert!(answer.all("cache-control").join(",").contains("no-store"));
    let lines = eventually("the access log has all of them", || {
        let lines = stack.envoy.access_lines();
        let last = lines.iter().any(|line| line["path"] == "/v1/refused");
        if last && lines.iter().filter(|line| line["status"] == 200).count() >= sent.len() {
            Ok(lines)
        } else {
            Err(format!("{lines:?}"))
        }
    });
    let logs = format!("{lines:?} {}", stack.envoy.log());
    assert!(!logs.contains(&key) && !logs.contains(unknown), "a key stands in a log");
}

#[test]
fn routes_say_what_requests_cost_and_whose_keys_they_are_for() {
    let stack = start("costs", |_, _| Vec::new());
    let limits = json!({"limits": [{"requests": 60, "window_seconds": 3600, "burst": 60}]});
    let [live, test] = ["live", "test"].map(|kind| stack.control.create_key("e2e", kind, limits.clone()));
    let send = |request: Request| {
        let answer = stack.envoy.send(&request);
        (answer.status, answer.header("ratelimit"))
    };
    let get = |path: &str, key: &str| send(Request::get(path).bearer(key)).0;
    // Costs nothing, so this takes nothing from what is counted below.
    for key in [&live, &test] {
        stack.envoy.wait_for(&Request::get("/v1/prices").bearer(&key.key), 200);
    }
    let export = || send(Request::new("POST", "/v1/exports").bearer(&live.key));
    assert_eq!(export().0, 200, "50 of 60");
    let (status, left) = export();
    assert_eq!(status, 429);
    assert!(left.as_deref().is_some_and(|left| left.starts_with("\"default\";r=10;t=")), "{left:?}");
    assert_eq!(get("/v1/search/agents?q=x", &live.key), 200, "5 of 10");
    assert_eq!(get("/v1/exports", &live.key), 200, "looking at exports costs one");
    // No header of the client makes it cheaper.
    let forged = Request::get("/v1/search").bearer(&live.key).header("x-envoy-original-path", "/v1/prices");
    assert_eq!(send(forged.header("x-flametalk-key-id", &test.id)).0, 429, "4 are left");
    assert_eq!([(); 5].map(|()| get("/v1/agents", &live.key)), [200, 200, 200, 200, 429]);
    assert_eq!(get("/v1/prices", &live.key), 200);
    assert_eq!((get("/v1/admin/users", &test.key), get("/v1/administration", &test.key)), (401, 200));
    assert_eq!((get("/v1/prices", "sk_live_nobody"), get("/v1/search;x", &test.key)), (401, 400));
}

#[test]
fn in_shadow_everything_passes_and_what_would_be_refused_is_counted() {
    let stack = start("shadow", |_, _| Vec::new());
    let free = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let once = json!({"limits": [{"requests": 1, "window_seconds": 3600, "burst": 1}]});
    let [key, limited] = [free, once].map(|limits| stack.control.create_key("e2e", "live", limits));
    let arrived = |request: &Request| {
        let answer = stack.envoy.send(request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let lines = echoed(&answer).expect("the upstream's echo");
        let value = move |name: &str| {
            let values: Vec<String> = lines
                .iter()
                .filter(|(header, _)| header == name)
                .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                .collect();
            values.join("|")
        };
        ["x-flametalk-shadow", "x-flametalk-key-id", "authorization", "x-flametalk-other"].map(value)
    };
    let plain = Request::get("/v1/agents");
    let forged = plain.clone().header("x-flametalk-shadow", "NONE").header("x-flametalk-other", "x");
    assert_eq!(arrived(&forged), ["UNAUTHORIZED", "", "", ""]);
    let own = format!("Bearer {}", key.key);
    // Every status is 200 here, so that says nothing.
    let good = forged.clone().bearer(&key.key);
    eventually("the key is known", || {
        let found = arrived(&good);
        if found == ["", &key.id, &own, ""] { Ok(()) } else { Err(format!("{found:?}")) }
    });
    assert_eq!(
        arrived(&plain.clone().bearer("legacy-token")),
        ["INVALID_API_KEY", "", "Bearer legacy-token", ""]
    );
    let request = plain.clone().bearer(&limited.key);
    let own = format!("Bearer {}", limited.key);
    eventually("the key is known and its limit used up", || {
        let found = arrived(&request);
        if found == ["RATE_LIMITED", &limited.id, &own, ""] { Ok(()) } else { Err(format!("{found:?}")) }
    });
    stack.control.revoke(&key.id, "30s");
    eventually("the revoked key would be refused", || {
        let found = arrived(&plain.clone().bearer(&key.key));
        if found[0] == "INVALID_API_KEY" && found[1].is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
    });
    for (verdict, reason) in [
        ("shadow_unauthorized", "missing"),
        ("shadow_invalid_api_key", "malformed"),
        ("shadow_rate_limited", "key"),
        ("shadow_invalid_api_key", "unknown"),
    ] {
        eventually("it is counted", || {
            let metrics = stack.envoy.admin("/stats?filter=shadow").text();
            let name = format!("flamegate_requests_total.{verdict}.{reason}: ");
            if metrics.contains(&name) { Ok(()) } else { Err(metrics) }
        });
    }
    let line = eventually("the access log says whose limit it was", || {
        let lines = stack.envoy.access_lines();
        lines
            .iter()
            .find(|line| line["denied"] == json!(format!("key;{}", limited.id)))
            .cloned()
            .ok_or_else(|| format!("{lines:?}"))
    });
    assert_eq!((&line["shadow"], &line["status"]), (&json!("RATE_LIMITED"), &json!(200)));
    eventually("the control plane tells it before anybody enforces", || {
        let report = stack.control.data("GET", "/v1/shadow?days=2", None);
        let keys = stack.control.data("GET", "/v1/shadow/keys?days=2", None);
        let gateway = &report["gateways"][0];
        let has = |(verdict, reason): (&str, &str)| {
            let reasons = gateway["reasons"].as_array().into_iter().flatten();
            reasons.into_iter().any(|told| told["verdict"] == verdict && told["reason"] == reason)
        };
        let told = [
            ("unauthorized", "missing"),
            ("invalid_api_key", "malformed"),
            ("invalid_api_key", "unknown"),
            ("rate_limited", "key"),
        ];
        let key = (&keys[0]["id"], keys[0]["rate_limited"].as_u64() > Some(0), keys.as_array().map(Vec::len));
        let is_told = gateway["mode"] == "shadow" && told.into_iter().all(has);
        if is_told && key == (&json!(limited.id), true, Some(1)) {
            Ok(())
        } else {
            Err(format!("{report} {keys}"))
        }
    });
}

#[test]
#[ignore = "on Envoy 1.39.3 calls to the rate limit service were reset in 2 of 7 runs; the cause is not known yet"]
fn global_rate_limit_by_our_identity() {
    let service = RateLimit::start(3);
    let stack = start("global-ratelimit", |_, _| {
        vec![("RATELIMIT_PORT", service.port.to_string()), ("RATELIMIT_TIMEOUT", "15s".to_owned())]
    });
    let limits = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let keys = [(); 2].map(|()| stack.control.create_key("e2e", "live", limits.clone()));
    // Every request that reaches the service counts there, so the waiting is done with a key of its own.
    let waiting = stack.control.create_key("e2e", "live", limits);
    for connection in &mut stack.envoy.connection_to_each_worker() {
        eventually("the workers know the keys", || {
            let answer = connection.send(&Request::get("/v1/agents").bearer(&waiting.key));
            let status = answer.map_err(|error| error.to_string())?.status;
            if matches!(status, 200 | 429) { Ok(()) } else { Err(status.to_string()) }
        });
    }
    for key in &keys {
        // A forged identity neither helps nor hurts anybody.
        let request = Request::get("/v1/agents").bearer(&key.key).header("x-flametalk-key-id", &keys[1].id);
        let statuses: Vec<u16> = (0..5).map(|_| stack.envoy.send(&request).status).collect();
        assert_eq!(statuses, [200, 200, 200, 429, 429], "each key for itself");
        let asked = vec![format!("workspace={}", key.workspace), format!("key={}", key.id)];
        assert_eq!(service.counts().get(&asked), Some(&5), "{:?}", service.counts());
    }
    let before = service.counts();
    assert_eq!(stack.envoy.send(&Request::get("/v1/agents").bearer("sk_live_nobody")).status, 401);
    assert_eq!(service.counts(), before, "the service is not asked about refused requests");
}

/// Runs openssl in the folder.
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    let output = output.expect("openssl, of Debian's package openssl");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority with a certificate for the control plane's front, `NAME-front`, and one for a gateway, `NAME-gateway`.
fn authority(folder: &Path, name: &str) {
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(folder, &format!("{new} -subj /CN={name} -keyout {name}.key -out {name}.pem"));
    for (who, host) in [("front", "flamegate-control"), ("gateway", "gateway")] {
        let own = format!("-subj /CN={host} -addext subjectAltName=DNS:{host}");
        let by = format!("-CA {name}.pem -CAkey {name}.key -addext basicConstraints=critical,CA:FALSE");
        openssl(folder, &format!("{new} {own} {by} -keyout {name}-{who}.key -out {name}-{who}.pem"));
    }
}

/// The recipe `mutual-tls` with a client certificate of an authority; the front trusts the authority `right` only.
fn start_mutual_tls(client: &str) -> (Stack, Envoy) {
    let mut front = None;
    let mut stack = start("mutual-tls", |control, folder| {
        authority(folder, "right");
        authority(folder, "wrong");
        let file = |name: String| folder.join(name).display().to_string();
        let started = Envoy::start_with("front", folder, |(port, admin), _| {
            let values = [
                ("ADMIN_PORT", admin.to_string()),
                ("GATEWAY_PORT", port.to_string()),
                ("CERTIFICATE", file("right-front.pem".into())),
                ("KEY", file("right-front.key".into())),
                ("CA", file("right.pem".into())),
                ("CONTROL_PORT", control.port.to_string()),
            ];
            fill_file("tests/e2e/configs/tls-front.yaml", &values)
        });
        let values = vec![
            ("CONTROL_PORT", started.port.to_string()),
            ("CA", file("right.pem".into())),
            ("CLIENT_CERTIFICATE", file(format!("{client}-gateway.pem"))),
            ("CLIENT_KEY", file(format!("{client}-gateway.key"))),
        ];
        front = Some(started);
        values
    });
    stack.envoy.assert_alive();
    (stack, front.expect("the front"))
}

#[test]
fn mutual_tls_with_the_right_certificate() {
    let (stack, _front) = start_mutual_tls("right");
    let key = stack.accepted_key("live");
    stack.control.revoke(&key.id, "30s");
    stack.wait_for_status(&key.key, 401);
}

#[test]
fn mutual_tls_with_a_wrong_certificate() {
    let (stack, _front) = start_mutual_tls("wrong");
    let limits = json!({"limits": [{"requests": 100, "window_seconds": 60}]});
    let key = stack.control.create_key("e2e", "live", limits);
    eventually("a failed sync is counted", || {
        let metrics = stack.envoy.metrics();
        let failures = metrics.value("flamegate_sync_failures_total").unwrap_or(0.0);
        if failures > 1.0 { Ok(()) } else { Err(format!("{failures}")) }
    });
    let answer = stack.envoy.send(&Request::get("/v1/agents").bearer(&key.key));
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("UNAVAILABLE")));
}
