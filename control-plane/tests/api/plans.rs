//! `/v1/plans`: made, given, changed for all who have one, and removed when nobody has.

use flamegate::contract::protocol::Protocol;
use reqwest::Method;
use serde_json::{Value, json};

use super::named_tokens::{make, with};
use crate::common::gateway::Gateway;
use crate::common::{Answer, Control};

async fn gold(control: &Control) -> Value {
    let limits = json!([{"requests": 1000, "window_seconds": 60}]);
    let body = json!({"name": "gold", "limits": limits, "restrict": {"methods": ["GET"]}});
    control.post("/v1/plans", body).await.expect(201)
}

async fn delete(control: &Control, name: &str) -> Answer {
    Answer::of(control.request(Method::DELETE, &format!("/v1/plans/{name}"))).await
}

fn key(plan: &str) -> Value {
    json!({"workspace": "demo", "name": "A", "environment": "live", "plan": plan})
}

#[tokio::test]
async fn a_plan_is_made_given_and_changed_for_all_who_have_it() {
    let control = Control::with_workspace().await;
    let made = gold(&control).await;
    assert_eq!(
        (&made["scope"], &made["keys"], &made["restrict"]),
        (&json!("key"), &json!(0), &json!({"methods": ["GET"]}))
    );
    assert_eq!(made["limits"][0]["scope"], "key");
    let ids =
        [control.post("/v1/api-keys", key("gold")).await, control.post("/v1/api-keys", key("gold")).await]
            .map(|answer| answer.expect(201)["id"].as_str().unwrap().to_owned());
    let shown = control.get(&format!("/v1/api-keys/{}", ids[0])).await.expect(200);
    assert_eq!(
        (&shown["plan"], &shown["limits"]),
        (&json!("gold"), &json!([])),
        "in the place of the default limits"
    );
    let mut gateway = Gateway::new(&control, "gw");
    gateway.query.accepts = Protocol::Two;
    gateway.catch_up(&control).await;
    assert!(gateway.table.values().all(|record| record.plan.as_deref() == Some("gold")));
    let before = control.revision();
    let limits = json!({"limits": [{"requests": 5, "window_seconds": 1}], "restrict": null});
    let changed = control.patch("/v1/plans/gold", limits).await.expect(200);
    assert_eq!(
        (&changed["keys"], &changed["limits"][0]["requests"], &changed["restrict"]),
        (&json!(2), &json!(5), &json!(null))
    );
    assert_eq!(control.revision(), before + 1, "one revision, however many have it");
    let page = gateway.page().await.unwrap();
    assert_eq!((page.upserts.len(), page.plans.len(), page.reset), (0, 1, false));
    assert_eq!(page.plans["gold"].limits[0].requests.get(), 5);
    let explained = control.get(&format!("/v1/explain?id={}", ids[0])).await.expect(200);
    assert_eq!(explained["limits"]["plans"][0]["requests"], 5);
    assert_eq!(explained["limits"]["effective"][0]["requests"], 5);
    let same = json!({"limits": [{"requests": 5, "window_seconds": 1}]});
    control.patch("/v1/plans/gold", same).await.expect(200);
    assert_eq!(control.revision(), before + 1, "nothing is another");
    let list = control.get("/v1/api-keys?plan=gold").await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 2);
    let rotated =
        control.post(&format!("/v1/api-keys/{}/rotate", ids[0]), json!({"grace": "1h"})).await.expect(201);
    assert_eq!(rotated["plan"], "gold");
    let none = control.patch(&format!("/v1/api-keys/{}", ids[1]), json!({"plan": null})).await.expect(200);
    assert_eq!((&none["plan"], &none["limits"][0]["name"]), (&json!(null), &json!("default")));
    let audit = control.get("/v1/audit?action=plan.updated").await.expect(200);
    assert_eq!(audit[0]["details"]["before"]["restrictions"], "methods GET");
    let told = control.get("/v1/audit?action=api_key.updated").await.expect(200);
    assert_eq!(
        (&told[0]["details"]["before"]["plan"], &told[0]["details"]["plan"]),
        (&json!("gold"), &json!(null))
    );
}

#[tokio::test]
async fn a_plan_of_workspaces_is_given_to_a_workspace() {
    let control = Control::with_workspace().await;
    let body =
        json!({"name": "house", "scope": "workspace", "limits": [{"requests": 9, "window_seconds": 1}]});
    assert_eq!(control.post("/v1/plans", body).await.expect(201)["limits"][0]["scope"], "workspace");
    control.create_key_id().await;
    let changed = control.patch("/v1/workspaces/demo", json!({"plan": "house"})).await.expect(200);
    assert_eq!(changed["plan"], "house");
    let mut gateway = Gateway::new(&control, "gw");
    gateway.query.accepts = Protocol::Two;
    gateway.catch_up(&control).await;
    assert!(gateway.table.values().all(|record| record.workspace_plan.as_deref() == Some("house")));
    assert_eq!(control.get("/v1/plans/house").await.expect(200)["workspaces"], 1);
    assert_eq!(delete(&control, "house").await.status, 409);
    control.patch("/v1/workspaces/demo", json!({"plan": null})).await.expect(200);
    delete(&control, "house").await.expect(200);
    assert_eq!(control.get("/v1/plans/house").await.status, 404);
    gateway.catch_up(&control).await;
    assert!(gateway.table.values().all(|record| record.workspace_plan.is_none()));
}

#[tokio::test]
async fn what_contradicts_itself_is_refused() {
    let control = Control::with_workspace().await;
    gold(&control).await;
    assert_eq!(control.post("/v1/plans", json!({"name": "gold"})).await.status, 409);
    let problems = |body: Value| {
        let control = &control;
        async move { control.post("/v1/plans", body).await.problems().join("; ") }
    };
    assert!(problems(json!({"name": "a/b"})).await.starts_with("name: 1 to 64"));
    assert!(problems(json!({"name": "x", "scope": "all"})).await.starts_with("scope: must be key"));
    let shared = json!({"name": "x", "limits": [{"requests": 1, "window_seconds": 1, "scope": "workspace"}]});
    assert!(problems(shared).await.starts_with("limits[0].scope: must be key"));
    assert!(
        problems(json!({"name": "x", "restrict": {"paths": ["x"]}})).await.starts_with("restrict.paths[0]")
    );
    assert_eq!(control.post("/v1/api-keys", key("none")).await.problems(), ["plan: no such plan"]);
    let problems = control.patch("/v1/workspaces/demo", json!({"plan": "gold"})).await.problems();
    assert_eq!(problems, ["plan: is a plan of a key, and this is a workspace"]);
    let held = control.post("/v1/api-keys", key("gold")).await.expect(201);
    assert_eq!(delete(&control, "gold").await.status, 409);
    control.revoke(held["id"].as_str().unwrap(), "0").await;
    delete(&control, "gold").await.expect(200);
}

/// Whoever is limited cannot choose by what.
#[tokio::test]
async fn a_tenant_gives_no_plan() {
    let control = Control::with_workspace().await;
    gold(&control).await;
    let held = control.post("/v1/api-keys", key("gold")).await.expect(201);
    let (token, _) = make(&control, json!({"name": "acme", "workspace": "demo", "role": "owner"})).await;
    let refused = with(&control, &token, Method::POST, "/v1/api-keys", Some(&key("gold"))).await;
    assert_eq!(refused.problems(), ["plan: plans are given by operators"]);
    let path = format!("/v1/api-keys/{}", held["id"].as_str().unwrap());
    let refused = with(&control, &token, Method::PATCH, &path, Some(&json!({"plan": null}))).await;
    assert_eq!(refused.problems(), ["plan: plans are given by operators"]);
    assert_eq!(with(&control, &token, Method::GET, "/v1/plans", None).await.status, 403);
}
