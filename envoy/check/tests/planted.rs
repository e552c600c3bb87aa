//! Mistakes planted one by one into a configuration that has none: each is found under its rule, in words, and at its place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test")]

use std::collections::BTreeSet;

use flamegate_check::{Finding, Options, Severity, check, rules};

const GOOD: &str = include_str!("good.yaml");

/// The token of an environment in which everything is set.
fn all_set(_: &str) -> Option<String> {
    Some("a-token-of-the-environment".to_owned())
}

fn found(text: &str) -> Vec<Finding> {
    check(text, &Options { environment: Some(&all_set), role: None })
}

/// `GOOD` with one thing for another; each must be there.
fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in good.yaml");
        text.replacen(from, to, 1)
    })
}

struct Row {
    rule: &'static str,
    /// What the finding says.
    words: &'static str,
    changes: &'static [(&'static str, &'static str)],
}

const GUARD: &str = "                  - name: guard\n                    typed_config:";
const ROUTER: &str = "                  - name: envoy.filters.http.router\n";
const FILTER: &str = "                http_filters:\n";
const V1: &str = "                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n";

/// A filter of this type before `at`.
macro_rules! filter {
    ($name:literal, $kind:literal) => {
        concat!("                  - name: ", $name, "\n                    typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.", $kind, " }\n")
    };
}

macro_rules! row {
    ($rule:literal, $words:literal, $($from:expr => $to:expr),+) => {
        Row { rule: $rule, words: $words, changes: &[$(($from, $to)),+] }
    };
}

const ROWS: &[Row] = &[
    row!("not-read", "", "node: {" => "node: [{"),
    row!("template", "${PORT}", "port_value: 10000" => "port_value: ${PORT}"),
    row!("field-twice", "stat_prefix", "stat_prefix: gateway" => "stat_prefix: gateway\n                stat_prefix: other"),
    row!("no-flamegate", "no Flamegate filter", "name: flamegate\n                    typed_config" => "name: other\n                    typed_config",
        "name: flamegate\n                        root_id: flamegate" => "name: other\n                        root_id: other",
        "vm_id: flamegate\n                          runtime" => "vm_id: other\n                          runtime",
        "filename: /etc/envoy/flamegate.wasm } }\n                        configuration" => "filename: /etc/envoy/other.wasm } }\n                        configuration",
        "filters.http.rbac.v3.RBAC\n                      rules_stat_prefix: flamegate_guard\n                      rules:" => "filters.http.rbac.v3.RBAC\n                      shadow_rules:"),
    row!("guard-without-filter", "has a guard and no Flamegate filter", "name: flamegate\n                    typed_config" => "name: other\n                    typed_config",
        "name: flamegate\n                        root_id: flamegate" => "name: other\n                        root_id: other",
        "vm_id: flamegate\n                          runtime" => "vm_id: other\n                          runtime",
        "filename: /etc/envoy/flamegate.wasm } }\n                        configuration" => "filename: /etc/envoy/other.wasm } }\n                        configuration"),
    row!("listener-without-flamegate", "listener side", "  clusters:\n" => concat!("    - name: side\n      filter_chains: [{ filters: [{ name: hcm, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, ",
        "route_config: { virtual_hosts: [{ routes: [{ match: { prefix: / }, route: { cluster: upstream } }] }] }, http_filters: [] } }] }]\n  clusters:\n")),
    row!("filter-state-set", "is set here", FILTER => "                http_filters:\n                  - name: says\n                    typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config, on_request_headers: [{ object_key: wasm.flamegate.key_id }] }\n"),
    row!("not-seen", "the routes api", "                route_config:\n" => "                rds: { route_config_name: api }\n                unused:\n"),
    row!("plugin-configuration", "bypass[0].path: a path with one reading", "\"/healthz\"}" => "\"healthz\"}"),
    row!("plugin-configuration", "sync.clutser: unknown field", "\"cluster\": \"flamegate-control\"" => "\"clutser\": \"x\""),
    row!("plugin-configuration", "sync.token_env: environment variable FLAMEGATE_SYNC_TOKEN must hold", "host_env_keys: [FLAMEGATE_SYNC_TOKEN]" => "host_env_keys: []"),
    row!("plugin-configuration-not-seen", "${SYNC_CONFIG}", "'{\"role\": \"sync\", \"sync\": {\"cluster\": \"flamegate-control\"}}'" => "${SYNC_CONFIG}"),
    row!("role", "HTTP filter has the role sync", "'{\"bypass\": [{\"path\": \"/healthz\"}], \"sync\"" => "'{\"role\": \"sync\", \"sync\""),
    row!("role", "bootstrap extension has the role filter", "\"role\": \"sync\", " => ""),
    row!("token-in-file", "FLAMEGATE_SYNC_TOKEN", "host_env_keys: [FLAMEGATE_SYNC_TOKEN]" => "key_values: { FLAMEGATE_SYNC_TOKEN: sync-token-of-this-file }"),
    row!("artifact", "flamegate.wasm", "{\"bypass\"" => "{\"rate_limit_headers\": \"always\", \"bypass\""),
    row!("sync-missing", "no bootstrap extension has role sync", "WasmService" => "Other"),
    row!("sync-unused", "no filter here reads", "\"mode\": \"singleton\"}}'" => "\"mode\": \"elected\"}}'"),
    row!("vm-id", "the filter has vm_id 'flamegate', and the sync 'other'", "vm_id: flamegate\n          runtime" => "vm_id: other\n          runtime"),
    row!("vm-configuration", "the same vm_config.configuration", "          configuration: { \"@type\": type.googleapis.com/google.protobuf.StringValue, value: sync }\n" => ""),
    row!("not-a-singleton", "singleton: true", "      singleton: true\n" => ""),
    row!("wait-seconds-differ", "25 in the filter, and 40 in the sync", "\"sync\": {\"cluster\"" => "\"sync\": {\"wait_seconds\": 40, \"cluster\"", "{\"bypass\"" => "{\"max_staleness_seconds\": 60, \"bypass\""),
    row!("cluster-missing", "there is no cluster flamegate-control", "    - name: flamegate-control\n" => "    - name: control\n"),
    row!("cluster-not-seen", "the cluster flamegate-control", "    - name: flamegate-control\n" => "    - name: control\n", "node: {" => "dynamic_resources: { cds_config: { ads: {} } }\nnode: {"),
    row!("cluster-time-out", "ends a call after 20s, and a poll may take 30s", "idle_timeout: 60s" => "idle_timeout: 60s, max_stream_duration: 20s"),
    row!("cluster-idle-time-out", "flamegate-control", "{ idle_timeout: 60s }" => "{}"),
    row!("cluster-outlier-detection", "several endpoints", "    - name: flamegate-control\n" => "    - name: flamegate-control\n      load_assignment: { endpoints: [{ lb_endpoints: [{}] }, { lb_endpoints: [{}] }] }\n"),
    row!("cluster-tls-unverified", "takes any certificate", "    - name: flamegate-control\n" => "    - name: flamegate-control\n      transport_socket: { name: tls, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: x } }\n"),
    row!("fail-open", "fail_open", "root_id: flamegate\n" => "root_id: flamegate\n                        fail_open: true\n"),
    row!("failure-policy", "FAIL_CLOSED", "                        failure_policy: FAIL_RELOAD" => "                        failure_policy: FAIL_CLOSED"),
    row!("optional-filter", "is optional", "                  - name: flamegate\n" => "                  - name: flamegate\n                    is_optional: true\n"),
    row!("two-filters", "another Flamegate filter", ROUTER => concat!("                  - { name: flamegate-2, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: { name: flamegate } } }\n", "                  - name: envoy.filters.http.router\n")),
    row!("upgrade-filters", "websocket", "upgrade_type: websocket" => "upgrade_type: websocket, filters: [{ name: envoy.filters.http.router }]"),
    row!("cache-before", "stands before the filter", FILTER => concat!("                http_filters:\n", filter!("cache", "cache_v2.v3.CacheV2Config"))),
    row!("rate-limit-before", "stands before the filter", FILTER => concat!("                http_filters:\n", filter!("limit", "ratelimit.v3.RateLimit"))),
    row!("cache-key", "tells workspaces apart", ROUTER => concat!(filter!("cache", "cache.v3.CacheConfig"), "                  - name: envoy.filters.http.router\n")),
    row!("key-source-cacheable", "outside of authorization", "{\"bypass\"" => "{\"key_sources\": [{\"header\": \"x-api-key\"}], \"bypass\""),
    row!("log-secret", "the header x-api-key is logged", "{\"bypass\"" => "{\"key_sources\": [{\"header\": \"x-api-key\"}], \"bypass\"", "%PATH(NQ:ORIG_OR_PATH)%" => "%REQ(X-Api-Key)%"),
    row!("shadow", "is in shadow", "{\"bypass\"" => "{\"shadow\": true, \"bypass\""),
    row!("shadow-refused", "no guard admits", "{\"bypass\"" => "{\"shadow\": true, \"bypass\""),
    row!("shadow-admitted", "the filter is not", "wasm.flamegate.bypass, string_match: { exact: path }" => "wasm.flamegate.bypass, string_match: { exact: shadow }"),
    row!("jwt-behind-bypass", "which has bypass rules", ROUTER => concat!(filter!("jwt", "jwt_authn.v3.JwtAuthentication"), "                  - name: envoy.filters.http.router\n")),
    row!("cache-unguarded", "no RBAC guard stands between the filter and cache", "                  - name: guard\n" => concat!(filter!("cache", "cache.v3.CacheConfig"), "                  - name: guard\n")),
    row!("guard-unnamed", "guard has no name", "                      rules_stat_prefix: flamegate_guard\n" => ""),
    row!("route-settings-late", "flamegate", "{ prefix: /v1/ }\n                          route: { cluster: upstream }\n" => "{ prefix: /v1/, filter_state: [{ key: wasm.flamegate.key_id, string_match: { prefix: k } }] }\n                          route: { cluster: upstream }\n                          typed_per_filter_config: { flamegate: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } }\n"),
    row!("route-metadata-off", "the route of prefix /v1/ has settings", V1 => concat!("                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n", "                          metadata: { filter_metadata: { flamegate: { cost: 5 } } }\n")),
    row!("route-metadata-unreadable", "unknown field \"costs\"", "{\"bypass\"" => "{\"route_settings\": true, \"bypass\"", V1 => concat!("                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n", "                          metadata: { filter_metadata: { flamegate: { costs: 5 } } }\n")),
    row!("route-metadata-unreadable", "cost: a whole number from 0 to 1000000", "{\"bypass\"" => "{\"route_settings\": true, \"bypass\"", V1 => concat!("                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n", "                          metadata: { filter_metadata: { flamegate: { cost: 5.0 } } }\n")),
    row!("route-metadata-unreadable", "as null", "{\"bypass\"" => "{\"route_settings\": true, \"bypass\"", V1 => concat!("                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n", "                          metadata: { filter_metadata: { flamegate: { cost: ~ } } }\n")),
    row!("route-metadata-by-client", "the header x-plan", "{\"bypass\"" => "{\"route_settings\": true, \"bypass\"", V1 => concat!("                        - match: { prefix: /v1/, headers: [{ name: ':method', string_match: { exact: GET } }, { name: x-plan, present_match: true }] }\n                          route: { cluster: upstream }\n", "                          metadata: { filter_metadata: { flamegate: { cost: 0 } } }\n")),
    // The way around: what is chosen has none, and what stands behind it has.
    row!("route-metadata-by-client", "the query parameter free", "{\"bypass\"" => "{\"route_settings\": true, \"bypass\"", V1 => concat!("                        - match: { prefix: /v1/, query_parameters: [{ name: free, present_match: true }] }\n                          route: { cluster: upstream }\n", "                        - match: { prefix: /v1/search }\n                          route: { cluster: upstream }\n                          metadata: { filter_metadata: { flamegate: { cost: 5 } } }\n")),
    row!("route-metadata-not-read", "is found after the filter", "{\"bypass\"" => "{\"route_settings\": true, \"bypass\"", V1 => concat!("                        - match: { prefix: /v1/, filter_state: [{ key: wasm.flamegate.key_id, string_match: { prefix: k } }] }\n                          route: { cluster: upstream }\n", "                          metadata: { filter_metadata: { flamegate: { cost: 5 } } }\n                        - match: { prefix: /v1/ }\n                          direct_response: { status: 403 }\n")),
    row!("route-metadata-not-read", "settings of a virtual host", "{\"bypass\"" => "{\"route_settings\": true, \"bypass\"", "domains: [\"*\"]" => "domains: [\"*\"]\n                      metadata: { filter_metadata: { flamegate: { cost: 5 } } }"),
    row!("route-metadata-one-sided", "the one behind the guard", "{\"bypass\"" => "{\"route_settings\": true, \"bypass\"", V1 => concat!("                        - match: { prefix: /v1/, filter_state: [{ key: wasm.flamegate.key_id, string_match: { prefix: k } }] }\n                          route: { cluster: upstream }\n", "                        - match: { prefix: /v1/ }\n                          direct_response: { status: 403 }\n                          metadata: { filter_metadata: { flamegate: { cost: 5 } } }\n")),
    row!("guard-missing", "no guard behind the filter", "filters.http.rbac.v3.RBAC\n                      rules_stat_prefix: flamegate_guard\n                      rules:" => "filters.http.rbac.v3.RBAC\n                      shadow_rules:"),
    row!("guard-before-filter", "guard-first stands before", FILTER => "                http_filters:\n                  - name: guard-first\n                    typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, rules: { policies: { a: { principals: [{ filter_state: { key: wasm.flamegate.key_id, string_match: { prefix: k } } }] } } } }\n"),
    row!("guard-open", "without filter state", "                              - filter_state: { key: wasm.flamegate.bypass" => "                              - any: true\n                              - filter_state: { key: wasm.flamegate.bypass"),
    row!("guard-open", "without filter state", "string_match: { safe_regex: { regex: \".+\" } }" => "string_match: { prefix: \"\" }"),
    row!("guard-not-judged", "matcher tree", "                      rules:\n                        action: ALLOW" => "                      matcher:\n                        action: ALLOW"),
    row!("route-unguarded", "prefix /v1/", V1 => concat!("                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n", "                          typed_per_filter_config: { guard: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } }\n")),
    row!("route-unguarded", "prefix /v1/", V1 => concat!("                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n", "                          typed_per_filter_config: { guard: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute } }\n")),
    // By a virtual host, and taken back by one of its routes.
    row!("route-unguarded", "prefix /v1/", "domains: [\"*\"]" => "domains: [\"*\"]\n                      typed_per_filter_config: { guard: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } }"),
    row!("route-open", "filter and guard are off", V1 => concat!("                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n", "                          typed_per_filter_config: { flamegate: &off { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true }, guard: *off }\n")),
    row!("route-dead", "the filter is off and the guard is on", V1 => concat!("                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n", "                          typed_per_filter_config: { flamegate: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } }\n")),
    row!("filter-state", "wasm.flamegate.key_id is asked for", "{\"bypass\"" => "{\"filter_state\": [], \"bypass\""),
    row!("filter-state-unpublished", "wasm.flamegate.key_id is logged", "{\"bypass\"" => "{\"filter_state\": [], \"bypass\""),
    row!("paths", "normalize_path is not true, escaped slashes are kept", "                normalize_path: true\n" => "", "                path_with_escaped_slashes_action: REJECT_REQUEST\n" => ""),
    row!("bypass-all", "opens every path", "{\"path\": \"/healthz\"}" => "{\"path\": \"/\", \"match\": \"prefix\"}"),
    row!("bypass-rewritten", "/healthz", "- match: { path: /healthz }\n                          route: { cluster: upstream }" => "- match: { path: /healthz }\n                          route: { cluster: upstream, prefix_rewrite: /status }"),
    row!("bypass-wide", "/v1/admin", "{\"path\": \"/healthz\"}" => "{\"path\": \"/v1/\", \"match\": \"prefix\"}", V1 => "                        - match: { prefix: /v1/admin }\n                          route: { cluster: upstream }\n"),
    row!("client-address", "use_remote_address is not", "use_remote_address: true" => "use_remote_address: false", "{\"bypass\"" => "{\"failure_throttle\": {\"failures\": 5, \"window_seconds\": 60}, \"bypass\""),
    row!("internal-redirects", "prefix /v1/", V1 => "                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream, internal_redirect_policy: { max_internal_redirects: 1 } }\n"),
    row!("start-hold", "stream_idle_timeout is 1s, and start_hold_ms 3000", "stream_idle_timeout: 300s" => "stream_idle_timeout: 1s"),
    row!("log-secret", "authorization", "%PATH(NQ:ORIG_OR_PATH)%" => "%REQ(Authorization)%"),
    row!("log-secret", "admitted", "wasm.flamegate.key_id:PLAIN" => "wasm.flamegate.admitted:PLAIN"),
    row!("log-query", "with its query", "%PATH(NQ:ORIG_OR_PATH)%" => "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    row!("log-query", "default format", "                      log_format: {" => "                      other: {"),
    row!("stats-tags", "no tag reason", "tag_name: reason" => "tag_name: reasons"),
];

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(found(GOOD), []);
}

#[test]
fn each_planted_mistake_is_found_in_words() {
    for Row { rule, words, changes } in ROWS {
        let findings = found(&with(changes));
        let is_it = |finding: &&Finding| finding.rule.name == *rule && finding.what.contains(words);
        assert!(
            findings.iter().any(|finding| is_it(&finding)),
            "{rule} ({words}) is not among {findings:#?}"
        );
    }
}

#[test]
fn every_rule_has_a_planted_mistake() {
    let planted: BTreeSet<_> = ROWS.iter().map(|row| row.rule).collect();
    // One has a test below, the other is what a running Envoy says (`running.rs`).
    let own = BTreeSet::from(["token-not-here", "update-refused"]);
    let rules: BTreeSet<_> = rules::FILE_RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(rules.difference(&planted).copied().collect::<BTreeSet<_>>(), own);
    assert_eq!(rules.len(), rules::FILE_RULES.len(), "two rules have one name");
}

#[test]
fn a_finding_has_its_line_and_path() {
    let text = with(&[("vm_id: flamegate\n          runtime", "vm_id: other\n          runtime")]);
    let findings = found(&text);
    let finding = findings.iter().find(|finding| finding.rule.name == "vm-id").unwrap();
    let line = text.lines().position(|line| line.contains("\"bypass\"")).unwrap() + 1;
    assert_eq!(finding.line, line);
    let place = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config.configuration.value";
    assert_eq!(finding.path, place);
}

#[test]
fn all_mistakes_are_found_at_once_and_the_worst_come_first() {
    let text = with(&[
        ("vm_id: flamegate\n          runtime", "vm_id: other\n          runtime"),
        ("                normalize_path: true\n", ""),
        ("\"/healthz\"}", "\"healthz\", \"verb\": 1}"),
        ("{ idle_timeout: 60s }", "{}"),
    ]);
    let found: Vec<_> =
        found(&text).iter().map(|finding| (finding.rule.severity, finding.rule.name)).collect();
    let expected = [
        (Severity::Error, "plugin-configuration"),
        (Severity::Error, "plugin-configuration"),
        (Severity::Error, "vm-id"),
        (Severity::Warning, "paths"),
        (Severity::Hint, "cluster-idle-time-out"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_token_that_is_not_set_here_is_a_warning_and_none_in_the_vm_an_error() {
    let unset = |_: &str| None;
    let findings = check(GOOD, &Options { environment: Some(&unset), role: None });
    let found: Vec<_> = findings.iter().map(|finding| (finding.rule.name, finding.rule.severity)).collect();
    assert_eq!(found, [("token-not-here", Severity::Warning)]);
    assert!(findings[0].what.contains("FLAMEGATE_SYNC_TOKEN"));
}

#[test]
fn routes_that_ask_for_filter_state_themselves_are_guarded() {
    let (start, end) = (GOOD.find(GUARD).unwrap(), GOOD.find(ROUTER).unwrap());
    let bare = format!("{}{}", &GOOD[..start], &GOOD[end..]);
    let state = "filter_state: [{ key: wasm.flamegate.key_id, string_match: { safe_regex: { regex: .+ } } }]";
    let guarded = bare.replace("{ prefix: /v1/ }", &format!("{{ prefix: /v1/, {state} }}"));
    // The path that needs no key needs no guard either.
    assert_eq!(found(&guarded), []);
    let more = V1.replace("/v1/", "/v2/");
    let forgotten = guarded.replace(
        "                        - match: { prefix: / }\n",
        &format!("{more}                        - match: {{ prefix: / }}\n"),
    );
    let findings = found(&forgotten);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].rule.name == "route-unguarded" && findings[0].what.contains("/v2/"), "{findings:#?}");
    // What a refusal leaves behind is no identity.
    let wrong =
        found(&guarded.replace("wasm.flamegate.key_id, string_match", "wasm.flamegate.denied, string_match"));
    assert!(wrong.iter().any(|finding| finding.rule.name == "guard-missing"), "{wrong:#?}");
}

/// `GOOD` with a matcher tree in the place of guard and routes; `key` is what the first branch asks for.
fn with_tree(key: &str, otherwise: &str) -> String {
    let (start, end) = (GOOD.find(GUARD).unwrap(), GOOD.find(ROUTER).unwrap());
    let bare = format!("{}{}", &GOOD[..start], &GOOD[end..]);
    let (start, end) =
        (bare.find("                      routes:\n").unwrap(), bare.find("  clusters:\n").unwrap());
    let route = "\"@type\": type.googleapis.com/envoy.config.route.v3.Route";
    let input = format!(
        "input: {{ name: i, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput, key: {key} }} }}"
    );
    let tree = format!(
        "                      matcher:
                        matcher_list:
                          matchers:
                            - predicate: {{ or_matcher: {{ predicate: [
                                {{ single_predicate: {{ {input}, value_match: {{ prefix: key_ }} }} }},
                                {{ single_predicate: {{ {input}, value_match: {{ safe_regex: {{ regex: .+ }} }} }} }}] }} }}
                              on_match: {{ action: {{ name: a, typed_config: {{ \"@type\": type.googleapis.com/envoy.config.route.v3.RouteList, routes: [{{ match: {{ prefix: /v1/ }}, route: {{ cluster: upstream, prefix_rewrite: / }} }}] }} }} }}
                        on_no_match: {{ action: {{ name: b, typed_config: {{ {route}, match: {{ prefix: / }}, {otherwise} }} }} }}
"
    );
    format!("{}{tree}{}", &bare[..start], &bare[end..])
}

#[test]
fn routes_that_a_tree_leads_to_by_filter_state_are_guarded() {
    let closed = "direct_response: { status: 403 }";
    assert_eq!(found(&with_tree("wasm.flamegate.key_id", closed)), []);
    let rules = |text: &str| found(text).iter().map(|finding| finding.rule.name).collect::<Vec<_>>();
    assert_eq!(rules(&with_tree("wasm.flamegate.denied", closed))[0], "guard-missing");
    assert_eq!(rules(&with_tree("another.key_id", closed)), ["guard-missing"]);
    let open = found(&with_tree("wasm.flamegate.key_id", "route: { cluster: upstream }"));
    assert!(
        open.len() == 1 && open[0].rule.name == "route-unguarded" && open[0].what.contains("prefix /"),
        "{open:#?}"
    );
    let hashed = |kind: &str| {
        let matcher = format!(
            "custom_match: {{ name: there, typed_config: {{ \"@type\": type.googleapis.com/{kind}, modulo: 1 }} }}"
        );
        with_tree("wasm.flamegate.key_id", closed).replace("value_match: { prefix: key_ }", &matcher)
    };
    assert_eq!(
        rules(&hashed("envoy.extensions.matching.input_matchers.consistent_hashing.v3.ConsistentHashing")),
        [""; 0]
    );
    assert_eq!(rules(&hashed("another.Matcher")), ["not-seen"]);
    let unknown = with_tree("wasm.flamegate.key_id", closed).replace("route.v3.Route,", "other.Action,");
    assert_eq!(rules(&unknown), ["not-seen"]);
}

#[test]
fn both_roles_of_a_plugin_configuration_are_read_and_all_mistakes_told() {
    let filter = r#"{"realm": 7, "bypas": [], "sync": {"mode": "elected"}, "sync": {}}"#;
    assert!(found(filter)[0].what.contains("field \"sync\" stands twice"), "{:#?}", found(filter));
    let filter = r#"{"realm": 7, "bypas": [], "sync": {"mode": "elected", "cluster": ""}}"#;
    let whats: Vec<_> = found(filter).into_iter().map(|finding| finding.what).collect();
    assert_eq!(whats.len(), 3, "{whats:#?}");
    let sync = r#"{"role": "sync", "realm": "x", "sync": {"mode": "elected"}}"#;
    assert_eq!(found(sync).len(), 2, "{:#?}", found(sync));
    let role = Options { environment: Some(&all_set), role: Some(flamegate_check::Role::Filter) };
    let findings = check(r#"{"role": "sync", "sync": {}}"#, &role);
    assert_eq!(findings.iter().map(|finding| finding.rule.name).collect::<Vec<_>>(), ["role"]);
    assert_eq!(
        found("sync: { mode: elected }\nbypass: [{ path: /healthz }]\n"),
        [],
        "YAML, as in a WasmPlugin"
    );
}

#[test]
fn anchors_and_merge_keys_are_followed_and_bombs_are_not() {
    let merged = with(&[(
        V1,
        "                        - &v1 { match: { prefix: /v1/ }, route: { cluster: upstream } }\n                        - { <<: *v1, match: { prefix: /v2/ }, typed_per_filter_config: { guard: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } } }\n",
    )]);
    let findings = found(&merged);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].what.contains("/v2/"), "{findings:#?}");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert_eq!(found(&bomb)[0].rule.name, "not-read");
    let deep = "[".repeat(100_000);
    assert_eq!(found(&deep)[0].rule.name, "not-read");
}

#[test]
fn no_secret_is_repeated() {
    let secret = "sk_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
    let text = with(&[
        ("{\"bypass\"", &format!("{{\"realm\": \"{secret}\\n\", \"bypass\"")),
        ("\"cluster\": \"flamegate-control\"", &format!("\"token_env\": \"{secret}\"")),
    ]);
    let findings = found(&text);
    assert!(findings.len() >= 2 && !format!("{findings:?}").contains(secret), "{findings:#?}");
}

#[test]
fn what_is_no_configuration_is_told_so() {
    for text in ["", "hello", "[1, 2]", "- a\n- b\n", "{\"a\": ", "a: b: c"] {
        let findings = found(text);
        assert!(
            findings.iter().any(|finding| finding.rule.severity == Severity::Error),
            "{text}: {findings:#?}"
        );
    }
}

const BY_JWT: &str = concat!(
    "                        - match: { prefix: /v1/ }\n                          route: { cluster: upstream }\n",
    "                          typed_per_filter_config: { flamegate: &off { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true }, guard: *off, ",
    "jwt: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig, requirement_name: jwt } }\n"
);
const JWT: &str = concat!(
    "                http_filters:\n                  - name: jwt\n                    typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication, ",
    "providers: { issuer: { issuer: x } }, requirement_map: { jwt: { provider_name: issuer } } }\n"
);
const CLEANS: &str = concat!(
    "                early_header_mutation_extensions: [{ name: clean, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation, ",
    "mutations: [{ remove_on_match: { key_matcher: { safe_regex: { regex: \"x[^a-z0-9]flametalk[^a-z0-9].*\" } } } }] } }]\n                normalize_path: true\n"
);

#[test]
fn a_route_that_asks_for_a_jwt_is_not_open() {
    let changes = [(V1, BY_JWT), (FILTER, JWT), ("                normalize_path: true\n", CLEANS)];
    assert_eq!(found(&with(&changes)), []);
    // Without one of its parts it is.
    let broken = [
        ("requirement_name: jwt", "requirement_name: other"),
        ("requirement_name: jwt", "disabled: true"),
        ("provider_name: issuer", "provider_name: other"),
        ("provider_name: issuer", "allow_missing: {}"),
        ("regex: \"x[^a-z0-9]flametalk", "regex: \"x[^a-z0-9]other"),
    ];
    for (from, to) in broken {
        let findings = found(&with(&[&changes[..], &[(from, to)]].concat()));
        let rules: Vec<_> = findings.iter().map(|finding| finding.rule.name).collect();
        assert_eq!(rules, ["route-open"], "{to}");
    }
}
