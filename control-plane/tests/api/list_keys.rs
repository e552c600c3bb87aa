//! `GET /v1/api-keys` and `GET /v1/api-keys/{id}`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::Control;

async fn ids(control: &Control, query: &str) -> Vec<Value> {
    let keys = control.get(&format!("/v1/api-keys?{query}")).await.expect(200);
    keys.as_array().unwrap().iter().map(|key| key["id"].clone()).collect()
}

mod status_200 {
    use super::*;

    #[tokio::test]
    async fn pages_hold_every_key_once_newest_first() {
        let control = Control::with_workspace().await;
        let mut made = Vec::new();
        for _ in 0..7 {
            made.push(json!(control.create_key_id().await));
        }
        made.reverse();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = control.get(&format!("/v1/api-keys?limit=3{cursor}")).await;
            seen.extend(answer.body["data"].as_array().unwrap().iter().map(|key| key["id"].clone()));
            match answer.body["pagination"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, made);
    }

    #[tokio::test]
    async fn filters_by_workspace_environment_and_status() {
        let control = Control::with_workspace().await;
        control.post("/v1/workspaces", json!({"name": "Other"})).await.expect(201);
        let key = |workspace, environment, expires_at: Value| {
            json!({
            "workspace": workspace, "name": "k", "environment": environment, "expires_at": expires_at})
        };
        let mut made = Vec::new();
        let soon = control.clock.now().as_second() + 60;
        for body in [
            key("demo", "live", Value::Null),
            key("demo", "test", Value::Null),
            key("other", "live", Value::Null),
            key("demo", "live", json!(soon)),
        ] {
            made.push(control.post("/v1/api-keys", body).await.expect(201)["id"].clone());
        }
        control.revoke(made[1].as_str().unwrap(), "0").await;
        control.clock.advance(Duration::from_secs(61));
        let [live, revoked, other, expired] = [0, 1, 2, 3].map(|i| made[i].clone());
        assert_eq!(ids(&control, "workspace=other").await, std::slice::from_ref(&other));
        assert_eq!(ids(&control, "environment=test").await, std::slice::from_ref(&revoked));
        assert_eq!(ids(&control, "status=active").await, [other.clone(), live.clone()]);
        assert_eq!(ids(&control, "status=revoked").await, std::slice::from_ref(&revoked));
        assert_eq!(ids(&control, "status=expired").await, std::slice::from_ref(&expired));
        assert_eq!(ids(&control, "status=all").await, [expired, other, revoked, live.clone()]);
        assert_eq!(ids(&control, "workspace=demo&environment=live&status=active").await, [live]);
    }

    #[tokio::test]
    async fn one_key_looks_as_in_the_list_and_never_shows_its_plaintext() {
        let control = Control::with_workspace().await;
        let made = control.create_key().await;
        let one = control.get(&format!("/v1/api-keys/{}", made["id"].as_str().unwrap())).await.expect(200);
        let list = control.get("/v1/api-keys").await.expect(200);
        assert_eq!(list[0], one);
        assert_eq!(one.get("key"), None);
        assert!(!list.to_string().contains(made["key"].as_str().unwrap()));
        assert!(!list.to_string().contains("hash"));
    }
}

mod status_404 {
    use super::*;

    #[tokio::test]
    async fn for_keys_and_workspaces_that_do_not_exist() {
        let control = Control::start().await;
        assert_eq!(
            control.get("/v1/api-keys/key_x").await.refused(404, "NOT_FOUND")["message"],
            "no such API key"
        );
        control.get("/v1/api-keys?workspace=nobody").await.refused(404, "NOT_FOUND");
    }
}
