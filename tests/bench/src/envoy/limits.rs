//! What Envoy's own ways to limit over several gateways need in its configuration.

use serde_json::{Value, json};

use super::{Setup, cluster};

/// What tells limits apart: a request's class, and who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is in the header `x-class`.
    Header,
    /// All requests have this one.
    Always(&'static str),
}

/// A limit of Envoy's `local_ratelimit`, for one value of `authorization`.
#[derive(Clone, Debug)]
pub struct Local {
    /// The request's class.
    pub class: &'static str,
    /// The whole value of `authorization`.
    pub key: String,
    /// How many in a window.
    pub requests: u32,
    /// The window in seconds.
    pub seconds: u32,
}

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";

impl Setup {
    /// Envoy's `ratelimit` filter with a service on `port`. A service that does not answer in a quarter of a second has failed, and the request passes
    /// unless `deny` says otherwise (Envoy's own default is 20 ms, which a busy machine would turn into requests that pass).
    pub fn rate_limit_service(port: u16, class: Class, deny: bool) -> Self {
        // Under callgrind, which has one class, an answer takes its time.
        let timeout = if matches!(class, Class::Always(_)) { "10s" } else { "0.25s" };
        let mut setup = Self::with(vec![json!({"name": "ratelimit", "typed_config": {
            "@type": format!("{FILTERS}.ratelimit.v3.RateLimit"),
            "domain": "bench", "timeout": timeout, "failure_mode_deny": deny,
            "rate_limit_service": {
                "grpc_service": {"envoy_grpc": {"cluster_name": "limits"}}, "transport_api_version": "V3"}}})]);
        setup.clusters.push(cluster("limits", port, true));
        setup.rate_limits = vec![described(class)];
        setup
    }

    /// Envoy's `local_ratelimit` with a share of each limit: one of as many as `fellows` has, itself included.
    pub fn local_share(limits: &[Local], class: Class, fellows: &[u16]) -> Self {
        let bucket = |requests: u32, seconds: u32| json!({"max_tokens": requests, "tokens_per_fill": requests, "fill_interval": format!("{seconds}s")});
        let descriptor = |limit: &Local| {
            let entries =
                [json!({"key": "class", "value": limit.class}), json!({"key": "key", "value": limit.key})];
            json!({"entries": entries, "token_bucket": bucket(limit.requests, limit.seconds)})
        };
        let all = json!({"default_value": {"numerator": 100}});
        let setup = Self::with(vec![json!({"name": "local_ratelimit", "typed_config": {
            "@type": format!("{FILTERS}.local_ratelimit.v3.LocalRateLimit"),
            "stat_prefix": "limit", "filter_enabled": all, "filter_enforced": all,
            "token_bucket": bucket(1_000_000_000, 1), "always_consume_default_token_bucket": false,
            "local_cluster_rate_limit": {},
            "rate_limits": [described(class)],
            "descriptors": limits.iter().map(descriptor).collect::<Vec<_>>()}})]);
        Self { fellows: fellows.to_vec(), ..setup }
    }
}

fn described(class: Class) -> Value {
    let class = match class {
        Class::Header => json!({"request_headers": {"header_name": "x-class", "descriptor_key": "class"}}),
        Class::Always(name) => json!({"generic_key": {"descriptor_key": "class", "descriptor_value": name}}),
    };
    let key = json!({"request_headers": {"header_name": "authorization", "descriptor_key": "key"}});
    json!({"actions": [class, key]})
}
