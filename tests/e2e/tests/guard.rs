//! The guard behind the filter: Envoy goes on without a Wasm filter whose VM it could not make on a worker.

use flamegate_e2e::{Envoy, Plugin, Request, envoy::Upstreams, process::Folder, upstream::Upstream};
use serde_json::json;

#[test]
fn without_the_filter_nothing_reaches_the_upstream() {
    let folder = Folder::new("guard");
    let upstream = Upstream::start(&folder);
    let upstreams = Upstreams { upstream: upstream.port, control: 1 };
    let plugin = Plugin::alone(json!({"static_keys": []}));
    let envoy = Envoy::start_without_filter("envoy", &folder, &plugin, upstreams);
    for path in ["/v1/agents", "/healthz", "/public/a"] {
        let answer = envoy.send(&Request::get(path).bearer("sk_live_x"));
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
}
