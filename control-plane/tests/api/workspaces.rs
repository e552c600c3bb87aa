//! `/v1/workspaces`.

use serde_json::json;

use crate::common::Control;
use crate::common::gateway::Gateway;

mod status_201 {
    use super::*;

    #[tokio::test]
    async fn a_workspace_gets_an_id_a_slug_and_the_default_limits() {
        let control = Control::start().await;
        let made = control.post("/v1/workspaces", json!({"name": "Acme (EU)"})).await.expect(201);
        assert!(made["id"].as_str().unwrap().starts_with("ws_"));
        assert_eq!(made["slug"], "acme-eu");
        assert_eq!(made["default_limits"][0]["requests"], 100);
        for id in ["acme-eu", made["id"].as_str().unwrap()] {
            assert_eq!(control.get(&format!("/v1/workspaces/{id}")).await.expect(200), made);
        }
    }
}

mod status_200 {
    use super::*;

    #[tokio::test]
    async fn pages_hold_every_workspace_oldest_first() {
        let control = Control::start().await;
        for name in ["a", "b", "c"] {
            control.post("/v1/workspaces", json!({"name": name})).await.expect(201);
        }
        let first = control.get("/v1/workspaces?limit=2").await.body;
        let next = first["pagination"]["next_cursor"].as_str().unwrap();
        let second = control.get(&format!("/v1/workspaces?limit=2&cursor={next}")).await.body;
        let slugs = [&first["data"][0], &first["data"][1], &second["data"][0]].map(|w| w["slug"].clone());
        assert_eq!(slugs, ["a", "b", "c"]);
        assert_eq!(second["pagination"]["next_cursor"], json!(null));
    }

    #[tokio::test]
    async fn new_default_limits_reach_the_gateways_for_keys_that_follow_them() {
        let control = Control::with_workspace().await;
        let follower = control.create_key_id().await;
        let own = json!({"workspace": "demo", "name": "own", "environment": "live", "limits": []});
        let own = control.post("/v1/api-keys", own).await.expect(201)["id"].clone();
        let another = control.create_key_id().await;
        let gone = control.create_key_id().await;
        control.revoke(&gone, "0").await;
        let mut gateway = Gateway::new(&control, "gw");
        gateway.catch_up(&control).await;
        let (before, limits) = (control.revision(), json!([{"requests": 7, "window_seconds": 1}]));
        control.patch("/v1/workspaces/demo", json!({"default_limits": limits})).await.expect(200);
        assert_eq!(control.revision(), before + 2, "a revision for each follower");
        gateway.query.limit = 1;
        gateway.catch_up(&control).await;
        assert_eq!((gateway.resets, gateway.table.len()), (1, 3));
        for record in gateway.table.values() {
            let expected = if record.id == own.as_str().unwrap() { None } else { Some(7) };
            assert_eq!(record.limits.first().map(|limit| limit.requests.get()), expected);
        }
        assert!([follower, another].iter().all(|id| gateway.ids().contains(&id.as_str())));
    }

    #[tokio::test]
    async fn a_rename_and_the_same_limits_are_no_news() {
        let control = Control::with_workspace().await;
        control.create_key_id().await;
        let limits = control.get("/v1/workspaces/demo").await.expect(200)["default_limits"].clone();
        let body = json!({"name": "New", "default_limits": limits});
        assert_eq!(control.patch("/v1/workspaces/demo", body).await.expect(200)["name"], "New");
        assert_eq!(control.revision(), 1);
    }
}

#[tokio::test]
async fn status_404_for_a_workspace_that_does_not_exist() {
    let control = Control::start().await;
    control.get("/v1/workspaces/nobody").await.refused(404, "NOT_FOUND");
    control.patch("/v1/workspaces/nobody", json!({})).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn status_409_for_a_slug_that_is_taken() {
    let control = Control::start().await;
    let made = control.post("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    let error =
        control.post("/v1/workspaces", json!({"name": "x", "slug": "demo"})).await.refused(409, "CONFLICT");
    assert_eq!(error["details"]["id"], made["id"]);
}

#[tokio::test]
async fn status_422_for_rules_that_are_broken() {
    let control = Control::start().await;
    let body = json!({"slug": "-No-", "default_limits": [{"requests": 1}]});
    assert_eq!(
        control.post("/v1/workspaces", body).await.problems(),
        [
            "name: 1 to 100 characters, no control characters",
            "slug: 1 to 40 lower-case letters, digits and inner hyphens",
            "default_limits[0].window_seconds: is required",
        ]
    );
}
