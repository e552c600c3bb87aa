//! What a request costs the host: the host calls between the moment when Envoy hands its headers to the filter and the moment
//! when it gets them back, in Envoy's own trace of them. In the steady state no request meets shared data, whose one mutex
//! all workers of a process share. `src/worker/tests.rs` asserts the same on the fake host.

use std::collections::HashMap;

use flamegate_e2e::{Plugin, Request, Stack, eventually, http1::Connection};
use serde_json::json;

const READ_HEADERS: &str = "get_header_map_pairs";
const REMOVE: &str = "remove_header_map_value";
const ADD: &str = "add_header_map_value";
const REPLACE: &str = "replace_header_map_value";
const STATE: &str = "set_property";
const ANSWER: &str = "send_local_response";

/// The host calls of each finished request in a trace, whatever thread made them.
fn calls_by_request(log: &str) -> Vec<Vec<String>> {
    let mut open: HashMap<&str, Vec<String>> = HashMap::new();
    let mut finished = Vec::new();
    for line in log.lines() {
        // [time][thread][level][logger] [place] text
        let Some(thread) = line.split("][").nth(1) else { continue };
        if line.contains("[host->vm] proxy_on_request_headers(") {
            open.insert(thread, Vec::new());
        } else if line.contains("[host<-vm] proxy_on_request_headers") {
            finished.extend(open.remove(thread));
        } else if let Some((_, call)) = line.split_once("[vm->host] ")
            && let (Some(calls), Some((name, _))) = (open.get_mut(thread), call.split_once('('))
        {
            let name = name.rsplit('.').next().unwrap_or(name);
            calls.push(name.trim_start_matches("proxy_").to_owned());
        }
    }
    finished
}

/// The host calls that Envoy traces while `requests` are sent, request by request.
fn trace(stack: &Stack, connection: &mut Connection, requests: &[Request], status: u16) -> Vec<Vec<String>> {
    stack.envoy.set_wasm_log_level("trace");
    let before = calls_by_request(&stack.envoy.log()).len();
    for request in requests {
        assert_eq!(connection.send(request).unwrap().status, status);
    }
    let calls = eventually("the trace of all requests", || {
        let mut calls = calls_by_request(&stack.envoy.log());
        let new = calls.split_off(before.min(calls.len()));
        if new.len() == requests.len() { Ok(new) } else { Err(format!("{} requests", new.len())) }
    });
    stack.envoy.set_wasm_log_level("info");
    calls
}

#[test]
fn a_request_in_the_steady_state_meets_no_shared_data() {
    let stack = Stack::start("host-calls", &Plugin::singleton(json!({})));
    let key = stack.accepted_key("live");
    let request = Request::get("/v1/agents").bearer(&key.key);
    let cleaned =
        request.clone().header("x-flametalk-key-id", "key_forged").header("x-flametalk-role", "admin");
    let limits = json!([{"requests": 1, "window_seconds": 86_400}]);
    let limited = stack.control.create_key("e2e", "live", json!({"limits": limits}));
    let limited = Request::get("/v1/agents").bearer(&limited.key);
    let identity = [ADD, ADD, ADD, STATE];
    for connection in &mut stack.envoy.connection_to_each_worker() {
        // The worker has the whole table, has been told that the limit is used up, and knows the key.
        for (request, status) in [(&limited, 429), (&request, 200)] {
            eventually("a warm worker", || {
                connection.send(request).map_err(|error| error.to_string())?.expect_status(status)
            });
        }
        // A look-up may have found the limited key a tick before the worker hears of the change and forgets the bucket.
        stack.envoy.wait_for_ticks();
        assert_eq!(connection.send(&request).unwrap().status, 200);
        let accepted = [&[READ_HEADERS, REMOVE][..], &identity].concat();
        let mut check = |request: &Request, status, wanted: &[&str]| {
            for calls in
                trace(&stack, connection, &[request.clone(), request.clone(), request.clone()], status)
            {
                assert_eq!(calls, wanted);
            }
        };
        check(&request, 200, &accepted);
        check(&cleaned, 200, &[READ_HEADERS, REMOVE, REMOVE, ADD, REPLACE, ADD, STATE]);
        check(&Request::get("/v1/agents"), 401, &[READ_HEADERS, ANSWER]);
        // A refusal stands for 100 ms; then shared data may be asked again.
        eventually("a refusal that stands", || {
            let refused =
                trace(&stack, connection, &[limited.clone(), limited.clone(), limited.clone()], 429);
            let asks = |calls: &Vec<String>| calls.iter().any(|call| call.contains("shared_data"));
            if refused.iter().all(asks) { Err(format!("{refused:?}")) } else { Ok(()) }
        });

        let unknown: Vec<Request> = (0..40)
            .map(|number| Request::get("/v1/agents").bearer(&format!("sk_live_{number}_{}", key.id)))
            .collect();
        let asked = trace(&stack, connection, &unknown, 401);
        let quiet = asked.iter().filter(|calls| **calls == [READ_HEADERS, ANSWER]).count();
        // One look at the bucket, and one for each key whose bit is another's: two bits of 512 are set.
        assert!(quiet >= 35, "{asked:?}");
    }
}
