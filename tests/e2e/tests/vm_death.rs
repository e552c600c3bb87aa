//! A worker's VM dies. No request may pass that should not, the worker must come back with the table that it had, and
//! the others must not notice.
//!
//! The filter has no way to be killed from outside, so the test gives the artifact one: a request with very many headers
//! runs into an `unreachable`, which is how every panic ends.

mod mortal;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use flamegate_e2e::{Plugin, Protocol, Request, Stack, eventually, http1::Connection, process::Folder};
use mortal::{deadly, mortal_module};
use serde_json::json;

fn mortal_stack(name: &str) -> Stack {
    let folder = Folder::new("mortal-module");
    let module = Some(mortal_module(&folder));
    Stack::start(name, &Plugin { module, ..Plugin::singleton(json!({})) })
}

/// Kills the VM of every worker.
fn kill(workers: &mut [Connection]) {
    for connection in workers {
        let answer = connection.send(&deadly("/v1/agents")).expect("answer");
        assert_eq!(answer.status, 503, "a request whose VM dies is refused");
    }
}

#[test]
fn a_dead_vm_lets_nothing_through_and_comes_back() {
    let mut stack = mortal_stack("vm-death");
    let key = stack.accepted_key("live");
    // The table has to survive without help.
    stack.control.stop();
    let mut workers = stack.envoy.connection_to_each_worker();
    let good = Request::get("/v1/agents").bearer(&key.key);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (token, allowed) in [(key.key.as_str(), [200, 503]), ("sk_live_nobody", [401, 503])] {
            let (over, port) = (&over, stack.envoy.port);
            scope.spawn(move || {
                let request = Request::get("/v1/agents").bearer(token);
                while !over.load(Ordering::Relaxed) {
                    // Connections of a dead worker may be cut.
                    if let Ok(answer) = request.send(Protocol::Http1, port) {
                        assert!(allowed.contains(&answer.status), "{} {}", answer.status, answer.text());
                    }
                }
            });
        }
        for _ in 0..2 {
            kill(&mut workers);
            for connection in &mut workers {
                eventually("the worker is back", || {
                    connection.send(&good).map_err(|error| error.to_string())?.expect_status(200)
                });
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let reloads = stack.envoy.metrics().value("envoy_wasm_flamegate_vm_reload_success").unwrap_or(0.0);
    assert!(reloads >= 4.0, "{reloads} reloads");
    assert_eq!(stack.envoy.send(&Request::get("/v1/agents").bearer("sk_live_nobody")).status, 401);
}

/// Nobody asks the dead workers anything, so Envoy does not revive them; the receipt comes all the same.
#[test]
fn dead_workers_do_not_hold_up_a_receipt() {
    let stack = mortal_stack("vm-death-receipt");
    let key = stack.accepted_key("live");
    kill(&mut stack.envoy.connection_to_each_worker());
    let receipt = stack.control.revoke(&key.id, "30s");
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(1), &json!(1)), "{receipt}");
    let request = Request::get("/v1/agents").bearer(&key.key);
    eventually("refused after the revival", || match stack.envoy.send(&request).status {
        200 => panic!("accepted after the receipt"),
        401 => Ok(()),
        status => Err(status.to_string()),
    });
}
