//! What others need in Envoy's configuration for the same job.

use serde_json::{Value, json};

use super::{Setup, cluster};
use crate::keys::Key;

impl Setup {
    /// Envoy's own `api_key_auth` with `count` keys in plaintext. It can pass on who is calling, as one header, and hide the key; what
    /// else a client could send under the identity's names the route removes.
    pub fn api_key_auth(count: u32, limited: bool, safe: bool) -> Self {
        let credentials: Vec<Value> = (0..count)
            .map(
                |number| json!({"key": Key::ordinary(number).plaintext(), "client": format!("key_{number}")}),
            )
            .collect();
        let mut check = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
            "credentials": credentials, "key_sources": [{"header": "Authorization"}]});
        if safe {
            check["forwarding"] = json!({"header": "x-flametalk-key-id", "hide_credentials": true});
        }
        let mut filters = vec![json!({"name": "api_key_auth", "typed_config": check})];
        if limited {
            filters.push(json!({"name": "local_ratelimit", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
                "stat_prefix": "limit",
                "token_bucket": {"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "60s"},
                "filter_enabled": {"default_value": {"numerator": 100}},
                "filter_enforced": {"default_value": {"numerator": 100}}}}));
        }
        let removes: &[&str] =
            if safe { &["x-flametalk-workspace-id", "x-flametalk-environment"] } else { &[] };
        Self { removes, ..Self::with(filters) }
    }

    /// A Lua script that does the same job: SHA-256, table, token bucket, and the identity's headers. The table stands in the script.
    pub fn lua(count: u32, safe: bool) -> Self {
        use std::fmt::Write as _;
        let mut script = format!("local safe = {safe}\nlocal records = {{\n");
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
        script.push_str(include_str!("../../lua/check.lua"));
        Self::with(vec![json!({"name": "lua", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": script}}})])
    }

    /// `ext_authz`, by gRPC or HTTP, to the server on `port`. By gRPC the server says which headers to set and to remove; by HTTP it
    /// sets them and the route removes the credential.
    pub fn ext_authz(grpc: bool, port: u16, safe: bool) -> Self {
        let mut service = if grpc {
            json!({"grpc_service": {"envoy_grpc": {"cluster_name": "authz"}}})
        } else {
            json!({"http_service": {"server_uri": {"uri": "http://127.0.0.1/", "cluster": "authz", "timeout": "10s"}}})
        };
        if safe && !grpc {
            service["http_service"]["authorization_response"] =
                json!({"allowed_upstream_headers": {"patterns": [{"prefix": "x-flametalk-"}]}});
        }
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
        setup.removes = if safe && !grpc { &["authorization"] } else { &[] };
        setup
    }
}
