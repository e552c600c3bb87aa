//! `POST /v1/api-keys/{id}/rotate`.

use serde_json::{Value, json};

use crate::common::{Answer, Control};

async fn rotate(control: &Control, id: &str, body: Value) -> Answer {
    control.post(&format!("/v1/api-keys/{id}/rotate"), body).await
}

mod status_201 {
    use super::*;

    #[tokio::test]
    async fn the_new_key_inherits_everything_and_the_old_one_ends_at_once() {
        let control = Control::with_workspace().await;
        let body = json!({"workspace": "demo", "name": "App", "environment": "test", "limits": [],
            "expires_at": "2040-01-01T00:00:00Z"});
        let old = control.post("/v1/api-keys", body).await.expect(201);
        let new =
            rotate(&control, old["id"].as_str().unwrap(), json!({"grace_seconds": 0})).await.expect(201);
        for field in ["name", "workspace", "environment", "limits", "limits_inherited", "expires_at"] {
            assert_eq!(new[field], old[field], "{field}");
        }
        assert_ne!((&new["key"], &new["id"]), (&old["key"], &old["id"]));
        assert!(new["key"].as_str().unwrap().starts_with("sk_test_"));
        assert_eq!((&new["rotated_from"], &new["previous"]["id"]), (&old["id"], &old["id"]));
        assert_eq!(
            (&new["previous"]["status"], &new["previous"]["rotated_to"]),
            (&json!("revoked"), &new["id"])
        );
    }

    #[tokio::test]
    async fn a_grace_lets_the_old_key_work_until_then() {
        let control = Control::with_workspace().await;
        for body in [json!({"grace": "24h"}), json!({"grace_seconds": 86_400})] {
            let id = control.create_key_id().await;
            let before = control.clock.now().as_second();
            let previous = rotate(&control, &id, body).await.expect(201)["previous"].clone();
            assert_eq!(previous["status"], "active");
            let end: jiff::Timestamp = previous["expires_at"].as_str().unwrap().parse().unwrap();
            assert!((86_400..=86_410).contains(&(end.as_second() - before)));
        }
    }

    #[tokio::test]
    async fn a_grace_never_prolongs_the_old_key() {
        let control = Control::with_workspace().await;
        let end = control.clock.now().as_second() + 60;
        let body = json!({"workspace": "demo", "name": "k", "environment": "live", "expires_at": end});
        let old = control.post("/v1/api-keys", body).await.expect(201);
        let rotation = json!({"grace": "1h", "expires_at": null});
        let new = rotate(&control, old["id"].as_str().unwrap(), rotation).await.expect(201);
        assert_eq!((&new["previous"]["expires_at"], &new["expires_at"]), (&old["expires_at"], &Value::Null));
    }
}

#[tokio::test]
async fn status_404_for_a_key_that_does_not_exist() {
    let control = Control::start().await;
    rotate(&control, "key_x", json!({"grace": "0"})).await.refused(404, "NOT_FOUND");
}

mod status_409 {
    use super::*;

    #[tokio::test]
    async fn a_key_is_rotated_once_and_the_answer_names_its_successor() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        let new = rotate(&control, &id, json!({"grace": "1h"})).await.expect(201);
        let error = rotate(&control, &id, json!({"grace": "1h"})).await.refused(409, "CONFLICT");
        assert_eq!(error["details"]["id"], new["id"]);
    }

    #[tokio::test]
    async fn revoked_and_expired_keys_have_no_successor() {
        let control = Control::with_workspace().await;
        let revoked = control.create_key_id().await;
        control.revoke(&revoked, "0").await;
        rotate(&control, &revoked, json!({"grace": "0"})).await.refused(409, "CONFLICT");
        let expired = control.create_key_id().await;
        let soon = control.clock.now().as_second() + 2;
        control.patch(&format!("/v1/api-keys/{expired}"), json!({"expires_at": soon})).await.expect(200);
        control.clock.advance(std::time::Duration::from_secs(3));
        rotate(&control, &expired, json!({"grace": "0"})).await.refused(409, "CONFLICT");
    }

    #[tokio::test]
    async fn a_repeat_under_its_idempotency_key_makes_no_third_key() {
        let control = Control::with_workspace().await;
        let id = control.create_key_id().await;
        let path = format!("/v1/api-keys/{id}/rotate");
        let call = || {
            let request = control.request(reqwest::Method::POST, &path).json(&json!({"grace": "1h"}));
            Answer::of(request.header("idempotency-key", "rotation-7"))
        };
        let new = call().await.expect(201);
        assert_eq!(call().await.refused(409, "ALREADY_CREATED")["details"]["id"], new["id"]);
        assert_eq!(control.get("/v1/api-keys").await.expect(200).as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn status_422_for_a_grace_that_nobody_has_said_and_the_key_works_on() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let told =
        "grace_seconds: is required, this or grace: how long the old key still works; 0 ends it at once";
    for body in [json!({}), json!({"expires_at": null}), json!({"grace_seconds": null})] {
        assert_eq!(rotate(&control, &id, body).await.problems(), [told]);
    }
    let path = format!("/v1/api-keys/{id}/rotate");
    let no_body = Answer::of(control.request(reqwest::Method::POST, &path)).await;
    assert_eq!(no_body.problems(), [told]);
    let keys = control.get("/v1/api-keys").await.expect(200);
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["status"]), (1, &json!("active")));
    for body in [json!({"grace": "0"}), json!({"grace": "0s"}), json!({"grace_seconds": 0})] {
        let id = control.create_key_id().await;
        assert_eq!(rotate(&control, &id, body).await.expect(201)["previous"]["status"], "revoked");
    }
}

#[tokio::test]
async fn status_422_for_a_grace_that_is_none() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    for (body, problem) in [
        (json!({"grace": "soon"}), "grace: must be a time such as 90s, 30m, 24h or 7d"),
        (json!({"grace": "91d"}), "grace: 0 to 7776000 seconds"),
        (json!({"grace_seconds": -1}), "grace_seconds: 0 to 7776000 seconds"),
        (json!({"grace_seconds": 1, "grace": "1s"}), "grace: give grace or grace_seconds, not both"),
    ] {
        assert_eq!(rotate(&control, &id, body).await.problems(), [problem]);
    }
}
