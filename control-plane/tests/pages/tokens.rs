//! The page of operators' tokens: for operators only, and nothing in it makes one.

use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::common::{Answer, Control};

const PAGE: &str = "/operators/tokens";

async fn operator(control: &Control) -> Browser {
    let browser = Browser::of(control, "ada@example.com", "viewer").await;
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    browser
}

#[tokio::test]
async fn an_operator_sees_all_tokens_and_revokes_one() {
    let control = Control::with_workspace().await;
    let browser = operator(&control).await;
    browser.get(PAGE).await.shows("No token has a name yet");
    let made = control.post("/v1/tokens", json!({"name": "ci"})).await.expect(201);
    let token = made["token"].as_str().unwrap();
    control
        .post("/v1/tokens", json!({"name": "acme", "workspace": "demo", "role": "member"}))
        .await
        .expect(201);
    let request = control.http.get(control.url("/v1/workspaces")).bearer_auth(token);
    Answer::of(request).await.expect(200);
    let page = browser.get(PAGE).await;
    for text in ["ci", "Everything", "member of demo", "admin token", "never"] {
        page.shows(text);
    }
    page.hides(token);
    let revoke = format!("{PAGE}/ci/revoke");
    browser.get(&revoke).await.shows("This cannot be undone.");
    let done = browser.submit(&revoke, &revoke, &[]).await;
    assert_eq!((done.status, done.location()), (303, PAGE));
    let request = control.http.get(control.url("/v1/workspaces")).bearer_auth(token);
    Answer::of(request).await.refused(401, "UNAUTHORIZED");
    browser.get(&revoke).await.shows("there is nothing to revoke");
    let log = control.get("/v1/audit?action=token.revoked").await.expect(200);
    assert_eq!(
        (&log[0]["actor"]["name"], &log[0]["actor"]["via"]),
        (&json!("ada@example.com"), &json!("page"))
    );
    assert_eq!(browser.get(&format!("{PAGE}/none/revoke")).await.status, 404);
}

#[tokio::test]
async fn nobody_else_sees_or_revokes_one() {
    let control = Control::with_workspace().await;
    control.post("/v1/tokens", json!({"name": "ci"})).await.expect(201);
    let owner = Browser::of(&control, "bob@example.com", "owner").await;
    let revoke = format!("{PAGE}/ci/revoke");
    let csrf = owner.get("/account").await.value("csrf");
    assert_eq!((owner.get(PAGE).await.status, owner.get(&revoke).await.status), (403, 403));
    assert_eq!(owner.post(&revoke, &[("csrf", &csrf)]).await.status, 403);
    let stranger = Browser::new(&control);
    assert_eq!(stranger.get(PAGE).await.status, 303);
    // And an operator's only with a form of the page.
    let operator = operator(&control).await;
    assert_eq!(operator.post(&revoke, &[]).await.status, 403);
    let foreign = operator.request(Method::POST, &revoke).header("sec-fetch-site", "cross-site");
    assert_eq!(operator.send(foreign).await.status, 403);
    assert_eq!(control.get("/v1/tokens").await.expect(200)[0]["status"], "active");
}
