//! `PATCH /v1/api-keys/{id}`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::Control;
use crate::common::gateway::Gateway;

mod status_200 {
    use super::*;

    #[tokio::test]
    async fn a_rename_is_no_news_for_gateways() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        let before = control.revision();
        let key = control.patch(&format!("/v1/api-keys/{id}"), json!({"name": "Renamed"})).await.expect(200);
        assert_eq!((&key["name"], control.revision()), (&json!("Renamed"), before));
    }

    #[tokio::test]
    async fn limits_and_expiry_change_and_go_back() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        let path = format!("/v1/api-keys/{id}");
        let limits = json!([{"name": "default", "scope": "key", "requests": 1, "window_seconds": 1}]);
        let body = json!({"limits": limits, "expires_at": "2040-01-01T00:00:00Z"});
        let key = control.patch(&path, body).await.expect(200);
        assert_eq!((&key["limits"], &key["expires_at"]), (&limits, &json!("2040-01-01T00:00:00Z")));
        assert_eq!((control.revision(), &key["limits_inherited"]), (3, &json!(false)));
        let key = control.patch(&path, json!({"limits": null, "expires_at": null})).await.expect(200);
        assert_eq!((&key["limits_inherited"], &key["expires_at"]), (&json!(true), &Value::Null));
    }

    #[tokio::test]
    async fn with_wait_it_says_which_gateways_know() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        let mut gateway = Gateway::new(&control, "gw");
        gateway.catch_up(&control).await;
        gateway.run();
        let path = format!("/v1/api-keys/{id}");
        let key = control.patch(&format!("{path}?wait=10s"), json!({"limits": []})).await.expect(200);
        assert_eq!((&key["receipt"]["revision"], &key["receipt"]["enforced"]), (&json!(2), &json!(1)));
        let new =
            control.post(&format!("{path}/rotate?wait=10s"), json!({"grace_seconds": 0})).await.expect(201);
        assert_eq!((&new["receipt"]["revision"], &new["receipt"]["enforced"]), (&json!(4), &json!(1)));
        let key = control.patch(&path, json!({"name": "x"})).await.expect(200);
        assert_eq!(key.get("receipt"), None);
    }

    #[tokio::test]
    async fn an_expired_key_comes_back_when_it_is_given_more_time() {
        let control = Control::with_workspace().await;
        let soon = control.clock.now().as_second() + 5;
        let body = json!({"workspace": "demo", "name": "k", "environment": "live", "expires_at": soon});
        let id = control.post("/v1/api-keys", body).await.expect(201)["id"].clone();
        control.clock.advance(Duration::from_secs(6));
        control.housekeeping(10).await;
        let path = format!("/v1/api-keys/{}", id.as_str().unwrap());
        assert_eq!(control.get(&path).await.expect(200)["status"], "expired");
        assert_eq!(
            control.patch(&path, json!({"expires_at": soon + 600})).await.expect(200)["status"],
            "active"
        );
    }
}

#[tokio::test]
async fn status_404_for_a_key_that_does_not_exist() {
    let control = Control::start().await;
    control.patch("/v1/api-keys/key_x", json!({"name": "x"})).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn status_409_for_a_revoked_key_unless_it_is_only_renamed() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    control.revoke(&id, "0").await;
    let path = format!("/v1/api-keys/{id}");
    for body in [json!({"expires_at": null}), json!({"limits": []})] {
        assert_eq!(control.patch(&path, body).await.refused(409, "CONFLICT")["details"]["id"], *id);
    }
    control.patch(&path, json!({"name": "Old"})).await.expect(200);
}

#[tokio::test]
async fn status_422_for_rules_that_are_broken() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let body = json!({"name": "", "expires_at": 5, "limits": [{"requests": -1, "window_seconds": 1}]});
    assert_eq!(
        control.patch(&format!("/v1/api-keys/{id}"), body).await.problems(),
        [
            "name: 1 to 100 characters, no control characters",
            "expires_at: must be in the future",
            "limits[0].requests: at least 1",
        ]
    );
}
