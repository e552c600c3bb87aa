//! Holes that look like guards: each of these configurations starts in Envoy, and something passes without a key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test")]

use flamegate_check::{Finding, Options, check};

const GOOD: &str = include_str!("good.yaml");
const V1: &str =
    "                          route: { cluster: upstream }\n                        - match: { prefix: / }";
const LISTENERS_END: &str = "  clusters:\n    - name: upstream";
const WEBSOCKET: &str = "[{ upgrade_type: websocket }]";

macro_rules! off {
    ($flag:literal) => {
        concat!(
            "{ \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: ",
            $flag,
            " }"
        )
    };
}

/// A change of what is said of filters for the route of /v1/.
macro_rules! for_v1 {
    ($($said:expr),+) => {
        (V1, concat!("                          route: { cluster: upstream }\n                          typed_per_filter_config: { ",
            $($said),+, " }\n                        - match: { prefix: / }"))
    };
}

macro_rules! guard_of_route {
    ($principals:literal) => {
        for_v1!("guard: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute, rbac: ", $principals, " }")
    };
}

macro_rules! upgrade {
    ($filters:literal) => {
        (WEBSOCKET, concat!("[{ upgrade_type: websocket, filters: [", $filters, "{ name: router, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }] }]"))
    };
}

macro_rules! side {
    ($filter:literal) => {
        (
            LISTENERS_END,
            concat!(
                "    - name: side\n      filter_chains: [{ filters: [",
                $filter,
                "] }]\n  clusters:\n    - name: upstream"
            ),
        )
    };
}

fn found(text: &str) -> Vec<Finding> {
    let set = |_: &str| Some("a-token-of-the-environment".to_owned());
    check(text, &Options { environment: Some(&set), role: None })
}

#[test]
fn a_hole_is_found_whatever_it_looks_like() {
    let rows: &[(&str, &str, (&str, &str))] = &[
        ("route-open", "/v1/", for_v1!("flamegate: ", off!("yes"), ", guard: ", off!("On"))),
        ("route-open", "/v1/", for_v1!("flamegate: ", off!("\"true\""), ", guard: ", off!("y"))),
        (
            "optional-filter",
            "flamegate",
            (
                "name: flamegate\n                    typed_config",
                "name: flamegate\n                    is_optional: yes\n                    typed_config",
            ),
        ),
        ("guard-open", "guard", ("action: ALLOW", "action: 1")),
        ("guard-open", "guard", ("action: ALLOW", "action: [ALLOW]")),
        (
            "guard-open",
            "guard",
            guard_of_route!(
                "{ rules: { policies: { all: { principals: [{ any: true }, { filter_state: { key: wasm.flamegate.key_id, string_match: { prefix: k } } }] } } } }"
            ),
        ),
        (
            "guard-open",
            "guard",
            guard_of_route!(
                "{ rules: { action: DENY, policies: { all: { principals: [{ filter_state: { key: wasm.flamegate.key_id, string_match: { prefix: k } } }] } } } }"
            ),
        ),
        (
            "guard-not-judged",
            "guard",
            guard_of_route!("{ matcher: { on_no_match: { name: wasm.flamegate.key_id } } }"),
        ),
        (
            "route-unguarded",
            "/healthz",
            (
                "- match: { path: /healthz }\n",
                "- match: { path: /healthz, case_sensitive: false }\n                          typed_per_filter_config: { guard: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } }\n",
            ),
        ),
        (
            "upgrade-filters",
            "websocket",
            upgrade!(
                "{ name: to-flamegate, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua } }, "
            ),
        ),
        (
            "upgrade-filters",
            "websocket",
            upgrade!(
                "{ name: flamegate, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: { name: flamegate, root_id: flamegate } } }, "
            ),
        ),
        (
            "listener-without-flamegate",
            "tcp_proxy",
            side!(
                "{ name: tcp, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, cluster: upstream } }"
            ),
        ),
        ("not-seen", "listener side", side!("{ name: later, config_discovery: { type_urls: [x] } }")),
        (
            "log-secret",
            "authorization",
            ("%PATH(NQ:ORIG_OR_PATH)%", "%CEL(request.headers['authorization'])%"),
        ),
        ("log-query", "query", ("%PATH(NQ:ORIG_OR_PATH)%", "%PATH%")),
        ("log-query", "query", ("%PATH(NQ:ORIG_OR_PATH)%", "%QUERY_PARAM(key)%")),
    ];
    for (rule, words, (from, to)) in rows {
        assert!(GOOD.contains(from), "{from} is not in good.yaml");
        let findings = found(&GOOD.replacen(from, to, 1));
        let is_it = |finding: &&Finding| finding.rule.name == *rule && finding.what.contains(words);
        assert!(findings.iter().any(|finding| is_it(&finding)), "{rule} of {to}: {findings:#?}");
    }
}

#[test]
fn an_upgrade_with_filter_and_guard_of_its_own_is_fine() {
    let filters: String = ["flamegate\n", "guard\n"]
        .iter()
        .map(|name| {
            let from = GOOD.find(&format!("                  - name: {name}")).unwrap();
            let next = GOOD[from + 1..].find("                  - name: ").map(|at| from + 1 + at).unwrap();
            GOOD[from..next].to_owned()
        })
        .collect();
    let own =
        format!("\n                  - upgrade_type: websocket\n                    filters:\n{filters}");
    let own: String = own.lines().map(|line| format!("{line}\n")).collect();
    let text = GOOD.replacen(&format!(" {WEBSOCKET}\n"), &own, 1);
    assert_eq!(found(&text), [], "{text}");
}

#[test]
fn small_files_that_stand_for_large_trees_are_refused() {
    let nested = |inside: &str, anchors: &dyn Fn(usize) -> String| {
        let open: String = (0..190).map(|level| format!("{}[", anchors(level))).collect();
        format!("{open}{inside}{}\n", "]".repeat(190))
    };
    // Every level keeps a copy of all below it.
    let copies = nested(&["0"; 20_000].join(","), &|level| format!("&a{level} "));
    // Each alias is as deep again.
    let mut deep = format!("- &a0 {}", nested("x", &|_| String::new()));
    for level in 1..5 {
        deep.push_str(&format!("- &a{level} {}", nested(&format!("*a{} ", level - 1), &|_| String::new())));
    }
    // One long text many times.
    let long = format!("- &a {}\n- [{}]\n", "x".repeat(1_000_000), vec!["*a"; 20_000].join(","));
    for (text, what) in [(copies, "values"), (deep, "nested"), (long, "values")] {
        let findings = found(&text);
        assert_eq!(findings[0].rule.name, "not-read", "{findings:#?}");
        assert!(findings[0].what.contains(what), "{findings:#?}");
    }
}

/// A route configuration, a filter, a resource of a mesh, each alone.
#[test]
fn a_part_alone_is_never_called_fine() {
    let wasm = "{ name: flamegate, root_id: flamegate, failure_policy: FAIL_OPEN, configuration: { \"@type\": x/google.protobuf.StringValue, value: '{\"bypass\": [{\"path\": \"/\", \"match\": \"prefix\"}], \"sync\": {\"mode\": \"singleton\"}}' } }";
    let resource = |kind: &str, more: &str| {
        format!("resources:\n  - {{ \"@type\": type.googleapis.com/{kind}, name: flamegate, {more} }}\n")
    };
    let filter = resource(
        "envoy.config.core.v3.TypedExtensionConfig",
        &format!(
            "typed_config: {{ \"@type\": x/envoy.extensions.filters.http.wasm.v3.Wasm, config: {wasm} }}"
        ),
    );
    let of_mesh = |kind: &str, spec: &str| {
        format!("apiVersion: v1\nkind: {kind}\nmetadata: {{ name: flamegate }}\nspec: {spec}\n")
    };
    for (rule, text) in [
        ("not-seen", resource("envoy.config.route.v3.RouteConfiguration", "virtual_hosts: []")),
        ("not-seen", resource("envoy.config.route.v3.VirtualHost", "routes: []")),
        ("not-seen", filter.clone()),
        ("fail-open", filter.clone()),
        ("bypass-all", filter),
        (
            "fail-open",
            of_mesh("WasmPlugin", "{ url: oci://x/flamegate, failStrategy: FAIL_OPEN, pluginConfig: {} }"),
        ),
        ("failure-policy", of_mesh("WasmPlugin", "{ url: oci://x/flamegate, pluginConfig: {} }")),
        (
            "fail-open",
            of_mesh("EnvoyExtensionPolicy", "{ wasm: [{ name: flamegate, failOpen: true, config: {} }] }"),
        ),
        (
            "not-seen",
            of_mesh(
                "EnvoyFilter",
                "{ configPatches: [{ applyTo: HTTP_ROUTE, patch: { value: { name: flamegate } } }] }",
            ),
        ),
    ] {
        let findings = found(&text);
        assert!(findings.iter().any(|finding| finding.rule.name == rule), "{rule} of {text}: {findings:#?}");
    }
}

#[test]
fn each_of_many_mistakes_is_told_once() {
    let off = off!("true");
    let route = |number: usize| {
        format!(
            "                        - match: {{ prefix: /v1/{number} }}\n                          route: {{ cluster: upstream }}\n                          typed_per_filter_config: {{ guard: {off} }}\n"
        )
    };
    let routes: String = (0..5_000).map(route).collect();
    let findings = found(&GOOD.replacen(
        "                      routes:\n",
        &format!("                      routes:\n{routes}"),
        1,
    ));
    assert_eq!(findings.iter().filter(|finding| finding.rule.name == "route-unguarded").count(), 5_000);
}

#[test]
fn a_long_name_is_not_repeated_for_all_that_is_below_it() {
    let name = "k".repeat(1_000_000);
    let texts = vec!["\"flamegate\""; 20_000].join(",");
    let text = GOOD.replacen(
        "      config:\n        name: flamegate-sync",
        &format!("      config:\n        ? {name}\n        : [{texts}]\n        name: flamegate-sync"),
        1,
    );
    assert!(found(&text).iter().all(|finding| finding.path.len() < 1_000 && finding.what.len() < 1_000));
}
