//! Posts of a gateway about what keys are used for.

use serde_json::{Value, json};

use crate::common::{Control, SYNC};

/// A gateway that posts.
pub struct Poster {
    sequence: u64,
}

impl Poster {
    pub fn new() -> Self {
        Self { sequence: 0 }
    }

    /// Requests of keys by outcome, so many minutes ago.
    pub async fn counts(&mut self, control: &Control, counts: &[(&Value, &str, i64, u64)]) {
        let now = minute(control);
        let counts = counts.iter().map(|(key, outcome, ago, requests)| {
            json!({"key_id": key["id"], "outcome": outcome, "minute": now - ago, "requests": requests})
        });
        self.post(control, json!({"counts": counts.collect::<Vec<_>>()})).await;
    }

    /// Somebody came with this key, and was refused.
    pub async fn refused(&mut self, control: &Control, key: &Value, requests: u64) {
        let hash = flamegate::contract::key::ApiKey::from_bytes(key["key"].as_str().unwrap().as_bytes());
        let refused =
            json!({"hash": hash.unwrap().hash().to_hex(), "minute": minute(control), "requests": requests});
        self.post(control, json!({"counts": [], "refused": [refused]})).await;
    }

    /// Requests of a key that would have been refused, and of all for a reason.
    pub async fn shadow(
        &mut self,
        control: &Control,
        key: &Value,
        (outcome, reason): (&str, &str),
        requests: u64,
    ) {
        let minute = minute(control);
        let keys = json!([{"key_id": key["id"], "outcome": outcome, "minute": minute, "requests": requests}]);
        let reasons = json!([{"reason": reason, "minute": minute, "requests": requests}]);
        self.post(control, json!({"counts": [], "shadow": {"keys": keys, "reasons": reasons}})).await;
    }

    async fn post(&mut self, control: &Control, mut body: Value) {
        self.sequence += 1;
        body["gateway"] = json!("edge-berlin");
        body["sequence"] = json!(self.sequence);
        let request = control.http.post(control.url("/sync/v1/usage")).bearer_auth(SYNC).json(&body);
        let answer =
            request.header("x-flamegate-session", "00112233445566778899aabbccddeeff").send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

fn minute(control: &Control) -> i64 {
    control.clock.now().as_second() / 60
}
