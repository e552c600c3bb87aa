//! Before enforcing: for operators only, what would have been refused, and which gateways do not say.

use serde_json::json;

use crate::browser::Browser;
use crate::common::Control;
use crate::common::gateway::Gateway;
use crate::usage::Poster;

const PAGE: &str = "/operators/shadow";

#[tokio::test]
async fn an_operator_sees_what_would_be_refused_and_whom_nobody_hears() {
    let control = Control::with_workspace().await;
    let key = control.create_key().await;
    let owner = Browser::of(&control, "bob@example.com", "owner").await;
    assert_eq!(owner.get(PAGE).await.status, 403);
    owner.get("/w/demo").await.hides(PAGE);
    let operator = Browser::of(&control, "ada@example.com", "owner").await;
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    operator.get("/w/demo").await.shows(PAGE);
    operator.get(PAGE).await.shows("Nothing is in shadow: no gateway is connected");
    for (name, shadow) in [("edge-berlin", Some(true)), ("edge-oslo", Some(false)), ("old", None)] {
        let mut gateway = Gateway::new(&control, name);
        gateway.query.shadow = shadow;
        gateway.catch_up(&control).await;
    }
    let page = operator.get(PAGE).await;
    page.shows("Nothing would have been refused");
    page.shows("1 connected gateway does not say");
    page.hides("shared/edge-oslo");
    let mut poster = Poster::new();
    poster.shadow(&control, &key, ("rate_limited", "rate_limited.key"), 1_234).await;
    poster.shadow(&control, &key, ("forbidden", "unauthorized.missing"), 7).await;
    let page = operator.get(&format!("{PAGE}?days=1")).await;
    for text in [
        "1,241 requests",
        "429 RATE_LIMITED</code> key: <strong>1,234</strong>",
        "401 UNAUTHORIZED</code> missing: <strong>7</strong>",
        "429 over a limit: <strong>1,234</strong>",
        "403 outside of its restrictions: <strong>7</strong>",
        &format!("/w/demo/settings/api-keys/{}\"", key["id"].as_str().unwrap()),
        "shared/edge-berlin",
    ] {
        page.shows(text);
    }
    operator.get("/w/demo/gateways").await.shows("In shadow");
    // A page that is not there leads to one that is.
    assert_eq!(
        operator.get(&format!("{PAGE}?days=7&page=9")).await.location(),
        format!("{PAGE}?days=7&page=1")
    );
    for odd in ["?days=400", "?days=x&page=-1", "?page=0"] {
        operator.get(&format!("{PAGE}{odd}")).await.shows("1,241 requests");
    }
}
