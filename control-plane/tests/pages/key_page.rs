//! The page of a key: what it says of use, of its rotation, of gateways; and that of an ended key it is the receipt for good.

use std::time::Duration;

use flamegate::contract::protocol::Protocol;
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::common::database::is_on_server;
use crate::common::gateway::Gateway;
use crate::common::{Answer, Control, PATIENCE, SYNC};
use crate::usage::Poster;

const KEYS: &str = "/w/demo/settings/api-keys";

async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    (control, browser)
}

fn path(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_key_has_a_page_with_its_use_its_limits_and_its_history() {
    let (control, browser) = start().await;
    let key = control.create_key().await;
    let page = browser.get(&path(&key)).await;
    page.shows("No data yet");
    page.hides("<rect");
    page.shows("Key generated");
    page.shows("No gateway is connected");
    let mut poster = Poster::new();
    let mut counts = vec![(&key, "admitted", 1, 90), (&key, "rate_limited", 0, 7)];
    counts.extend([(&key, "admitted", 30, 10), (&key, "environment", 0, 3)]);
    poster.counts(&control, &counts).await;
    let page = browser.get(&path(&key)).await;
    for text in [
        "Admitted <strong>100</strong>",
        "Rate limited (429) <strong>7</strong>",
        "Refused (401, 403) <strong>3</strong>",
        "wrong environment 3",
        "now</time>",
        // Of the product's default, 100 a minute.
        "90 of 100 in the busiest minute of the last hour",
        "Near the limit",
    ] {
        page.shows(text);
    }
    for span in ["hour", "week", "month", "nonsense"] {
        browser.get(&format!("{}?span={span}", path(&key))).await.shows("Admitted <strong>100</strong>");
    }
    // Where it was used is for operators.
    page.hides("edge-berlin");
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    browser.get(&path(&key)).await.shows("shared/edge-berlin");
}

#[tokio::test]
async fn a_viewer_sees_the_page_and_changes_nothing() {
    let control = Control::with_workspace().await;
    let key = control.create_key().await;
    let viewer = Browser::of(&control, "eve@example.com", "viewer").await;
    let page = viewer.get(&path(&key)).await;
    assert_eq!(page.status, 200);
    for hidden in ["/edit", "/rotate", "/revoke", "Key generated"] {
        page.hides(hidden);
    }
    assert_eq!(viewer.get(&format!("{KEYS}/key_nothing")).await.status, 404);
}

#[tokio::test]
async fn a_rotation_is_told_on_both_sides_and_when_the_old_key_may_end() {
    let (control, browser) = start().await;
    let old = control.create_key().await;
    let body = json!({"grace": "30d"});
    let new = control.post(&format!("/v1/api-keys/{}/rotate", old["id"].as_str().unwrap()), body).await;
    let new = new.expect(201);
    let told = async |text: &str| browser.get(&path(&new)).await.shows(text);
    told("Whether it is used is not known yet").await;
    let mut poster = Poster::new();
    poster.counts(&control, &[(&new, "admitted", 0, 1)]).await;
    told("It was not used since counting began").await;
    poster.counts(&control, &[(&old, "admitted", 8 * 1_440, 1)]).await;
    told("Unused for 8 days: safe to end.").await;
    poster.counts(&control, &[(&old, "admitted", 4, 1)]).await;
    told("It was last used <time").await;
    told("4 min ago").await;
    told("End it now").await;
    let page = browser.get(&path(&old)).await;
    page.shows("Replaced by");
    page.shows(&path(&new));
    browser.revoke(old["id"].as_str().unwrap()).await.shows("Replaced by");
    browser.get(&path(&new)).await.hides("End it now");
}

#[tokio::test]
async fn the_receipt_stays_with_the_key() {
    let (control, browser) = start().await;
    let (one, other) = (control.create_key().await, control.create_key().await);
    let mut gateway = Gateway::new(&control, "edge-1");
    gateway.catch_up(&control).await;
    gateway.run();
    browser.get(&path(&one)).await.shows("In force on 1 of 1 gateways");
    let page = browser.revoke(one["id"].as_str().unwrap()).await;
    page.shows("Refused on 1 of 1 gateways");
    page.shows("the slowest after");
    page.hides("http-equiv");
    // However it was revoked, and whether anybody waited.
    control.revoke(other["id"].as_str().unwrap(), "0s").await;
    let measured = async {
        while control.rows("revocation_receipts").await < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, measured).await.expect("both are measured");
    let control = control.restart(|_| {}).await;
    for key in [&one, &other] {
        // Before any gateway has said again what it has.
        browser
            .at(&control)
            .get(&path(key))
            .await
            .shows("1 of 1 confirmed it within a minute, the slowest after");
    }
    // Another process: the first one has ended, and is forgotten.
    Answer::of(control.request(Method::DELETE, "/v1/gateways/shared/edge-1")).await.expect(200);
    control.clock.advance(Duration::from_secs(90));
    let mut gateway = Gateway::new(&control, "edge-2");
    gateway.catch_up(&control).await;
    gateway.run();
    let browser = browser.at(&control);
    for key in [&one, &other] {
        let page = browser.get(&path(key)).await;
        page.shows("Refused on 1 of 1 gateways");
        page.shows("the slowest after");
    }
    browser.get("/w/demo").await.shows("median of 2 in 30 days");
}

#[tokio::test]
async fn who_still_uses_a_dead_key_is_on_its_page() {
    let (control, browser) = start().await;
    let key = control.create_key().await;
    let page = browser.revoke(key["id"].as_str().unwrap()).await;
    page.hides("Somebody still uses this key");
    Poster::new().refused(&control, &key, 5).await;
    let page = browser.get(&path(&key)).await;
    page.shows("Somebody still uses this key");
    page.shows("revoked 5");
}

#[tokio::test]
async fn a_fleet_limit_is_chosen_in_the_form_and_its_page_says_what_is_left() {
    if is_on_server() {
        return;
    }
    let (control, browser) = start().await;
    control.clock.advance(Duration::from_secs(2));
    control.clock.stop();
    let form = [
        ("name", "Fleet"),
        ("environment", "live"),
        ("expiry", "never"),
        ("limit", "own"),
        ("requests", "100"),
        ("window_seconds", "3600"),
        ("burst", "20"),
        ("reach", "fleet-refuse"),
    ];
    assert_eq!(browser.submit(&format!("{KEYS}/new"), KEYS, &form).await.status, 200);
    let keys = control.get("/v1/api-keys").await.expect(200);
    let key = &keys[0];
    assert_eq!(
        (&key["limits"][0]["reach"], &key["limits"][0]["when_unreachable"]),
        (&json!("fleet"), &json!("refuse")),
        "{keys}"
    );
    let ask = json!({"owner": key["id"], "name": "default", "want": 12});
    let body = json!({"gateway": "edge", "asks": [ask]});
    let call = control.http.post(control.url("/sync/v1/leases")).bearer_auth(SYNC).json(&body);
    assert_eq!(Answer::of(call).await.body["grants"][0]["tokens"], 12);
    let page = browser.get(&path(key)).await;
    page.shows("100 per hour, 20 at once, all gateways together, strictly");
    page.shows("8 left now, and 12 lent to gateways that have not used them yet");
    page.hides("shared/edge");
    browser.get(&format!("{}/edit", path(key))).await.shows("<option value=\"fleet-refuse\" selected>");
}

#[tokio::test]
async fn an_operator_puts_a_key_in_shadow_and_members_see_it() {
    let (control, browser) = start().await;
    let key = control.create_key().await;
    let (page, action) = (browser.get(&path(&key)).await, format!("{}/shadow", path(&key)));
    for hidden in ["In shadow", "/shadow", "Put in shadow"] {
        page.hides(hidden);
    }
    assert_eq!(browser.submit_from(&page, &action, &[("shadow", "on")]).await.status, 403);
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    // One of before is told that a key in shadow is gone.
    let mut older = Gateway::new(&control, "older");
    older.query.accepts = Protocol::One;
    older.catch_up(&control).await;
    let page = browser.get(&path(&key)).await;
    page.shows("Put in shadow");
    page.shows("1 connected gateway does not know keys in shadow and would refuse it with 401.");
    for _ in 0..2 {
        // Sent again it changes nothing.
        let done = browser.submit_from(&page, &action, &[("shadow", "on")]).await;
        assert_eq!((done.status, done.location()), (303, path(&key).as_str()));
    }
    browser.submit_from(&page, &action, &[("shadow", "maybe")]).await;
    let told = browser.get(&path(&key)).await;
    told.shows("Enforce its limits");
    told.shows("does not know keys in shadow and refuses this one with 401.");
    told.shows("Key put in shadow");
    browser.get(KEYS).await.shows("In shadow");
    control.patch("/v1/users/ada@example.com", json!({"operator": false})).await.expect(200);
    let told = browser.get(&path(&key)).await;
    told.shows("In shadow");
    told.shows("An operator ends that.");
    told.hides("Enforce its limits");
    let log = browser.get("/w/demo/audit").await;
    log.shows("put in shadow the key");
    let entries = control.get("/v1/audit?action=api_key.shadow_begun").await.expect(200);
    assert_eq!(
        (entries.as_array().unwrap().len(), &entries[0]["actor"]["name"]),
        (1, &json!("ada@example.com"))
    );
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    browser.submit_from(&told, &action, &[("shadow", "off")]).await;
    browser.get(&path(&key)).await.shows("Put in shadow");
    // One that has ended is neither.
    browser.submit_from(&told, &action, &[("shadow", "on")]).await;
    let page = browser.revoke(key["id"].as_str().unwrap()).await;
    page.hides("In shadow");
    page.hides("Enforce its limits");
}

#[tokio::test]
async fn what_has_passed_in_shadow_is_not_called_refused() {
    let (control, browser) = start().await;
    let key = control.create_key().await;
    let mut poster = Poster::new();
    poster
        .counts(
            &control,
            &[(&key, "admitted", 0, 80), (&key, "rate_limited", 0, 15), (&key, "forbidden", 0, 5)],
        )
        .await;
    poster.shadow(&control, &key, ("rate_limited", "rate_limited.key"), 10).await;
    poster.shadow(&control, &key, ("forbidden", "forbidden.path"), 5).await;
    for span in ["hour", "day", "week", "month"] {
        let page = browser.get(&format!("{}?span={span}", path(&key))).await;
        for text in [
            "Admitted <strong>80</strong>",
            "Passed in shadow <strong>15</strong>",
            "Rate limited (429) <strong>5</strong>",
            "Refused (401, 403) <strong>0</strong>",
            "80 admitted, 15 passed in shadow, 5 rate limited, 0 refused",
        ] {
            page.shows(text);
        }
    }
    browser.get("/w/demo").await.shows("0 % refused, 5.0 % rate limited");
    let usage = control.get(&format!("/v1/api-keys/{}/usage", key["id"].as_str().unwrap())).await.expect(200);
    let of = |name: &str| usage["totals"][name].as_u64().unwrap();
    let told = ["rate_limited", "shadow_limited", "forbidden", "shadow_refused"].map(of);
    assert_eq!(told, [15, 10, 5, 5]);
}

/// Whoever reads that nothing counts asks what that does to requests.
#[tokio::test]
async fn a_fleet_limit_that_nothing_counts_says_what_gateways_do() {
    // Nobody listens there.
    let engine = [("FLAMEGATE_LIMIT_STORE", "redis://127.0.0.1:1")];
    let control = Control::with_workspace().await.restart_with(&engine).await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    for (when, words) in [
        ("gateway", "so each gateway goes by the limit for itself."),
        ("refuse", "so requests get 429 once gateways have used what they hold."),
    ] {
        let limit =
            json!({"requests": 100, "window_seconds": 60, "reach": "fleet", "when_unreachable": when});
        let body = json!({"workspace": "demo", "name": when, "environment": "live", "limits": [limit]});
        let key = control.post("/v1/api-keys", body).await.expect(201);
        let page = browser.get(&path(&key)).await;
        page.shows("Not counted");
        page.shows(words);
    }
}
