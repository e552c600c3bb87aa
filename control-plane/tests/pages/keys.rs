//! Settings → API Keys: making, showing once, renaming, rotating, revoking, finding.

use std::time::Duration;

use serde_json::json;

use crate::browser::Browser;
use crate::common::Control;
use crate::common::gateway::Gateway;

const KEYS: &str = "/w/demo/settings/api-keys";
const NEW: &str = "/w/demo/settings/api-keys/new";

/// A control plane with a signed-in owner.
async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    (control, browser)
}

fn path(id: &str, verb: &str) -> String {
    format!("{KEYS}/{id}/{verb}")
}

#[tokio::test]
async fn a_new_key_is_shown_once() {
    let (control, browser) = start().await;
    let form = browser.get(NEW).await;
    let fields = [("name", "Production App"), ("environment", "live"), ("expiry", "90")];
    let page = browser.submit_from(&form, KEYS, &fields).await;
    assert_eq!((page.status, page.headers["cache-control"].to_str().unwrap()), (200, "no-store"));
    let key = page.key();
    assert!(key.starts_with("sk_live_") && key.len() == 46);
    page.shows("only time");
    // Changed and sent again, the same form makes no second key, and says which one it has made.
    let other = browser.submit_from(&form, KEYS, &[("name", "Other"), ("environment", "live")]).await;
    assert_eq!(other.status, 409);
    other.hides(&key);
    other.shows("Production App");
    control.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.submit_from(&form, KEYS, &fields).await.status, 409);
    let keys = control.get("/v1/api-keys").await.expect(200);
    assert_eq!(keys.as_array().unwrap().len(), 1);
    assert_eq!(keys[0]["created_by"], "ada@example.com");
    browser.get(KEYS).await.hides(&key);
}

#[tokio::test]
async fn the_last_day_of_the_calendar_can_be_chosen() {
    let (control, browser) = start().await;
    let fields = [("name", "A"), ("environment", "test"), ("expiry", "date"), ("expiry_date", "9999-12-31")];
    assert_eq!(browser.submit(NEW, KEYS, &fields).await.status, 200);
    assert_eq!(control.get("/v1/api-keys").await.expect(200)[0]["expires_at"], "9999-12-31T23:59:59Z");
    browser.get(KEYS).await.shows("31 Dec 9999");
}

#[tokio::test]
async fn expiry_and_limit_are_as_chosen() {
    let (control, browser) = start().await;
    let own = [
        ("name", "A"),
        ("environment", "test"),
        ("expiry", "date"),
        ("expiry_date", "2099-12-31"),
        ("limit", "own"),
        ("requests", "12000"),
        ("window_seconds", "3600"),
        ("burst", "200"),
    ];
    browser.submit(NEW, KEYS, &own).await.shows("12,000 per hour, 200 at once");
    let none = [("name", "B"), ("environment", "test"), ("expiry", "never"), ("limit", "none")];
    browser.submit(NEW, KEYS, &none).await.shows("No limit");
    let keys = control.get("/v1/api-keys").await.expect(200);
    assert_eq!((&keys[0]["limits"], &keys[0]["expires_at"]), (&json!([]), &json!(null)));
    assert_eq!(keys[1]["expires_at"], "2100-01-01T00:00:00Z", "the whole last day");
    assert_eq!(keys[1]["limits"][0]["window_seconds"], 3600);
}

#[tokio::test]
async fn mistakes_are_told_beside_what_was_typed() {
    let (control, browser) = start().await;
    for (fields, told) in [
        (&[("name", " "), ("environment", "live")][..], "Enter a name (up to 100 characters)."),
        (&[("name", "x"), ("environment", "moon")], "Must be live or test."),
        (
            &[("name", "x"), ("environment", "live"), ("expiry", "date")],
            "Choose the last day the key should work.",
        ),
        (
            &[("name", "x"), ("environment", "live"), ("expiry", "-3")],
            "Choose the last day the key should work.",
        ),
        (
            &[("name", "x"), ("environment", "live"), ("expiry", "date"), ("expiry_date", "2001-01-01")],
            "in the future",
        ),
        (
            &[("name", "x"), ("environment", "live"), ("limit", "own")],
            "#requests\">Requests</a>: Enter a number",
        ),
        (
            &[
                ("name", "x"),
                ("environment", "live"),
                ("limit", "own"),
                ("requests", "0"),
                ("window_seconds", "1"),
            ],
            "Enter a number from 1 to 1,000,000.",
        ),
    ] {
        let page = browser.submit(NEW, KEYS, fields).await;
        assert_eq!(page.status, 422, "{fields:?}");
        page.shows(told);
        page.shows("Nothing was changed.");
        page.shows("<title>Error: ");
    }
    assert_eq!(control.revision(), 0);
}

#[tokio::test]
async fn hostile_names_are_text() {
    let (control, browser) = start().await;
    let name = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;";
    let page = browser.submit(NEW, KEYS, &[("name", name), ("environment", "live")]).await;
    let id = control.get("/v1/api-keys").await.expect(200)[0]["id"].as_str().unwrap().to_owned();
    let mut pages = vec![page];
    for path in [KEYS.to_owned(), path(&id, "edit"), path(&id, "rotate"), path(&id, "revoke")] {
        pages.push(browser.get(&path).await);
    }
    pages.push(browser.get("/w/demo/audit").await);
    pages.push(browser.get(&format!("{KEYS}?q=%3Cscript%3Ealert(1)%3C/script%3E%22")).await);
    for page in pages {
        page.hides("<script>alert");
        page.hides("<img src=x");
        page.shows("&#60;script&#62;alert(1)");
    }
}

#[tokio::test]
async fn a_key_is_edited_and_what_is_not_touched_stays() {
    let (control, browser) = start().await;
    let id = control.create_key_id().await;
    let edit = path(&id, "edit");
    let key = async || control.get(&format!("/v1/api-keys/{id}")).await.expect(200);
    let before = key().await;
    let revision = control.revision();
    let form = browser.get(&edit).await;
    form.shows("As it is: it never expires.");
    let page = browser
        .submit_from(&form, &edit, &[("name", "Checkout"), ("expiry", "keep"), ("limit", "keep")])
        .await;
    assert_eq!((page.status, page.location()), (303, format!("{KEYS}/{id}").as_str()));
    assert_eq!(control.revision(), revision, "gateways do not see a name");
    browser.get(KEYS).await.shows("Checkout");
    let own = [
        ("name", "Checkout"),
        ("expiry", "date"),
        ("expiry_date", "2099-12-31"),
        ("limit", "own"),
        ("requests", "12000"),
        ("window_seconds", "3600"),
        ("burst", "200"),
    ];
    browser.follow(&browser.submit(&edit, &edit, &own).await).await.shows("12,000 per hour, 200 at once");
    let changed = key().await;
    assert_eq!(changed["expires_at"], "2100-01-01T00:00:00Z");
    browser.get(&edit).await.shows("value=\"12000\"");
    let note = [("name", "Checkout"), ("note", "PCI <scope>")];
    browser.follow(&browser.submit(&edit, &edit, &note).await).await.shows("PCI &#60;scope&#62;");
    assert_eq!(key().await["note"], "PCI <scope>");
    assert_eq!(control.revision(), revision + 2, "gateways do not see a note");
    let rotated =
        control.post(&format!("/v1/api-keys/{id}/rotate"), json!({"grace": "1h"})).await.expect(201);
    assert_eq!(rotated["note"], "PCI <scope>");
    control.revoke(rotated["id"].as_str().unwrap(), "0s").await;
    browser
        .follow(&browser.submit(&edit, &edit, &[("name", "Checkout"), ("note", "")]).await)
        .await
        .hides("<dt>Note");
    let back = [("name", "Checkout"), ("expiry", "never"), ("limit", "default")];
    browser.follow(&browser.submit(&edit, &edit, &back).await).await.shows("(default)");
    let after = key().await;
    assert_eq!((&after["expires_at"], &after["limits"]), (&before["expires_at"], &before["limits"]));
    for (fields, told) in [
        (&[("name", "")][..], "Enter a name (up to 100"),
        (&[("name", "x"), ("note", "a\u{202e}b")], "Character 2"),
        (&[("name", "x"), ("expiry", "date")], "Choose the last day the key should work."),
        (&[("name", "x"), ("limit", "own")], "Enter a number from 1 to"),
        (
            &[("name", "x"), ("limit", "own"), ("requests", "0"), ("window_seconds", "60")],
            "Enter a number from 1 to",
        ),
    ] {
        let page = browser.submit(&edit, &edit, fields).await;
        assert_eq!(page.status, 422, "{fields:?}");
        page.shows(told);
        page.shows("Nothing was changed.");
    }
    assert_eq!(key().await, after);
    browser.revoke(&id).await;
    let page = browser.get(&edit).await;
    page.hides("id=\"expiry\"");
    let page = browser.submit_from(&page, &edit, &[("name", "Gone"), ("expiry", "never")]).await;
    assert_eq!(page.status, 409, "a revoked key stays revoked");
    let page = browser.submit(&edit, &edit, &[("name", "Gone")]).await;
    browser.follow(&page).await.shows("Gone");
}

#[tokio::test]
async fn a_key_that_may_only_read_is_one_choice_and_more_is_typed() {
    let (control, browser) = start().await;
    let fields = [("name", "Dashboard"), ("environment", "live"), ("access", "read")];
    let page = browser.submit(NEW, KEYS, &fields).await;
    assert_eq!(page.status, 200);
    let made = control.get("/v1/api-keys").await.expect(200)[0].clone();
    assert_eq!(made["restrict"], json!({"methods": ["GET", "HEAD", "OPTIONS"]}));
    let id = made["id"].as_str().unwrap();
    let at = format!("{KEYS}/{id}");
    browser.get(&at).await.shows("<dt>Read only</dt><dd class=\"wrap\">GET, HEAD, OPTIONS</dd>");
    let edit = path(id, "edit");
    browser.get(&edit).await.shows("<option value=\"read\" selected>");
    let some = [
        ("name", "Dashboard"),
        ("access", "some"),
        ("methods", "GET, POST"),
        ("paths", "/v1/agents\r\n/v1/agents/*\r\n"),
        ("addresses", "203.0.113.7"),
    ];
    browser
        .follow(&browser.submit(&edit, &edit, &some).await)
        .await
        .shows("<dd class=\"wrap\">/v1/agents<br>/v1/agents/*</dd>");
    let key = async || control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["restrict"].clone();
    let expected = json!({"methods": ["GET", "POST"], "paths": ["/v1/agents", "/v1/agents/*"], "addresses": ["203.0.113.7"]});
    assert_eq!(key().await, expected);
    let form = browser.get(&edit).await;
    form.shows("<option value=\"some\" selected>");
    form.shows("/v1/agents\n/v1/agents/*</textarea>");
    // A form that does not ask changes nothing.
    browser.follow(&browser.submit_from(&form, &edit, &[("name", "B")]).await).await;
    assert_eq!(key().await, expected);
    for (fields, told) in [
        (&[("name", "B"), ("access", "some")][..], "Name a method, a path or an address"),
        (&[("name", "B"), ("access", "some"), ("methods", "get, G@T")], "“G@T”: not a method such as GET."),
        (
            &[("name", "B"), ("access", "some"), ("paths", "/a/../b\r\n/ok\r\n/a/../b\r\nv1")],
            "“/a/../b”, “v1”: a path begins with “/”",
        ),
        (
            &[("name", "B"), ("access", "some"), ("addresses", "10.0.0.1/8")],
            "“10.0.0.1/8”: an address is such as",
        ),
    ] {
        let page = browser.submit(&edit, &edit, fields).await;
        assert_eq!(page.status, 422, "{fields:?}");
        page.shows(told);
    }
    assert_eq!(key().await, expected);
    browser.get(KEYS).await.shows("<span class=\"tag\">Restricted</span>");
    // Whoever types methods in small letters means these.
    let small = [("name", "B"), ("access", "some"), ("methods", "get, head")];
    browser.follow(&browser.submit(&edit, &edit, &small).await).await;
    assert_eq!(key().await["methods"], json!(["GET", "HEAD"]));
    browser.get(KEYS).await.shows("<span class=\"tag\">Read only</span>");
    browser.follow(&browser.submit(&edit, &edit, &[("name", "B"), ("access", "all")]).await).await;
    browser.get(KEYS).await.hides("<span class=\"tag\">Re");
    assert_eq!(key().await, json!(null));
}

/// One round for all of it, in the order of the fields, and what somebody has emptied stays empty: it is not saved as it was before.
#[tokio::test]
async fn every_mistake_is_told_at_once_where_a_form_has_several() {
    let (control, browser) = start().await;
    let edit = path(&control.create_key_id().await, "edit");
    let wrong = [
        ("name", ""),
        ("environment", "moon"),
        ("expiry", "date"),
        ("limit", "own"),
        ("requests", ""),
        ("window_seconds", "60"),
        ("burst", "1000001"),
        ("access", "some"),
        ("methods", "G@T"),
        ("paths", "v1"),
        ("addresses", "host"),
    ];
    let note = "x".repeat(501);
    let wrong = [&wrong[..], &[("note", note.as_str())]].concat();
    for (form, action, is_new) in [(NEW, KEYS, true), (edit.as_str(), edit.as_str(), false)] {
        let page = browser.submit(form, action, &wrong).await;
        assert_eq!(page.status, 422);
        let told: Vec<_> =
            page.text.split("<li><a href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let fields =
            ["name", "environment", "expiry", "requests", "burst", "methods", "paths", "addresses", "note"];
        let expected: Vec<_> = fields.into_iter().filter(|field| is_new || *field != "environment").collect();
        assert_eq!(told, expected, "{form}");
        for field in expected.iter().filter(|field| !matches!(**field, "environment")) {
            page.shows(&format!("id=\"{field}-problem\""));
        }
        page.shows("id=\"name\" name=\"name\" value=\"\"");
    }
    let settings =
        [("name", ""), ("limit", "own"), ("requests", "0"), ("window_seconds", "60"), ("burst", "x")];
    browser.submit("/w/demo/settings", "/w/demo/settings", &settings).await.shows("3 things to fix.");
}

#[tokio::test]
async fn a_key_that_ends_soon_is_rotated_with_an_end_that_was_chosen() {
    let (control, browser) = start().await;
    let end = control.clock.now().as_second() + 60;
    let body = json!({"workspace": "demo", "name": "A", "environment": "live", "expires_at": end});
    let id = control.post("/v1/api-keys", body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let rotate = path(&id, "rotate");
    let page = browser.submit(&rotate, &rotate, &[("grace_seconds", "86400"), ("expiry", "")]).await;
    assert_eq!(page.status, 422);
    page.shows("would end soon");
    for wrong in ["0", "x", "99999999999999999"] {
        let page = browser.submit(&rotate, &rotate, &[("grace_seconds", "0"), ("expiry", wrong)]).await;
        assert_eq!(page.status, 422, "{wrong}");
    }
    browser.submit(&rotate, &rotate, &[("grace_seconds", "86400"), ("expiry", "never")]).await.key();
    let keys = control.get("/v1/api-keys").await.expect(200);
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["expires_at"]), (2, &serde_json::Value::Null));
}

#[tokio::test]
async fn a_key_is_rotated_with_a_grace() {
    let (control, browser) = start().await;
    let id = control.create_key_id().await;
    let rotate = path(&id, "rotate");
    let form = browser.get(&rotate).await;
    let page = browser.submit_from(&form, &rotate, &[("grace_seconds", "86400")]).await;
    page.shows("It replaces");
    let key = page.key();
    control.clock.advance(Duration::from_secs(60));
    let again = browser.submit_from(&form, &rotate, &[("grace_seconds", "86400")]).await;
    assert_eq!(again.status, 409);
    again.hides(&key);
    browser.get(KEYS).await.shows("Rotated");
    // The old one cannot be rotated twice.
    let page = browser.get(&rotate).await;
    page.shows("This key was already replaced by");
    let keys = control.get("/v1/api-keys").await.expect(200);
    assert_eq!((keys.as_array().unwrap().len(), &keys[1]["rotated_to"]), (2, &keys[0]["id"]));
}

#[tokio::test]
async fn revoking_asks_first_and_then_shows_the_receipt() {
    let (control, browser) = start().await;
    let id = control.create_key_id().await;
    let mut gateway = Gateway::new(&control, "edge-1");
    gateway.catch_up(&control).await;
    gateway.run();
    let revoke = path(&id, "revoke");
    browser.get(&revoke).await.shows("This cannot be undone");
    assert_eq!(control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["status"], "active");
    let page = browser.revoke(&id).await;
    page.shows("Refused on 1 of 1 gateways");
    page.shows(" ms");
    let list = browser.get(KEYS).await;
    list.hides("Production App");
    browser.get(&format!("{KEYS}?status=revoked")).await.shows("Production App");
    browser.get(&revoke).await.shows("nothing to revoke");
}

#[tokio::test]
async fn the_receipt_says_what_to_do_about_gateways_that_do_not_answer() {
    let (control, browser) = start().await;
    let id = control.create_key_id().await;
    Gateway::new(&control, "edge-stuck").catch_up(&control).await;
    let page = browser.revoke(&id).await;
    page.shows("Refused on 0 of 1 gateways");
    page.shows("tell whoever runs Flamegate");
    page.shows("Look again");
    // Without scripts it looks again by itself, for a while.
    page.shows("http-equiv=\"refresh\"");
    control.clock.advance(Duration::from_secs(90));
    let page = browser.get(&format!("{KEYS}/{id}")).await;
    page.shows("No gateway is connected");
    page.shows("1 cut off from here, may still serve");
    page.hides("http-equiv=\"refresh\"");
}

#[tokio::test]
async fn what_the_workspace_sets_is_shown_and_no_limit_is_none_of_its_own() {
    let (control, browser) = start().await;
    let bounds = json!({"ceiling": {"requests": 100, "window_seconds": 60, "burst": 20},
        "workspace_limits": [{"name": "shared", "requests": 5, "window_seconds": 3600}], "max_active_keys": 2});
    control.patch("/v1/workspaces/demo", bounds).await.expect(200);
    let settings = browser.get("/w/demo/settings").await;
    settings.shows("100 per minute, 20 at once");
    settings.shows("5 per hour, 5 at once");
    settings.hides("(whole workspace)");
    settings.shows("0 of at most 2");
    let page = browser.get(NEW).await;
    page.shows("Also, for each key: at most 100 per minute, 20 at once, whatever is chosen for it.");
    page.shows("Also, for the whole workspace: 5 per hour, 5 at once, whatever is chosen for a key.");
    // A choice says only what is chosen: what is beside it is cut off in a narrow window, and is not replaced by another choice.
    page.shows(r#"<option value="default">Workspace default</option>"#);
    page.shows(r#"<option value="none">No limit of its own</option>"#);
    let none = [("name", "B"), ("environment", "test"), ("limit", "none")];
    let page = browser.submit(NEW, KEYS, &none).await;
    for (name, value) in [
        ("Limit", "No limit of its own"),
        ("Most for each key", "100 per minute, 20 at once"),
        ("All keys together", "5 per hour, 5 at once"),
    ] {
        page.shows(&format!("<dt>{name}</dt><dd>{value}</dd>"));
    }
    let list = browser.get(KEYS).await;
    list.shows("All keys together: 5 per hour, 5 at once.");
    list.shows("class=\"limit\">No limit of its own</td>");
    let loose = [("name", "typed name"), ("environment", "test"), ("limit", "own"), ("requests", "9999")];
    let loose = [&loose[..], &[("window_seconds", "60"), ("burst", "20")]].concat();
    let page = browser.submit(NEW, KEYS, &loose).await;
    assert_eq!(page.status, 422);
    page.shows("within the workspace&#39;s ceiling of 100 per 60 seconds, 20 at once");
    page.shows("typed name");
}

#[tokio::test]
async fn one_key_too_many_is_told_beside_what_was_typed() {
    let (control, browser) = start().await;
    control.patch("/v1/workspaces/demo", json!({"max_active_keys": 1})).await.expect(200);
    let id = control.create_key_id().await;
    let page = browser.submit(NEW, KEYS, &[("name", "typed name"), ("environment", "live")]).await;
    assert_eq!(page.status, 409);
    page.shows("may have 1 active keys and has 1");
    page.shows("typed name");
    let rotate = path(&id, "rotate");
    let page = browser.submit(&rotate, &rotate, &[("grace_seconds", "3600")]).await;
    assert_eq!(page.status, 409);
    page.shows("may have 1 active keys and has 1");
    assert_eq!(browser.submit(&rotate, &rotate, &[("grace_seconds", "0")]).await.status, 200, "one for one");
}

#[tokio::test]
async fn keys_are_found_by_name_environment_state_and_last_characters() {
    let (control, browser) = start().await;
    for (name, environment) in [("Checkout 100%", "live"), ("Mobile_app", "test"), ("Mobile web", "live")] {
        let body = json!({"workspace": "demo", "name": name, "environment": environment});
        control.post("/v1/api-keys", body).await.expect(201);
    }
    for (query, shown, hidden) in [
        ("?q=mobile", "Mobile web", "Checkout"),
        ("?q=100%25", "Checkout", "Mobile"),
        ("?q=e_a", "Mobile_app", "Mobile web"),
        ("?environment=test", "Mobile_app", "Mobile web"),
        ("?q=nothing+like+it", "No key matches", "Mobile"),
        ("?status=nonsense&page=x&environment=moon", "Mobile_app", "No active key"),
    ] {
        let page = browser.get(&format!("{KEYS}{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        page.shows(shown);
        page.hides(hidden);
    }
}

#[tokio::test]
async fn a_whole_key_in_the_search_leaves_the_address_bar() {
    let (control, browser) = start().await;
    let key = control.create_key().await["key"].as_str().unwrap().to_owned();
    let page = browser.get(&format!("{KEYS}?q={key}")).await;
    assert_eq!(page.status, 303);
    assert!(!page.location().contains(&key[..20]), "{}", page.location());
    browser.get(page.location()).await.shows("Production App");
}

#[tokio::test]
async fn five_hundred_keys_come_in_pages() {
    let (control, browser) = start().await;
    let key = |n: u32| json!({"hash": format!("{n:064x}"), "workspace": "demo", "name": format!("Device {n:03}"), "environment": "live"});
    let keys: Vec<_> = (0..520).map(key).collect();
    control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await.expect(200);
    let first = browser.get(KEYS).await;
    first.shows("1–50 of 520");
    first.shows("Device 519");
    first.shows("?status=active&#38;page=2");
    let last = browser.get(&format!("{KEYS}?page=11")).await;
    last.shows("501–520 of 520");
    last.shows("Device 000");
    last.hides("rel=\"next\"");
}

#[tokio::test]
async fn whoever_revokes_the_successor_is_told_which_key_still_works() {
    let (control, browser) = start().await;
    let old = control.create_key_id().await;
    let body = serde_json::json!({"grace": "24h"});
    let new = control.post(&format!("/v1/api-keys/{old}/rotate"), body).await.expect(201);
    let revoke = path(new["id"].as_str().unwrap(), "revoke");
    let (told, link) = ("The key that it replaced", format!("href=\"{}\"", path(&old, "revoke")));
    let page = browser.get(&revoke).await;
    page.shows(told);
    page.shows(&link);
    let page = browser.revoke(new["id"].as_str().unwrap()).await;
    page.shows("Revoked");
    page.shows(told);
    page.shows(&link);
    let page = browser.revoke(&old).await;
    page.hides(told);
    browser.get(&format!("{KEYS}/{}", new["id"].as_str().unwrap())).await.hides(told);
}
