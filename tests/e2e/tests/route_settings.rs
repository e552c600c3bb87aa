//! Settings of routes on a real Envoy: in which bytes it hands metadata over, of which route they are, and that nothing else is opened
//! by them. ADR 0056.

use flamegate_e2e::{
    Envoy, Plugin, Request,
    envoy::{Upstreams, render, without_guard},
    eventually,
    process::Folder,
    upstream::Upstream,
};
use serde_json::{Value, json};

const LIVE: &str = "sk_live_staticKeyOfTheEndToEndTests";
const TEST: &str = "sk_test_staticKeyOfTheEndToEndTests";
/// SHA-256 of them, computed elsewhere.
const HASHES: [&str; 2] = [
    "6785916052cbefe8fcde0dc7afa1527467d2207998ccb42eced8155afd53cbb2",
    "68eade98c9651b765058d6875a435a2b575b4a2962f1f70d90cd00e1d7a0a14d",
];

struct Bench {
    envoy: Envoy,
    _upstream: Upstream,
    _folder: Folder,
}

impl Bench {
    /// Two keys with ten tokens an hour each, and these routes, each as its match and what more it has. Before the filter stand `filters`.
    fn start(name: &str, more: &Value, routes: &[(&str, &str)], filters: &str) -> Self {
        let (folder, upstream) =
            (Folder::new(name), Upstream::start(&Folder::new(&format!("{name}-upstream"))));
        let limits = json!([{"requests": 10, "window_seconds": 3600, "burst": 10}]);
        let key = |hash: &str, environment: &str| {
            json!({"hash": hash, "id": format!("key_{environment}"), "workspace": "ws_1", "environment": environment,
                "limits": limits})
        };
        let mut filter = json!({"static_keys": [key(HASHES[0], "live"), key(HASHES[1], "test")], "route_settings": true,
            "bypass": [{"path": "/open"}]});
        for (name, value) in more.as_object().expect("fields") {
            filter[name] = value.clone();
        }
        let plugin = Plugin::alone(filter);
        let upstreams = Upstreams { upstream: upstream.port, control: 1 };
        let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
            let text = without_guard(&render(&plugin, upstreams, ports, log));
            let (begin, last) =
                ("                      routes:\n", "                        - { match: { prefix: / }");
            let own: String = routes
                .iter()
                .map(|(route_match, more)| {
                    format!("                        - {{ match: {{ {route_match} }}, route: {{ cluster: upstream }}, {more} }}\n")
                })
                .collect();
            assert!(text.contains(&format!("{begin}{last}")), "no routes to change");
            let text = text.replace(begin, &format!("{begin}{own}"));
            text.replacen(
                "                http_filters:\n",
                &format!("                http_filters:\n{filters}"),
                1,
            )
        });
        Self { envoy, _upstream: upstream, _folder: folder }
    }

    fn status(&self, key: &str, path: &str) -> u16 {
        self.envoy.send(&Request::get(path).bearer(key)).status
    }

    /// What is left of a key's limit: nothing but asking spends it, so this is for the end.
    fn left(&self, key: &str) -> usize {
        (0..20).filter(|_| self.status(key, "/plain") == 200).count()
    }
}

fn says(metadata: &str) -> String {
    format!(
        "metadata: {{ filter_metadata: {{ flamegate: {{ {metadata} }}, other: {{ cost: 3, x: [1, {{ y: z }}] }} }} }}"
    )
}

#[test]
fn what_a_route_says_is_read_as_it_is_written() {
    let routes = [
        ("path: /free", says("cost: 0")),
        ("path: /four", says("cost: 4, environments: [live, test]")),
        ("path: /live", says("environments: [live]")),
        ("path: /test", says("cost: 1, environments: [test]")),
        ("path: /nothing", says("")),
        ("path: /others", "metadata: { filter_metadata: { other: { cost: 9 } } }".to_owned()),
        // What cannot be read.
        ("path: /bad/unknown", says("costs: 4")),
        ("path: /bad/text", says("cost: '4'")),
        ("path: /bad/flag", says("cost: true")),
        // Of a number with a point Envoy's YAML makes a text.
        ("path: /bad/point", says("cost: 4.0")),
        ("path: /bad/null", says("cost: ~")),
        ("path: /bad/part", says("cost: 0.5")),
        ("path: /bad/below", says("cost: -1")),
        ("path: /bad/above", says("cost: 1000001")),
        ("path: /bad/list", says("cost: [4]")),
        ("path: /bad/object", says("cost: { requests: 4 }")),
        ("path: /bad/one", says("environments: live")),
        ("path: /bad/none", says("environments: []")),
        ("path: /bad/other", says("environments: [live, prod]")),
        ("path: /bad/number", says("environments: [1]")),
        ("path: /bad/null-list", says("environments: [~]")),
        ("path: /bad/long", says(&format!("{}: 1", "x".repeat(600)))),
    ];
    let routes: Vec<_> = routes.iter().map(|(route_match, more)| (*route_match, more.as_str())).collect();
    let bench = Bench::start("route-settings", &json!({}), &routes, "");
    for (path, _) in routes.iter().filter(|(path, _)| path.contains("/bad/")) {
        let path = path.trim_start_matches("path: ");
        for key in [LIVE, LIVE, TEST] {
            let answer = bench.envoy.send(&Request::get(path).bearer(key));
            assert_eq!((answer.status, answer.code().as_deref()), (503, Some("UNAVAILABLE")), "{path}");
        }
        assert_eq!(bench.envoy.send(&Request::get(path)).status, 401, "{path}");
    }
    assert_eq!((bench.status(LIVE, "/live"), bench.status(TEST, "/live")), (200, 401));
    assert_eq!((bench.status(LIVE, "/test"), bench.status(TEST, "/test")), (401, 200));
    assert!((0..20).all(|_| bench.status(LIVE, "/free") == 200), "free, whatever is left");
    assert_eq!(bench.status("sk_live_nobody", "/free"), 401, "free, and for good keys");
    assert_eq!([(); 3].map(|()| bench.status(LIVE, "/four")), [200, 200, 429]);
    assert_eq!((bench.status(TEST, "/nothing"), bench.status(TEST, "/others")), (200, 200));
    assert_eq!(bench.left(LIVE), 1, "ten, without one and two times four");
    assert_eq!(bench.left(TEST), 7, "ten, without three");
    eventually("the refusals are counted", || {
        let metrics = bench.envoy.metrics();
        let counted = metrics.requests("unavailable", "route_settings");
        let wrong = metrics.requests("invalid_api_key", "environment");
        if (counted, wrong) == (48, 2) { Ok(()) } else { Err(format!("{counted} {wrong}")) }
    });
    let log = bench.envoy.log();
    let lines = log.lines().filter(|line| line.contains("settings of a route")).count();
    assert!((1..=48).contains(&lines) && log.contains("unknown field \"costs\""), "{lines} lines");
}

#[test]
fn the_route_is_the_one_that_was_found_before_all_filters() {
    // A filter before ours that changes the path: the request goes to /plain in the end.
    let filters = r#"                  - name: rewrites
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
                      default_source_code: { inline_string: 'function envoy_on_request(h) local p = h:headers():get(":path") if p == "/five" then h:headers():replace(":path", "/plain") h:clearRouteCache() elseif p == "/late" then h:headers():replace(":path", "/five") h:clearRouteCache() end end' }
"#;
    let routes = [("path: /five", says("cost: 5"))];
    let routes: Vec<_> = routes.iter().map(|(route_match, more)| (*route_match, more.as_str())).collect();
    let bench = Bench::start("route-rewritten", &json!({}), &routes, filters);
    assert_eq!(bench.status(LIVE, "/five"), 200);
    assert_eq!(bench.left(LIVE), 5, "it was /five when it came");
    assert_eq!(bench.status(TEST, "/late"), 200);
    assert_eq!(bench.left(TEST), 9, "it is /five only now");
}
