//! The page of plans: for operators only, and who is on which; and the choice of one in a key's form.

use serde_json::json;

use crate::browser::Browser;
use crate::common::Control;

const PAGE: &str = "/operators/plans";

#[tokio::test]
async fn an_operator_sees_who_is_on_which_plan_and_gives_one() {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    let owner = Browser::of(&control, "bob@example.com", "owner").await;
    assert_eq!(owner.get(PAGE).await.status, 403);
    let operator = Browser::of(&control, "ada@example.com", "owner").await;
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    operator.get(PAGE).await.shows("No plan yet");
    let limits = json!([{"requests": 1000, "window_seconds": 60}]);
    let body = json!({"name": "gold", "limits": limits, "restrict": {"methods": ["GET"]}});
    control.post("/v1/plans", body).await.expect(201);
    let edit = format!("/w/demo/settings/api-keys/{id}/edit");
    owner.get(&edit).await.hides("id=\"plan\"");
    let fields = [("name", "A"), ("plan", "gold")];
    let own = owner.submit(&edit, &edit, &fields).await;
    assert_eq!(own.status, 303);
    let plan = async || control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["plan"].clone();
    assert_eq!(plan().await, json!(null), "not an owner's to give");
    operator
        .follow(&operator.submit(&edit, &edit, &fields).await)
        .await
        .shows("<dt>Plan</dt><dd class=\"wrap\">gold</dd>");
    assert_eq!(plan().await, "gold");
    operator.get(&edit).await.shows("<option value=\"gold\" selected>");
    let page = operator.get(PAGE).await;
    for text in ["gold", "1,000 per minute", "methods GET", "each key"] {
        page.shows(text);
    }
    operator
        .follow(&operator.submit(&edit, &edit, &[("name", "A"), ("plan", "")]).await)
        .await
        .hides("<dt>Plan");
}
