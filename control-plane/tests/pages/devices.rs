//! Nobody is locked out: strangers who try an account have counts of their own, and a browser on which its owner has signed in before has
//! one that they cannot move.

use std::sync::Arc;

use flamegate_control::service::throttle::Attempt;
use reqwest::Method;
use serde_json::json;

use crate::browser::{Browser, Form as _, PASSWORD, Page, add_user};
use crate::common::Control;

const ADA: &str = "ada@example.com";

/// A control plane that believes a proxy, at which ada has signed in on a laptop, and signed out again.
async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let control = control.restart_with(&[("FLAMEGATE_TRUST_PROXY", "true")]).await;
    control.clock.stop();
    let laptop = Browser::of(&control, ADA, "member").await;
    (control, laptop)
}

/// An attempt from an address.
async fn attempt(browser: &Browser, from: &str, password: &str) -> Page {
    let request = browser.request(Method::POST, "/sign-in").header("sec-fetch-site", "same-origin");
    let request = request.header("x-forwarded-for", from);
    browser.send(request.form(&[("email", ADA), ("password", password)])).await
}

/// Strangers from everywhere try until no stranger may try any more.
async fn flood(control: &Control) {
    let mut tries = 0;
    while attempt(&Browser::new(control), &format!("198.51.{tries}.7"), "wrong horse").await.status == 401 {
        tries += 1;
    }
    assert_eq!(tries, 40, "wherever they come from");
}

/// The same, as the throttle counts it, without a password being looked at.
fn flooded(control: &Control) {
    let throttle = control.server.app.users.throttle();
    let from = |number: u8| Some([198, 51, 100, number].into());
    while (0..=255).any(|number| throttle.admit(Attempt::of_stranger(ADA, from(number)), 1).is_ok()) {}
}

#[tokio::test]
async fn strangers_keep_nobody_out_who_has_signed_in_on_that_browser_before() {
    let (control, laptop) = start().await;
    laptop.submit("/account", "/sign-out", &[]).await;
    flood(&control).await;
    let elsewhere = attempt(&Browser::new(&control), "203.0.113.9", PASSWORD).await;
    assert_eq!(elsewhere.status, 429, "a browser that nobody knows");
    for password in ["mistyped", PASSWORD] {
        let page = attempt(&laptop, "198.51.0.7", password).await;
        assert_eq!(
            page.status,
            if password == PASSWORD { 303 } else { 401 },
            "even from a stranger's address"
        );
    }
    // Who goes on mistyping there is slowed down there.
    let tries = async || {
        let mut tries = 0;
        while attempt(&laptop, "203.0.113.9", "wrong horse").await.status == 401 {
            tries += 1;
        }
        tries
    };
    assert_eq!(tries().await, 8);
}

#[tokio::test]
async fn a_password_is_changed_whatever_strangers_try() {
    let (control, laptop) = start().await;
    flooded(&control);
    let fields = [("current", PASSWORD), ("new", "another horse battery")];
    let page = laptop.submit("/account", "/account/password", &fields).await;
    assert_eq!((page.status, page.location()), (303, "/sign-in?bye=password"));
    // It is still the browser of somebody who knows the password.
    assert_eq!(attempt(&laptop, "203.0.113.9", "another horse battery").await.status, 303);
    let page = laptop.submit("/account", "/account/sign-out-everywhere", &[]).await;
    assert_eq!(page.location(), "/sign-in?bye=everywhere");
    assert_eq!(attempt(&laptop, "203.0.113.9", "another horse battery").await.status, 303);
}

#[tokio::test]
async fn a_cookie_that_is_not_ours_or_of_another_user_or_from_before_a_reset_is_a_strangers() {
    let (control, laptop) = start().await;
    add_user(&control, "bob@example.com", "demo", "member").await;
    let bobs = Browser::new(&control);
    assert_eq!(bobs.sign_in("bob@example.com", PASSWORD).await.status, 303);
    let forged = Browser::new(&control);
    let (name, value) = laptop.device();
    forged.keep(&name, &value.replace("usr_", "usr-"));
    let longer = Browser::new(&control);
    longer.keep(&name, &format!("x~{value}"));
    let old = Browser::new(&control);
    old.keep(&name, &value);
    flooded(&control);
    for browser in [&bobs, &forged, &longer] {
        assert_eq!(attempt(browser, "203.0.113.9", PASSWORD).await.status, 429);
    }
    assert_eq!(
        attempt(&old, "203.0.113.9", "wrong horse").await.status,
        401,
        "a stolen one counts for itself"
    );
    let reset = json!({"password": "chosen by the operator"});
    control.post(&format!("/v1/users/{ADA}/reset-password"), reset).await.expect(200);
    assert_eq!(attempt(&old, "203.0.113.9", "wrong horse").await.status, 429);
}

#[tokio::test]
async fn who_has_signed_in_before_waits_for_no_stranger() {
    let (control, laptop) = start().await;
    let app = &control.server.app;
    let all = Arc::clone(&app.sign_in_admission).try_acquire_many_owned(16).unwrap();
    let first = Arc::clone(&app.first_sign_in_admission).try_acquire_many_owned(4).unwrap();
    assert_eq!(attempt(&Browser::new(&control), "203.0.113.9", PASSWORD).await.status, 503);
    assert_eq!(attempt(&laptop, "203.0.113.9", PASSWORD).await.status, 303);
    // Of these places one user has two, however many browsers.
    let place = laptop.device().1.split('-').take(2).collect::<Vec<_>>().join("-");
    let held: Vec<_> =
        std::iter::repeat_with(|| app.known_sign_ins.take(&place)).map_while(|slot| slot).collect();
    assert_eq!(held.len(), 2);
    assert_eq!(attempt(&laptop, "203.0.113.9", PASSWORD).await.status, 503);
    drop((all, first, held));
}

#[tokio::test]
async fn the_cookie_is_this_hosts_alone_and_survives_a_restart() {
    let (control, laptop) = start().await;
    let page = attempt(&laptop, "203.0.113.9", PASSWORD).await;
    let cookies: Vec<_> =
        page.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(
        cookies[1].starts_with("flamegate_device_")
            && cookies[1].contains("; HttpOnly; SameSite=Strict; Path=/; Max-Age=")
    );
    let before = laptop.device();
    let settings = [("FLAMEGATE_TRUST_PROXY", "true"), ("FLAMEGATE_PUBLIC_URL", "https://keys.example.com")];
    let control = control.restart_with(&settings).await;
    let there = laptop.at(&control);
    let again = attempt(&there, "203.0.113.9", PASSWORD).await;
    let cookies: Vec<_> =
        again.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(
        cookies[1].starts_with("__Host-flamegate_device_") && cookies[1].ends_with("; Secure"),
        "{cookies:?}"
    );
    let control = control.restart_with(&[("FLAMEGATE_TRUST_PROXY", "true")]).await;
    let there = laptop.at(&control);
    flooded(&control);
    assert_eq!(attempt(&there, "203.0.113.9", PASSWORD).await.status, 303);
    assert_eq!(
        there.device().1.split('-').nth(2),
        before.1.split('-').nth(2),
        "one device, however often it signs in"
    );
}
