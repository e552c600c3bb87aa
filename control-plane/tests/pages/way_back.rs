//! A session that ends while somebody looks at a page or fills in a form: after signing in again they are where they were, with
//! what they had typed, and nowhere else.

use std::time::Duration;

use reqwest::Url;
use serde_json::json;

use crate::browser::{Browser, PASSWORD, Page};
use crate::common::Control;

const KEYS: &str = "/w/demo/settings/api-keys";
const NEW: &str = "/w/demo/settings/api-keys/new";
const TYPED: [(&str, &str); 7] = [
    ("name", "Ärger & Söhne #1 100% +x"),
    ("environment", "test"),
    ("expiry", "90"),
    ("limit", "own"),
    ("requests", "12000"),
    ("window_seconds", "3600"),
    ("burst", "200"),
];

async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    (control, browser)
}

/// Ends every session of hers, as another browser does.
async fn end_sessions(control: &Control) {
    let other = Browser::new(control);
    other.sign_in("ada@example.com", PASSWORD).await;
    assert_eq!(other.submit("/account", "/account/sign-out-everywhere", &[]).await.status, 303);
}

/// Signs in by the page that the browser was sent to, after a mistake, and returns where that leads.
async fn sign_in_again(browser: &Browser, sent: &Page) -> String {
    assert_eq!(sent.status, 303, "{}", sent.text);
    assert!(sent.location().starts_with("/sign-in?next="), "{}", sent.location());
    let mut form = browser.get(sent.location()).await;
    form.shows("Your session has ended");
    let mut answer = None;
    for password in ["a wrong password", PASSWORD] {
        let next = unescaped(&form.value("next"));
        let fields = [("email", "ada@example.com"), ("password", password), ("next", next.as_str())];
        let page = browser.post("/sign-in", &fields).await;
        if page.status == 303 {
            // By way of the page that looks whether the cookie was kept, whose clock is not the test's.
            let way = Url::parse("http://x").unwrap().join(page.location()).unwrap();
            let next = way.query_pairs().find(|(name, _)| name == "next");
            answer = next.map(|(_, place)| place.into_owned());
        }
        form = page;
    }
    answer.expect("the right password opens the door")
}

/// The value of an attribute as the browser reads it.
fn unescaped(html: &str) -> String {
    let pairs = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    pairs.into_iter().fold(html.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[tokio::test]
async fn a_page_opens_again_with_its_query() {
    let (control, browser) = start().await;
    let place = format!("{KEYS}?q=a%26b%23c%25d%2Be&status=all&page=2");
    end_sessions(&control).await;
    let sent = browser.get(&place).await;
    assert_eq!(sign_in_again(&browser, &sent).await, place);
    assert_eq!(browser.get(&place).await.status, 200);
}

#[tokio::test]
async fn a_form_opens_again_as_it_was_filled_in() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    end_sessions(&control).await;
    let sent = browser.submit_from(&form, KEYS, &TYPED).await;
    assert!(control.get("/v1/api-keys").await.expect(200).as_array().unwrap().is_empty());
    browser.get(sent.location()).await.shows("what you had filled in is kept");
    let place = sign_in_again(&browser, &sent).await;
    assert!(place.starts_with(&format!("{NEW}?")), "{place}");
    for secret in [form.value("csrf"), form.value("once")] {
        assert!(!place.contains(&secret), "{place}");
    }
    let again = browser.get(&place).await;
    again.shows("value=\"Ärger &#38; Söhne #1 100% +x\"");
    for (name, value) in &TYPED[4..] {
        assert!(unescaped(&again.text).contains(&format!("value=\"{value}\"")), "{name}");
    }
    // And it makes what it says.
    let typed = TYPED.map(|(name, value)| (name, value));
    assert_eq!(browser.submit_from(&again, KEYS, &typed).await.status, 200);
    let key = &control.get("/v1/api-keys").await.expect(200)[0];
    assert_eq!((&key["name"], &key["environment"]), (&json!(TYPED[0].1), &json!("test")));
    assert_eq!(key["limits"][0]["window_seconds"], 3600);
}

#[tokio::test]
async fn every_form_comes_back_to_its_own_page() {
    let (control, browser) = start().await;
    let id = control.create_key_id().await;
    for (page, action, fields, back) in [
        (format!("{KEYS}/{id}/edit"), None, &[("name", "New & better")][..], "?name=New%20%26%20better"),
        (
            format!("{KEYS}/{id}/rotate"),
            None,
            &[("grace_seconds", "604800"), ("expiry", "365")],
            "?expiry=365&grace_seconds=604800",
        ),
        (format!("{KEYS}/{id}/revoke"), None, &[], ""),
        ("/account".to_owned(), Some("/account/password"), &[("current", PASSWORD), ("new", "x")], ""),
        ("/account".to_owned(), Some("/account/sign-out-everywhere"), &[], ""),
    ] {
        browser.sign_in("ada@example.com", PASSWORD).await;
        let form = browser.get(&page).await;
        end_sessions(&control).await;
        let action = action.unwrap_or(&page);
        let sent = browser.submit_from(&form, action, fields).await;
        let place = sign_in_again(&browser, &sent).await;
        assert_eq!(place, format!("{page}{back}"));
        assert_eq!(browser.get(&place).await.status, 200);
    }
    browser.get(&format!("{KEYS}/{id}/edit?name=New%20%26%20better")).await.shows("New &#38; better");
    let rotate = browser.get(&format!("{KEYS}/{id}/rotate?expiry=365&grace_seconds=604800")).await;
    rotate.shows("value=\"604800\" checked>");
    rotate.shows("value=\"365\" checked>");
    assert_eq!(control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["status"], "active");
}

#[tokio::test]
async fn a_form_of_an_earlier_session_is_offered_again_and_does_nothing() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    end_sessions(&control).await;
    // In another tab.
    browser.sign_in("ada@example.com", PASSWORD).await;
    let page = browser.submit_from(&form, KEYS, &TYPED).await;
    assert_eq!(page.status, 403);
    page.shows("Nothing was changed");
    let link = page.text.split("href=\"").map(|rest| rest.split('"').next().unwrap());
    let link = unescaped(link.filter(|link| link.contains("/new?")).last().expect("a way back to the form"));
    browser.get(&link).await.shows("value=\"Ärger &#38; Söhne #1 100% +x\"");
    assert!(control.get("/v1/api-keys").await.expect(200).as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_session_that_ran_out_says_so_and_a_stranger_is_told_nothing() {
    let (control, browser) = start().await;
    control.clock.advance(Duration::from_secs(9 * 3_600));
    let sent = browser.get(NEW).await;
    assert_eq!(sign_in_again(&browser, &sent).await, NEW);
    let sent = Browser::new(&control).get(NEW).await;
    Browser::new(&control).get(sent.location()).await.hides("session has ended");
}

#[tokio::test]
async fn the_way_back_leads_to_this_site_only_and_holds_no_key() {
    let (control, browser) = start().await;
    let key = control.create_key().await["key"].as_str().unwrap().to_owned();
    end_sessions(&control).await;
    for (path, next) in [
        (format!("{KEYS}?q={key}"), KEYS),
        (format!("{KEYS}?q=Bearer%20{}%5Flive{}", &key[..2], &key[7..]), KEYS),
        (format!("{KEYS}?q={key}&q=x"), KEYS),
        (format!("{KEYS}?q=x&q=y&{key}"), KEYS),
        (format!("{KEYS}?q=sk_live_legacy-4711"), KEYS),
        (format!("{KEYS}/{key}/edit?name=x"), "/"),
        ("//example.com/x".to_owned(), ""),
    ] {
        let page = browser.get(&path).await;
        assert!(!page.headers.values().any(|value| value.to_str().unwrap().contains(&key[8..])), "{path}");
        if page.status == 303 {
            let place = page.location().split('&').next().unwrap();
            let wanted = if next == "/" { "/sign-in".to_owned() } else { format!("/sign-in?next={next}") };
            assert_eq!(place, wanted, "{path}");
        }
    }
    let form = [("name", key.as_str()), ("environment", "live"), ("csrf", "x"), ("once", "y")];
    let page = browser.post(KEYS, &form).await;
    assert!(
        !page.location().contains(&key[8..]) && page.location().contains("environment"),
        "{}",
        page.location()
    );
    for away in ["https://example.com", "//example.com", "/\\example.com", "/a\\b", "javascript:alert(1)"] {
        let fields = [("email", "ada@example.com"), ("password", PASSWORD), ("next", away)];
        let browser = Browser::new(&control);
        let entered = browser.post("/sign-in", &fields).await;
        assert_eq!(browser.get(entered.location()).await.location(), "/", "{away}");
    }
}

/// A form that came back with everything but what restricts the key would make one that may be used for everything.
#[tokio::test]
async fn what_a_key_may_be_used_for_comes_back_whole_or_nothing_does() {
    let (control, browser) = start().await;
    let key = control.create_key().await["key"].as_str().unwrap().to_owned();
    let paths = (0..60).map(|number| format!("/v1/agents/number-{number}")).collect::<Vec<_>>().join("\r\n");
    for (paths, comes_back) in [
        ("/v1/agents/*\r\n/v1/socket", true),
        (paths.as_str(), true),
        (paths.repeat(3).as_str(), false),
        (format!("/v1/{key}").as_str(), false),
    ] {
        browser.sign_in("ada@example.com", PASSWORD).await;
        let form = browser.get(NEW).await;
        end_sessions(&control).await;
        let typed = [
            ("name", "Partner"),
            ("environment", "live"),
            ("access", "some"),
            ("methods", "GET"),
            ("paths", paths),
        ];
        let sent = browser.submit_from(&form, KEYS, &typed).await;
        let kept = browser.get(sent.location()).await;
        if !comes_back {
            kept.hides("is kept");
            assert_eq!(sign_in_again(&browser, &sent).await, NEW);
            continue;
        }
        kept.shows("what you had filled in is kept");
        let again = browser.get(&sign_in_again(&browser, &sent).await).await;
        again.shows("<option value=\"some\" selected>");
        again.shows("name=\"methods\" placeholder=\"GET, POST\" autocapitalize=\"characters\" spellcheck=\"false\" value=\"GET\"");
        again.shows(&format!("{paths}</textarea>"));
    }
}

/// What stands in the address after a mistake in a form takes forms only.
#[tokio::test]
async fn whoever_opens_the_address_of_a_form_is_led_to_it_and_nobody_reads_json() {
    let (control, browser) = start().await;
    let open = async |path: &str| {
        let request = browser
            .request(reqwest::Method::GET, path)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        browser.send(request).await
    };
    for (action, form) in [
        ("/account/password", "/account"),
        ("/account/second-factor/remove", "/account"),
        ("/sign-in/code", "/sign-in"),
        ("/sign-out", "/"),
        ("/join/abc/new", "/join/abc"),
        ("/w/demo/settings/api-keys/search", KEYS),
        ("/w/demo/settings/api-keys/copied", KEYS),
        ("/w/demo/settings/members/withdraw", "/w/demo/settings/members"),
        ("/w/demo/settings/members/usr_x/role", "/w/demo/settings/members/usr_x"),
    ] {
        let page = open(action).await;
        assert_eq!((page.status, page.location()), (303, form), "{action}");
        assert_eq!(browser.get(action).await.status, 405, "a program: {action}");
    }
    for path in ["/nothing", "/w", "/login", "/operators", "/assets/gone.css"] {
        let page = open(path).await;
        assert_eq!(page.status, 404, "{path}");
        page.shows("<h1>Page not found</h1>");
        assert!(page.headers.contains_key("content-security-policy"), "{path}");
        browser.get(path).await.shows("\"code\":\"NOT_FOUND\"");
    }
    for path in ["/v1/nothing", "/v1", "/sync/v1/nothing"] {
        open(path).await.shows("\"code\":\"NOT_FOUND\"");
    }
    drop(control);
}

#[tokio::test]
async fn what_is_too_long_is_left_out_of_the_way_back() {
    let (_control, browser) = start().await;
    let stranger = browser;
    stranger.set_cookie("AAAAAAAAAAAAAAAAAAAAAA");
    let long = "x".repeat(15_000);
    let fields = [("name", long.as_str()), ("environment", "test"), ("unknown", "z")];
    let page = stranger.post(KEYS, &fields).await;
    assert_eq!(page.status, 303);
    assert!(page.location().len() < 400, "{}", page.location().len());
    assert!(!page.location().contains("unknown"));
    let page = stranger.get(&format!("{KEYS}?q={long}")).await;
    assert_eq!(page.location().split('&').next(), Some("/sign-in?next=/w/demo/settings/api-keys"));
}
