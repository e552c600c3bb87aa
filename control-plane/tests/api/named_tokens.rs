//! `/v1/tokens`: tokens of operators, made, used, expired, revoked.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Answer, Control};

/// Makes a token, and returns it with the answer.
pub async fn make(control: &Control, body: Value) -> (String, Value) {
    let made = control.post("/v1/tokens", body).await.expect(201);
    (made["token"].as_str().unwrap().to_owned(), made)
}

/// A request with this token.
pub async fn with(
    control: &Control,
    token: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let mut request = control.http.request(method, control.url(path)).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(body);
    }
    Answer::of(request).await
}

async fn get(control: &Control, token: &str, path: &str) -> Answer {
    with(control, token, Method::GET, path, None).await
}

#[tokio::test]
async fn a_token_is_shown_once_and_named_in_what_it_does() {
    let control = Control::with_workspace().await;
    let (token, made) = make(&control, json!({"name": "ci"})).await;
    assert!(
        token.starts_with("fgo_") && token.len() == 44 && made["id"].as_str().unwrap().starts_with("opt_")
    );
    assert_eq!((&made["status"], &made["created_by"]), (&json!("active"), &json!("admin token")));
    assert_eq!(
        (&made["workspace"], &made["role"], &made["last_used_at"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let key = json!({"workspace": "demo", "name": "App", "environment": "live"});
    let key = with(&control, &token, Method::POST, "/v1/api-keys", Some(&key)).await.expect(201);
    assert_eq!(key["created_by"], "token:ci");
    let log = get(&control, &token, "/v1/audit?action=api_key.created").await.expect(200);
    let actor = &log[0]["actor"];
    assert_eq!(
        (&actor["kind"], &actor["id"], &actor["name"]),
        (&json!("token"), &made["id"], &json!("token:ci"))
    );
    let log = control.get("/v1/audit?action=token.created").await.expect(200);
    assert_eq!((&log[0]["actor"]["kind"], &log[0]["target"]["name"]), (&json!("admin_token"), &json!("ci")));
    // One makes another, and the listing has neither.
    with(&control, &token, Method::POST, "/v1/tokens", Some(&json!({"name": "deploy"}))).await.expect(201);
    let listed = control.get("/v1/tokens").await.expect(200);
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ci", "deploy"]);
    assert!(listed[0].get("token").is_none() && listed[0]["last_used_at"].is_string(), "{listed}");
    assert_eq!((&listed[1]["created_by"], &listed[1]["last_used_at"]), (&json!("token:ci"), &Value::Null));
    // Of the token there is only the hash; a restart knows it, and when it was used.
    let bytes = token.clone().into_bytes();
    let control = control
        .restart(|database| {
            let file = std::fs::read(database).unwrap();
            assert!(!file.windows(bytes.len()).any(|part| part == bytes));
        })
        .await;
    let listed = get(&control, &token, "/v1/tokens?limit=1").await.expect(200);
    assert!(listed[0]["last_used_at"].is_string(), "{listed}");
}

#[tokio::test]
async fn a_token_that_was_revoked_or_has_expired_opens_nothing() {
    let control = Control::with_workspace().await;
    let (token, _) = make(&control, json!({"name": "ci"})).await;
    let end = control.clock.now().as_second() + 3_600;
    let (short, made) = make(&control, json!({"name": "short", "expires_at": end})).await;
    assert!(made["expires_at"].is_string());
    for token in [&token, &short] {
        get(&control, token, "/v1/workspaces").await.expect(200);
    }
    let ended = with(&control, &token, Method::DELETE, "/v1/tokens/ci", None).await.expect(200);
    assert_eq!(ended["status"], "revoked", "it may end itself");
    get(&control, &token, "/v1/workspaces").await.refused(401, "UNAUTHORIZED");
    let again = Answer::of(control.request(Method::DELETE, "/v1/tokens/ci")).await.expect(200);
    assert_eq!(again["revoked_at"], ended["revoked_at"]);
    assert_eq!(control.get("/v1/audit?action=token.revoked").await.expect(200).as_array().unwrap().len(), 1);
    Answer::of(control.request(Method::DELETE, "/v1/tokens/nobody")).await.refused(404, "NOT_FOUND");
    control.clock.advance(Duration::from_secs(3_600));
    get(&control, &short, "/v1/workspaces").await.refused(401, "UNAUTHORIZED");
    let listed = control.get("/v1/tokens").await.expect(200);
    assert_eq!((&listed[0]["status"], &listed[1]["status"]), (&json!("revoked"), &json!("expired")));
    let control = control.restart(|_| {}).await;
    for token in [&token, &short] {
        get(&control, token, "/v1/workspaces").await.refused(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_draft_is_checked_and_a_name_is_never_given_out_twice() {
    let control = Control::with_workspace().await;
    let past = control.clock.now().as_second() - 1;
    for (body, problems) in [
        (json!({"name": "a b"}), vec!["name: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'"]),
        (json!({"name": ".."}), vec!["name: 1 to 64 letters, digits, '_', '-' or '.', and not '.' or '..'"]),
        (
            json!({"name": "a", "role": "owner"}),
            vec!["workspace: is needed with a role; without both the token is for all of /v1"],
        ),
        (
            json!({"name": "a", "workspace": "demo"}),
            vec!["role: is needed with a workspace: owner, member or viewer"],
        ),
        (
            json!({"name": "a", "workspace": "demo", "role": "admin"}),
            vec!["role: must be owner, member or viewer"],
        ),
        (json!({"name": "a", "workspace": "none", "role": "owner"}), vec!["workspace: no such workspace"]),
        (json!({"name": "a", "expires_at": past}), vec!["expires_at: must be in the future"]),
    ] {
        assert_eq!(control.post("/v1/tokens", body).await.problems(), problems);
    }
    let (_, first) = make(&control, json!({"name": "ci"})).await;
    let taken = control.post("/v1/tokens", json!({"name": "ci"})).await.refused(409, "CONFLICT");
    assert_eq!(taken["details"]["id"], first["id"]);
    control.post("/v1/tokens", json!({"name": "cl"})).await.expect(201);
    let twin = control.post("/v1/tokens", json!({"name": "c1"})).await.refused(409, "CONFLICT");
    assert!(twin["message"].as_str().unwrap().contains("looks like"), "{twin}");
    Answer::of(control.request(Method::DELETE, "/v1/tokens/ci")).await.expect(200);
    control.post("/v1/tokens", json!({"name": "ci"})).await.refused(409, "CONFLICT");
}

#[tokio::test]
async fn there_are_only_so_many_and_one_that_ended_makes_room() {
    let control = Control::start().await;
    make(&control, json!({"name": "ci"})).await;
    control
        .sql(
            "INSERT INTO operator_tokens (id, name, hash, created_at, created_by)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             SELECT 'opt_' || i, 'filler.' || (1000 + i) || '.x', CAST(printf('%032d', i) AS BLOB), 0, 'test' FROM n",
        )
        .await;
    let full = control.post("/v1/tokens", json!({"name": "more"})).await.refused(409, "CONFLICT");
    assert!(full["message"].as_str().unwrap().contains("1000 tokens"), "{full}");
    Answer::of(control.request(Method::DELETE, "/v1/tokens/ci")).await.expect(200);
    let (token, _) = make(&control, json!({"name": "more"})).await;
    get(&control, &token, "/v1/tokens").await.expect(200);
}

#[tokio::test]
async fn the_limit_of_a_token_is_its_own() {
    let control = Control::start().await.restart_with(&[("FLAMEGATE_ADMIN_LIMIT", "5/1h")]).await;
    let (token, _) = make(&control, json!({"name": "ci"})).await;
    for _ in 0..5 {
        get(&control, &token, "/v1/workspaces").await.expect(200);
    }
    get(&control, &token, "/v1/workspaces").await.refused(429, "RATE_LIMITED");
    control.get("/v1/workspaces").await.expect(200);
}
