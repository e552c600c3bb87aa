//! Ways in beside the password that ask something of us for strangers: each is slowed down by where it comes from.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flamegate_control::config::oidc::OidcConfig;
use flamegate_control::domain::oidc::Rules;
use flamegate_control::domain::users::password::Password;
use reqwest::Method;
use serde_json::json;

use crate::browser::{Browser, Form as _, PASSWORD, Page, add_user};
use crate::common::Control;

/// A control plane that believes a proxy, with a provider that nobody reaches, whose time stands still.
async fn start() -> Control {
    let control = Control::tuned(|config| {
        config.oidc = Some(OidcConfig {
            issuer: "http://127.0.0.1:1".to_owned(),
            client_id: "flamegate".to_owned(),
            client_secret: Password::new("a secret".to_owned()),
            name: "id".to_owned(),
            scopes: Vec::new(),
            rules: Rules::default(),
            redirect_uri: "http://127.0.0.1:1/sign-in/oidc/back".to_owned(),
        });
        config.pages.trust_proxy = true;
    });
    let control = control.await;
    control.post("/v1/workspaces", json!({"name": "Demo"})).await.expect(201);
    control.clock.stop();
    control
}

/// Comes back from the provider with a ticket of this number, which is ours, and a code.
async fn back(control: &Control, number: u32, from: &str) -> Page {
    let until = control.clock.now().as_second() + 600;
    let state = format!("state-{number}");
    let ticket =
        json!({"state": state, "nonce": "n", "verifier": "v", "next": "/", "until": until}).to_string();
    let value = control.server.app.signer.sign("oidc", &URL_SAFE_NO_PAD.encode(ticket));
    let browser = Browser::new(control);
    let digits = crate::browser::session_name(control).replace("flamegate_session", "flamegate_oidc");
    browser.keep(&digits, &value);
    let path = format!("/sign-in/oidc/back?code=x&state={state}");
    browser.send(browser.request(Method::GET, &path).header("x-forwarded-for", from)).await
}

#[tokio::test]
async fn who_brings_back_codes_that_are_none_is_slowed_down_by_address() {
    let control = start().await;
    for number in 0..8 {
        assert_eq!(back(&control, number, "203.0.113.9").await.status, 502, "{number}");
    }
    let page = back(&control, 8, "203.0.113.9").await;
    assert_eq!(page.status, 429);
    assert!(page.headers.contains_key("retry-after"));
    assert_eq!(back(&control, 9, "198.51.100.7").await.status, 502, "somebody else");
    control.clock.advance(Duration::from_secs(31));
    // The ticket was not looked at when it was one too many.
    assert_eq!(back(&control, 8, "203.0.113.9").await.status, 502);
    assert_eq!(back(&control, 10, "203.0.113.9").await.status, 429);
}

#[tokio::test]
async fn a_ticket_is_good_for_one_answer() {
    let control = start().await;
    assert_eq!(back(&control, 1, "203.0.113.9").await.status, 502);
    for _ in 0..2 {
        let page = back(&control, 1, "203.0.113.9").await;
        assert_eq!(page.status, 400);
        page.shows("Begin again");
    }
    assert_eq!(back(&control, 2, "203.0.113.9").await.status, 502);
}

#[tokio::test]
async fn who_has_links_is_slowed_down_by_address_however_many_they_have() {
    let control = start().await;
    for email in ["ada@example.com", "bob@example.com"] {
        add_user(&control, email, "demo", "owner").await;
    }
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    add_user(&control, "eve@example.com", "rival", "viewer").await;
    let users = &control.server.app.users;
    let by = users.find("ada@example.com").await.unwrap().as_actor(None);
    let mut links = Vec::new();
    for _ in 0..6 {
        links.push(users.invite(1, "eve@example.com", "viewer", by.clone()).await.unwrap().secret);
    }
    let try_one = async |link: &str, from: &str| {
        let browser = Browser::new(&control);
        let request = browser.request(Method::POST, &format!("/join/{link}/new"));
        let request = request.header("sec-fetch-site", "same-origin").header("x-forwarded-for", from);
        browser.send(request.form(&[("new", PASSWORD)])).await
    };
    let mut tries = Vec::new();
    for link in &links {
        let mut of_link = 0;
        loop {
            let page = try_one(link, "203.0.113.9").await;
            page.hides("has an account");
            match page.status {
                409 => of_link += 1,
                status => break assert_eq!(status, 429),
            }
        }
        tries.push(of_link);
    }
    assert_eq!(tries, [8, 8, 8, 6, 0, 0], "eight by a link, thirty from an address");
    assert_eq!(try_one(&links[5], "198.51.100.7").await.status, 409, "somebody else");
    // A password that is none costs nothing, and is told all the same.
    let browser = Browser::new(&control);
    assert_eq!(browser.post(&format!("/join/{}/new", links[5]), &[("new", "short")]).await.status, 422);
}
