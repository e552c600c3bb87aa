//! A key in shadow: put there and taken out by operators alone, told to gateways that understand it, inherited, and noted.

use flamegate::contract::protocol::Protocol;
use reqwest::Method;
use serde_json::{Value, json};

use super::named_tokens::{make, with};
use crate::common::gateway::Gateway;
use crate::common::{Answer, Control};

async fn set(control: &Control, id: &str, body: Value) -> Answer {
    Answer::of(control.request(Method::PUT, &format!("/v1/api-keys/{id}/shadow")).json(&body)).await
}

async fn key(control: &Control, id: &str) -> Value {
    control.get(&format!("/v1/api-keys/{id}")).await.expect(200)
}

#[tokio::test]
async fn a_key_is_put_in_shadow_and_taken_out_and_gateways_hear_of_it() {
    let control = Control::with_workspace().await;
    let (id, other) = (control.create_key_id().await, control.create_key_id().await);
    assert_eq!(key(&control, &id).await["shadow"], false);
    let [mut new, mut old] = ["new", "old"].map(|name| Gateway::new(&control, name));
    new.query.accepts = Protocol::Two;
    for gateway in [&mut new, &mut old] {
        gateway.catch_up(&control).await;
    }
    let before = control.revision();
    assert_eq!(set(&control, &id, json!({"shadow": true})).await.expect(200)["shadow"], true);
    assert_eq!(control.revision(), before + 1);
    set(&control, &id, json!({"shadow": true})).await.expect(200);
    assert_eq!(control.revision(), before + 1, "it is there already");
    for gateway in [&mut new, &mut old] {
        gateway.catch_up(&control).await;
        assert_eq!(gateway.resets, 1, "a difference");
    }
    let of = |gateway: &Gateway| gateway.table.values().find(|record| record.id == id).map(|one| one.shadow);
    assert_eq!(
        (of(&new), of(&old)),
        (Some(true), None),
        "an older filter would not know: the key is gone there"
    );
    assert_eq!(old.ids(), [&other]);
    let told = control.get(&format!("/v1/explain?id={id}")).await.expect(200);
    let reason = |name: &str| {
        let all = told["gateways"].as_array().unwrap();
        let found = all.iter().find(|gateway| gateway["id"] == json!(format!("shared/{name}"))).unwrap();
        found["answer"]["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!((reason("new").as_str(), reason("old").as_str()), ("shadowed", "not_understood"));
    let listed = control.get("/v1/api-keys?shadow=true&workspace=demo").await.expect(200);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &json!(id)));
    assert_eq!(set(&control, &id, json!({"shadow": false})).await.expect(200)["shadow"], false);
    for gateway in [&mut new, &mut old] {
        gateway.catch_up(&control).await;
    }
    assert_eq!((of(&new), of(&old)), (Some(false), Some(false)));
    for (action, number) in [("api_key.shadow_begun", 1), ("api_key.shadow_ended", 1), ("api_key.updated", 0)]
    {
        let audit = control.get(&format!("/v1/audit?action={action}")).await.expect(200);
        assert_eq!(audit.as_array().unwrap().len(), number, "{action}");
        if number > 0 {
            assert_eq!(
                (&audit[0]["target"]["id"], &audit[0]["actor"]["name"]),
                (&json!(id), &json!("admin token"))
            );
        }
    }
}

#[tokio::test]
async fn what_replaces_a_key_in_shadow_is_in_shadow_and_what_is_imported_may_be() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    set(&control, &id, json!({"shadow": true})).await.expect(200);
    let rotated =
        control.post(&format!("/v1/api-keys/{id}/rotate"), json!({"grace": "1h"})).await.expect(201);
    assert_eq!((&rotated["shadow"], &rotated["previous"]["shadow"]), (&json!(true), &json!(true)));
    let audit = control.get("/v1/audit?action=api_key.rotated").await.expect(200);
    assert_eq!(audit[0]["details"]["shadow"], true);
    let of = |n: u8, shadow: Value| json!({"hash": format!("{n:064x}"), "workspace": "demo", "name": "k", "environment": "live", "shadow": shadow});
    let import = json!({"keys": [of(1, json!(true)), of(2, json!(false)), of(3, json!(null))]});
    let done = control.post("/v1/api-keys/import-batch", import).await.expect(200);
    for (number, shadow) in [true, false, false].into_iter().enumerate() {
        let id = done["keys"][number]["id"].as_str().unwrap();
        assert_eq!(key(&control, id).await["shadow"], shadow, "{number}");
    }
}

#[tokio::test]
async fn an_ended_key_is_not_revived_by_it_and_mistakes_are_told() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    assert_eq!(set(&control, &id, json!({})).await.problems(), ["shadow: is required"]);
    let problems = set(&control, &id, json!({"shadow": "on"})).await.problems();
    assert!(problems[0].starts_with("shadow: "), "{problems:?}");
    let problems = set(&control, &id, json!({"shadow": true, "until": 1})).await.problems();
    assert_eq!(problems, ["until: is not a known field"]);
    set(&control, "key_none", json!({"shadow": true})).await.refused(404, "NOT_FOUND");
    control.revoke(&id, "0").await;
    let refused = set(&control, &id, json!({"shadow": true})).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (409, &json!("CONFLICT")));
    assert_eq!(key(&control, &id).await["status"], "revoked");
}

/// Whoever is limited cannot loosen the limit.
#[tokio::test]
async fn no_tenant_puts_a_key_in_shadow_and_all_of_them_see_it() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let (token, _) = make(&control, json!({"name": "acme", "workspace": "demo", "role": "owner"})).await;
    let path = format!("/v1/api-keys/{id}");
    for (method, path, body) in [
        (Method::PUT, format!("{path}/shadow"), json!({"shadow": true})),
        (Method::PATCH, path.clone(), json!({"shadow": true})),
        (
            Method::POST,
            "/v1/api-keys".to_owned(),
            json!({"workspace": "demo", "name": "n", "environment": "live", "shadow": true}),
        ),
    ] {
        let answer = with(&control, &token, method.clone(), &path, Some(&body)).await;
        assert!(matches!(answer.status, 403 | 422), "{method} {path}: {}", answer.body);
    }
    assert_eq!(key(&control, &id).await["shadow"], false);
    set(&control, &id, json!({"shadow": true})).await.expect(200);
    let shown = with(&control, &token, Method::GET, &path, None).await.expect(200);
    assert_eq!(shown["shadow"], true);
    let (member, _) = make(&control, json!({"name": "m", "workspace": "demo", "role": "member"})).await;
    let rotated =
        with(&control, &member, Method::POST, &format!("{path}/rotate"), Some(&json!({"grace": "0"}))).await;
    assert_eq!(rotated.expect(201)["shadow"], true, "the same client goes on as it was");
}
