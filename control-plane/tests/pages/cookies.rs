//! Browsers that do not keep the session's cookie: they are told why, and by no means led away.

use reqwest::Method;

use crate::browser::{Browser, Form as _, PASSWORD, add_user};
use crate::common::Control;

const KEYS: &str = "/w/demo/settings/api-keys";
const UNKEPT: &str = "your browser has not kept the cookie";

/// Signs in and returns where that leads.
async fn sign_in(browser: &Browser, next: &str) -> String {
    let request = browser.request(Method::POST, "/sign-in").header("sec-fetch-site", "same-origin");
    let fields = [("email", "ada@example.com"), ("password", PASSWORD), ("next", next)];
    let page = browser.send(request.form(&fields)).await;
    assert_eq!(page.status, 303);
    page.location().to_owned()
}

#[tokio::test]
async fn who_keeps_no_cookie_is_told_so_and_who_keeps_it_is_not() {
    let control = Control::with_workspace().await;
    add_user(&control, "ada@example.com", "demo", "member").await;
    let browser = Browser::new(&control);
    let to = sign_in(&browser, KEYS).await;
    let kept = browser.get(&to).await;
    assert_eq!((kept.status, kept.location()), (303, KEYS));
    let forgetful = Browser::new(&control).get(&to).await;
    assert_eq!((forgetful.status, forgetful.value("next")), (200, KEYS.to_owned()));
    forgetful.shows(UNKEPT);
    forgetful.hides("TLS");
    browser.get("/sign-in").await;
    Browser::new(&control).get("/sign-in").await.hides(UNKEPT);
}

#[tokio::test]
async fn where_the_pages_come_by_tls_the_words_say_where() {
    let control = Control::with_workspace().await;
    add_user(&control, "ada@example.com", "demo", "member").await;
    let settings = [("FLAMEGATE_PUBLIC_URL", "https://keys.example.com"), ("FLAMEGATE_TRUST_PROXY", "true")];
    let control = control.restart_with(&settings).await;
    let to = sign_in(&Browser::new(&control), "/").await;
    let browser = Browser::new(&control);
    // Whatever it says of itself, the place is the one that was configured.
    let request = browser.request(Method::GET, &to).header("x-forwarded-host", "evil.example");
    let page = browser.send(request.header("host", "evil.example")).await;
    page.shows(UNKEPT);
    page.shows("href=\"https://keys.example.com/sign-in\"");
    page.hides("evil.example");
}

#[tokio::test]
async fn the_mark_leads_nowhere_else() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "member").await;
    for away in ["https://evil.example", "//evil.example", "/\\evil.example", "/%0d%0aset-cookie:x"] {
        let to = sign_in(&browser, away).await;
        let page = browser.get(&to).await;
        let expected = if away.starts_with("/%") { away } else { "/" };
        assert_eq!((page.status, page.location()), (303, expected), "{away}");
        assert_eq!(page.headers.get_all("set-cookie").iter().count(), 0);
    }
    let page = Browser::new(&control).get("/sign-in?entered=1&next=//evil.example").await;
    assert_eq!(page.value("next"), "/");
}
