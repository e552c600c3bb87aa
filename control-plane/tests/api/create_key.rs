//! `POST /v1/api-keys`.

use serde_json::{Value, json};

use crate::common::{Answer, Control};

fn body() -> Value {
    json!({"workspace": "demo", "name": "Production App", "environment": "live"})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = body();
    body[field] = value;
    body
}

mod status_201 {
    use flamegate::contract::key::ApiKey;
    use jiff::Timestamp;

    use super::*;

    #[tokio::test]
    async fn answers_with_the_key_in_the_documented_form() {
        let control = Control::with_workspace().await;
        let made = control.post("/v1/api-keys", with("name", json!("  Production App "))).await.expect(201);
        let key = made["key"].as_str().unwrap();
        assert_eq!((key.len(), &key[..8]), (46, "sk_live_"));
        assert!(ApiKey::from_bytes(key.as_bytes()).unwrap().has_valid_checksum());
        assert_eq!(made["key_hint"], format!("sk_live_…{}", &key[42..]));
        assert!(made["id"].as_str().unwrap().starts_with("key_"));
        assert!(made["workspace"].as_str().unwrap().starts_with("ws_"));
        assert_eq!(made["name"], "Production App");
        assert_eq!((&made["environment"], &made["status"]), (&json!("live"), &json!("active")));
        assert!(made["created_at"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert_eq!(made["expires_at"], Value::Null);
    }

    #[tokio::test]
    async fn the_workspace_may_be_given_by_id() {
        let control = Control::with_workspace().await;
        let id = control.get("/v1/workspaces/demo").await.expect(200)["id"].clone();
        let made = control.post("/v1/api-keys", with("workspace", id.clone())).await.expect(201);
        assert_eq!(made["workspace"], id);
    }

    #[tokio::test]
    async fn without_limits_it_follows_the_workspace() {
        let control = Control::with_workspace().await;
        let made = control.create_key().await;
        let default =
            json!([{"name": "default", "scope": "key", "requests": 100, "window_seconds": 60, "burst": 20}]);
        assert_eq!((&made["limits"], &made["limits_inherited"]), (&default, &json!(true)));
    }

    #[tokio::test]
    async fn an_empty_list_of_limits_means_none() {
        let control = Control::with_workspace().await;
        let made = control.post("/v1/api-keys", with("limits", json!([]))).await.expect(201);
        assert_eq!((&made["limits"], &made["limits_inherited"]), (&json!([]), &json!(false)));
    }

    #[tokio::test]
    async fn own_limits_are_kept() {
        let control = Control::with_workspace().await;
        let limits = json!([
            {"name": "second", "scope": "key", "requests": 5, "window_seconds": 1},
            {"name": "minute", "scope": "key", "requests": 9, "window_seconds": 60, "burst": 3}]);
        let made = control.post("/v1/api-keys", with("limits", limits.clone())).await.expect(201);
        assert_eq!(made["limits"], limits);
    }

    #[tokio::test]
    async fn expiry_may_be_text_or_seconds() {
        let control = Control::with_workspace().await;
        for expiry in [json!("2040-01-01T01:00:00+01:00"), json!(2_208_988_800u64)] {
            let made = control.post("/v1/api-keys", with("expires_at", expiry)).await.expect(201);
            assert_eq!(made["expires_at"], "2040-01-01T00:00:00Z");
        }
    }

    #[tokio::test]
    async fn it_is_not_cached_and_carries_a_request_id() {
        let control = Control::with_workspace().await;
        let answer = control.post("/v1/api-keys", body()).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-request-id"].len(), 16);
    }

    #[tokio::test]
    async fn a_day_later_the_idempotency_key_is_forgotten() {
        let control = Control::with_workspace().await;
        idempotent(&control, body()).await.expect(201);
        control.clock.advance(std::time::Duration::from_secs(24 * 3_600 + 1));
        idempotent(&control, body()).await.expect(201);
    }
}

mod status_409 {
    use super::*;

    #[tokio::test]
    async fn a_repeat_names_the_key_that_was_made() {
        let control = Control::with_workspace().await;
        let made = idempotent(&control, body()).await.expect(201);
        let error = idempotent(&control, body()).await.refused(409, "ALREADY_CREATED");
        assert_eq!(error["details"]["id"], made["id"]);
        assert_eq!(control.get("/v1/api-keys").await.expect(200).as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn another_request_under_the_same_idempotency_key_is_refused() {
        let control = Control::with_workspace().await;
        let made = idempotent(&control, body()).await.expect(201);
        let other = idempotent(&control, with("name", json!("Other"))).await;
        assert_eq!(other.refused(409, "IDEMPOTENCY_KEY_REUSED")["details"]["id"], made["id"]);
    }

    #[tokio::test]
    async fn of_many_at_once_one_makes_a_key() {
        let control = Control::with_workspace().await;
        let (mut made, mut repeated) = (Vec::new(), Vec::new());
        let calls: Vec<_> =
            (0..16).map(|_| tokio::spawn(Answer::of(idempotent_request(&control, body())))).collect();
        for call in calls {
            let answer = call.await.unwrap();
            match answer.status {
                201 => made.push(answer.expect(201)["id"].clone()),
                _ => repeated.push(answer.refused(409, "ALREADY_CREATED")["details"]["id"].clone()),
            }
        }
        assert_eq!((made.len(), repeated.len()), (1, 15));
        assert!(repeated.iter().all(|id| *id == made[0]));
        assert_eq!(control.get("/v1/api-keys").await.expect(200).as_array().unwrap().len(), 1);
    }
}

mod status_422 {
    use super::*;

    #[tokio::test]
    async fn all_problems_are_reported_at_once() {
        let control = Control::with_workspace().await;
        let bad = json!({
            "environment": "staging", "name": "\u{7}", "expires_at": "tomorrow",
            "limits": [{"requests": 0, "window_seconds": 60}, {"name": "a b", "requests": 1}]});
        assert_eq!(
            control.post("/v1/api-keys", bad).await.problems(),
            [
                "workspace: is required",
                "name: character 1 is U+0007: control, invisible and direction-changing characters are refused",
                "environment: must be live or test",
                "expires_at: must be RFC 3339 text or Unix seconds",
                "limits[0].requests: at least 1",
                "limits[1].window_seconds: is required",
            ]
        );
    }

    #[tokio::test]
    async fn nothing_at_all_is_three_problems() {
        let control = Control::with_workspace().await;
        let problems = control.post("/v1/api-keys", json!({})).await.problems();
        assert_eq!(problems, ["workspace: is required", "name: is required", "environment: is required"]);
    }

    #[tokio::test]
    async fn unknown_fields_and_wrong_types_are_refused_with_their_path() {
        let control = Control::with_workspace().await;
        for (field, value, problem) in [
            ("expire_at", json!(1), "expire_at: is not a known field"),
            ("name", json!(7), "name: must be text"),
            ("limits", json!([{"requests": "many"}]), "limits[0].requests: must be a whole number"),
            ("limits", json!([{"window": 1}]), "limits[0].window: is not a known field"),
        ] {
            assert_eq!(control.post("/v1/api-keys", with(field, value)).await.problems(), [problem]);
        }
    }

    #[tokio::test]
    async fn the_past_an_unknown_workspace_and_a_long_name_are_refused() {
        let control = Control::with_workspace().await;
        for (field, value, problem) in [
            ("expires_at", json!(1_000_000_000), "expires_at: must be in the future"),
            ("expires_at", json!("2020-01-01T00:00:00Z"), "expires_at: must be in the future"),
            ("expires_at", json!([1]), "expires_at: must be RFC 3339 text or Unix seconds"),
            ("workspace", json!("nobody"), "workspace: no such workspace"),
            ("name", json!("n".repeat(101)), "name: 1 to 100 characters, no control characters"),
        ] {
            assert_eq!(control.post("/v1/api-keys", with(field, value)).await.problems(), [problem]);
        }
        assert_eq!(control.revision(), 0, "nothing was written");
    }

    #[tokio::test]
    async fn a_refused_body_is_not_echoed() {
        let control = Control::with_workspace().await;
        let secret = "sk_live_someone_pasted_this";
        for bad in [
            json!({"workspace": {"x": secret}}),
            json!({"limits": secret}),
            with("environment", json!(secret)),
        ] {
            let answer = control.post("/v1/api-keys", bad).await;
            assert!(!answer.body.to_string().contains(secret), "{}", answer.body);
            assert_eq!(answer.status, 422);
        }
    }

    #[tokio::test]
    async fn an_idempotency_key_that_is_no_text_is_refused() {
        let control = Control::with_workspace().await;
        let request = control.request(reqwest::Method::POST, "/v1/api-keys").json(&body());
        let answer = Answer::of(request.header("idempotency-key", "a b")).await;
        assert_eq!(answer.problems(), ["Idempotency-Key: 1 to 255 visible ASCII characters"]);
    }
}

fn idempotent_request(control: &Control, body: Value) -> reqwest::RequestBuilder {
    control.request(reqwest::Method::POST, "/v1/api-keys").json(&body).header("idempotency-key", "deploy-42")
}

async fn idempotent(control: &Control, body: Value) -> Answer {
    Answer::of(idempotent_request(control, body)).await
}
