//! What Istio's agent makes of `envoy/istio/gateway`, on the real Envoy: the filter comes by extension config discovery,
//! is edited, and a bad edit is refused.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use flamegate_e2e::manifests::{items, render};
use flamegate_e2e::{
    Control, Envoy, Request, Stack,
    control::NewKey,
    envoy::{Upstreams, fill_file},
    eventually, http1,
    process::{Folder, root},
    upstream::Upstream,
};
use serde_json::{Value, json};

const NAME: &str = "istio-ingress.flamegate";

/// One of the manifests of the gateway variant.
fn manifest(kind: &str) -> Value {
    render("gateway").into_iter().find(|one| one["kind"] == kind).expect("a manifest")
}

/// What Istio makes of a WasmPlugin: no vm_id, no VM configuration, plugin name `namespace.name`, the configuration as
/// JSON text, and the code as a local file, which the agent has put in the place of the image.
fn extension(plugin: &Value) -> Value {
    let spec = &plugin["spec"];
    let (mut inline, mut host) = (json!({}), Vec::new());
    for variable in items(&spec["vmConfig"]["env"]) {
        let name = variable["name"].as_str().expect("a name");
        match variable["valueFrom"].as_str() {
            Some("HOST") => host.push(name),
            _ => inline[name] = variable["value"].clone(),
        }
    }
    inline["ISTIO_META_CLUSTER_ID"] = json!("Kubernetes");
    assert_eq!(spec["failStrategy"], "FAIL_RELOAD");
    let module = root().join("dist/flamegate.wasm");
    json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": NAME,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": NAME,
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module.display().to_string()}},
                    "environment_variables": {"host_env_keys": host, "key_values": inline}
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": spec["pluginConfig"].to_string()
                }
            }
        }
    })
}

/// Delivers a plugin: the file is replaced by a rename, which is what Envoy watches for.
fn deliver(folder: &Path, version: &str, plugin: &Value) -> PathBuf {
    let (new, path) = (folder.join("ecds.new"), folder.join("ecds.json"));
    let response = json!({"version_info": version, "resources": [extension(plugin)]});
    fs::write(&new, response.to_string()).expect("discovery response");
    fs::rename(&new, &path).expect("discovery response");
    path
}

fn start() -> Stack {
    let folder = Folder::new("istio");
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let neighbour = folder.join("neighbour.wasm");
    let text = root().join("tests/e2e/configs/neighbour.wat");
    fs::write(&neighbour, wat::parse_file(text).expect("neighbour.wat")).expect("neighbour.wasm");
    let ecds = deliver(&folder, "1", &manifest("WasmPlugin"));
    let guard = manifest("EnvoyFilter")["spec"]["configPatches"][0]["patch"]["value"].to_string();
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let envoy = Envoy::start_with("envoy", &folder, |(port, admin), _| {
        let values = [
            ("ADMIN_PORT", admin.to_string()),
            ("GATEWAY_PORT", port.to_string()),
            ("NEIGHBOUR", neighbour.display().to_string()),
            ("ECDS", ecds.display().to_string()),
            ("GUARD", guard),
            ("UPSTREAM_PORT", upstreams.upstream.to_string()),
            ("CONTROL_PORT", upstreams.control.to_string()),
        ];
        fill_file("tests/e2e/configs/istio.yaml", &values)
    });
    Stack { envoy, control, upstream, folder }
}

fn stat(stack: &Stack, name: &str) -> u64 {
    let text = stack.envoy.admin(&format!("/stats?filter={name}")).text();
    text.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum()
}

/// An open event stream under a key.
fn events(stack: &Stack, key: &NewKey) -> http1::Connection {
    let mut connection = http1::Connection::open(stack.envoy.port).expect("connection");
    let request = Request::get("/v1/events").bearer(&key.key);
    connection.send_bytes(&http1::encode(&request)).expect("sent");
    assert_eq!(connection.read_head().expect("head").0, 200);
    assert!(connection.read_chunk().expect("an event").is_some());
    connection
}

/// Waits until every worker answers with this realm: then it has this generation of the plugin.
fn wait_for_realm(stack: &Stack, realm: &str) {
    for connection in &mut stack.envoy.connection_to_each_worker() {
        eventually("the edited plugin on every worker", || {
            let answer = connection.send(&Request::get("/v1/agents")).map_err(|error| error.to_string())?;
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            challenge.contains(&format!("realm=\"{realm}\"")).then_some(()).ok_or(challenge)
        });
    }
}

#[test]
fn delivered_edited_and_a_bad_edit_refused() {
    let stack = start();
    let (first, second) = (stack.accepted_key("live"), stack.accepted_key("live"));
    wait_for_realm(&stack, "flametalk");
    assert_eq!(stack.envoy.send(&Request::get("/healthz")).status, 200, "the bypass rule");
    eventually("the probe", || stack.envoy.send(&Request::get("/.flamegate/ready")).expect_status(200));

    // The old generation lives on for the streams that began under it, beside the new one.
    let (mut doomed, mut kept) = (events(&stack, &first), events(&stack, &second));
    let mut plugin = manifest("WasmPlugin");
    plugin["spec"]["pluginConfig"]["realm"] = json!("edited");
    deliver(&stack.folder, "2", &plugin);
    wait_for_realm(&stack, "edited");
    for _ in 0..50 {
        assert_eq!(stack.envoy.send(&Request::get("/v1/agents").bearer(&second.key)).status, 200);
    }
    let receipt = stack.control.revoke(&first.id, "30s");
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(1), &json!(1)), "{receipt}");
    stack.wait_for_status(&first.key, 401);
    while matches!(doomed.read_chunk(), Ok(Some(_))) {}
    assert!(kept.read_chunk().expect("an event").is_some(), "the other key's stream goes on");

    // A mistake never becomes a generation.
    plugin["spec"]["pluginConfig"]["relam"] = json!("bad");
    plugin["spec"]["pluginConfig"]["realm"] = json!("bad");
    deliver(&stack.folder, "3", &plugin);
    let failed = "extension_config_discovery.*(config_fail|update_rejected)";
    eventually("Envoy has refused the mistake", || match stat(&stack, failed) {
        0 => Err("no failure counted".to_owned()),
        _ => Ok(()),
    });
    wait_for_realm(&stack, "edited");
    stack.wait_for_status(&second.key, 200);
    let third = stack.accepted_key("live");
    stack.control.revoke(&third.id, "30s");
    stack.wait_for_status(&third.key, 401);
}

#[test]
fn revocation_beside_another_plugin() {
    let stack = start();
    stack.accepted_key("live");
    let mut times = Vec::new();
    for _ in 0..20 {
        let key = stack.accepted_key("live");
        let mut connections = stack.envoy.connection_to_each_worker();
        let started = Instant::now();
        let receipt = stack.control.revoke(&key.id, "30s");
        assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(1), &json!(1)), "{receipt}");
        times.push(started.elapsed());
        for connection in &mut connections {
            let answer = connection.send(&Request::get("/v1/agents").bearer(&key.key)).expect("answer");
            assert_eq!(answer.status, 401, "accepted after the receipt {receipt}");
        }
    }
    times.sort();
    println!("revoke to receipt, 20 rounds: median {:?}, slowest {:?}", times[10], times[19]);
    let writes = stat(&stack, "neighbour_writes");
    assert!(writes > 0, "the other plugin writes into the same namespace");
    println!("the other plugin has written {writes} times");
}
