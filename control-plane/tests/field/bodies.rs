//! Bodies of every `/v1` route: objects only, nothing twice, every mistake with its field and in words.

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Answer, Control};

/// Every route that takes a body, with one field of text of it.
const ROUTES: [(Method, &str, &str); 14] = [
    (Method::POST, "/v1/api-keys", "name"),
    (Method::PATCH, "/v1/api-keys/{id}", "name"),
    (Method::POST, "/v1/api-keys/{id}/rotate", "grace"),
    (Method::POST, "/v1/api-keys/import", "hash"),
    (Method::POST, "/v1/api-keys/import-batch", "keys"),
    (Method::POST, "/v1/explain", "hash"),
    (Method::POST, "/v1/workspaces", "name"),
    (Method::PATCH, "/v1/workspaces/{id}", "name"),
    (Method::POST, "/v1/users", "email"),
    (Method::POST, "/v1/users/{id}/role", "role"),
    (Method::POST, "/v1/users/{id}/reset-password", "password"),
    (Method::POST, "/v1/gateway-credentials", "name"),
    (Method::POST, "/v1/tokens", "name"),
    (Method::POST, "/v1/plans", "name"),
];

async fn send(control: &Control, method: &Method, path: &str, body: &str) -> Answer {
    let request = control.request(method.clone(), &path.replace("{id}", "x")).body(body.to_owned());
    Answer::of(request.header("content-type", "application/json")).await
}

#[tokio::test]
async fn the_routes_are_all_that_take_a_body() {
    let control = Control::start().await;
    let document = control.get("/openapi.json").await.body;
    let paths = document["paths"].as_object().unwrap();
    let mut found: Vec<_> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(move |(m, route)| (path, m, route))
        })
        // What gateways post is another file's (tests/api/usage.rs).
        .filter(|(path, _, route)| path.starts_with("/v1/") && route.get("requestBody").is_some())
        .map(|(path, method, _)| format!("{} {}", method.to_uppercase(), path))
        .collect();
    // Those without a field of text.
    let mut known: Vec<_> = ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    known.extend(
        ["PATCH /v1/users/{id}", "PATCH /v1/plans/{name}", "PUT /v1/api-keys/{id}/shadow"].map(str::to_owned),
    );
    found.iter_mut().chain(&mut known).for_each(|route| {
        let end = route.find('{').map_or(route.len(), |at| at);
        let tail = route.find('}').map_or("", |at| &route[at + 1..]).to_owned();
        route.truncate(end);
        route.push_str(&tail);
    });
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

#[tokio::test]
async fn only_an_object_is_a_body_and_a_field_is_given_once() {
    let control = Control::with_workspace().await;
    for (method, path, field) in &ROUTES {
        for body in ["[]", r#"["demo","arr","test"]"#, "null", "7", r#""text""#, "true"] {
            let told = send(&control, method, path, body).await.problems();
            assert_eq!(told, ["body: must be an object"], "{path} {body}");
        }
        let twice = format!(r#"{{"{field}": "a", "{field}": "b"}}"#);
        let told = send(&control, method, path, &twice).await.problems();
        assert_eq!(told, [format!("{field}: is given more than once")], "{path}");
        let kind = if *field == "keys" { "a list" } else { "text" };
        let told = send(&control, method, path, &format!(r#"{{"{field}": 7}}"#)).await.problems();
        assert_eq!(told, [format!("{field}: must be {kind}")], "{path}");
        let told = send(&control, method, path, r#"{"surprise": 7}"#).await.problems();
        assert_eq!(told, ["surprise: is not a known field"], "{path}");
        send(&control, method, path, r#"{"name": "#).await.refused(400, "BAD_REQUEST");
        send(&control, method, path, "{} {}").await.refused(400, "BAD_REQUEST");
    }
    let listed = control.get("/v1/api-keys").await.expect(200);
    assert_eq!(listed, json!([]), "nothing was made");
}

#[tokio::test]
async fn what_lies_deeper_has_its_path_too() {
    let control = Control::with_workspace().await;
    let whole = "must be a whole number";
    for (limits, told) in [
        (r#"[["default", "key", 1, 1]]"#, "limits[0]: must be an object".to_owned()),
        (r#"{"requests": 1}"#, "limits: must be a list".to_owned()),
        (r#"[{"requests": "1"}]"#, format!("limits[0].requests: {whole}")),
        (r#"[{"requests": 1.5}]"#, format!("limits[0].requests: {whole}")),
        (r#"[{"requests": true}]"#, format!("limits[0].requests: {whole}")),
        (r#"[{"requests": 18446744073709551615}]"#, "limits[0].requests: is too large".to_owned()),
        (r#"[{}, {"burst": 1, "burst": 2}]"#, "limits[1].burst: is given more than once".to_owned()),
        (r#"[{"scope": ["key"]}]"#, "limits[0].scope: must be text".to_owned()),
    ] {
        let body =
            format!(r#"{{"workspace": "demo", "name": "x", "environment": "test", "limits": {limits}}}"#);
        assert_eq!(send(&control, &Method::POST, "/v1/api-keys", &body).await.problems(), [told], "{limits}");
        let batch = format!(r#"{{"keys": [{{}}, {{"limits": {limits}}}]}}"#);
        let told = send(&control, &Method::POST, "/v1/api-keys/import-batch", &batch).await.problems();
        assert!(told.len() == 1 && told[0].starts_with("keys[1].limits"), "{told:?}");
    }
    let batch = send(&control, &Method::POST, "/v1/api-keys/import-batch", "{}").await;
    assert_eq!(batch.problems(), ["keys: is required"]);
    for (field, value, told) in [
        ("ceiling", json!([1, 2]), "ceiling: must be an object"),
        ("max_active_keys", json!("many"), "max_active_keys: must be a whole number"),
        ("max_active_keys", json!(u64::MAX), "max_active_keys: is too large"),
    ] {
        let answer = control.patch("/v1/workspaces/demo", json!({field: value})).await;
        assert_eq!(answer.problems(), [told]);
    }
    let operator = control.patch("/v1/users/x", json!({"operator": "yes"})).await.problems();
    assert_eq!(operator, ["operator: must be true or false"]);
}

#[tokio::test]
async fn queries_are_told_in_words_too() {
    let control = Control::with_workspace().await;
    for (query, told) in [
        ("api-keys?limit=many", "query: limit must be a whole number"),
        ("api-keys?limit=", "query: limit must be a whole number"),
        ("api-keys?limit=-1", "query: limit must be a whole number"),
        ("audit?limit=99999999999", "query: limit is too large"),
        ("users?limit=1&limit=2", "query: `limit` is given more than once"),
        ("gateways?connected=maybe", "query: connected must be true or false"),
        ("gateways?sk_live_abcdefgh=1", "query: a parameter is not known; known is `connected`"),
    ] {
        let error = control.get(&format!("/v1/{query}")).await.refused(400, "BAD_REQUEST");
        assert_eq!(error["message"], told, "{query}");
    }
}

#[tokio::test]
async fn what_came_is_not_repeated() {
    let control = Control::with_workspace().await;
    let key = "sk_live_abcdefghijklmnopqrstuvwxyz012345";
    for body in [
        json!({"workspace": "demo", "name": "x", "environment": key}),
        json!({"workspace": "demo", "name": "x", "environment": "test", "limits": key}),
        json!({"workspace": "demo", "name": "x", "environment": "test", "limits": [{"requests": key}]}),
        json!({"workspace": "demo", "name": "x", "environment": "test", "expires_at": key}),
        Value::from(key),
    ] {
        let answer = control.post("/v1/api-keys", body).await;
        assert!(!answer.body.to_string().contains("abcdefgh"), "{}", answer.body);
        answer.refused(422, "VALIDATION_FAILED");
    }
}
