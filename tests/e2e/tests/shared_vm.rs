//! Two configurations of the filter in one VM, as with two listeners and while a listener is replaced: each request is decided
//! by the configuration of its own listener. The host does not say which that is (docs/adr/0015-two-callbacks-per-request.md).

use std::{io::ErrorKind, time::Instant};

use flamegate_e2e::{
    DEADLINE, Envoy, Plugin, Protocol, Request, Stack,
    control::{Control, NewKey},
    envoy::{Upstreams, WORKERS},
    eventually,
    gateway::Gateway,
    http1::{Connection, encode},
    process::{Folder, free_port},
    stack::surroundings,
    upstream::Upstream,
};
use serde_json::{Value, json};

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

/// Limits that nobody reaches: how often a test asks until something is there depends on the machine.
fn unlimited() -> Value {
    json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]})
}

/// A gateway whose listener can be replaced, and what it needs.
fn reloadable(name: &str) -> (Gateway, Control, Upstream, Folder) {
    let (folder, upstream, control) = surroundings(name);
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    (Gateway::start(&folder, &plugin(), upstreams, 0), control, upstream, folder)
}

/// VMs of Envoy now: those of the main thread and of the workers.
fn vms(envoy: &Envoy) -> String {
    let stats = envoy.admin("/stats?filter=wasm_vm_count|runtime.v8.active").text();
    stats.lines().find(|line| line.contains("v8.active")).unwrap_or_default().to_owned()
}

#[test]
fn two_listeners_with_two_configurations() {
    let second = free_port();
    let stack = Stack::start_changed("shared-vm-two", &plugin(), |text| {
        let (before, listener, after) = listener(&text);
        assert!(listener.contains(BOTH), "{listener}");
        let other = other_listener(listener, second)
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
    let (gateway, control, _upstream, _folder) = reloadable("shared-vm-update");
    let test = control.create_key("e2e", "test", unlimited());
    let request = Request::get("/v1/agents").bearer(&test.key);
    eventually("the key", || gateway.envoy.send(&request).expect_status(200));
    let mut old: Vec<Connection> = gateway.envoy.connection_to_each_worker();
    let before = vms(&gateway.envoy);

    gateway.reload(|text| text.replace(BOTH, LIVE_ONLY));
    eventually("the new configuration", || gateway.envoy.send(&request).expect_status(401));
    assert_eq!(vms(&gateway.envoy), before, "the new configuration has VMs of its own: this tests nothing");
    for _ in 0..3 {
        for connection in &mut old {
            assert_eq!(connection.send(&request).unwrap().status, 200, "a connection of the old listener");
        }
        for connection in &mut gateway.envoy.connection_to_each_worker() {
            assert_eq!(connection.send(&request).unwrap().status, 401, "a connection of the new listener");
        }
    }
    // The old configuration goes on following the table.
    control.revoke(&test.id, "0s");
    for connection in &mut old {
        eventually("the revocation on the old listener", || {
            connection.send(&request).map_err(|error| error.to_string())?.expect_status(401)
        });
    }
}

/// Event streams of a key, one on each worker, that have begun.
fn event_streams(envoy: &Envoy, key: &NewKey) -> Vec<Connection> {
    let mut connections = envoy.connection_to_each_worker();
    for connection in &mut connections {
        connection.send_bytes(&encode(&Request::get("/v1/events").bearer(&key.key))).expect("request");
        assert_eq!(connection.read_head().expect("head").0, 200);
        connection.read_exactly(1).expect("an event");
    }
    connections
}

/// Reads a stream until it ends. There is an event every second.
fn assert_ends(mut stream: Connection) {
    let begin = Instant::now();
    let error = loop {
        match stream.read_exactly(1) {
            Ok(_) => assert!(begin.elapsed() < DEADLINE, "the stream goes on"),
            Err(error) => break error,
        }
    };
    assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}

/// Of equal configurations the newest decides all requests. The streams that it has noted outlive it.
#[test]
fn streams_end_with_their_key_after_the_configuration_that_noted_them_is_gone() {
    let (gateway, control, _upstream, _folder) = reloadable("shared-vm-equal");
    let key = control.create_key("e2e", "live", unlimited());
    let request = Request::get("/v1/agents").bearer(&key.key);
    eventually("the key", || gateway.envoy.send(&request).expect_status(200));

    let second = free_port();
    let mut alone = String::new();
    gateway.reload(|text| {
        let start = text.find("    - \"@type\"").expect("the listener");
        let other = other_listener(&text[start..], second);
        let other = other.replace("root_id: flamegate\n", "root_id: second\n");
        alone.clone_from(&text);
        format!("{text}{other}")
    });
    eventually("the second listener", || {
        request.send(Protocol::Http1, second).map_err(|error| error.to_string())?.expect_status(200)
    });
    let streams = event_streams(&gateway.envoy, &key);
    gateway.reload(|_| alone);
    eventually("the end of the second listener", || match request.send(Protocol::Http1, second) {
        Err(_) => Ok(()),
        Ok(answer) => Err(answer.text()),
    });
    eventually("drained", || match gateway.draining() {
        0 => Ok(()),
        left => Err(left.to_string()),
    });
    control.revoke(&key.id, "0s");
    streams.into_iter().for_each(assert_ends);
}

/// One stream has two contexts then, and both are of a key that is gone: of one root context, or of two that are equal.
#[test]
fn a_filter_that_is_twice_in_a_chain_ends_a_stream_once() {
    let plugin = Plugin::singleton(json!({"forward_authorization": true}));
    for root in ["flamegate", "second"] {
        let stack = Stack::start_changed("shared-vm-twice", &plugin, |text| {
            chain(&text, |second| second.replace("root_id: flamegate\n", &format!("root_id: {root}\n")))
        });
        let key = stack.accepted_key("live");
        let streams = event_streams(&stack.envoy, &key);
        let count = streams.len();
        stack.control.revoke(&key.id, "0s");
        streams.into_iter().for_each(assert_ends);
        let ended = || stack.envoy.metrics().value("flamegate_streams_ended_total").unwrap_or(0.0);
        eventually("the count", || if ended() >= count as f64 { Ok(()) } else { Err(ended().to_string()) });
        assert_eq!(ended(), count as f64, "{root}");
    }
}

/// Whose request it is can be found out once per request.
#[test]
fn a_filter_that_is_twice_in_a_chain_cannot_share_its_vm() {
    let plugin = Plugin::singleton(json!({"realm": "first", "forward_authorization": true}));
    let second = free_port();
    let stack = Stack::start_changed("shared-vm-twice-two", &plugin, |text| {
        let (before, once, after) = listener(&text);
        let twice = chain(once, |second| second);
        let other = other_listener(once, second).replace(r#""realm":"first""#, r#""realm":"second""#);
        format!("{before}{twice}{other}{after}")
    });
    let key = stack.control.create_key("e2e", "live", unlimited());
    let request = Request::get("/v1/agents").bearer(&key.key);
    eventually("the second listener", || {
        request.send(Protocol::Http1, second).map_err(|error| error.to_string())?.expect_status(200)
    });
    for connection in &mut stack.envoy.connection_to_each_worker() {
        assert_eq!(connection.send(&request).unwrap().status, 503);
    }
}

/// A copy of the listener under another name and on another port.
fn other_listener(listener: &str, port: u16) -> String {
    let own = listener.split("port_value: ").nth(1).and_then(|rest| rest.split(' ').next());
    listener.replacen("name: gateway", "name: other", 1).replacen(
        own.expect("its port"),
        &port.to_string(),
        1,
    )
}

/// The filter chain with a second filter after the first: a copy of it that `change` has changed.
fn chain(text: &str, change: impl FnOnce(String) -> String) -> String {
    let start = text.find("                  - name: flamegate\n").expect("the filter");
    let end = start
        + text[start..].find("                  - name: envoy.filters.http.router").expect("the router");
    let second = change(text[start..end].replacen("- name: flamegate", "- name: second", 1));
    format!("{}{second}{}", &text[..end], &text[end..])
}

/// What cannot be told apart is refused: neither configuration may decide for the other.
#[test]
fn two_configurations_in_one_chain_and_one_vm_let_nobody_through() {
    let plugin = Plugin::singleton(
        json!({"environments": ["live", "test"], "realm": "first", "forward_authorization": true}),
    );
    let stack = Stack::start_changed("shared-vm-chain", &plugin, |text| {
        chain(&text, |second| second.replace(r#""realm":"first""#, r#""realm":"second""#))
    });
    let key = stack.control.create_key("e2e", "live", unlimited());
    let request = Request::get("/v1/agents").bearer(&key.key);
    let unknown = Request::get("/v1/agents").bearer("sk_live_nobody");
    for connection in &mut stack.envoy.connection_to_each_worker() {
        let mut status = |request: &Request, wanted: u16| {
            eventually("the status that stays", || {
                connection.send(request).map_err(|error| error.to_string())?.expect_status(wanted)
            });
        };
        // A worker without a table answers 503 to any key. Once an unknown one is refused with 401, the first filter
        // has a table; once the known one is not, the first filter knows it, and the 503 is the second one's.
        status(&unknown, 401);
        status(&request, 503);
        eventually("the second filter's word", || {
            let log = stack.envoy.log();
            if log.contains("the filter is not configured on this worker") { Ok(()) } else { Err(log) }
        });
        assert_eq!(
            connection.send(&Request::get("/v1/agents")).unwrap().status,
            401,
            "the first filter's answer"
        );
    }
}
