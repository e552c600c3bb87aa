//! `/v1/shadow`: what would have been refused, which gateways do not refuse, and which do not say.

use serde_json::{Value, json};

use crate::common::gateway::Gateway;
use crate::common::{Answer, Control, SYNC};

const SESSION: &str = "00112233445566778899aabbccddeeff";

/// What a gateway posts of shadow, at its clock's minute.
async fn post(control: &Control, sequence: u64, shadow: Value) {
    let body = json!({"gateway": "edge-1", "sequence": sequence, "counts": [], "shadow": shadow});
    let post = control.http.post(control.url("/sync/v1/usage")).bearer_auth(SYNC).json(&body);
    let answer = Answer::of(post.header("x-flamegate-session", SESSION)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn minute(control: &Control) -> i64 {
    control.clock.now().as_second() / 60
}

#[tokio::test]
async fn what_would_have_been_refused_is_told_by_key_by_reason_and_by_gateway() {
    let control = Control::with_workspace().await;
    let (key, revoked) = (control.create_key_id().await, control.create_key_id().await);
    let empty = control.get("/v1/shadow").await.expect(200);
    assert_eq!(
        (&empty["keys"], &empty["gateways"], &empty["keys_in_shadow"]),
        (&json!(0), &json!([]), &json!(0))
    );
    for (name, shadow) in [("edge-1", Some(true)), ("edge-2", Some(false)), ("old", None)] {
        let mut gateway = Gateway::new(&control, name);
        gateway.query.shadow = shadow;
        gateway.catch_up(&control).await;
    }
    let now = minute(&control);
    let of = |id: &str, outcome: &str, requests: u64| json!({"key_id": id, "outcome": outcome, "minute": now, "requests": requests});
    let reason = |reason: &str, requests: u64| json!({"reason": reason, "minute": now, "requests": requests});
    post(&control, 1, json!({"keys": [of(&key, "rate_limited", 3), of(&key, "forbidden", 1), of(&revoked, "expired", 2), of("key_none", "forbidden", 9)],
        "reasons": [reason("rate_limited.key", 3), reason("unauthorized.missing", 40), reason("made.up", 1), reason("up.made", 1)]})).await;
    // A post that comes again is counted once.
    post(&control, 1, json!({"reasons": [reason("unauthorized.missing", 40)]})).await;
    control.revoke(&revoked, "0").await;
    let report = control.get("/v1/shadow?days=1").await.expect(200);
    assert_eq!(
        (&report["keys"], &report["gateways_in_shadow"], &report["gateways_silent"]),
        (&json!(1), &json!(1), &json!(1)),
        "{report}"
    );
    let modes: Vec<_> = report["gateways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["id"].clone(), one["mode"].clone()))
        .collect();
    assert_eq!(
        modes,
        [("shared/edge-1", "shadow"), ("shared/old", "silent"), ("shared/edge-2", "enforces")]
            .map(|(id, mode)| (json!(id), json!(mode)))
    );
    let reasons: Vec<_> = report["gateways"][0]["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["verdict"].clone(), one["reason"].clone(), one["requests"].clone()))
        .collect();
    let told = |verdict: &str, reason: &str, requests: u64| (json!(verdict), json!(reason), json!(requests));
    assert_eq!(
        reasons,
        [told("unauthorized", "missing", 40), told("rate_limited", "key", 3), told("other", "", 2)]
    );
    let keys = control.get("/v1/shadow/keys").await.expect(200);
    assert_eq!(keys.as_array().unwrap().len(), 1, "{keys}");
    assert_eq!(
        (&keys[0]["id"], &keys[0]["rate_limited"], &keys[0]["forbidden"], &keys[0]["workspace_slug"]),
        (&json!(key), &json!(3), &json!(1), &json!("demo"))
    );
    assert_eq!(control.rows("shadow_keys").await, 2, "nobody's key makes no row");
    let gateways = control.get("/v1/gateways").await.expect(200);
    let shadow = |id: &str| {
        gateways.as_array().unwrap().iter().find(|one| one["id"] == json!(id)).unwrap()["shadow"].clone()
    };
    assert_eq!((shadow("shared/edge-1"), shadow("shared/old")), (json!(true), json!(null)));
}

#[tokio::test]
async fn keys_come_in_pages_and_mistakes_are_told() {
    let control = Control::with_workspace().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(control.create_key_id().await);
    }
    let now = minute(&control);
    let counts: Vec<_> = keys
        .iter()
        .zip(0..)
        .map(|(id, ago)| json!({"key_id": id, "outcome": "forbidden", "minute": now - ago, "requests": 1}))
        .collect();
    post(&control, 1, json!({"keys": counts})).await;
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = control.get(&format!("/v1/shadow/keys?days=2&limit=1{cursor}")).await;
        found.extend(
            answer.body["data"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = answer.body["pagination"]["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, keys, "the latest first");
    for (query, problem) in [("days=0", "days: must be 1 to 31"), ("days=32", "days: must be 1 to 31")] {
        assert_eq!(control.get(&format!("/v1/shadow?{query}")).await.problems(), [problem]);
    }
    assert_eq!(
        control.get("/v1/shadow/keys?cursor=10001").await.problems(),
        ["cursor: must be a next_cursor of this list"]
    );
}
