//! `RateLimit` on admitted responses (`rate_limit_headers: "always"`): ours and nobody else's where the key has limits, whatever the
//! upstream says of its own; nothing touched where it has none.

use flamegate_e2e::{
    Envoy, Plugin, Request,
    envoy::Upstreams,
    process::{Folder, root},
    scripted::{Arrived, Scripted, answer},
};
use serde_json::{Value, json};

/// SHA-256 of [`LIMITED`] and [`UNLIMITED`], computed elsewhere.
const HASHES: [&str; 2] = [
    "68eade98c9651b765058d6875a435a2b575b4a2962f1f70d90cd00e1d7a0a14d",
    "ce96867e3b232634c650a1eed2a1179b85fb9b284582fa449b78c1c9c41ae8fa",
];
const LIMITED: &str = "sk_test_staticKeyOfTheEndToEndTests";
const UNLIMITED: &str = "sk_test_responseLimitsWithoutAny";

const POLICY: &str = "ratelimit-policy";
const STATE: &str = "ratelimit";

/// What the upstream says of its own limits: as many lines of each as the path's last digit says.
fn upstream(request: &Arrived) -> String {
    let copies = request.target.bytes().last().map_or(0, |byte| usize::from(byte.saturating_sub(b'0')));
    let lines = ["RateLimit: \"upstream\";r=1;t=1", "RateLimit-Policy: \"upstream\";q=1;w=1"];
    answer("200 OK", &lines.repeat(copies), "")
}

fn record(hash: &str, id: &str, limits: Value) -> Value {
    json!({"hash": hash, "id": id, "workspace": "ws_1", "environment": "test", "limits": limits})
}

#[test]
fn ours_replace_every_copy_of_the_upstream_where_the_key_has_limits() {
    let folder = Folder::new("response-limits");
    let upstream = Scripted::start(upstream);
    let limits = json!([
        {"requests": 1000, "window_seconds": 3600, "burst": 100},
        {"name": "all", "scope": "workspace", "requests": 2000, "window_seconds": 60, "burst": 120}
    ]);
    let keys = [record(HASHES[0], "key_1", limits), record(HASHES[1], "key_2", json!([]))];
    let mut plugin = Plugin::alone(json!({"static_keys": keys, "rate_limit_headers": "always"}));
    plugin.module = Some(root().join("dist/flamegate-response-headers.wasm"));
    let upstreams = Upstreams { upstream: upstream.port, control: 1 };
    let envoy = Envoy::start("envoy", &folder, &plugin, upstreams);

    for copies in 0..4 {
        let request = Request::get(&format!("/v1/agents/{copies}"));
        let answer = envoy.send(&request.clone().bearer(LIMITED));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.all(POLICY), [r#""default";q=1000;w=3600, "all";q=2000;w=60"#], "{copies} copies");
        let [state] = &answer.all(STATE)[..] else { panic!("{copies} copies: {:?}", answer.all(STATE)) };
        let (key, workspace) = state.split_once(", ").expect("two limits");
        assert!(key.starts_with("\"default\";r=") && workspace.starts_with("\"all\";r="), "{state}");

        let answer = envoy.send(&request.bearer(UNLIMITED));
        assert_eq!(answer.status, 200);
        let theirs = (answer.all(STATE), answer.all(POLICY));
        assert_eq!((theirs.0.len(), theirs.1.len()), (copies, copies), "{theirs:?}");
        assert!(theirs.0.iter().all(|value| value == "\"upstream\";r=1;t=1"), "{theirs:?}");
    }
    // What is refused has none, unless a limit refused it.
    let refused = envoy.send(&Request::get("/v1/agents/2"));
    assert_eq!((refused.status, refused.all(STATE).len(), refused.all(POLICY).len()), (401, 0, 0));
}
