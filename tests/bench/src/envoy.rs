//! Envoy's configuration for each thing that is compared. Most differ in the HTTP filters only: one worker, one
//! HTTP/1.1 listener in clear, a route that answers by itself (`direct_response`), no access log.

mod limits;
mod peers;

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    connection::{self, Downstream},
    control, guard,
    keys::{Key, Keys},
    process::{FILTER, FILTER_FOR_RESPONSES, artifact, free_port},
};

pub use limits::{Class, Local};

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
    /// How clients speak to it.
    pub downstream: Downstream,
    /// Request headers that the route removes.
    pub removes: &'static [&'static str],
    /// What the route says of itself.
    pub metadata: Option<Value>,
    /// What the route says of limits that are asked for elsewhere.
    pub rate_limits: Vec<Value>,
    /// Where it and its fellows are, for what is shared out among them.
    pub fellows: Vec<u16>,
    /// Others in the same proxy, each with a listener and a VM of its own; of them only filters, guard and routes are looked at.
    pub beside: Vec<(u16, Self)>,
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
    /// Bare, and requests wait for tokens of fleet limits as long as they may: under callgrind answers take their time. It does not look
    /// whether streams are still open: what it would ask of many requests at once, a second later, falls into some runs and not into others.
    Patient,
    /// Bare, and the credential is removed.
    Stripped,
    /// The same, with the credential in `x-api-key`.
    HeaderSource,
    /// As shipped, with the credential in `x-api-key`.
    ShippedHeader,
    /// Bare, and routes may say what requests cost. This one says it, and whose keys it is for.
    RouteSettings,
    /// The same, on a route that says nothing.
    RouteSilent,
}

impl Flamegate {
    /// True for a state that shows what one option costs, whatever the size of the table.
    pub const fn is_option(self) -> bool {
        matches!(
            self,
            Self::Stripped
                | Self::HeaderSource
                | Self::ShippedHeader
                | Self::RouteSettings
                | Self::RouteSilent
        )
    }
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
            downstream: Downstream::Http1,
            removes: &[],
            metadata: None,
            rate_limits: Vec::new(),
            fellows: Vec::new(),
            beside: Vec::new(),
        }
    }

    /// Nothing but the guard, which then refuses everything: what it costs by itself.
    pub fn guard_alone(guard: Guard) -> Self {
        Self { guard, ..Self::none() }
    }

    fn with(filters: Vec<Value>) -> Self {
        Self { filters, ..Self::none() }
    }

    /// The proxy-wasm filter in `empty-filter/`, which does nothing.
    pub fn empty_filter(wasm: &Path) -> Self {
        Self::with(vec![wasm_filter("empty", wasm, "empty", &json!({}), &[])])
    }

    /// The filter with its singleton, which syncs with the control plane on `control`.
    pub fn flamegate(state: Flamegate, control: u16, tick_ms: u32) -> Result<Self> {
        Self::flamegate_with(state, &[control], tick_ms)
    }

    /// The same with several control planes, in turn.
    pub fn flamegate_with(state: Flamegate, controls: &[u16], tick_ms: u32) -> Result<Self> {
        let adds_to_responses = state == Flamegate::RateLimit;
        let wasm = artifact(if adds_to_responses { FILTER_FOR_RESPONSES } else { FILTER }, "make wasm")?;
        let sync = json!({"mode": "singleton"});
        let mut config = match state {
            Flamegate::Default => json!({}),
            Flamegate::Shipped | Flamegate::ShippedRbac => serde_json::from_str(SHIPPED)?,
            Flamegate::ShippedHeader => {
                let mut shipped: Value = serde_json::from_str(SHIPPED)?;
                shipped["key_sources"] = json!([{"header": "x-api-key"}]);
                shipped
            }
            Flamegate::Headers => json!({"filter_state": []}),
            Flamegate::Bare => {
                json!({"identity_headers": false, "filter_state": [], "forward_authorization": true})
            }
            Flamegate::Patient => {
                json!({"identity_headers": false, "filter_state": [], "forward_authorization": true, "fleet_wait_ms": 10_000,
                       "end_streams": false})
            }
            Flamegate::Stripped => json!({"identity_headers": false, "filter_state": []}),
            Flamegate::HeaderSource => json!({"identity_headers": false, "filter_state": [],
                "key_sources": [{"header": "x-api-key"}]}),
            Flamegate::RouteSettings | Flamegate::RouteSilent => {
                json!({"identity_headers": false, "filter_state": [], "forward_authorization": true,
                       "route_settings": true})
            }
            Flamegate::RateLimit => {
                json!({"identity_headers": false, "filter_state": [], "forward_authorization": true,
                       "rate_limit_headers": "always"})
            }
        };
        config["tick_ms"] = json!(tick_ms);
        config["sync"] = sync.clone();
        let mut setup =
            Self::with(vec![wasm_filter("flamegate", &wasm, &format!("{state:?}"), &config, &[])]);
        if state == Flamegate::RouteSettings {
            let says = json!({"cost": 1, "environments": ["live"]});
            setup.metadata = Some(json!({"filter_metadata": {"flamegate": says}}));
        }
        setup.guard = match state {
            Flamegate::Shipped | Flamegate::ShippedHeader => Guard::Matcher,
            Flamegate::ShippedRbac => Guard::Rbac,
            _ => Guard::None,
        };
        let token: &[&str] = &["FLAMEGATE_SYNC_TOKEN"];
        let plugin = plugin("flamegate-sync", &wasm, "sync", &json!({"role": "sync", "sync": sync}), token);
        setup.bootstrap.push(json!({"name": "envoy.bootstrap.wasm", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.wasm.v3.WasmService",
            "singleton": true, "config": plugin}}));
        setup.clusters.push(cluster_of("flamegate-control", controls, false));
        Ok(setup)
    }

    /// Writes the configuration to `<folder>/<name>.json`; the command line of Envoy with it.
    pub fn write(&self, name: &str, folder: &Path) -> Result<(Vec<String>, Ports)> {
        let ports = Ports { gateway: free_port(), admin: free_port() };
        let path = folder.join(format!("{name}.json"));
        std::fs::write(&path, self.config(ports)?.to_string())?;
        let binary = artifact(".cache/envoy", "make setup")?;
        let path = path.display().to_string();
        let workers = self.workers.to_string();
        let line = [binary.display().to_string(), "-c".to_owned(), path, "--concurrency".to_owned(), workers];
        let quiet = ["--disable-hot-restart", "--log-level", "warning"].map(str::to_owned);
        Ok((line.into_iter().chain(quiet).collect(), ports))
    }

    fn config(&self, ports: Ports) -> Result<Value> {
        let mut clusters = self.clusters.clone();
        clusters.extend(self.upstream.map(|port| cluster("upstream", port, false)));
        clusters.extend((!self.fellows.is_empty()).then(|| cluster_of(FELLOWS, &self.fellows, false)));
        let mut listeners = vec![self.listener("gateway", ports.gateway)?];
        for (port, other) in &self.beside {
            listeners.push(other.listener(&format!("gateway-{port}"), *port)?);
        }
        let mut config = json!({
            "node": {"id": "bench", "cluster": "bench"},
            "admin": {"address": address(ports.admin)},
            "bootstrap_extensions": self.bootstrap,
            "static_resources": {"listeners": listeners, "clusters": clusters}});
        if !self.fellows.is_empty() {
            config["cluster_manager"] = json!({"local_cluster_name": FELLOWS});
        }
        Ok(config)
    }

    fn listener(&self, name: &str, port: u16) -> Result<Value> {
        let mut filters = self.filters.clone();
        filters.extend((self.guard == Guard::Rbac).then(guard::rbac));
        filters.push(json!({"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}));
        let mut route = json!({"match": {"prefix": "/"}});
        match self.upstream {
            None => route["direct_response"] = json!({"status": 200, "body": {"inline_string": "ok"}}),
            Some(_) => route["route"] = json!({"cluster": "upstream"}),
        }
        if let Some(metadata) = &self.metadata {
            route["metadata"] = metadata.clone();
        }
        let mut host = json!({"name": "gateway", "domains": ["*"], "request_headers_to_remove": self.removes, "rate_limits": self.rate_limits});
        if self.guard == Guard::Matcher {
            host["matcher"] = guard::matcher(&route);
        } else {
            host["routes"] = json!([route]);
        }
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway", "codec_type": "AUTO", "http_filters": filters,
            "route_config": {"virtual_hosts": [host]}});
        let mut chain = json!({"filters": [{"name": "http", "typed_config": manager}]});
        if self.downstream.is_tls() {
            chain["transport_socket"] = transport(self.downstream)?;
        }
        Ok(json!({"name": name, "address": address(port), "filter_chains": [chain]}))
    }
}

/// The filter's configuration as it is shipped; what it says of the sync is replaced.
const SHIPPED: &str = include_str!("../../../envoy/filter.json");

/// The cluster that a gateway and its fellows are.
const FELLOWS: &str = "gateways";

/// The environment that [`Setup::flamegate`] needs.
pub const ENVIRONMENT: &[(&str, &str)] = &[("FLAMEGATE_SYNC_TOKEN", control::TOKEN)];

/// Keys to add to a table so that all states of the filter can be seen.
pub fn extra_keys() -> Vec<Key> {
    use crate::keys::Kind;
    [Kind::Unlimited, Kind::Exact, Kind::UsedUp, Kind::Restricted]
        .map(|kind| Key { kind, number: 0 })
        .to_vec()
}

/// A table of `count` ordinary keys and the extra ones.
pub fn table(count: u32) -> Keys {
    Keys::new(crate::keys::Kind::Ordinary, count, &extra_keys())
}

/// The listener's side of TLS.
fn transport(downstream: Downstream) -> Result<Value> {
    let identity = connection::identity()?;
    let inline = |text: &str| json!({"inline_string": text});
    Ok(json!({"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": [downstream.protocol()],
            "tls_certificates": [{
                "certificate_chain": inline(&identity.certificate), "private_key": inline(&identity.key)}]}}}))
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn cluster(name: &str, port: u16, http2: bool) -> Value {
    cluster_of(name, &[port], http2)
}

fn cluster_of(name: &str, ports: &[u16], http2: bool) -> Value {
    let endpoints: Vec<Value> =
        ports.iter().map(|port| json!({"endpoint": {"address": address(*port)}})).collect();
    let mut cluster = json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}});
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
