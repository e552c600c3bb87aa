//! What `flamegate-control explain` says a gateway answers, against what the real Envoy answers.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use flamegate_e2e::{Control, Plugin, Request, Stack, control::ADMIN_TOKEN, eventually, process::root};
use serde_json::{Value, json};

/// Runs the command with the key on its standard input: the answer and the exit code.
fn explain(control: &Control, key: &str) -> (Value, Option<i32>) {
    let mut command = Command::new(root().join("dist/flamegate-control"));
    command.args(["explain", "--json"]).env_clear();
    command.env("FLAMEGATE_ADMIN_TOKEN", ADMIN_TOKEN);
    command.env("FLAMEGATE_CONTROL_URL", format!("http://127.0.0.1:{}", control.port));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("piped").write_all(key.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (told, output.status.code())
}

/// Awaits that the one gateway is told to answer so. A gateway may answer so a moment before the control plane has heard
/// from it that it does, so what is told is never read just once.
fn explained(stack: &Stack, key: &str, status: u16, reason: &str) -> (Value, Option<i32>) {
    eventually(&format!("explain says {status} {reason}"), || {
        let (told, code) = explain(&stack.control, key);
        let answer = &told["gateways"][0]["answer"];
        let is_so = answer["status"] == json!(status) && answer["reason"] == json!(reason);
        if is_so && told["answer"]["status"] == json!(status) {
            Ok((told, code))
        } else {
            Err(told.to_string())
        }
    })
}

/// Awaits that the one gateway is told to answer so, then asks it on every worker.
fn agrees(stack: &Stack, key: &str, status: u16, reason: &str) {
    explained(stack, key, status, reason);
    for connection in &mut stack.envoy.connection_to_each_worker() {
        let answer = connection.send(&Request::get("/v1/agents").bearer(key)).expect("answer");
        assert_eq!(answer.status, status, "{reason}: {}", answer.text());
    }
}

#[test]
fn what_is_explained_is_what_envoy_answers() {
    let stack = Stack::start("explain", &Plugin::singleton(json!({})));
    let old = stack.accepted_key("live");
    agrees(&stack, &old.key, 200, "accepted");
    let new = stack.control.rotate(&old.id, 3600);
    agrees(&stack, &new.key, 200, "accepted");
    let (told, _) = explain(&stack.control, &new.key);
    assert_eq!(
        (&told["predecessor"]["id"], &told["predecessor"]["status"]),
        (&json!(old.id), &json!("active"))
    );
    stack.control.revoke(&new.id, "5s");
    agrees(&stack, &new.key, 401, "revoked");
    agrees(&stack, &old.key, 200, "accepted");
    let unknown = format!("{}x", old.key);
    agrees(&stack, &unknown, 401, "unknown");
    assert_eq!(explain(&stack.control, &unknown).1, Some(3));
}

#[test]
fn a_key_that_expires_is_explained_by_the_clock() {
    let stack = Stack::start("explain-expiry", &Plugin::elected(json!({})));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("clock after 1970").as_secs();
    let key = stack.control.create_key("e2e", "test", json!({"expires_at": now + 4}));
    agrees(&stack, &key.key, 401, "expired");
}

/// The counters are the gateway's: what is told of an active key leaves 429 open, with the limit that it comes from.
#[test]
fn a_used_up_limit_is_told_with_its_numbers() {
    let stack = Stack::start("explain-limit", &Plugin::singleton(json!({})));
    let limits = json!({"limits": [{"name": "tight", "requests": 1, "window_seconds": 3600, "burst": 1}]});
    let key = stack.control.create_key("e2e", "live", limits);
    stack.wait_for_status(&key.key, 429);
    let (told, code) = explained(&stack, &key.key, 200, "accepted");
    assert_eq!(code, Some(0));
    assert!(told["answer"]["why"].as_str().expect("text").contains("429 RATE_LIMITED while"), "{told}");
    let tight = json!([{"name": "tight", "scope": "key", "requests": 1, "window_seconds": 3600, "burst": 1}]);
    assert_eq!(told["limits"]["effective"], tight);
}
