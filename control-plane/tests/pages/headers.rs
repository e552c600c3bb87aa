//! What every page is sent with, assets, and requests that other sites make a browser send.

use reqwest::Method;

use crate::browser::{Browser, Form as _, PASSWORD, add_user};
use crate::common::Control;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

#[tokio::test]
async fn every_page_has_a_strict_policy_and_nothing_inline() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    for path in [
        "/w/demo",
        "/w/demo/settings",
        "/w/demo/settings/api-keys",
        "/w/demo/settings/api-keys/new",
        "/w/demo/settings/members",
        "/w/demo/gateways",
        "/w/demo/audit",
        "/account",
        "/w/nothing",
        "/w/demo/nothing",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, if path.ends_with("nothing") { 404 } else { 200 }, "{path}");
        assert_eq!(page.headers["content-security-policy"], POLICY, "{path}");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert_eq!(page.headers["referrer-policy"], "same-origin");
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        for inline in [" style=", "<style", " onclick", " onload", "<script>", "javascript:", "//cdn"] {
            page.hides(inline);
        }
    }
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_names_with_their_hash() {
    let control = Control::start().await;
    let browser = Browser::new(&control);
    let page = browser.get("/sign-in").await;
    let paths: Vec<_> = page.text.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert!(paths.len() >= 3, "{paths:?}");
    for path in paths {
        let asset = browser.get(path).await;
        assert_eq!((asset.status, asset.text.is_empty()), (200, false), "{path}");
        assert_eq!(asset.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(asset.headers["x-content-type-options"], "nosniff");
    }
    assert_eq!(browser.get("/assets/style.0000000000000000.css").await.status, 404);
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    let form = browser.get("/w/demo/settings/api-keys/new").await;
    let (csrf, once) = (form.value("csrf"), form.value("once"));
    let fields = [("csrf", csrf.as_str()), ("once", once.as_str()), ("name", "x"), ("environment", "live")];
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://example.com"),
        ("origin", "null"),
    ] {
        let request = browser.request(Method::POST, "/w/demo/settings/api-keys").header(name, value);
        let page = browser.send(request.form(&fields)).await;
        assert_eq!(page.status, 403, "{name}: {value}");
        page.shows("Nothing was changed");
    }
    for wrong in ["", "x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let fields = [("csrf", wrong), ("once", "y"), ("name", "x"), ("environment", "live")];
        assert_eq!(browser.post("/w/demo/settings/api-keys", &fields).await.status, 403);
    }
    assert_eq!(control.revision(), 0, "no key was made");
}

#[tokio::test]
async fn the_token_of_another_session_is_refused() {
    let control = Control::with_workspace().await;
    let ada = Browser::of(&control, "ada@example.com", "owner").await;
    let eve = Browser::of(&control, "eve@example.com", "owner").await;
    let form = eve.get("/w/demo/settings/api-keys/new").await;
    let page = ada.submit_from(&form, "/w/demo/settings/api-keys", &[("name", "x"), ("environment", "live")]);
    assert_eq!(page.await.status, 403);
}

#[tokio::test]
async fn another_site_cannot_sign_a_browser_in() {
    let control = Control::with_workspace().await;
    add_user(&control, "ada@example.com", "demo", "owner").await;
    let browser = Browser::new(&control);
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    let bare = browser.request(Method::POST, "/sign-in");
    assert_eq!(browser.send(bare.form(&fields)).await.status, 403, "nothing says where the form was");
    let foreign = browser.request(Method::POST, "/sign-in").header("origin", "https://example.com");
    assert_eq!(browser.send(foreign.form(&fields)).await.status, 403);
    let own = browser.request(Method::POST, "/sign-in").header("origin", control.url(""));
    assert_eq!(browser.send(own.form(&fields)).await.status, 303);
}
