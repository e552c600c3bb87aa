//! The guard behind the filter as documents and recipes have it (docs/adr/0027-the-guard-chooses-the-routes.md).

use serde_json::{Value, json};

const BY_KEY: &str = "wasm.flamegate.key_id";
const BYPASS: &str = "wasm.flamegate.bypass";

/// The RBAC filter of `envoy/istio` and `envoy/envoy-gateway`.
pub fn rbac() -> Value {
    let state = |key: &str, text: Value| json!({"filter_state": {"key": key, "string_match": text}});
    let bypass = |why: &str| state(BYPASS, json!({"exact": why}));
    let by_key = state(BY_KEY, json!({"safe_regex": {"regex": ".+"}}));
    let principals = json!([by_key, bypass("path"), bypass("preflight")]);
    json!({"name": "flamegate-guard", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules_stat_prefix": "flamegate_guard",
        "rules": {"action": "ALLOW", "policies": {"seen-by-flamegate": {
            "permissions": [{"any": true}], "principals": principals}}}}})
}

/// The virtual host's `matcher` of `envoy/envoy.yaml`, with this route in each of its lists.
pub fn matcher(route: &Value) -> Value {
    let action = |name: &str, kind: &str, mut what: Value| {
        what["@type"] = json!(format!("type.googleapis.com/envoy.config.route.v3.{kind}"));
        json!({"action": {"name": name, "typed_config": what}})
    };
    let input = |key: &str| {
        json!({"name": key, "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput", "key": key}})
    };
    let there = json!({"name": "there", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.matching.input_matchers.consistent_hashing.v3.ConsistentHashing",
        "threshold": 0, "modulo": 1}});
    let routes = |name: &str| action(name, "RouteList", json!({"routes": [route]}));
    let list = |predicate: Value, name: &str| json!({"predicate": {"single_predicate": predicate}, "on_match": routes(name)});
    let bypassed = |why: &str| json!({"input": input(BYPASS), "value_match": {"exact": why}});
    // As long as the answer that it stands beside: what the guard costs is to choose.
    let closed = json!({"match": {"prefix": "/"}, "name": "flamegate-guard",
        "direct_response": {"status": 403, "body": {"inline_string": "no"}}});
    json!({
        "matcher_list": {"matchers": [
            list(json!({"input": input(BY_KEY), "custom_match": there}), "by-key"),
            list(bypassed("path"), "bypassed"),
            list(bypassed("preflight"), "preflights")]},
        "on_no_match": action("flamegate-guard", "Route", closed)})
}
