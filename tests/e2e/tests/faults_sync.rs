//! Faults of the way to the control plane, and of shared data, on the real Envoy: two control planes by mistake, a token that
//! is replaced, a table that is lost with the last VM.

use flamegate_e2e::{
    Control, Envoy, Plugin, Protocol, Request, Stack,
    envoy::{SYNC_TOKEN, Upstreams, render},
    eventually,
    gateway::Gateway,
    process::Folder,
    upstream::Upstream,
};
use serde_json::json;

fn metric(control: &Control, name: &str) -> f64 {
    let answer = Request::get("/metrics").send(Protocol::Http1, control.port).expect("metrics");
    flamegate_e2e::metrics::Metrics::parse(&answer.text()).value(name).unwrap_or(0.0)
}

fn key(control: &Control) -> flamegate_e2e::control::NewKey {
    control.create_key("e2e", "live", json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]}))
}

/// The gateway takes one table, then the other: never a mixture, and never a key that neither has.
#[test]
fn two_control_planes_behind_one_name_let_nobody_in_whom_neither_knows() {
    let folder = Folder::new("two-control-planes");
    let upstream = Upstream::start(&folder);
    let folders = [Folder::new("two-control-planes-a"), Folder::new("two-control-planes-b")];
    let [mut one, mut two] = folders.each_ref().map(|folder| {
        let mut control = Control::prepare(folder);
        control.start();
        control.create_workspace("e2e");
        control
    });
    let (of_one, of_two) = (key(&one), key(&two));
    let upstreams = Upstreams { upstream: upstream.port, control: one.port };
    let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
        let endpoint = |port: u16| {
            format!(
                "              - endpoint:\n                  address: {{ socket_address: {{ address: \"127.0.0.1\", port_value: {port} }} }}\n"
            )
        };
        let text = render(&Plugin::singleton(json!({})), upstreams, ports, log);
        assert!(text.contains(&endpoint(one.port)));
        text.replace(&endpoint(one.port), &[endpoint(one.port), endpoint(two.port)].concat())
    });
    let ask = |key: &str| envoy.send(&Request::get("/v1/agents").bearer(key)).status;
    let foreign = "flamegate_control_foreign_epochs_total";
    eventually("both notice", || {
        assert!([401, 503].contains(&ask("sk_live_nobody")), "nobody's key");
        let (first, second) = (ask(&of_one.key), ask(&of_two.key));
        assert!([200, 401, 503].contains(&first) && [200, 401, 503].contains(&second), "{first} {second}");
        let (a, b) = (metric(&one, foreign), metric(&two, foreign));
        if a > 0.0 && b > 0.0 { Ok(()) } else { Err(format!("{a} {b}")) }
    });
    two.stop();
    eventually("the right one's table", || match (ask(&of_one.key), ask(&of_two.key)) {
        (200, 401) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    one.revoke(&of_one.id, "0s");
    eventually("its revocation", || if ask(&of_one.key) == 401 { Ok(()) } else { Err("still good".into()) });
    one.stop();
}

/// Old and new are both good while gateways move from one to the other.
#[test]
fn the_sync_token_is_replaced_and_no_request_notices() {
    const NEW: &str = "the-new-sync-token-of-the-tests";
    let mut stack = Stack::start("token-rotation", &Plugin::singleton(json!({})));
    let good = stack.accepted_key("live");
    let asks_well =
        |envoy: &Envoy| assert_eq!(envoy.send(&Request::get("/v1/agents").bearer(&good.key)).status, 200);
    let restart = |stack: &mut Stack, tokens: String| {
        stack.control.stop();
        asks_well(&stack.envoy);
        stack.control.sync_tokens = tokens;
        stack.control.start();
    };
    restart(&mut stack, format!("{SYNC_TOKEN},{NEW}"));
    let start_new = |stack: &Stack| {
        Envoy::start_with("envoy-new", &stack.folder, |ports, log| {
            let by_host = "environment_variables: { host_env_keys: [FLAMEGATE_SYNC_TOKEN] }";
            let text = render(&Plugin::singleton(json!({})), stack.upstreams(), ports, log);
            assert!(text.contains(by_host));
            text.replace(
                by_host,
                &format!("environment_variables: {{ key_values: {{ FLAMEGATE_SYNC_TOKEN: {NEW} }} }}"),
            )
        })
    };
    let new = start_new(&stack);
    let other = key(&stack.control);
    for envoy in [&stack.envoy, &new] {
        envoy.wait_for(&Request::get("/v1/agents").bearer(&other.key), 200);
        asks_well(envoy);
    }
    restart(&mut stack, NEW.to_owned());
    stack.control.revoke(&other.id, "0s");
    eventually("the gateway with the new token follows", || {
        new.send(&Request::get("/v1/agents").bearer(&other.key)).expect_status(401)
    });
    asks_well(&new);
    // The one that was forgotten keeps its table, and says why it is not followed any more.
    asks_well(&stack.envoy);
    eventually("the old gateway's log", || {
        let log = stack.envoy.log();
        if log.contains("answer with status 401") { Ok(()) } else { Err(log) }
    });
}

/// The store goes with the last VM of the `vm_id`. In elected mode these are the listener's.
#[test]
fn a_table_that_is_lost_with_the_last_vm_comes_back_and_lets_nobody_in_meanwhile() {
    let folder = Folder::new("lost-table");
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let gateway = Gateway::start(&folder, &Plugin::elected(json!({})), upstreams, 0);
    let (good, revoked) = (key(&control), key(&control));
    let ask = |key: &str| Request::get("/v1/agents").bearer(key).send(Protocol::Http1, gateway.envoy.port);
    let wait_for = |key: &str, status: u16| eventually("a verdict", || ask(key)?.expect_status(status));
    wait_for(&good.key, 200);
    wait_for(&revoked.key, 200);
    let vms = || -> u64 {
        let text = gateway.envoy.admin("/stats?filter=^wasm.*active$").text();
        text.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum()
    };
    let mut listener = String::new();
    gateway.reload(|text| {
        listener = text;
        "resources: []\n".to_owned()
    });
    eventually("the last VM is gone", || match vms() {
        0 => Ok(()),
        count => Err(format!("{count} VMs")),
    });
    control.revoke(&revoked.id, "0s");
    control.stop();
    gateway.reload(|_| listener);
    eventually("the listener is back", || ask("sk_live_nobody").map(drop));
    for _ in 0..50 {
        for key in [&good.key, &revoked.key] {
            let answer = ask(key).expect("answer");
            assert_eq!(answer.status, 503, "there is no table: {}", answer.text());
        }
    }
    control.start();
    wait_for(&good.key, 200);
    wait_for(&revoked.key, 401);
}
