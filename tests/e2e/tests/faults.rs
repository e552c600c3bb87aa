//! Faults between gateway and control plane that take their time: a gateway that slept, a sync token that is wrong.

use std::{
    thread,
    time::{Duration, Instant},
};

use flamegate_e2e::{Plugin, Request, Stack, envoy::SYNC_TOKEN, eventually};
use serde_json::json;

/// A gateway stood still for longer than its table may be old. What was revoked meanwhile is not accepted for one moment.
#[test]
fn a_gateway_resumed_after_a_sleep_accepts_nothing_that_was_revoked_meanwhile() {
    let mut plugin = Plugin::singleton(json!({"max_staleness_seconds": 15}));
    plugin.filter["sync"]["wait_seconds"] = 5.into();
    let mut stack = Stack::start("resumed", &plugin);
    let (revoked, kept) = (stack.accepted_key("live"), stack.accepted_key("live"));
    let mut connections = stack.envoy.connection_to_each_worker();
    stack.envoy.signal("STOP");
    let stopped = Instant::now();
    stack.control.revoke(&revoked.id, "0s");
    // The one thing that is waited for is time itself: the table must become too old.
    thread::sleep(Duration::from_secs(16).saturating_sub(stopped.elapsed()));
    // These lie in the sockets when the gateway wakes up.
    let request = Request::get("/v1/agents").bearer(&revoked.key);
    for connection in &mut connections {
        connection.send_bytes(&flamegate_e2e::http1::encode(&request)).expect("sent");
    }
    stack.envoy.signal("CONT");
    for connection in &mut connections {
        let answer = connection.read_answer(false).expect("answer");
        assert!([401, 503].contains(&answer.status), "{} after the sleep", answer.status);
    }
    stack.wait_for_status(&revoked.key, 401);
    stack.wait_for_status(&kept.key, 200);
    stack.envoy.assert_alive();
}

/// A control plane that does not know the gateway's token: the last good table stays, the failure shows, and as soon as
/// both tokens are good everything goes on.
#[test]
fn a_wrong_sync_token_shows_and_costs_nothing_until_it_is_right() {
    let mut stack = Stack::start("sync-token", &Plugin::singleton(json!({})));
    let key = stack.accepted_key("live");
    stack.control.stop();
    "another-sync-token-of-the-tests".clone_into(&mut stack.control.sync_tokens);
    stack.control.start();
    eventually("the log names the status", || {
        let log = stack.envoy.log();
        if log.contains("answer with status 401") { Ok(()) } else { Err(log) }
    });
    eventually("the failure is counted", || {
        let metrics = stack.envoy.metrics();
        let count = |name: &str| metrics.value(name).unwrap_or(0.0);
        let (all, token) =
            (count("flamegate_sync_failures_total"), count("flamegate_sync_unauthorized_total"));
        if token >= 1.0 && all >= token { Ok(()) } else { Err(format!("{token} of {all}")) }
    });
    stack.wait_for_status(&key.key, 200);
    stack.control.stop();
    stack.control.sync_tokens = format!("another-sync-token-of-the-tests,{SYNC_TOKEN}");
    stack.control.start();
    stack.control.revoke(&key.id, "0s");
    stack.wait_for_status(&key.key, 401);
}
