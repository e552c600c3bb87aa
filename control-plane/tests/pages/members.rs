//! Settings → Members and General: inviting by a link, roles, the way out, and what owners change of their workspace.

use std::time::Duration;

use serde_json::json;

use crate::browser::{Browser, PASSWORD, Page, add_user, give_second_factor};
use crate::common::Control;

const MEMBERS: &str = "/w/demo/settings/members";
const SETTINGS: &str = "/w/demo/settings";

/// A control plane with an owner who is signed in.
async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    (control, browser)
}

/// Invites somebody and returns where the link leads.
async fn invite(owner: &Browser, email: &str, role: &str) -> String {
    let page = owner.submit(MEMBERS, MEMBERS, &[("email", email), ("role", role)]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    link_of(&page)
}

fn link_of(page: &Page) -> String {
    let (_, rest) = page.text.split_once("/join/").expect("the page shows a link");
    format!("/join/{}", rest.split('<').next().unwrap())
}

async fn role_of(control: &Control, email: &str) -> serde_json::Value {
    control.get(&format!("/v1/users/{email}")).await.expect(200)["roles"].clone()
}

#[tokio::test]
async fn a_link_makes_an_account_once() {
    let (control, owner) = start().await;
    let link = invite(&owner, "Bob@Example.com", "member").await;
    owner.get(MEMBERS).await.hides(&link);
    let bob = Browser::new(&control);
    let page = bob.get(&link).await;
    page.shows("bob@example.com");
    page.shows("Demo");
    let new = format!("{link}/new");
    let short = bob.post(&new, &[("new", "short")]).await;
    assert_eq!(short.status, 422);
    short.shows("The new password");
    assert_eq!(bob.post(&new, &[("new", PASSWORD)]).await.status, 303);
    bob.get("/w/demo").await.shows("bob@example.com");
    assert_eq!(role_of(&control, "bob@example.com").await[0]["role"], "member");
    // It is used up, and nobody learns more of it than of one that never was.
    for gone in [link, "/join/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned(), "/join/x".to_owned()] {
        let page = Browser::new(&control).get(&gone).await;
        assert_eq!(page.status, 404);
        page.shows("This invitation does not work");
        page.shows("Ask whoever sent it for a new one.");
        assert_eq!(
            Browser::new(&control).post(&format!("{gone}/new"), &[("new", PASSWORD)]).await.status,
            404
        );
    }
    let entries = control.get("/v1/audit?workspace=demo").await.body.to_string();
    assert!(entries.contains("member.invited") && entries.contains("invited_by"), "{entries}");
}

#[tokio::test]
async fn whoever_has_an_account_joins_with_it_and_nobody_else_by_their_link() {
    let (control, owner) = start().await;
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    for name in ["bob", "eve"] {
        add_user(&control, &format!("{name}@example.com"), "rival", "viewer").await;
    }
    let link = invite(&owner, "bob@example.com", "owner").await;
    let eve = Browser::new(&control);
    eve.sign_in("eve@example.com", PASSWORD).await;
    eve.get(&link).await.shows("Sign out first");
    assert_eq!(eve.submit("/account", &link, &[]).await.status, 409);
    // By the form for a new account nobody takes theirs over.
    let new = Browser::new(&control).post(&format!("{link}/new"), &[("new", "another horse battery")]).await;
    assert_eq!(new.status, 409);
    let bob = Browser::new(&control);
    assert_eq!(bob.sign_in("bob@example.com", PASSWORD).await.status, 303);
    let joined = bob.submit(&link, &link, &[]).await;
    assert_eq!((joined.status, joined.location()), (303, "/w/demo"));
    assert_eq!(role_of(&control, "bob@example.com").await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_account_that_an_owner_has_made_joins_nothing_before_an_operator_has_given_it_a_password() {
    let (control, owner) = start().await;
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let link = invite(&owner, "victim@example.com", "viewer").await;
    let squatter = Browser::new(&control);
    assert_eq!(squatter.post(&format!("{link}/new"), &[("new", PASSWORD)]).await.status, 303);
    let join = json!({"email": "victim@example.com", "workspace": "rival", "role": "owner"});
    control.post("/v1/users", join.clone()).await.refused(409, "CONFLICT");
    let role = json!({"workspace": "rival", "role": "owner"});
    control.post("/v1/users/victim@example.com/role", role).await.refused(409, "CONFLICT");
    control.patch("/v1/users/victim@example.com", json!({"operator": true})).await.refused(409, "CONFLICT");
    control.post("/v1/users/victim@example.com/reset-password", json!({})).await.expect(200);
    control.post("/v1/users", join).await.expect(201);
    assert_eq!(squatter.get("/w/rival").await.status, 303, "the squatter's session is over");
}

#[tokio::test]
async fn links_end_are_withdrawn_and_are_not_without_end() {
    let (control, owner) = start().await;
    let (first, second) =
        (invite(&owner, "a@example.com", "viewer").await, invite(&owner, "b@example.com", "viewer").await);
    let page = owner.get(MEMBERS).await;
    page.shows("a@example.com");
    let id = page.value("invitation");
    let withdrawn = owner.submit_from(&page, &format!("{MEMBERS}/withdraw"), &[("invitation", &id)]).await;
    assert_eq!(withdrawn.status, 303);
    assert_eq!(Browser::new(&control).get(&first).await.status, 404);
    assert_eq!(Browser::new(&control).get(&second).await.status, 200);
    for (email, role) in [("no address", "viewer"), ("c@example.com", "king"), ("ada@example.com", "viewer")]
    {
        let page = owner.submit(MEMBERS, MEMBERS, &[("email", email), ("role", role)]).await;
        assert_eq!(page.status, 422, "{email} {role}");
    }
    for number in 0..49 {
        let by = control.server.app.users.find("ada@example.com").await.unwrap().as_actor(None);
        let email = format!("n{number}@example.com");
        control.server.app.users.invite(1, &email, "viewer", by).await.unwrap();
    }
    let page = owner.submit(MEMBERS, MEMBERS, &[("email", "one@example.com"), ("role", "viewer")]).await;
    assert_eq!(page.status, 409);
    page.shows("withdraw some first");
    control.clock.advance(Duration::from_secs(73 * 3_600));
    assert_eq!(Browser::new(&control).get(&second).await.status, 404);
}

#[tokio::test]
async fn a_link_ends_with_the_rights_of_whoever_has_made_it() {
    let (control, owner) = start().await;
    let bob = add_user(&control, "bob@example.com", "demo", "owner").await;
    let browser = Browser::new(&control);
    browser.sign_in("bob@example.com", PASSWORD).await;
    let link = invite(&browser, "mallory@example.com", "owner").await;
    assert_eq!(Browser::new(&control).get(&link).await.status, 200);
    let page = owner.get(&format!("{MEMBERS}/{bob}")).await;
    let role = format!("{MEMBERS}/{bob}/role");
    assert_eq!(owner.submit_from(&page, &role, &[("role", "viewer")]).await.status, 303);
    assert_eq!(Browser::new(&control).get(&link).await.status, 404);
    let new = Browser::new(&control).post(&format!("{link}/new"), &[("new", PASSWORD)]).await;
    assert_eq!(new.status, 404);
    let role = json!({"workspace": "demo", "role": "owner"});
    control.post("/v1/users/bob@example.com/role", role).await.expect(200);
    control.post("/v1/users/bob@example.com/disable", json!({})).await.expect(200);
    assert_eq!(Browser::new(&control).get(&link).await.status, 404, "nor of somebody who is locked out");
}

#[tokio::test]
async fn neither_a_link_nor_a_name_tells_of_others() {
    let (control, owner) = start().await;
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    add_user(&control, "carol@example.com", "rival", "owner").await;
    // With a Cyrillic letter.
    let link = invite(&owner, "c\u{430}rol@example.com", "viewer").await;
    let page = Browser::new(&control).post(&format!("{link}/new"), &[("new", PASSWORD)]).await;
    assert_eq!(page.status, 409);
    page.hides("carol@example.com");
    let named = [("name", "Riv\u{430}l"), ("limit", "keep")];
    let page = owner.submit(SETTINGS, SETTINGS, &named).await;
    assert_eq!(page.status, 422);
    page.hides("Rival");
    page.shows("looks like the name of another workspace");
}

#[tokio::test]
async fn owners_give_roles_and_take_out_and_one_of_them_stays() {
    let (control, owner) = start().await;
    let bob = add_user(&control, "bob@example.com", "demo", "member").await;
    let ada = control.get("/v1/users/ada@example.com").await.expect(200)["id"].as_str().unwrap().to_owned();
    let at = |id: &str, verb: &str| format!("{MEMBERS}/{id}{verb}");
    let own = owner.submit(&at(&ada, ""), &at(&ada, "/role"), &[("role", "viewer")]).await;
    assert_eq!(own.status, 409);
    own.shows("a workspace keeps an owner");
    let browser = Browser::new(&control);
    browser.sign_in("bob@example.com", PASSWORD).await;
    let new = "/w/demo/settings/api-keys/new";
    browser
        .submit(new, "/w/demo/settings/api-keys", &[("name", "Bob's"), ("environment", "live")])
        .await
        .key();
    let page = owner.get(&at(&bob, "")).await;
    page.shows("1 active key made by them");
    owner.get("/w/demo/settings/api-keys?by=bob%40example.com").await.shows("Bob&#39;s");
    owner.get("/w/demo/settings/api-keys?by=eve%40example.com").await.hides("Bob&#39;s");
    let changed = owner.submit_from(&page, &at(&bob, "/role"), &[("role", "owner")]).await;
    assert_eq!(changed.status, 303);
    browser.get("/w/demo/audit").await.shows("Audit log");
    assert_eq!(owner.submit_from(&page, &at(&bob, "/remove"), &[]).await.status, 303);
    assert_eq!(browser.get("/w/demo").await.status, 404);
    let keys = control.get("/v1/api-keys?status=active").await.expect(200);
    assert_eq!(keys.as_array().unwrap().len(), 1, "the workspace's keys stay");
    assert_eq!(owner.submit_from(&page, &at(&bob, "/remove"), &[]).await.status, 404);
}

#[tokio::test]
async fn others_than_owners_change_nothing_here() {
    let (control, owner) = start().await;
    let bob = add_user(&control, "bob@example.com", "demo", "member").await;
    let link = invite(&owner, "c@example.com", "viewer").await;
    let browser = Browser::new(&control);
    browser.sign_in("bob@example.com", PASSWORD).await;
    let form = browser.get(MEMBERS).await;
    for hidden in ["Invite somebody", "c@example.com", "Manage", link.as_str()] {
        form.hides(hidden);
    }
    assert_eq!(browser.get(&format!("{MEMBERS}/{bob}")).await.status, 403);
    for (path, fields) in [
        (MEMBERS.to_owned(), &[("email", "x@example.com"), ("role", "owner")][..]),
        (format!("{MEMBERS}/withdraw"), &[("invitation", "inv_x")]),
        (format!("{MEMBERS}/{bob}/role"), &[("role", "owner")]),
        (format!("{MEMBERS}/{bob}/remove"), &[]),
        (SETTINGS.to_owned(), &[("name", "Mine"), ("limit", "none")]),
    ] {
        assert_eq!(browser.submit_from(&form, &path, fields).await.status, 403, "{path}");
    }
    assert_eq!(role_of(&control, "bob@example.com").await[0]["role"], "member");
    // An owner of one workspace is nobody in another.
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let eve = add_user(&control, "eve@example.com", "rival", "member").await;
    assert_eq!(owner.get(&format!("{MEMBERS}/{eve}")).await.status, 404);
    let form = owner.get(MEMBERS).await;
    assert_eq!(owner.submit_from(&form, &format!("{MEMBERS}/{eve}/remove"), &[]).await.status, 404);
}

#[tokio::test]
async fn an_owner_changes_name_and_default_limit_and_no_bound() {
    let (control, owner) = start().await;
    let bounds = json!({"ceiling": {"requests": 500, "window_seconds": 60}});
    control.patch("/v1/workspaces/demo", bounds).await.expect(200);
    let own =
        [("name", "Acme"), ("limit", "own"), ("requests", "200"), ("window_seconds", "60"), ("burst", "")];
    assert_eq!(owner.submit(SETTINGS, SETTINGS, &own).await.status, 303);
    let workspace = control.get("/v1/workspaces/demo").await.expect(200);
    assert_eq!(
        (&workspace["name"], &workspace["default_limits"][0]["requests"]),
        (&json!("Acme"), &json!(200))
    );
    assert_eq!(workspace["ceiling"]["requests"], 500);
    let wrong = [("name", " "), ("limit", "own"), ("requests", "0"), ("window_seconds", "60")];
    let page = owner.submit(SETTINGS, SETTINGS, &wrong).await;
    assert_eq!(page.status, 422);
    page.shows("2 things to fix");
    assert_eq!(owner.submit(SETTINGS, SETTINGS, &[("name", "Acme"), ("limit", "none")]).await.status, 303);
    let workspace = control.get("/v1/workspaces/demo").await.expect(200);
    assert_eq!(workspace["default_limits"], json!([]));
    owner.get("/w/demo/audit").await.shows("changed the workspace");
}

#[tokio::test]
async fn an_invitation_ends_with_the_sessions_of_whoever_has_made_it() {
    let (control, owner) = start().await;
    let link = invite(&owner, "mallory@example.com", "owner").await;
    add_user(&control, "bob@example.com", "demo", "owner").await;
    let bob = Browser::new(&control);
    bob.sign_in("bob@example.com", PASSWORD).await;
    let others = invite(&bob, "carol@example.com", "viewer").await;
    assert_eq!(Browser::new(&control).get(&link).await.status, 200);
    // A thief may have made it.
    owner.submit("/account", "/account/sign-out-everywhere", &[]).await;
    assert_eq!(Browser::new(&control).get(&link).await.status, 404);
    assert_eq!(Browser::new(&control).get(&others).await.status, 200, "another owner's");
    let change = [("current", PASSWORD), ("new", "another horse battery")];
    bob.submit("/account", "/account/password", &change).await;
    assert_eq!(Browser::new(&control).get(&others).await.status, 404);
}

#[tokio::test]
async fn an_account_that_an_invitation_has_made_is_handed_over_without_a_second_factor() {
    let (control, owner) = start().await;
    let link = invite(&owner, "victim@example.com", "viewer").await;
    let squatter = Browser::new(&control);
    squatter.post(&format!("{link}/new"), &[("new", PASSWORD)]).await;
    give_second_factor(&control, "victim@example.com").await;
    let user = async || control.get("/v1/users/victim@example.com").await.expect(200);
    assert_eq!(user().await["second_factor"], true);
    let reset = json!({"password": "chosen by the operator"});
    control.post("/v1/users/victim@example.com/reset-password", reset).await.expect(200);
    assert_eq!(user().await["second_factor"], false, "it was the squatter's");
    let victim = Browser::new(&control);
    assert_eq!(victim.sign_in("victim@example.com", "chosen by the operator").await.status, 303);
}
