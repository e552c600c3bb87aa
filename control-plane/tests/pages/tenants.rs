//! What tenants see of others, what operators see, and how fast one person may change things.

use std::time::Duration;

use serde_json::json;

use crate::browser::{Browser, Page, add_user};
use crate::common::Control;
use crate::common::gateway::Gateway;

const KEYS: &str = "/w/demo/settings/api-keys";

/// A name that no other text has in it.
const GATEWAY: &str = "edge-frankfurt-7";

/// A control plane with one key, a gateway that answers, one that is cut off, and a revision that shows wherever it is.
async fn start() -> (Control, String) {
    let control = Control::with_workspace().await;
    let id = control.create_key_id().await;
    Gateway::new(&control, "edge-gone").catch_up(&control).await;
    control.clock.advance(Duration::from_secs(90));
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let key = |n: u32| json!({"hash": format!("{n:064x}"), "workspace": "rival", "name": "r", "environment": "live"});
    let keys: Vec<_> = (0..976).map(key).collect();
    control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await.expect(200);
    let mut gateway = Gateway::new(&control, GATEWAY);
    gateway.catch_up(&control).await;
    gateway.run();
    (control, id)
}

/// Everything that a member of `demo` can open or send, and what came of it.
async fn everything(browser: &Browser, id: &str, may_change: bool) -> Vec<(String, Page)> {
    let mut pages = Vec::new();
    for path in [
        "/",
        "/account",
        "/w/demo",
        "/w/demo/gateways",
        "/w/demo/settings",
        "/w/demo/settings/members",
        KEYS,
        "/w/demo/audit",
        "/w/demo/nothing",
        "/w/rival",
        "/healthz",
    ] {
        pages.push((path.to_owned(), browser.get(path).await));
    }
    pages.push(("a key".to_owned(), browser.get(&format!("{KEYS}/{id}")).await));
    pages.push(("all keys".to_owned(), browser.get(&format!("{KEYS}?status=all")).await));
    for verb in ["edit", "rotate", "revoke"] {
        let path = format!("{KEYS}/{id}/{verb}");
        pages.push((path.clone(), browser.get(&path).await));
    }
    if may_change {
        let new = format!("{KEYS}/new");
        pages.push((
            "made".to_owned(),
            browser.submit(&new, KEYS, &[("name", "n"), ("environment", "live")]).await,
        ));
        let rotate = format!("{KEYS}/{id}/rotate");
        pages.push((
            "rotated".to_owned(),
            browser.submit(&rotate, &rotate, &[("grace_seconds", "3600")]).await,
        ));
        let page = browser.revoke(id).await;
        page.shows("Refused on 1 of 1 gateways");
        page.shows("1 cut off from here, may still serve");
        pages.push(("revoked".to_owned(), page));
        pages.push(("audit".to_owned(), browser.get("/w/demo/audit").await));
    }
    pages
}

#[tokio::test]
async fn no_page_of_a_tenant_names_a_gateway_or_the_revision() {
    for role in ["viewer", "member", "owner"] {
        let (control, id) = start().await;
        let browser = Browser::of(&control, "ada@example.com", role).await;
        let first = control.revision();
        assert_eq!(first, 977, "a number that is nowhere else");
        for (what, page) in everything(&browser, &id, role != "viewer").await {
            let last = control.revision();
            for secret in [GATEWAY, "edge-gone", "Rival", "rival"] {
                let own = what == "/w/rival" && secret == "rival";
                assert!(own || !page.text.contains(secret), "{role}, {what}: {secret} in {}", page.text);
            }
            for revision in first..=last {
                for around in ['>', ' ', '"'] {
                    let text = format!("{around}{revision}");
                    assert!(!page.text.contains(&text), "{role}, {what}: {text} in {}", page.text);
                }
            }
        }
        let page = browser.get("/w/demo/gateways").await;
        page.shows("Up to date");
        page.shows("Cut off");
        page.hides("<table");
        browser.get("/w/demo").await.hides("Revision");
    }
}

#[tokio::test]
async fn an_operator_sees_each_gateway_until_they_are_none_any_more() {
    let (control, id) = start().await;
    let browser = Browser::of(&control, "ada@example.com", "member").await;
    let set = async |operator: bool| {
        let body = json!({"operator": operator});
        control.patch("/v1/users/ada@example.com", body).await.expect(200)["operator"].clone()
    };
    assert_eq!(set(true).await, true);
    let page = browser.get("/w/demo/gateways").await;
    page.shows(GATEWAY);
    page.shows("edge-gone");
    page.shows("revision 977");
    let receipt = browser.revoke(&id).await;
    receipt.shows(GATEWAY);
    receipt.shows("edge-gone");
    // In this session, too.
    assert_eq!(set(false).await, false);
    browser.get("/w/demo/gateways").await.hides(GATEWAY);
    let actions = control.get("/v1/audit?workspace=demo").await.expect(200);
    let actions: Vec<_> =
        actions.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert!(
        actions.contains(&"user.operator_made") && actions.contains(&"user.operator_ended"),
        "{actions:?}"
    );
}

#[tokio::test]
async fn an_operator_is_made_with_the_user_and_never_by_themselves() {
    let control = Control::with_workspace().await;
    let body = json!({"email": "ada@example.com", "workspace": "demo", "role": "viewer", "operator": true});
    assert_eq!(control.post("/v1/users", body).await.expect(201)["operator"], true);
    add_user(&control, "bob@example.com", "demo", "owner").await;
    assert_eq!(control.get("/v1/users/bob@example.com").await.expect(200)["operator"], false);
    // Joining another workspace leaves it as it is.
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let join = json!({"email": "ada@example.com", "workspace": "rival", "role": "owner"});
    assert_eq!(control.post("/v1/users", join).await.expect(201)["operator"], true);
}

#[tokio::test]
async fn one_person_cannot_make_keys_without_end() {
    // One more every two minutes: longer than this test takes, so what follows from the burst is exact.
    let control = Control::with_workspace().await.restart_with(&[("FLAMEGATE_PERSON_LIMIT", "30/1h")]).await;
    let browser = Browser::of(&control, "ada@example.com", "member").await;
    let new = browser.get(&format!("{KEYS}/new")).await;
    let csrf = new.value("csrf");
    let send = async |number: u32| {
        let once = format!("once-{number}");
        let fields =
            [("csrf", csrf.as_str()), ("once", &once), ("name", "mine <b>"), ("environment", "live")];
        browser.post(KEYS, &fields).await
    };
    let (mut made, mut refused) = (0, None);
    for number in 0..40 {
        let page = send(number).await;
        match page.status {
            200 => made += 1,
            429 => refused = Some(page),
            other => panic!("{other}"),
        }
    }
    assert_eq!(made, 30, "the burst");
    let page = refused.expect("refused");
    assert!((1..=121).contains(&page.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
    page.shows("Too many changes at once");
    page.shows("<nav aria-label=\"Main\">");
    // What was typed is in the form that the page has; sent again later, it makes the key.
    page.shows("mine &#60;b&#62;");
    page.shows(&format!("action=\"{KEYS}\""));
    assert_eq!((page.value("once"), page.value("csrf")), ("once-39".to_owned(), csrf.clone()));
    // Other kinds of change count together with these, and another person's do not.
    let id = control.get("/v1/api-keys").await.expect(200)[0]["id"].as_str().unwrap().to_owned();
    for verb in ["edit", "rotate"] {
        let path = format!("{KEYS}/{id}/{verb}");
        let page = browser.post(&path, &[("csrf", &csrf), ("name", "typed")]).await;
        assert_eq!(page.status, 429, "{verb}");
        page.shows(&format!("action=\"{path}\""));
    }
    // A key that works can be revoked all the same: whoever uses the changes up with a stolen session cannot keep its
    // owner from that. Once more is a change.
    let revoke = format!("{KEYS}/{id}/revoke");
    assert_eq!(browser.post(&revoke, &[("csrf", &csrf)]).await.status, 303);
    assert_eq!(browser.post(&revoke, &[("csrf", &csrf)]).await.status, 429);
    let fields = [("csrf", csrf.as_str()), ("current", "wrong"), ("new", "some other password")];
    let password = browser.post("/account/password", &fields).await;
    assert_eq!(password.status, 429);
    password.hides("some other password");
    let other = Browser::of(&control, "bob@example.com", "member").await;
    let page = other.submit(&format!("{KEYS}/new"), KEYS, &[("name", "his"), ("environment", "live")]).await;
    assert_eq!(page.status, 200);
    control.clock.advance(Duration::from_secs(120));
    assert_eq!(send(39).await.status, 200, "one every two minutes after that");
    assert_eq!(send(41).await.status, 429);
    // Looking and leaving are no changes.
    assert_eq!(browser.get(KEYS).await.status, 200);
    assert_eq!(browser.post("/sign-out", &[("csrf", &csrf)]).await.status, 303);
}
