//! What Envoy's own guide for edge proxies asks of every configuration that is copied: `envoy/envoy.yaml` and the recipes. And what
//! the time limits of `envoy/envoy.yaml` do to whoever says nothing.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
};

use flamegate_e2e::{
    Envoy, Plugin, Request, Stack,
    envoy::{Upstreams, render},
    eventually,
    http1::{Connection, encode},
    process::root,
    stack::surroundings,
};
use serde_json::{Value, json};

/// A configuration, each of its placeholders filled with something.
fn configuration(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        filled.push('1');
        filled.push_str(part.split_once('}').expect("the end of a placeholder").1);
    }
    serde_yaml_ng::from_str(&filled).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is missing or different in a configuration.
fn mistakes(configuration: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |what: &str, value: &Value, wanted: Value| {
        if *value != wanted {
            found.push(format!("{what}: {value}, not {wanted}"));
        }
    };
    let listener = &configuration["static_resources"]["listeners"][0];
    expect(
        "listener.per_connection_buffer_limit_bytes",
        &listener["per_connection_buffer_limit_bytes"],
        json!(32768),
    );
    let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    for (name, wanted) in [
        ("use_remote_address", json!(true)),
        ("normalize_path", json!(true)),
        ("merge_slashes", json!(true)),
        ("path_with_escaped_slashes_action", json!("REJECT_REQUEST")),
        ("common_http_protocol_options", json!({"idle_timeout": "120s"})),
        (
            "http_protocol_options",
            json!({"accept_http_10": true, "default_host_for_http_10": "flamegate.invalid"}),
        ),
        ("request_headers_timeout", json!("10s")),
        ("stream_idle_timeout", json!("300s")),
        (
            "http2_protocol_options",
            json!({"max_concurrent_streams": 100, "initial_stream_window_size": 65536, "initial_connection_window_size": 1048576}),
        ),
    ] {
        expect(name, &manager[name], wanted);
    }
    let upstream = &configuration["static_resources"]["clusters"][0];
    expect("the first cluster", &upstream["name"], json!("upstream"));
    expect(
        "upstream.per_connection_buffer_limit_bytes",
        &upstream["per_connection_buffer_limit_bytes"],
        json!(32768),
    );
    let monitors = configuration["overload_manager"]["resource_monitors"].as_array().into_iter().flatten();
    let connections = monitors
        .filter(|monitor| monitor["name"] == "envoy.resource_monitors.global_downstream_max_connections")
        .count();
    expect("monitors of connections", &json!(connections), json!(1));
    found
}

#[test]
fn every_configuration_has_the_limits_of_an_edge() {
    let recipes = fs::read_dir(root().join("envoy/recipes")).expect("the recipes");
    let mut paths: Vec<_> = recipes.map(|file| file.expect("a file").path()).collect();
    assert!(paths.len() >= 5, "{paths:?}");
    paths.push(root().join("envoy/envoy.yaml"));
    for path in paths {
        let found = mistakes(&configuration(&path));
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
}

/// `envoy.yaml` with a limit that a test can wait for.
fn impatient(name: &str, limit: &str, short: &str) -> Stack {
    Stack::start_changed(name, &Plugin::singleton(json!({})), |text| {
        assert!(text.contains(limit));
        text.replace(limit, short)
    })
}

/// Waits until the access log says why a request got this status.
fn assert_logged(stack: &Stack, status: u16, details: &str) {
    eventually("a line in the access log", || {
        let lines = stack.envoy.access_lines();
        let found = lines.iter().any(|line| line["status"] == status && line["details"] == details);
        if found { Ok(()) } else { Err(format!("{lines:?}")) }
    });
}

#[test]
fn headers_that_do_not_come_to_an_end_are_given_up() {
    let stack = impatient("edge-headers", "request_headers_timeout: 10s", "request_headers_timeout: 0.2s");
    let mut connection = Connection::open(stack.envoy.port).expect("connection");
    connection
        .send_bytes(b"GET /v1/agents HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bear")
        .expect("sent");
    assert_eq!(connection.read_head().expect("an answer").0, 408);
    assert_logged(&stack, 408, "request_header_timeout");
}

#[test]
fn a_stream_on_which_nothing_moves_is_given_up_and_an_event_stream_is_not() {
    let stack = impatient("edge-streams", "stream_idle_timeout: 300s", "stream_idle_timeout: 0.2s");
    let key = stack.accepted_key("live");
    // The upstream says something every second, which is too slow for the limit of all other routes.
    let mut events = Connection::open(stack.envoy.port).expect("connection");
    events.send_bytes(&encode(&Request::get("/v1/events").bearer(&key.key))).expect("request");
    assert_eq!(events.read_head().expect("head").0, 200);
    // Its process stands still, so that nothing moves on a request that reaches it.
    stack.upstream.signal("STOP");
    let answer = stack.envoy.send(&Request::get("/v1/agents").bearer(&key.key));
    stack.upstream.signal("CONT");
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_logged(&stack, 504, "stream_idle_timeout");
    for _ in 0..3 {
        assert!(events.read_chunk().expect("an event").is_some(), "the stream goes on");
    }
}

#[test]
fn without_heap_left_requests_are_refused() {
    let stack = impatient("edge-heap", "max_heap_size_bytes: 2147483648", "max_heap_size_bytes: 1000000");
    let answer = eventually("Envoy has looked at its heap", || {
        stack.envoy.send(&Request::get("/healthz")).expect_status(503)
    });
    assert_eq!(answer.text(), "envoy overloaded");
    assert_logged(&stack, 503, "overload");
}

/// An upstream that reads a whole request before it answers, as most do. It runs until the test's process ends.
fn reader() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || while serve(&stream).is_some() {});
        }
    });
    port
}

/// One request; `None` when the connection is of no more use.
fn serve(mut stream: &TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length = length.map_or(0, |text| text.trim().parse().expect("a length"));
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").ok()
}

#[test]
fn who_has_no_key_takes_no_place_of_those_who_have_one() {
    // More than Envoy's own 1,024 connections and as many that wait for one.
    const WITHOUT_A_KEY: usize = 2_100;
    let (folder, upstream, control) = surroundings("edge-places");
    let upstreams = Upstreams { upstream: reader(), control: control.port };
    let envoy = Envoy::start_with("envoy", &folder, |ports, log| {
        render(&Plugin::singleton(json!({})), upstreams, ports, log)
    });
    let stack = Stack { envoy, control, upstream, folder };
    let key = stack.accepted_key("live");
    let bodies: Vec<_> = (0..WITHOUT_A_KEY)
        .map(|_| {
            let mut connection = Connection::open(stack.envoy.port).expect("connection");
            let head = b"POST /healthz HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 1000\r\n\r\n";
            connection.send_bytes(head).expect("sent");
            connection
        })
        .collect();
    eventually("all of them have been decided", || {
        let decided = stack.envoy.metrics().requests("bypassed", "path");
        if decided == bodies.len() as u64 { Ok(()) } else { Err(format!("{decided} of {}", bodies.len())) }
    });
    for _ in 0..20 {
        let answer = stack.envoy.send(&Request::get("/v1/agents").bearer(&key.key));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_logged(&stack, 503, "upstream_reset_before_response_started{overflow}");
}
