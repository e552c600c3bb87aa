//! What people see in place of a page: in the frame of their workspace, and the same whether something is not there or not theirs.

use serde_json::json;

use crate::browser::{Browser, Page};
use crate::common::Control;

const KEYS: &str = "/w/demo/settings/api-keys";

/// Two workspaces with a key each; the ids of these.
async fn start() -> (Control, String, String) {
    let control = Control::with_workspace().await;
    let ours = control.create_key_id().await;
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let theirs = json!({"workspace": "rival", "name": "Theirs", "environment": "live"});
    let theirs = control.post("/v1/api-keys", theirs).await.expect(201)["id"].as_str().unwrap().to_owned();
    (control, ours, theirs)
}

/// The page is in the frame of `demo`, with its person's way out and nothing of anybody else.
#[track_caller]
fn is_in_frame(page: &Page, status: u16, title: &str) {
    assert_eq!(page.status, status, "{}", page.text);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    page.shows(&format!("<title>{title} · "));
    page.shows("<nav aria-label=\"Main\">");
    page.shows("href=\"/w/demo/settings\"");
    page.shows("action=\"/sign-out\"");
    page.hides("aria-current=\"page\"");
    page.hides("Rival");
}

#[tokio::test]
async fn an_error_inside_a_workspace_keeps_its_frame() {
    let (control, ours, theirs) = start().await;
    let viewer = Browser::of(&control, "vic@example.com", "viewer").await;
    let page = viewer.get(&format!("{KEYS}/key_nobody")).await;
    is_in_frame(&page, 404, "No such key here");
    page.shows(&format!("<a class=\"button\" href=\"{KEYS}\">Look in the list</a>"));
    let another = viewer.get(&format!("{KEYS}/{theirs}")).await;
    assert_eq!(another.text, page.text, "whose it is is told to nobody");
    is_in_frame(&viewer.get("/w/demo/nothing/at/all").await, 404, "Page not found");
    is_in_frame(&viewer.get(&format!("{KEYS}/{ours}/revoke")).await, 403, "Your role does not allow this");
    let stale = viewer.post("/w/demo/settings", &[("csrf", "of another session"), ("name", "typed")]).await;
    is_in_frame(&stale, 403, "This form is out of date");
    assert_eq!(stale.value("csrf"), page.value("csrf"));
}

#[tokio::test]
async fn the_frame_is_that_of_the_workspace_that_was_asked_for() {
    let (control, ..) = start().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    for name in ["Annex", "Zoo"] {
        let slug = name.to_lowercase();
        control.post("/v1/workspaces", json!({"name": name})).await.expect(201);
        let join = json!({"email": "ada@example.com", "workspace": slug, "role": "member"});
        control.post("/v1/users", join).await.expect(201);
        let page = browser.get(&format!("/w/{slug}/settings/api-keys/key_nobody")).await;
        assert_eq!(page.status, 404);
        page.shows(&format!("<title>No such key here · {name} · "));
        page.shows(&format!("<a class=\"button\" href=\"/w/{slug}/settings/api-keys\">"));
    }
    is_in_frame(&browser.get(&format!("{KEYS}/key_nobody")).await, 404, "No such key here");
}

#[tokio::test]
async fn a_workspace_that_is_not_theirs_looks_like_one_that_is_not_there() {
    let (control, _, theirs) = start().await;
    let owner = Browser::of(&control, "ada@example.com", "owner").await;
    let nowhere = owner.get("/w/nowhere").await;
    is_in_frame(&nowhere, 404, "Page not found");
    for path in ["/w/rival", "/w/rival/settings", "/w/rival/nothing", "/w/nowhere/nothing"] {
        assert_eq!(owner.get(path).await.text, nowhere.text, "{path}");
    }
    let key = owner.get(&format!("/w/rival/settings/api-keys/{theirs}")).await;
    assert_eq!((key.status, key.text), (404, nowhere.text));
    // Who runs the installation has its pages beside the workspace's.
    assert_eq!(owner.get("/operators/plans").await.status, 403);
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    let plan = owner.get("/operators/plans/none").await;
    is_in_frame(&plan, 404, "Page not found");
    plan.shows("href=\"/operators/plans\"");
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_told_nothing() {
    let (control, ours, _) = start().await;
    let stranger = Browser::new(&control);
    for path in
        ["/w/demo", "/w/nowhere", "/w/demo/nothing", &format!("{KEYS}/{ours}"), &format!("{KEYS}/key_no")]
    {
        let page = stranger.get(path).await;
        assert_eq!(page.status, 303, "{path}");
        assert!(page.location().starts_with("/sign-in"), "{path}");
        assert!(page.text.is_empty(), "{path}");
    }
    let nowhere =
        stranger.send(stranger.request(reqwest::Method::GET, "/nowhere").header("accept", "text/html")).await;
    assert_eq!(nowhere.status, 404);
    nowhere.shows("Page not found");
    nowhere.hides("<nav");
    // Nor is a person who comes with what another site's page has sent: nobody has asked yet who they are.
    let owner = Browser::of(&control, "ada@example.com", "owner").await;
    let foreign = owner.request(reqwest::Method::POST, KEYS).header("sec-fetch-site", "cross-site");
    let foreign = owner.send(foreign).await;
    assert_eq!(foreign.status, 403);
    foreign.hides("<nav");
}
