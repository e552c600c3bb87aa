//! Envoy's configuration for each thing that is compared. All of them differ in the HTTP filters only: one worker, one
//! HTTP/1.1 listener, a route that answers by itself (`direct_response`), no access log.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    control,
    keys::{Key, Keys},
    process::{FILTER, FILTER_FOR_RESPONSES, artifact, free_port},
};

/// What stands in one Envoy.
pub struct Setup {
    /// HTTP filters before the router.
    pub filters: Vec<Value>,
    /// Clusters that they call.
    pub clusters: Vec<Value>,
    /// Bootstrap extensions.
    pub bootstrap: Vec<Value>,
    /// A cluster that requests go to, instead of being answered by the route.
    pub upstream: Option<u16>,
    /// Worker threads.
    pub workers: u32,
    /// What refuses a request that the filter has not seen.
    pub guard: Guard,
}

/// The guard behind the filter, in its two forms (docs/adr/0027-the-guard-chooses-the-routes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// None.
    None,
    /// As in `envoy/envoy.yaml`: filter state chooses the list of routes, and without it the answer is 403.
    Matcher,
    /// As in Istio and Envoy Gateway: an RBAC filter.
    Rbac,
}

/// Ports of one Envoy.
#[derive(Clone, Copy)]
pub struct Ports {
    /// Where requests go.
    pub gateway: u16,
    /// Where its statistics are.
    pub admin: u16,
}

/// How the filter is configured in one row of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flamegate {
    /// Nothing but the decision.
    Bare,
    /// Identity headers; `authorization` and whatever the client sent under `x-flametalk-*` removed.
    Headers,
    /// The defaults: identity headers, and the key id as filter state.
    Default,
    /// The defaults, and the guard of `envoy/envoy.yaml`.
    Shipped,
    /// The defaults, and the guard of Istio and Envoy Gateway.
    ShippedRbac,
    /// Bare, and `RateLimit` headers on what is admitted.
    RateLimit,
}

impl Setup {
    /// No filter at all.
    pub const fn none() -> Self {
        Self {
            filters: Vec::new(),
            clusters: Vec::new(),
            bootstrap: Vec::new(),
            upstream: None,
            workers: 1,
            guard: Guard::None,
        }
    }

    fn with(filters: Vec<Value>) -> Self {
        Self { filters, ..Self::none() }
    }

    /// Envoy's own `api_key_auth` with `count` keys in plaintext.
    pub fn api_key_auth(count: u32, limited: bool) -> Self {
        let credentials: Vec<Value> = (0..count)
            .map(
                |number| json!({"key": Key::ordinary(number).plaintext(), "client": format!("key_{number}")}),
            )
            .collect();
        let mut filters = vec![json!({"name": "api_key_auth", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
            "credentials": credentials, "key_sources": [{"header": "Authorization"}]}})];
        if limited {
            filters.push(json!({"name": "local_ratelimit", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
                "stat_prefix": "limit",
                "token_bucket": {"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "60s"},
                "filter_enabled": {"default_value": {"numerator": 100}},
                "filter_enforced": {"default_value": {"numerator": 100}}}}));
        }
        Self::with(filters)
    }

    /// A Lua script that does the same job: SHA-256, table, token bucket. The table stands in the script.
    pub fn lua(count: u32) -> Self {
        use std::fmt::Write as _;
        let mut script = String::from("local records = {\n");
        for number in 0..count {
            let key = Key::ordinary(number);
            let record = key.record();
            let limit = &record.limits[0];
            // Writing to a String cannot fail.
            let _ = writeln!(
                script,
                "[\"{}\"]={{id=\"{}\",workspace=\"{}\",rate={}/{},burst={}}},",
                key.hash().to_hex(),
                record.id,
                record.workspace,
                limit.requests,
                limit.window_seconds,
                limit.burst()
            );
        }
        script.push_str("}\n");
        script.push_str(include_str!("../lua/check.lua"));
        Self::with(vec![json!({"name": "lua", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": script}}})])
    }

    /// `ext_authz`, by gRPC or HTTP, to the server on `port`.
    pub fn ext_authz(grpc: bool, port: u16) -> Self {
        let service = if grpc {
            json!({"grpc_service": {"envoy_grpc": {"cluster_name": "authz"}}})
        } else {
            json!({"http_service": {"server_uri": {"uri": "http://127.0.0.1/", "cluster": "authz", "timeout": "10s"}}})
        };
        let mut config = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3"});
        for (name, value) in service.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        if grpc {
            config["grpc_service"]["timeout"] = json!("10s");
        }
        let mut setup = Self::with(vec![json!({"name": "ext_authz", "typed_config": config})]);
        setup.clusters.push(cluster("authz", port, grpc));
        setup
    }

    /// The proxy-wasm filter in `empty-filter/`, which does nothing.
    pub fn empty_filter(wasm: &Path) -> Self {
        Self::with(vec![wasm_filter("empty", wasm, "empty", &json!({}), &[])])
    }

    /// The filter with its singleton, which syncs with the control plane on `control`.
    pub fn flamegate(state: Flamegate, control: u16, tick_ms: u32) -> Result<Self> {
        let adds_to_responses = state == Flamegate::RateLimit;
        let wasm = artifact(if adds_to_responses { FILTER_FOR_RESPONSES } else { FILTER }, "make wasm")?;
        let sync = json!({"mode": "singleton"});
        let mut config = match state {
            Flamegate::Default | Flamegate::Shipped | Flamegate::ShippedRbac => json!({}),
            Flamegate::Headers => json!({"filter_state": []}),
            Flamegate::Bare => {
                json!({"identity_headers": false, "filter_state": [], "forward_authorization": true})
            }
            Flamegate::RateLimit => {
                json!({"identity_headers": false, "filter_state": [], "forward_authorization": true,
                       "rate_limit_headers": "always"})
            }
        };
        config["tick_ms"] = json!(tick_ms);
        config["sync"] = sync.clone();
        let mut setup = Self::with(vec![wasm_filter("flamegate", &wasm, "", &config, &[])]);
        setup.guard = match state {
            Flamegate::Shipped => Guard::Matcher,
            Flamegate::ShippedRbac => Guard::Rbac,
            _ => Guard::None,
        };
        let token: &[&str] = &["FLAMEGATE_SYNC_TOKEN"];
        let plugin = plugin("flamegate-sync", &wasm, "sync", &json!({"role": "sync", "sync": sync}), token);
        setup.bootstrap.push(json!({"name": "envoy.bootstrap.wasm", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.wasm.v3.WasmService",
            "singleton": true, "config": plugin}}));
        setup.clusters.push(cluster("flamegate-control", control, false));
        Ok(setup)
    }

    /// Writes the configuration to `<folder>/<name>.json`; the command line of Envoy with it.
    pub fn write(&self, name: &str, folder: &Path) -> Result<(Vec<String>, Ports)> {
        let ports = Ports { gateway: free_port(), admin: free_port() };
        let path = folder.join(format!("{name}.json"));
        std::fs::write(&path, self.config(ports).to_string())?;
        let binary = artifact(".cache/envoy", "make setup")?;
        let path = path.display().to_string();
        let workers = self.workers.to_string();
        let line = [binary.display().to_string(), "-c".to_owned(), path, "--concurrency".to_owned(), workers];
        let quiet = ["--disable-hot-restart", "--log-level", "warning"].map(str::to_owned);
        Ok((line.into_iter().chain(quiet).collect(), ports))
    }

    fn config(&self, ports: Ports) -> Value {
        let mut filters = self.filters.clone();
        if self.guard == Guard::Rbac {
            let state = |key: &str, text: Value| json!({"filter_state": {"key": key, "string_match": text}});
            let bypass = |why: &str| state("wasm.flamegate.bypass", json!({"exact": why}));
            let by_key = state("wasm.flamegate.key_id", json!({"safe_regex": {"regex": ".+"}}));
            let principals = json!([by_key, bypass("path"), bypass("preflight")]);
            filters.push(json!({"name": "flamegate-guard", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
                "rules_stat_prefix": "flamegate_guard",
                "rules": {"action": "ALLOW", "policies": {"seen-by-flamegate": {
                    "permissions": [{"any": true}], "principals": principals}}}}}));
        }
        filters.push(json!({"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}));
        let mut clusters = self.clusters.clone();
        let mut route = json!({"match": {"prefix": "/"}});
        match self.upstream {
            None => route["direct_response"] = json!({"status": 200, "body": {"inline_string": "ok"}}),
            Some(port) => {
                route["route"] = json!({"cluster": "upstream"});
                clusters.push(cluster("upstream", port, false));
            }
        }
        let mut host = json!({"name": "gateway", "domains": ["*"]});
        if self.guard == Guard::Matcher {
            host["matcher"] = guard_matcher(&route);
        } else {
            host["routes"] = json!([route]);
        }
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway", "codec_type": "AUTO", "http_filters": filters,
            "route_config": {"virtual_hosts": [host]}});
        json!({
            "node": {"id": "bench", "cluster": "bench"},
            "admin": {"address": address(ports.admin)},
            "bootstrap_extensions": self.bootstrap,
            "static_resources": {
                "listeners": [{"name": "gateway", "address": address(ports.gateway), "filter_chains": [{"filters": [
                    {"name": "http", "typed_config": manager}]}]}],
                "clusters": clusters}})
    }
}

/// The environment that [`Setup::flamegate`] needs.
pub const ENVIRONMENT: &[(&str, &str)] = &[("FLAMEGATE_SYNC_TOKEN", control::TOKEN)];

/// Keys to add to a table so that all states of the filter can be seen.
pub fn extra_keys() -> Vec<Key> {
    use crate::keys::Kind;
    [Kind::Unlimited, Kind::Exact, Kind::UsedUp].map(|kind| Key { kind, number: 0 }).to_vec()
}

/// A table of `count` ordinary keys and the extra ones.
pub fn table(count: u32) -> Keys {
    Keys::new(crate::keys::Kind::Ordinary, count, &extra_keys())
}

/// The guard of `envoy/envoy.yaml` before this route.
fn guard_matcher(route: &Value) -> Value {
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
    let by_key =
        json!({"single_predicate": {"input": input("wasm.flamegate.key_id"), "custom_match": there}});
    let routes = || action("routes", "RouteList", json!({"routes": [route]}));
    let closed =
        json!({"match": {"prefix": "/"}, "name": "flamegate-guard", "direct_response": {"status": 403}});
    let bypassed = json!({"matcher": {
        "matcher_tree": {
            "input": input("wasm.flamegate.bypass"),
            "exact_match_map": {"map": {"path": routes(), "preflight": routes()}}},
        "on_no_match": action("flamegate-guard", "Route", closed)}});
    json!({"matcher_list": {"matchers": [{"predicate": by_key, "on_match": routes()}]}, "on_no_match": bypassed})
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn cluster(name: &str, port: u16, http2: bool) -> Value {
    let mut cluster = json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]}});
    if http2 {
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}});
    }
    cluster
}

fn wasm_filter(name: &str, wasm: &Path, vm: &str, config: &Value, env: &[&str]) -> Value {
    json!({"name": name, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": plugin(name, wasm, vm, config, env)}})
}

fn plugin(name: &str, wasm: &Path, vm: &str, config: &Value, env: &[&str]) -> Value {
    let text =
        |value: String| json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value});
    json!({
        "name": name, "root_id": name, "failure_policy": "FAIL_RELOAD",
        "vm_config": {
            "vm_id": "flamegate", "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": wasm.display().to_string()}},
            "configuration": text(vm.to_owned()),
            "environment_variables": {"host_env_keys": env}},
        "configuration": text(config.to_string())})
}
