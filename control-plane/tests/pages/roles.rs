//! Who may do what, and that other workspaces do not exist.

use reqwest::Method;
use serde_json::json;

use crate::browser::{Browser, PASSWORD, add_user};
use crate::common::{ADMIN, Answer, Control};

const KEYS: &str = "/w/demo/settings/api-keys";

#[tokio::test]
async fn a_viewer_sees_keys_and_changes_none() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let viewer = Browser::of(&control, "eve@example.com", "viewer").await;
    let list = viewer.get(KEYS).await;
    list.shows("Production App");
    for hidden in ["Generate New Key", "/revoke", "/rotate", "/edit", "Audit log"] {
        list.hides(hidden);
    }
    for path in [format!("{KEYS}/new"), format!("{KEYS}/{id}/revoke"), "/w/demo/audit".to_owned()] {
        assert_eq!(viewer.get(&path).await.status, 403, "{path}");
    }
    for verb in ["", "/edit", "/rotate", "/revoke"] {
        let path = if verb.is_empty() { KEYS.to_owned() } else { format!("{KEYS}/{id}{verb}") };
        let fields = [("name", "x"), ("environment", "live"), ("grace_seconds", "0")];
        assert_eq!(viewer.submit_from(&list, &path, &fields).await.status, 403, "{path}");
    }
    let key = control.get(&format!("/v1/api-keys/{id}")).await.expect(200);
    assert_eq!((&key["name"], &key["status"]), (&json!("Production App"), &json!("active")));
}

#[tokio::test]
async fn a_member_changes_keys_and_an_owner_sees_the_audit_log() {
    let control = Control::with_workspace().await;
    let member = Browser::of(&control, "ada@example.com", "member").await;
    member.submit(&format!("{KEYS}/new"), KEYS, &[("name", "x"), ("environment", "live")]).await.key();
    assert_eq!(member.get("/w/demo/audit").await.status, 403);
    let set = json!({"workspace": "demo", "role": "owner"});
    control.post("/v1/users/ada@example.com/role", set).await.expect(200);
    assert_eq!(member.get("/w/demo/audit").await.status, 200, "a role counts at once");
    let set = json!({"workspace": "demo", "role": "none"});
    control.post("/v1/users/ada@example.com/role", set).await.expect(200);
    assert_eq!(member.get(KEYS).await.status, 404);
}

#[tokio::test]
async fn another_workspace_does_not_exist() {
    let control = Control::with_workspace().await;
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let body = json!({"workspace": "rival", "name": "Rival key", "environment": "live"});
    let id = control.post("/v1/api-keys", body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let ada = Browser::of(&control, "ada@example.com", "owner").await;
    let form = ada.get(KEYS).await;
    for path in [
        "/w/rival".to_owned(),
        "/w/rival/settings/api-keys".to_owned(),
        "/w/rival/audit".to_owned(),
        "/w/rival/gateways".to_owned(),
        format!("{KEYS}/{id}/revoke"),
        format!("{KEYS}/{id}/edit"),
        format!("{KEYS}/{id}/rotate"),
        format!("/w/rival/settings/api-keys/{id}/revoke"),
    ] {
        let page = ada.get(&path).await;
        assert_eq!(page.status, 404, "{path}");
        page.hides("Rival key");
        if path.contains(&id) {
            let fields = [("name", "mine"), ("grace_seconds", "0")];
            assert_eq!(ada.submit_from(&form, &path, &fields).await.status, 404, "{path}");
        }
    }
    let key = control.get(&format!("/v1/api-keys/{id}")).await.expect(200);
    assert_eq!((&key["name"], &key["status"]), (&json!("Rival key"), &json!("active")));
    ada.get("/w/demo/audit").await.hides("Rival");
    ada.get(&format!("{KEYS}?status=all&q=rival")).await.hides("Rival key");
}

#[tokio::test]
async fn users_are_managed_through_the_api() {
    let control = Control::with_workspace().await;
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let body = json!({"email": "Ada@Example.com", "workspace": "demo", "role": "viewer"});
    let made = control.post("/v1/users", body.clone()).await.expect(201);
    assert_eq!(made["email"], "ada@example.com");
    let password = made["password"].as_str().unwrap();
    assert_eq!(password.len(), 20);
    assert_eq!(Browser::new(&control).sign_in("ada@example.com", password).await.status, 303);
    control.post("/v1/users", body).await.refused(409, "CONFLICT");
    let join = json!({"email": "ada@example.com", "workspace": "rival", "role": "owner"});
    let joined = control.post("/v1/users", join).await.expect(201);
    assert_eq!((&joined["password"], joined["roles"].as_array().unwrap().len()), (&json!(null), 2));
    let reset = control.post("/v1/users/ada@example.com/reset-password", json!({})).await.expect(200);
    assert_eq!(Browser::new(&control).sign_in("ada@example.com", password).await.status, 401);
    let password = reset["password"].as_str().unwrap();
    assert_eq!(Browser::new(&control).sign_in("ada@example.com", password).await.status, 303);
    let listed = control.get("/v1/users?workspace=rival").await.expect(200);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &made["id"]));
    control.get("/v1/users/nobody@example.com").await.refused(404, "NOT_FOUND");
    control.post("/v1/users/ada@example.com/disable", json!({})).await.expect(200);
    let enabled = control.post("/v1/users/ada@example.com/enable", json!({})).await.expect(200);
    assert_eq!(enabled["disabled"], false);
}

#[tokio::test]
async fn mistakes_about_users_are_told_at_once() {
    let control = Control::with_workspace().await;
    let body = json!({"email": "ada", "role": "king", "password": "short"});
    let problems = control.post("/v1/users", body).await.problems();
    assert_eq!(problems.len(), 4, "{problems:?}");
    let body = json!({"email": "ada@example.com", "workspace": "gone", "role": "owner"});
    assert_eq!(control.post("/v1/users", body).await.problems(), ["workspace: no such workspace"]);
    add_user(&control, "ada@example.com", "demo", "owner").await;
    let request =
        control.http.request(Method::POST, control.url("/v1/users")).bearer_auth(format!("{ADMIN}x"));
    Answer::of(request.json(&json!({"password": PASSWORD}))).await.refused(401, "UNAUTHORIZED");
}
