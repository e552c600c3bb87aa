//! Gateways without a key table, and what operators see of them: the log, the gauges, the control plane's list.

use flamegate_e2e::{
    Envoy, Plugin, Request, Stack,
    envoy::{Upstreams, WORKERS},
    eventually,
    process::Folder,
};
use serde_json::json;

/// Waits for a line of Envoy's log that has all of `words`.
fn line(envoy: &Envoy, words: &[&str]) -> String {
    eventually("a line of the log", || {
        let log = envoy.log();
        let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
        line.map(str::to_owned).ok_or_else(|| format!("{words:?} in {log}"))
    })
}

fn expect_gauge(envoy: &Envoy, name: &str, wanted: f64) {
    eventually(name, || match envoy.metrics().value(name) {
        Some(value) if value == wanted => Ok(()),
        other => Err(format!("{other:?} instead of {wanted}")),
    });
}

fn status_of_a_key(envoy: &Envoy) -> u16 {
    envoy.send(&Request::get("/v1/agents").bearer("sk_live_whoever")).status
}

/// The sync fills one shared data and the filter reads another: nothing fails, and nobody is let in.
#[test]
fn a_filter_of_another_vm_id_than_the_sync_says_so_and_the_control_plane_sees_it() {
    let no_hold = Plugin::singleton(json!({"start_hold_ms": 0}));
    let stack = Stack::start_changed("other-vm-id", &no_hold, |text| {
        // The sync's is the first in the file.
        text.replacen("vm_id: flamegate", "vm_id: elsewhere", 1)
    });
    assert_eq!(status_of_a_key(&stack.envoy), 503);
    line(&stack.envoy, &["sync leads as", "vm_id \"elsewhere\""]);
    line(
        &stack.envoy,
        &["no key table for", "\"singleton\"", "vm_id \"flamegate\"", "no sync shares this data"],
    );
    for (gauge, value) in
        [("flamegate_table_present", 0.0), ("flamegate_table_confirmed_timestamp_seconds", 0.0)]
    {
        expect_gauge(&stack.envoy, gauge, value);
    }
    eventually("the control plane knows that it serves nobody", || {
        let gateways = stack.control.data("GET", "/v1/gateways", None);
        let gateway = &gateways[0];
        let seen = (&gateway["connected"], &gateway["workers"], gateway["acknowledged_revision"].is_u64());
        if seen == (&json!(true), &json!(0), true) { Ok(()) } else { Err(gateways.to_string()) }
    });
    let metrics =
        Request::get("/metrics").send(flamegate_e2e::Protocol::Http1, stack.control.port).expect("metrics");
    assert!(metrics.text().contains("flamegate_control_gateways_serving_nobody 1"), "{}", metrics.text());
    assert_eq!(status_of_a_key(&stack.envoy), 503);
}

#[test]
fn a_gateway_with_both_parts_is_served_by_its_workers() {
    let stack = Stack::start("both-parts", &Plugin::singleton(json!({})));
    stack.accepted_key("live");
    eventually("the workers have the keys", || {
        let gateways = stack.control.data("GET", "/v1/gateways", None);
        // Envoy's main thread has a VM of the filter, too.
        if gateways[0]["workers"] == json!(WORKERS + 1) { Ok(()) } else { Err(gateways.to_string()) }
    });
    expect_gauge(&stack.envoy, "flamegate_table_present", 1.0);
    let confirmed = stack.envoy.metrics().value("flamegate_table_confirmed_timestamp_seconds");
    assert!(confirmed.is_some_and(|at| at > 1.5e9), "{confirmed:?}");
    assert!(!stack.envoy.log().contains("no key table"), "{}", stack.envoy.log());
}

/// The filter waits for a singleton that nobody has configured.
#[test]
fn singleton_mode_without_the_bootstrap_part_says_what_is_missing() {
    let folder = Folder::new("no-bootstrap");
    let plugin = Plugin::alone(json!({"sync": {"mode": "singleton"}, "start_hold_ms": 0}));
    let envoy = Envoy::start("envoy", &folder, &plugin, Upstreams { upstream: 1, control: 1 });
    assert_eq!(status_of_a_key(&envoy), 503);
    line(&envoy, &["no key table for", "\"singleton\"", "WasmService", "bootstrap_extensions"]);
    expect_gauge(&envoy, "flamegate_table_present", 0.0);
    let told = envoy.log().lines().filter(|line| line.contains("no key table for")).count();
    assert!(told <= 2, "{told} lines of two workers in seconds: {}", envoy.log());
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let folder = Folder::new("no-cluster");
    let sync = json!({"mode": "elected", "cluster": "nowhere", "retry_min_ms": 50, "retry_max_ms": 200});
    let plugin = Plugin::elected(json!({"sync": sync}));
    let envoy = Envoy::start("envoy", &folder, &plugin, Upstreams { upstream: 1, control: 1 });
    line(&envoy, &["[warning]", "there is no key table yet", "is there a cluster \"nowhere\""]);
    line(&envoy, &["no key table for", "\"elected\""]);
    assert!(!envoy.log().contains("the last good table stays"), "there is none: {}", envoy.log());
}

/// No control plane is nothing to be missed.
#[test]
fn a_gateway_with_static_keys_alone_has_no_gauges_of_a_table_and_says_nothing() {
    let folder = Folder::new("static-quiet");
    let plugin = Plugin::alone(json!({"static_keys": []}));
    let envoy = Envoy::start("envoy", &folder, &plugin, Upstreams { upstream: 1, control: 1 });
    assert_eq!(status_of_a_key(&envoy), 401);
    eventually("its counters are there", || {
        let requests = envoy.metrics().requests("invalid_api_key", "unknown");
        if requests == 1 { Ok(()) } else { Err(format!("{requests}")) }
    });
    let metrics = envoy.metrics();
    let gauges =
        ["flamegate_table_present", "flamegate_table_age_seconds", "flamegate_keys", "flamegate_revision"];
    assert_eq!(gauges.map(|name| metrics.value(name)), [None; 4]);
    assert!(!envoy.log().contains("no key table"), "{}", envoy.log());
}
