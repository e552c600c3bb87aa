//! Another sync token, or another variable for it, in a listener that is replaced while Envoy runs. Before 1.39 the environment
//! is no part of what tells VMs apart, so a VM that is there keeps its old one: docs/FAILURE-MODES.md. Nothing passes meanwhile that
//! must not, and with another `vm_config.configuration` the change takes effect everywhere.

use flamegate_e2e::{
    Control, Plugin, Request,
    envoy::{SYNC_TOKEN, Upstreams},
    eventually,
    gateway::Gateway,
    process::Folder,
    stack::surroundings,
    upstream::Upstream,
};
use serde_json::json;

/// How `envoy.yaml` gives the token to the filter.
const OWN: &str = "environment_variables: { host_env_keys: [FLAMEGATE_SYNC_TOKEN] }";

/// A gateway of one elected root context, whose filter has this variable with this value.
fn start(name: &str, variable: &str, value: &str) -> (Gateway, Control, Upstream, Folder) {
    let (folder, upstream, control) = surroundings(name);
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let gateway = Gateway::start_changed(&folder, &Plugin::elected(json!({})), upstreams, 0, |text| {
        assert!(text.contains(OWN));
        text.replace(OWN, &environment(variable, value))
    });
    (gateway, control, upstream, folder)
}

fn environment(variable: &str, value: &str) -> String {
    format!("environment_variables: {{ key_values: {{ {variable}: \"{value}\" }} }}")
}

/// The same in a VM of its own.
fn own_vm(text: &str) -> String {
    let own = "                          environment_variables:";
    assert!(text.contains(own));
    let configuration = "                          configuration: { \"@type\": type.googleapis.com/google.protobuf.StringValue, value: two }\n";
    text.replace(own, &format!("{configuration}{own}"))
}

/// True for an Envoy whose VMs are told apart by their environment, too.
fn tells_environments_apart(gateway: &Gateway) -> bool {
    let version =
        gateway.envoy.admin("/server_info").json()["version"].as_str().unwrap_or_default().to_owned();
    let minor = version.split('/').nth(1).and_then(|number| number.split('.').nth(1)).map(str::to_owned);
    minor.and_then(|minor| minor.parse::<u32>().ok()).expect("a version") >= 39
}

/// Replaces the listener; true when Envoy has taken it, false when it has refused it.
fn reload(gateway: &Gateway, change: impl FnOnce(String) -> String) -> bool {
    let before = gateway.updates();
    gateway.reload(change);
    eventually("Envoy's verdict on the listener", || {
        let (taken, refused) = gateway.updates();
        if taken > before.0 || refused > before.1 { Ok(taken > before.0) } else { Err(format!("{before:?}")) }
    })
}

#[test]
fn another_variable_is_taken_or_refused_and_the_old_configuration_goes_on() {
    let (gateway, control, _upstream, _folder) = start("vm-variable", "FLAMEGATE_SYNC_TOKEN", SYNC_TOKEN);
    let limits = json!([{"requests": 1_000_000, "window_seconds": 60}]);
    let key = control.create_key("e2e", "live", json!({"limits": limits}));
    let request = Request::get("/v1/agents").bearer(&key.key);
    gateway.envoy.wait_for(&request, 200);
    let mode = r#""mode":"elected""#;
    let taken = reload(&gateway, |text| {
        assert!(text.contains(mode));
        let other = text.replace(mode, &format!(r#"{mode},"token_env":"OTHER_TOKEN""#));
        other.replace(
            &environment("FLAMEGATE_SYNC_TOKEN", SYNC_TOKEN),
            &environment("OTHER_TOKEN", SYNC_TOKEN),
        )
    });
    assert_eq!(taken, tells_environments_apart(&gateway));
    if !taken {
        for words in ["environment variable OTHER_TOKEN must hold the sync token", "before Envoy 1.39"] {
            eventually("the reason in the log", || {
                let log = gateway.envoy.log();
                if log.contains(words) { Ok(()) } else { Err(log) }
            });
        }
        let updated = reload(&gateway, |text| own_vm(&text));
        assert!(updated, "with another configuration it is a VM of its own");
    }
    for (request, status) in [(&request, 200), (&Request::get("/v1/agents"), 401)] {
        gateway.envoy.wait_for(request, status);
    }
    control.revoke(&key.id, "10s");
    gateway.envoy.wait_for(&request, 401);
}

#[test]
fn another_value_takes_effect_in_another_vm() {
    let (gateway, control, _upstream, _folder) =
        start("vm-value", "FLAMEGATE_SYNC_TOKEN", "an-old-token-that-is-wrong");
    let key = control.create_key("e2e", "live", json!({}));
    let request = Request::get("/v1/agents").bearer(&key.key);
    let failures = || gateway.envoy.metrics().value("flamegate_sync_failures_total").unwrap_or(0.0);
    let more_failures = || {
        let before = failures();
        eventually("a failed sync", || {
            if failures() > before + 1.0 { Ok(()) } else { Err(failures().to_string()) }
        });
    };
    more_failures();
    let wrong = environment("FLAMEGATE_SYNC_TOKEN", "an-old-token-that-is-wrong");
    let right = environment("FLAMEGATE_SYNC_TOKEN", SYNC_TOKEN);
    assert!(reload(&gateway, |text| text.replace(&wrong, &right)), "nothing is wrong with the listener");
    if !tells_environments_apart(&gateway) {
        // The old listener's VM decides for the new one, too, with the old value.
        more_failures();
        assert_eq!(gateway.envoy.send(&request).status, 503);
        assert!(reload(&gateway, |text| own_vm(&text)));
    }
    eventually("the key", || gateway.envoy.send(&request).expect_status(200));
}
