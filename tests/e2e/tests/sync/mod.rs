//! What must hold in both sync modes. `sync_singleton.rs` and `sync_elected.rs` run each of these.

use std::time::{SystemTime, UNIX_EPOCH};

use flamegate_e2e::{
    Control, Envoy, Plugin, Request, Stack, control::NewKey, envoy::Upstreams, eventually, http1,
    process::Folder, upstream::Upstream,
};
use serde_json::{Value, json};

/// Makes a plugin configuration of the mode under test, with more fields.
pub type Mode = fn(Value) -> Plugin;

/// Limits that no test reaches by accident.
fn roomy() -> Value {
    json!({"limits": [{"requests": 1_000_000, "window_seconds": 60}]})
}

fn in_seconds(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("clock after 1970").as_secs() + seconds
}

fn agents(key: &NewKey) -> Request {
    Request::get("/v1/agents").bearer(&key.key)
}

/// A key works as soon as it is made and is refused as soon as it is revoked, on every worker; the receipt says so.
pub fn create_and_revoke(mode: Mode) {
    let stack = Stack::start("create-and-revoke", &mode(json!({})));
    let (first, second) = (stack.accepted_key("live"), stack.accepted_key("test"));
    let receipt = stack.control.revoke(&first.id, "30s");
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(1), &json!(1)), "{receipt}");
    // The receipt says that every gateway enforces it: from now on not one request may pass.
    for connection in &mut stack.envoy.connection_to_each_worker() {
        let answer = connection.send(&agents(&first)).expect("answer");
        assert_eq!(answer.status, 401, "accepted after the receipt {receipt}");
        assert_eq!(answer.code().as_deref(), Some("INVALID_API_KEY"));
    }
    stack.wait_for_status(&second.key, 200);
}

/// The new key works at once, the old one until its grace is over.
pub fn rotate_with_grace(mode: Mode) {
    let stack = Stack::start("rotate", &mode(json!({})));
    let old = stack.accepted_key("live");
    let new = stack.control.rotate(&old.id, 3_600);
    assert_ne!(old.key, new.key);
    stack.wait_for_status(&new.key, 200);
    assert_eq!(stack.envoy.send(&agents(&old)).status, 200, "within the grace");
    // That long a grace cannot be waited for.
    let newest = stack.control.rotate(&new.id, 2);
    stack.wait_for_status(&newest.key, 200);
    stack.wait_for_status(&new.key, 401);
    for key in [&newest, &old] {
        stack.wait_for_status(&key.key, 200);
    }
}

/// Expiry is by the gateway's clock; no message from the control plane is needed.
pub fn expiry(mode: Mode) {
    let mut stack = Stack::start("expiry", &mode(json!({})));
    let key = stack.accepted_key("live");
    let end = json!({"expires_at": in_seconds(4)});
    stack.control.data("PATCH", &format!("/v1/api-keys/{}", key.id), Some(&end));
    // The gateway has the end when it has a key that was made later.
    stack.accepted_key("live");
    stack.control.stop();
    stack.wait_for_status(&key.key, 401);
}

/// Without its control plane a gateway goes on with the table it has, and catches up when it is back.
pub fn control_plane_restarts(mode: Mode) {
    let mut stack = Stack::start("control-restarts", &mode(json!({})));
    let key = stack.accepted_key("live");
    stack.control.stop();
    let failures =
        |stack: &Stack| stack.envoy.metrics().value("flamegate_sync_failures_total").unwrap_or(0.0);
    eventually("the gateway notices", || {
        if failures(&stack) >= 2.0 { Ok(()) } else { Err("nothing failed".into()) }
    });
    stack.wait_for_status(&key.key, 200);
    assert_eq!(stack.envoy.send(&Request::get("/v1/agents").bearer("sk_live_x")).status, 401);

    stack.control.start();
    stack.control.revoke(&key.id, "0s");
    stack.wait_for_status(&key.key, 401);
    stack.accepted_key("live");
}

/// Another database is another epoch: the gateway forgets every key of the old one.
pub fn another_database(mode: Mode) {
    let mut stack = Stack::start("another-database", &mode(json!({})));
    let old = stack.accepted_key("live");
    stack.control.stop();
    stack.control.replace_database();
    // Nobody said that this database is the right one: the gateway keeps its table, though it asks again and again.
    stack.control.init = false;
    stack.control.start();
    stack.control.create_workspace("e2e");
    let new = stack.control.create_key("e2e", "live", json!({}));
    for round in 1..=3 {
        eventually("the gateway has asked", || {
            let metrics = stack.control.call("GET", "/metrics", None).text();
            let count =
                metrics.lines().find_map(|line| line.strip_prefix("flamegate_control_foreign_epochs_total "));
            let count = count.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
            if count >= round { Ok(()) } else { Err(metrics) }
        });
    }
    assert!(stack.control.log().contains("has the table of another database and keeps it"));
    stack.wait_for_status(&new.key, 401);
    stack.wait_for_status(&old.key, 200);
    // Now somebody does.
    stack.control.stop();
    stack.control.init = true;
    stack.control.start();
    stack.wait_for_status(&new.key, 200);
    stack.wait_for_status(&old.key, 401);
}

/// A gateway that has never had a table says so, and opens once it has one.
pub fn envoy_first(mode: Mode) {
    let folder = Folder::new("envoy-first");
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let envoy = Envoy::start("envoy", &folder, &mode(json!({})), upstreams);
    let answer = envoy.send(&Request::get("/v1/agents").bearer("sk_live_anything"));
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("UNAVAILABLE")));
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    assert_eq!(envoy.send(&Request::get("/healthz")).status, 200, "bypass rules need no table");

    control.start();
    control.create_workspace("e2e");
    let stack = Stack { envoy, control, upstream, folder };
    stack.accepted_key("live");
}

/// A gateway that accepts live keys only knows test keys, and refuses them.
pub fn one_environment(mode: Mode) {
    let stack = Stack::start("environment", &mode(json!({"environments": ["live"]})));
    let test = stack.control.create_key("e2e", "test", roomy());
    // Made later, so the gateway has the other one when it has this one.
    stack.accepted_key("live");
    let answer = stack.envoy.send(&agents(&test));
    assert_eq!((answer.status, answer.code().as_deref()), (401, Some("INVALID_API_KEY")));
}

/// A table that does not fit into one page arrives whole.
pub fn many_pages(mode: Mode) {
    let folder = Folder::new("many-pages");
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let keys: Vec<NewKey> = (0..120).map(|_| control.create_key("e2e", "live", roomy())).collect();
    let upstreams = Upstreams { upstream: upstream.port, control: control.port };
    let mut plugin = mode(json!({}));
    // Small first pages, too, as behind something that lets no large answer through.
    plugin.filter["sync"]["first_page_size"] = 25.into();
    if let Some(sync) = &mut plugin.sync {
        sync["sync"]["first_page_size"] = 25.into();
    }
    let envoy = Envoy::start("envoy", &folder, &plugin, upstreams);
    for key in &keys {
        eventually("every key arrives", || envoy.send(&agents(key)).expect_status(200));
    }
    assert_eq!(envoy.metrics().value("flamegate_sync_failures_total"), Some(0.0));
}

/// Streams that are open under a key end when it is revoked.
pub fn open_streams_end(mode: Mode) {
    let stack = Stack::start("open-streams", &mode(json!({})));
    let (revoked, kept) = (stack.accepted_key("live"), stack.accepted_key("live"));
    let open = |key: &NewKey| {
        let mut connection = http1::Connection::open(stack.envoy.port).expect("connection");
        let request = Request::get("/v1/events").bearer(&key.key);
        connection.send_bytes(&http1::encode(&request)).expect("sent");
        assert_eq!(connection.read_head().expect("head").0, 200);
        assert!(connection.read_chunk().expect("an event").is_some());
        connection
    };
    // Enough for several callbacks of at most 32, on both workers.
    let mut doomed: Vec<_> = (0..80).map(|_| open(&revoked)).collect();
    let mut alive = open(&kept);
    stack.control.revoke(&revoked.id, "30s");
    for connection in &mut doomed {
        while matches!(connection.read_chunk(), Ok(Some(_))) {}
    }
    assert!(alive.read_chunk().expect("an event after the revocation").is_some());
    let metrics = stack.envoy.metrics();
    assert_eq!(metrics.value("envoy_wasm_flamegate_vm_reload"), Some(0.0));
}

/// Gateways that are gone do not hold up a receipt for longer than it was asked to wait.
pub fn receipt_lists_who_is_silent(mode: Mode) {
    let mut stack = Stack::start("receipt", &mode(json!({})));
    let key = stack.accepted_key("live");
    stack.envoy.signal("STOP");
    let receipt = stack.control.revoke(&key.id, "1s");
    stack.envoy.signal("CONT");
    assert_eq!((&receipt["gateways"], &receipt["enforced"]), (&json!(1), &json!(0)), "{receipt}");
    let pending = receipt["pending"].to_string();
    assert!(pending.contains("e2e-"), "the silent gateway is listed under Envoy's node id: {receipt}");
    stack.envoy.assert_alive();
    stack.wait_for_status(&key.key, 401);
}
