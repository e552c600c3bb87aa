//! Two configurations of the filter in one VM, as with two listeners and while a listener is replaced: each request is decided
//! by the configuration of its own listener. The host does not say which that is (docs/adr/0015-two-callbacks-per-request.md).

use std::fs;

use flamegate_e2e::{
    Plugin, Protocol, Request, Stack, envoy::WORKERS, eventually, http1::Connection, process::free_port,
};
use serde_json::json;

const BOTH: &str = r#""environments":["live","test"]"#;
const LIVE_ONLY: &str = r#""environments":["live"]"#;

/// The listener in `envoy.yaml`, and what stands before and after it.
fn listener(text: &str) -> (&str, &str, &str) {
    let start = text.find("    - name: gateway\n").expect("the listener");
    let end = start + text[start..].find("  clusters:\n").expect("clusters");
    (&text[..start], &text[start..end], &text[end..])
}

fn plugin() -> Plugin {
    Plugin::singleton(json!({"environments": ["live", "test"], "realm": "first"}))
}

/// VMs of Envoy now: those of the main thread and of the workers.
fn vms(stack: &Stack) -> String {
    let stats = stack.envoy.admin("/stats?filter=wasm_vm_count|runtime.v8.active").text();
    stats.lines().find(|line| line.contains("v8.active")).unwrap_or_default().to_owned()
}

#[test]
fn two_listeners_with_two_configurations() {
    let second = free_port();
    let stack = Stack::start_changed("shared-vm-two", &plugin(), |text| {
        let (before, listener, after) = listener(&text);
        let first_port = listener.split("port_value: ").nth(1).and_then(|rest| rest.split(' ').next());
        let first_port = first_port.expect("its port");
        assert!(listener.contains(BOTH), "{listener}");
        let other = listener
            .replacen("- name: gateway", "- name: other", 1)
            .replacen(first_port, &second.to_string(), 1)
            .replace(BOTH, LIVE_ONLY)
            .replace(r#""realm":"first""#, r#""realm":"second""#);
        format!("{before}{listener}{other}{after}")
    });
    let (live, test) = (stack.accepted_key("live"), stack.accepted_key("test"));
    let request = |key: &str| Request::get("/v1/agents").bearer(key);
    eventually("the second listener", || {
        let answer = request(&live.key).send(Protocol::Http1, second).map_err(|error| error.to_string())?;
        answer.expect_status(200)
    });
    // Enough connections for both workers, and both listeners in turn on each of them.
    for _ in 0..WORKERS * 8 {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let first = request(&test.key).send(protocol, stack.envoy.port).unwrap();
            first.expect_status(200).unwrap();
            let refused = request(&test.key).send(protocol, second).unwrap();
            let refused = refused.expect_status(401).unwrap();
            assert_eq!(
                refused.header("www-authenticate").as_deref(),
                Some(r#"Bearer realm="second", error="invalid_token""#)
            );
            request(&live.key).send(protocol, second).unwrap().expect_status(200).unwrap();
            let missing = Request::get("/v1/agents").send(protocol, stack.envoy.port).unwrap();
            assert_eq!(missing.header("www-authenticate").as_deref(), Some(r#"Bearer realm="first""#));
        }
    }
}

#[test]
fn a_listener_that_is_replaced_keeps_its_configuration_until_it_is_drained() {
    let mut lds = None;
    let stack = Stack::start_changed("shared-vm-update", &plugin(), |text| {
        let (before, listener, after) = listener(&text);
        let resource = listener.replacen(
            "    - name: gateway\n",
            "    - \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n      name: gateway\n",
            1,
        );
        let path = std::env::temp_dir().join(format!("flamegate-lds-{}.yaml", std::process::id()));
        fs::write(&path, format!("resources:\n{resource}")).unwrap();
        let source = format!(
            "dynamic_resources: {{ lds_config: {{ path_config_source: {{ path: \"{}\" }} }} }}\n\nstatic_resources:\n",
            path.display()
        );
        lds = Some((path, resource));
        let before = before.replace("static_resources:\n  listeners:\n", &source);
        format!("{before}{after}")
    });
    let (path, resource) = lds.expect("the listener's file");
    let test = stack.accepted_key("test");
    let request = Request::get("/v1/agents").bearer(&test.key);
    let mut old: Vec<Connection> = stack.envoy.connection_to_each_worker();
    let before = vms(&stack);

    let next = path.with_extension("next");
    fs::write(&next, format!("resources:\n{}", resource.replace(BOTH, LIVE_ONLY))).unwrap();
    fs::rename(&next, &path).unwrap();
    eventually("the new configuration", || stack.envoy.send(&request).expect_status(401));
    assert_eq!(vms(&stack), before, "the new configuration has VMs of its own: this tests nothing");
    for _ in 0..3 {
        for connection in &mut old {
            assert_eq!(connection.send(&request).unwrap().status, 200, "a connection of the old listener");
        }
        for connection in &mut stack.envoy.connection_to_each_worker() {
            assert_eq!(connection.send(&request).unwrap().status, 401, "a connection of the new listener");
        }
    }
    // The old configuration goes on following the table.
    stack.control.revoke(&test.id, "0s");
    for connection in &mut old {
        eventually("the revocation on the old listener", || {
            connection.send(&request).map_err(|error| error.to_string())?.expect_status(401)
        });
    }
    drop(fs::remove_file(path));
}
