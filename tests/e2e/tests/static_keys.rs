//! A gateway on its own: keys in its configuration, no control plane.

use flamegate_e2e::{Envoy, Plugin, Request, envoy::Upstreams, process::Folder, upstream::Upstream};
use serde_json::json;

/// SHA-256 of [`KEY`], computed elsewhere.
const HASH: &str = "68eade98c9651b765058d6875a435a2b575b4a2962f1f70d90cd00e1d7a0a14d";
const KEY: &str = "sk_test_staticKeyOfTheEndToEndTests";

#[test]
fn a_key_in_the_configuration_opens_the_gateway() {
    let folder = Folder::new("static-keys");
    let upstream = Upstream::start(&folder);
    let record = json!({"hash": HASH, "id": "static_1", "workspace": "ws_1", "environment": "test", "expires_at": null,
        "limits": [{"name": "default", "scope": "key", "requests": 2, "window_seconds": 3600, "burst": 2}]});
    let plugin = Plugin::alone(json!({"static_keys": [record]}));
    let upstreams = Upstreams { upstream: upstream.port, control: 1 };
    let envoy = Envoy::start("envoy", &folder, &plugin, upstreams);

    let request = Request::get("/v1/agents").bearer(KEY);
    assert_eq!(envoy.send(&request).status, 200);
    assert_eq!(envoy.send(&request).status, 200);
    assert_eq!(envoy.send(&request).status, 429, "static keys have limits too");
    assert_eq!(envoy.send(&Request::get("/v1/agents").bearer("sk_test_x")).status, 401, "never 503");
}
