//! What Envoy Gateway makes of `envoy/envoy-gateway`, on the real Envoy: two policies with a VM namespace each, fail closed.

mod mortal;

use flamegate_e2e::manifests::documents;
use flamegate_e2e::{
    Control, Envoy, Request, Stack,
    envoy::{WORKERS, fill_file},
    eventually,
    process::{Folder, root},
    upstream::Upstream,
};
use mortal::{deadly, mortal_module};
use serde_json::{Value, json};

fn manifest(name: &str) -> Value {
    documents(&root().join(format!("envoy/envoy-gateway/{name}.yaml"))).remove(0)
}

fn start() -> Stack {
    let folder = Folder::new("envoy-gateway");
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let policy = &manifest("policy")["spec"]["wasm"][0];
    assert_eq!((&policy["rootID"], &policy["failOpen"]), (&json!("flamegate"), &json!(false)));
    let bootstrap = manifest("proxy")["spec"]["bootstrap"]["value"].as_str().expect("bootstrap").to_owned();
    assert!(bootstrap.contains("- name: flamegate-control\n"), "the cluster of the policy: {bootstrap}");
    let module = mortal_module(&folder);
    let envoy = Envoy::start_with("envoy", &folder, |(port, admin), _| {
        let values = [
            ("ADMIN_PORT", admin.to_string()),
            ("GATEWAY_PORT", port.to_string()),
            ("WASM", module.display().to_string()),
            ("HOST_KEYS", policy["env"]["hostKeys"].to_string()),
            ("CONFIG", policy["config"].to_string()),
            ("GUARD", manifest("guard")["spec"]["jsonPatches"][0]["operation"]["value"].to_string()),
            ("UPSTREAM_PORT", upstream.port.to_string()),
            ("CONTROL_PORT", control.port.to_string()),
        ];
        fill_file("tests/e2e/configs/envoy-gateway.yaml", &values)
    });
    Stack { envoy, control, upstream, folder }
}

/// Waits until every worker answers so to the key, on the routes of both policies.
fn wait_for_status(stack: &Stack, key: &str, status: u16) {
    for connection in &mut stack.envoy.connection_to_each_worker() {
        for path in ["/one/a", "/two/a"] {
            eventually("the policy's verdict", || {
                let answer = connection.send(&Request::get(path).bearer(key));
                answer.map_err(|error| error.to_string())?.expect_status(status)
            });
        }
    }
}

/// Not run, since Envoy Gateway itself would be needed: the resource asks for what `envoy.yaml` has, of the same Gateway.
#[test]
fn the_gateway_is_asked_for_one_reading_of_paths() {
    let spec = manifest("clients")["spec"].clone();
    assert_eq!(spec["path"], json!({"disableMergeSlashes": false, "escapedSlashesAction": "RejectRequest"}));
    assert_eq!(spec["targetRefs"], manifest("policy")["spec"]["targetRefs"]);
}

#[test]
fn each_policy_syncs_and_revokes_for_itself() {
    let stack = start();
    let limits = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let key = stack.control.create_key("e2e", "live", limits);
    wait_for_status(&stack, &key.key, 200);
    assert_eq!(
        stack.envoy.send(&Request::get("/none").bearer(&key.key)).status,
        403,
        "the guard, for no policy"
    );
    let receipt = stack.control.revoke(&key.id, "30s");
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(2), &json!(2)), "{receipt}");
    for connection in &mut stack.envoy.connection_to_each_worker() {
        for path in ["/one/a", "/two/a"] {
            let answer = connection.send(&Request::get(path).bearer(&key.key)).expect("answer");
            assert_eq!(answer.status, 401, "{path}, after the receipt {receipt}");
        }
    }
}

/// Without FAIL_RELOAD a worker whose VM has died refuses from then on; the other policy is not touched.
#[test]
fn a_dead_vm_stays_closed_and_the_other_policy_goes_on() {
    let stack = start();
    let limits = json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]});
    let key = stack.control.create_key("e2e", "live", limits);
    wait_for_status(&stack, &key.key, 200);
    let mut workers = stack.envoy.connection_to_each_worker();
    for connection in &mut workers {
        assert_eq!(connection.send(&deadly("/one/a")).expect("answer").status, 503);
    }
    for _ in 0..20 * WORKERS {
        assert_eq!(stack.envoy.send(&Request::get("/one/a").bearer(&key.key)).status, 503, "closed");
        assert_eq!(stack.envoy.send(&Request::get("/one/a")).status, 503, "closed");
        assert_eq!(stack.envoy.send(&Request::get("/two/a").bearer(&key.key)).status, 200);
        assert_eq!(stack.envoy.send(&Request::get("/two/a")).status, 401);
    }
}
