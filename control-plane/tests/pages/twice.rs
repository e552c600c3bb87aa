//! A form that is sent twice: by two clicks, by Enter twice, by a reload, by a browser that tries again. It makes one key, and
//! whoever sends it again within a minute sees that key; later they are told how to go on.

use std::time::Duration;

use flamegate_control::domain::error::Error;
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Browser, Form as _, PASSWORD, Page};
use crate::common::gateway::Gateway;
use crate::common::{Control, PATIENCE, eventually};

const KEYS: &str = "/w/demo/settings/api-keys";
const NEW: &str = "/w/demo/settings/api-keys/new";
const COPIED: &str = "/w/demo/settings/api-keys/copied";
const FIELDS: [(&str, &str); 3] = [("name", "Checkout"), ("environment", "live"), ("expiry", "90")];
const MINUTE: Duration = Duration::from_secs(61);

async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    (control, browser)
}

async fn keys(control: &Control, query: &str) -> Vec<Value> {
    control.get(&format!("/v1/api-keys{query}")).await.expect(200).as_array().unwrap().clone()
}

/// The form's own fields and those of a test, as the browser sends them.
fn filled<'a>(csrf: &'a str, once: &'a str, fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("csrf", csrf), ("once", once)][..], fields].concat()
}

#[tokio::test]
async fn the_same_form_again_shows_the_same_key() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    let first = browser.submit_from(&form, KEYS, &FIELDS).await;
    // In another second the end "in 90 days" is another one; the form is the same.
    control.clock.advance(Duration::from_secs(2));
    let again = browser.submit_from(&form, KEYS, &FIELDS).await;
    assert_eq!((again.status, again.key()), (200, first.key()));
    assert_eq!(again.headers["cache-control"], "no-store");
    again.shows("sent more than once");
    first.hides("sent more than once");
    assert_eq!(keys(&control, "").await.len(), 1);
}

#[tokio::test]
async fn six_at_the_same_time_make_one_key_and_all_show_it() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    let post = || browser.submit_from(&form, KEYS, &FIELDS);
    let (a, b, c, d, e, f) = tokio::join!(post(), post(), post(), post(), post(), post());
    let shown: Vec<_> = [&a, &b, &c, &d, &e, &f].map(Page::key).to_vec();
    assert!(shown.iter().all(|key| *key == shown[0]));
    assert_eq!(keys(&control, "").await.len(), 1);
}

#[tokio::test]
async fn the_second_click_shows_the_key_that_the_first_one_made_and_nobody_listened_to() {
    let (control, browser) = start().await;
    // It does not answer, so the first click's page waits for its receipt.
    Gateway::new(&control, "edge-stuck").catch_up(&control).await;
    let form = browser.get(NEW).await;
    let (csrf, once) = (form.value("csrf"), form.value("once"));
    let fields = filled(&csrf, &once, &FIELDS);
    let request = browser.request(Method::POST, KEYS).header("sec-fetch-site", "same-origin").form(&fields);
    let first = tokio::spawn(request.send());
    let made = async {
        while keys(&control, "").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, made).await.expect("the first click makes a key");
    first.abort();
    let second = browser.post(KEYS, &fields).await;
    assert_eq!(second.status, 200);
    let (made, key) = (keys(&control, "").await, second.key());
    assert_eq!(made.len(), 1);
    assert!(made[0]["key_hint"].as_str().unwrap().ends_with(&key[key.len() - 4..]));
}

#[tokio::test]
async fn a_click_that_is_given_up_while_its_key_is_being_stored_still_leaves_the_key_to_the_next() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    let (csrf, once) = (form.value("csrf"), form.value("once"));
    let fields = filled(&csrf, &once, &FIELDS);
    let app = &control.server.app;
    // Somebody else writes, and takes long.
    let (release, held) = tokio::sync::oneshot::channel::<()>();
    let store = app.store.clone();
    let writer = tokio::spawn(async move {
        store.write(|_| Box::pin(async move { held.await.map_err(Error::internal) })).await.unwrap();
    });
    let request = browser.request(Method::POST, KEYS).header("sec-fetch-site", "same-origin").form(&fields);
    let (places, first) = (app.page_admission.available_permits(), tokio::spawn(request.send()));
    eventually("the first click is at work", || app.kept.forms() == 1).await;
    first.abort();
    eventually("nobody listens to it", || app.page_admission.available_permits() == places).await;
    release.send(()).unwrap();
    writer.await.unwrap();
    let second = browser.post(KEYS, &fields).await;
    assert_eq!(second.status, 200, "{}", second.text);
    second.key();
    assert_eq!(keys(&control, "").await.len(), 1);
}

#[tokio::test]
async fn a_rotation_that_is_sent_twice_shows_the_same_key() {
    let (control, browser) = start().await;
    let id = control.create_key_id().await;
    let rotate = format!("{KEYS}/{id}/rotate");
    let form = browser.get(&rotate).await;
    let post = || browser.submit_from(&form, &rotate, &[("grace_seconds", "0"), ("expiry", "30")]);
    let (first, second) = tokio::join!(post(), post());
    assert_eq!(first.key(), second.key());
    control.clock.advance(Duration::from_secs(2));
    let third = post().await;
    assert_eq!(third.key(), first.key());
    third.shows("It replaces");
    third.shows("does not work any more");
    assert_eq!(keys(&control, "?status=active").await.len(), 1);
}

#[tokio::test]
async fn after_a_minute_or_when_it_was_copied_the_key_is_gone_and_can_be_replaced_at_once() {
    for copied in [false, true] {
        let (control, browser) = start().await;
        let form = browser.get(NEW).await;
        let shown = browser.submit_from(&form, KEYS, &FIELDS).await;
        if copied {
            let page = browser.submit_from(&shown, COPIED, &[]).await;
            assert_eq!((page.status, page.location()), (303, KEYS));
        } else {
            control.clock.advance(MINUTE);
        }
        let again = browser.submit_from(&form, KEYS, &FIELDS).await;
        assert_eq!(again.status, 409);
        again.shows("cannot be shown again");
        again.hides(&shown.key());
        // The way on leaves nothing behind that works and that nobody has.
        let id = keys(&control, "").await[0]["id"].as_str().unwrap().to_owned();
        let rotate = format!("{KEYS}/{id}/rotate");
        again.shows(&format!("action=\"{rotate}\""));
        let (grace, expiry) = (again.value("grace_seconds"), again.value("expiry"));
        assert_eq!((grace.as_str(), expiry.as_str()), ("0", ""));
        let fields = [("grace_seconds", grace.as_str()), ("expiry", expiry.as_str())];
        let replaced = browser.submit_from(&again, &rotate, &fields).await;
        assert_ne!(replaced.key(), shown.key());
        let active = keys(&control, "?status=active").await;
        assert_eq!((active.len(), &active[0]["rotated_from"]), (1, &json!(id)));
    }
}

#[tokio::test]
async fn a_restart_forgets_the_key_and_the_form_still_makes_no_second_one() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    let key = browser.submit_from(&form, KEYS, &FIELDS).await.key();
    let control = control.restart(|_| {}).await;
    let browser = browser.at(&control);
    let again = browser.submit_from(&form, KEYS, &FIELDS).await;
    assert_eq!(again.status, 409);
    again.hides(&key);
    assert_eq!(keys(&control, "").await.len(), 1);
}

#[tokio::test]
async fn another_session_sees_nothing_with_the_same_form() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    let key = browser.submit_from(&form, KEYS, &FIELDS).await.key();
    let other = Browser::new(&control);
    other.sign_in("ada@example.com", PASSWORD).await;
    let (csrf, once) = (other.get(NEW).await.value("csrf"), form.value("once"));
    let page = other.post(KEYS, &filled(&csrf, &once, &FIELDS)).await;
    assert_eq!(page.status, 409);
    page.hides(&key);
    // What it says it has copied is its own.
    other.post(COPIED, &filled(&csrf, &once, &[])).await;
    assert_eq!(browser.submit_from(&form, KEYS, &FIELDS).await.key(), key);
}

#[tokio::test]
async fn a_form_without_its_token_makes_nothing() {
    let (control, browser) = start().await;
    let csrf = browser.get(NEW).await.value("csrf");
    let page = browser.post(KEYS, &filled(&csrf, "", &FIELDS)).await;
    assert_eq!(page.status, 422);
    assert!(keys(&control, "").await.is_empty());
}

#[tokio::test]
async fn a_revocation_that_is_sent_twice_keeps_its_receipt() {
    let (control, browser) = start().await;
    let id = control.create_key_id().await;
    let mut gateway = Gateway::new(&control, "edge-1");
    gateway.catch_up(&control).await;
    gateway.run();
    let revoke = format!("{KEYS}/{id}/revoke");
    let form = browser.get(&revoke).await;
    for _ in 0..2 {
        let page = browser.follow(&browser.submit_from(&form, &revoke, &[]).await).await;
        page.shows("Refused on 1 of 1 gateways");
        page.shows("the slowest after");
    }
    control.clock.advance(MINUTE);
    let page = browser.follow(&browser.submit_from(&form, &revoke, &[]).await).await;
    page.shows("Refused on 1 of 1 gateways");
}

#[tokio::test]
async fn a_password_that_is_changed_twice_is_not_called_wrong() {
    let (control, browser) = start().await;
    let form = browser.get("/account").await;
    let fields = [("current", PASSWORD), ("new", "another horse battery")];
    let post = || browser.submit_from(&form, "/account/password", &fields);
    let pages = <[Page; 3]>::from(tokio::join!(post(), post(), post()));
    let mut places: Vec<_> = pages.iter().map(Page::location).collect();
    places.sort_unstable();
    let other = "/sign-in?next=/account&ended=password";
    assert_eq!(places, ["/sign-in?bye=password", other, other]);
    browser.get(other).await.shows("If you have just changed your password");
    assert_eq!(Browser::new(&control).sign_in("ada@example.com", fields[1].1).await.status, 303);
}

#[tokio::test]
async fn a_form_that_was_changed_and_sent_again_is_told_so_and_shows_no_key() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    let key = browser.submit_from(&form, KEYS, &FIELDS).await.key();
    for changed in [
        [("name", "Other"), ("environment", "live"), ("expiry", "90")],
        [("name", "Checkout"), ("environment", "test"), ("expiry", "90")],
        [("name", "Checkout"), ("environment", "live"), ("expiry", "never")],
    ] {
        let page = browser.submit_from(&form, KEYS, &changed).await;
        assert_eq!(page.status, 409);
        page.hides(&key);
        page.shows("What you sent now was not done");
        page.shows(&format!("href=\"{NEW}\""));
    }
    assert_eq!(keys(&control, "").await.len(), 1);
    assert_eq!(browser.submit_from(&form, KEYS, &FIELDS).await.key(), key, "as it was sent first");
}

#[tokio::test]
async fn the_token_of_one_keys_form_shows_nothing_on_anothers() {
    let (control, browser) = start().await;
    let (one, other) = (control.create_key_id().await, control.create_key_id().await);
    let form = browser.get(&format!("{KEYS}/{one}/rotate")).await;
    let fields = [("grace_seconds", "0"), ("expiry", "")];
    let key = browser.submit_from(&form, &format!("{KEYS}/{one}/rotate"), &fields).await.key();
    let page = browser.submit_from(&form, &format!("{KEYS}/{other}/rotate"), &fields).await;
    assert_eq!(page.status, 409);
    page.hides(&key);
    page.shows("What you sent now was not done");
    let other = control.get(&format!("/v1/api-keys/{other}")).await.expect(200);
    assert_eq!((&other["status"], &other["rotated_to"]), (&json!("active"), &json!(null)));
}
