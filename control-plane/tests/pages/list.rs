//! The list of keys: what is found where, several keys at once, and how heavy it is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::common::Control;
use crate::usage::Poster;

const KEYS: &str = "/w/demo/settings/api-keys";
const SELECTED: &str = "/w/demo/settings/api-keys/selected";

async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    (control, browser)
}

async fn make(control: &Control, name: &str, more: Value) -> String {
    let mut body = json!({"workspace": "demo", "name": name, "environment": "live"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    control.post("/v1/api-keys", body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_search_finds_what_is_revoked_and_an_empty_state_says_where_else() {
    let (control, browser) = start().await;
    let gone = make(&control, "Old laptop", json!({})).await;
    control.revoke(&gone, "0").await;
    make(&control, "Laptop of today", json!({})).await;
    let page = browser.get(&format!("{KEYS}?q=laptop")).await;
    page.shows("Revoked");
    let (today, old) = (page.text.find("Laptop of today").unwrap(), page.text.find("Old laptop").unwrap());
    assert!(today < old, "what works comes first");
    let page = browser.get(&format!("{KEYS}?q=old+laptop&status=active")).await;
    page.shows("No active key matches “");
    page.shows("There are others: <a href=\"?q=old%20laptop&#38;status=all\">");
}

#[tokio::test]
async fn states_are_links_with_counts() {
    let (control, browser) = start().await;
    let soon = control.clock.now().as_second() + 3_600;
    make(&control, "Ends", json!({"expires_at": soon})).await;
    make(&control, "Stays", json!({})).await;
    let gone = make(&control, "Gone", json!({})).await;
    control.revoke(&gone, "0").await;
    let page = browser.get(KEYS).await;
    for (state, count) in [("Active", 2), ("Ending soon", 1), ("Expired", 0), ("Revoked", 1), ("All", 3)] {
        page.shows(&format!("{state} <span class=\"count\">{count}</span>"));
    }
    let ending = browser.get(&format!("{KEYS}?status=ending")).await;
    ending.shows("Ends");
    ending.hides("Stays");
    control.clock.advance(Duration::from_secs(7_200));
    let expired = browser.get(&format!("{KEYS}?status=expired")).await;
    expired.shows("Expired <span class=\"count\">1</span>");
    expired.shows("Ends");
    let first = browser.get(&format!("{KEYS}?sort=oldest")).await;
    first.shows("Stays");
    first.shows("aria-current=\"true\">Oldest</a>");
}

#[tokio::test]
async fn a_page_beyond_the_last_leads_to_the_last() {
    let (control, browser) = start().await;
    for number in 0..51 {
        make(&control, &format!("k{number}"), json!({})).await;
    }
    let page = browser.get(&format!("{KEYS}?page=99")).await;
    assert_eq!((page.status, page.location()), (303, "/w/demo/settings/api-keys?status=active&page=2"));
    let page = browser.get("/w/demo/audit?page=99").await;
    assert_eq!((page.status, page.location()), (303, "/w/demo/audit?page=2"));
}

#[tokio::test]
async fn several_keys_are_revoked_at_once() {
    let (control, browser) = start().await;
    let (one, two, other) = (
        make(&control, "One", json!({})).await,
        make(&control, "Two", json!({})).await,
        make(&control, "Other", json!({})).await,
    );
    let chosen = format!("{SELECTED}?do=revoke&{one}=on&{two}=on&key_nothing=on");
    let page = browser.get(&chosen).await;
    page.shows("Revoke 2 keys?");
    page.hides("Other");
    let fields = [("do", "revoke"), (one.as_str(), "on"), (two.as_str(), "on")];
    let done = browser.submit_from(&page, SELECTED, &fields).await;
    assert_eq!((done.status, done.location()), (303, "/w/demo/settings/api-keys?done=revoked&number=2"));
    browser.get(done.location()).await.shows("2 keys revoked.");
    let left = control.get("/v1/api-keys?status=active").await.expect(200);
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &json!(other)));
    // What does not work any more is not chosen again.
    assert_eq!(browser.get(&chosen).await.status, 303);
}

#[tokio::test]
async fn several_keys_get_another_end() {
    let (control, browser) = start().await;
    let (one, two) = (make(&control, "One", json!({})).await, make(&control, "Two", json!({})).await);
    let page = browser.get(&format!("{SELECTED}?do=expiry&{one}=on&{two}=on")).await;
    let send = async |expiry: &str, date: &str| {
        let ids = [(one.as_str(), "on"), (two.as_str(), "on")];
        let fields = [&[("do", "expiry"), ("expiry", expiry), ("expiry_date", date)][..], &ids].concat();
        browser.submit_from(&page, SELECTED, &fields).await
    };
    for (expiry, date) in [("date", ""), ("date", "2001-01-01"), ("0", ""), ("x", "")] {
        let page = send(expiry, date).await;
        assert_eq!(page.status, 422, "{expiry} {date}");
        page.shows("Choose the last day");
    }
    assert_eq!(send("date", "2099-12-31").await.status, 303);
    for key in control.get("/v1/api-keys").await.expect(200).as_array().unwrap() {
        assert_eq!(key["expires_at"], "2100-01-01T00:00:00Z");
    }
    browser.get(KEYS).await.shows("31 Dec 2099");
    assert_eq!(send("never", "").await.status, 303);
    assert_eq!(control.get("/v1/api-keys").await.expect(200)[0]["expires_at"], Value::Null);
}

#[tokio::test]
async fn a_key_in_use_asks_for_its_last_characters() {
    let (control, browser) = start().await;
    let id = make(&control, "Busy", json!({})).await;
    let hint =
        control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["key_hint"].as_str().unwrap().to_owned();
    let minute = control.clock.now().as_second() / 60;
    let used =
        format!("INSERT INTO key_uses (key_seq, last_used_at, last_used_by) VALUES (1, {minute}, 'edge')");
    control.sql(used.leak()).await;
    let revoke = format!("{KEYS}/{id}/revoke");
    let page = browser.get(&revoke).await;
    page.shows("It is in use");
    for wrong in ["", "xxxx"] {
        let again = browser.submit_from(&page, &revoke, &[("asked", "tail"), ("tail", wrong)]).await;
        assert_eq!(again.status, 422);
        again.shows("These are not the last characters");
    }
    assert_eq!(control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["status"], "active");
    let several = browser.get(&format!("{SELECTED}?do=revoke&{id}=on")).await;
    several.shows("type how many keys you revoke");
    let fields = [("do", "revoke"), ("asked", "number"), ("number", "2"), (id.as_str(), "on")];
    assert_eq!(browser.submit_from(&several, SELECTED, &fields).await.status, 422);
    let tail = hint.rsplit('…').next().unwrap();
    browser.submit_from(&page, &revoke, &[("asked", "tail"), ("tail", tail)]).await;
    assert_eq!(control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["status"], "revoked");
}

#[tokio::test]
async fn a_rotation_says_when_the_old_key_ends_and_asks_when_the_new_one_does() {
    let (control, browser) = start().await;
    let now = control.clock.now().as_second();
    let id = make(&control, "Ninety", json!({"expires_at": now + 90 * 86_400})).await;
    let rotate = format!("{KEYS}/{id}/rotate");
    let page = browser.get(&rotate).await;
    page.shows("After 90 days, as the old one");
    page.shows("Keep the old key working for");
    let shown =
        browser.submit_from(&page, &rotate, &[("grace_seconds", "86400"), ("expiry", "lifetime")]).await;
    shown.key();
    shown.shows("The old key stops working on <strong><time");
    let keys = control.get("/v1/api-keys").await.expect(200);
    let end: jiff::Timestamp = keys[0]["expires_at"].as_str().unwrap().parse().unwrap();
    assert!((end.as_second() - now - 90 * 86_400).abs() < 120, "as long as the old one was to live");
    // A grace beyond the key's own end is no choice.
    let soon = make(&control, "Soon", json!({"expires_at": now + 7_200})).await;
    let page = browser.get(&format!("{KEYS}/{soon}/rotate")).await;
    page.shows("Until its own end");
    page.shows("value=\"604800\" disabled");
}

#[tokio::test]
async fn numbers_of_the_whole_workspace_do_not_stand_beside_a_search() {
    let (control, browser) = start().await;
    for name in ["Checkout", "Billing", "Voice"] {
        make(&control, name, json!({})).await;
    }
    for query in ["?q=checkout", "?environment=live", "?by=ada%40example.com"] {
        browser.get(&format!("{KEYS}{query}")).await.hides("class=\"count\"");
    }
    browser.get(KEYS).await.shows("Active <span class=\"count\">3</span>");
}

#[tokio::test]
async fn a_list_that_did_not_look_at_all_keys_says_so() {
    let (control, browser) = start().await;
    let first = make(&control, "The first of all", json!({})).await;
    control
        .sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO api_keys (id, hash, workspace_seq, environment, name, hint, created_at, listed, revision, folded)
             SELECT 'key_' || i, randomblob(32), workspace_seq, 'live', 'Device', 'sk_live_…a1B2', created_at, 1, 1000 + i, 'device'
             FROM api_keys JOIN n",
        )
        .await;
    let note = "Of each state the first 10,000 keys in this order were looked at";
    browser.get(KEYS).await.hides(note);
    let search = browser.get(&format!("{KEYS}?q=first")).await;
    search.shows("No key matches “");
    search.shows(note);
    // Whoever knows its id finds it, and so does whoever starts with the oldest.
    assert!(browser.get(&format!("{KEYS}?q={first}")).await.location().ends_with(&format!("/{first}")));
    browser.get(&format!("{KEYS}?q=first&status=active&sort=oldest")).await.shows("The first of all");
    // Pages end; none is empty.
    let last = browser.get(&format!("{KEYS}?page=201")).await;
    last.shows("9951–10000 of many");
    last.shows("Pages end here");
    last.hides("rel=\"next\"");
}

#[tokio::test]
async fn lists_are_in_the_order_that_they_say() {
    let (control, browser) = start().await;
    let now = control.clock.now().as_second();
    make(&control, "Never ends", json!({})).await;
    make(&control, "Ends late", json!({"expires_at": now + 90 * 86_400})).await;
    make(&control, "Ends soon", json!({"expires_at": now + 86_400})).await;
    let day = now / 60 / 1_440 * 1_440;
    let idle = format!(
        "INSERT INTO idle_keys (key_seq, workspace_seq, since) SELECT seq, workspace_seq, {day} - 1440 * seq FROM api_keys"
    );
    control.sql("DELETE FROM idle_keys").await;
    control.sql(idle.leak()).await;
    for (query, expected) in [
        ("", ["Ends soon", "Ends late", "Never ends"]),
        ("?sort=oldest", ["Never ends", "Ends late", "Ends soon"]),
        ("?sort=ends", ["Ends soon", "Ends late", "Never ends"]),
        ("?sort=unused", ["Ends soon", "Ends late", "Never ends"]),
        ("?status=all&sort=oldest", ["Never ends", "Ends late", "Ends soon"]),
    ] {
        let page = browser.get(&format!("{KEYS}{query}")).await;
        let places = expected.map(|name| page.text.find(&format!("<bdi>{name}</bdi>")).unwrap());
        assert!(places.is_sorted(), "{query}: {places:?}");
    }
    // Where there is one order, none is offered.
    for status in ["ending", "expired", "unused", "still-used"] {
        browser.get(&format!("{KEYS}?status={status}")).await.hides("aria-label=\"Order\"");
    }
}

#[tokio::test]
async fn what_is_done_with_a_key_leads_back_to_it() {
    let (control, browser) = start().await;
    let id = make(&control, "Checkout", json!({})).await;
    for verb in ["edit", "rotate", "revoke"] {
        let page = browser.get(&format!("{KEYS}/{id}/{verb}")).await;
        page.shows(&format!("<li><a href=\"{KEYS}/{id}\"><bdi>Checkout</bdi></a></li>"));
    }
}

#[tokio::test]
async fn pages_are_light() {
    let (control, browser) = start().await;
    let limits = json!([{"name": "a", "requests": 1_000_000, "window_seconds": 60, "burst": 999_999},
        {"name": "b", "requests": 1_000_000, "window_seconds": 3_600}]);
    let paths: Vec<_> = (0..16).map(|path| format!("/v1/{path}{}/*", "p".repeat(100))).collect();
    let gold = json!({"name": "gold", "limits": limits, "restrict": {"paths": paths}});
    control.post("/v1/plans", gold).await.expect(201);
    let limits = json!({"limits": limits, "plan": "gold"});
    let mut poster = Poster::new();
    for number in 0..50 {
        let id = make(&control, &format!("{number:02}{}", "W".repeat(98)), limits.clone()).await;
        poster.shadow(&control, &json!({"id": id}), ("rate_limited", "rate_limited.key"), 1).await;
        if number % 5 == 0 {
            control.post(&format!("/v1/api-keys/{id}/rotate"), json!({"grace": "24h"})).await.expect(201);
        }
    }
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    let keys = control.get("/v1/api-keys?limit=200").await.expect(200);
    let ids: Vec<_> = keys.as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    let own = ids[0];
    let all: String = ids[..50].iter().map(|id| format!("&{id}=on")).collect();
    let member = browser.get("/w/demo/settings/members").await;
    let member =
        member.text.split("/settings/members/usr_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for path in [
        "/w/demo".to_owned(),
        "/w/demo/settings".to_owned(),
        KEYS.to_owned(),
        format!("{KEYS}?status=all"),
        format!("{KEYS}?q=www"),
        format!("{KEYS}/new"),
        format!("{KEYS}/{own}?span=month"),
        format!("{KEYS}/{own}/edit"),
        format!("{KEYS}/{own}/rotate"),
        format!("{KEYS}/{own}/revoke"),
        format!("{SELECTED}?do=revoke{all}"),
        format!("{SELECTED}?do=expiry{all}"),
        "/w/demo/settings/members".to_owned(),
        format!("/w/demo/settings/members/usr_{member}"),
        "/w/demo/gateways".to_owned(),
        "/w/demo/audit".to_owned(),
        "/operators/tokens".to_owned(),
        "/operators/plans".to_owned(),
        "/operators/new-plan".to_owned(),
        "/operators/plans/gold".to_owned(),
        "/operators/plans/gold/edit".to_owned(),
        "/operators/plans/gold/delete".to_owned(),
        "/operators/shadow".to_owned(),
        "/account".to_owned(),
        "/account/second-factor".to_owned(),
        "/w/nothing".to_owned(),
    ] {
        let page = browser.get(&path).await;
        assert_eq!(page.status, if path == "/w/nothing" { 404 } else { 200 }, "{path}");
        assert!(page.text.len() < 150_000, "{path}: {} bytes", page.text.len());
    }
}
