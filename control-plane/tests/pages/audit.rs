//! The audit log: complete, append-only, and without secrets.

use serde_json::{Value, json};

use crate::browser::{Browser, PASSWORD, Page};
use crate::common::{Control, database};

const KEYS: &str = "/w/demo/settings/api-keys";

#[tokio::test]
async fn everything_that_is_done_is_told_with_who_and_from_where() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    browser.submit(&format!("{KEYS}/new"), KEYS, &[("name", "One"), ("environment", "live")]).await.key();
    let id = control.get("/v1/api-keys").await.expect(200)[0]["id"].as_str().unwrap().to_owned();
    let at = |verb: &str| format!("{KEYS}/{id}/{verb}");
    browser.submit(&at("edit"), &at("edit"), &[("name", "Two")]).await;
    control.patch(&format!("/v1/api-keys/{id}"), json!({"limits": []})).await.expect(200);
    browser.submit(&at("rotate"), &at("rotate"), &[("grace_seconds", "3600")]).await.key();
    control.revoke(&id, "0").await;
    control.revoke(&id, "0").await;
    browser.submit(KEYS, "/sign-out", &[]).await;
    let entries = control.get("/v1/audit?workspace=demo").await.expect(200);
    let told: Vec<_> = entries.as_array().unwrap().iter().rev().map(line).collect();
    assert_eq!(
        told,
        [
            "workspace.created Demo by admin token via api",
            "user.added ada@example.com by admin token via api",
            "session.signed_in ada@example.com by ada@example.com via page",
            "api_key.created One by ada@example.com via page",
            "api_key.renamed Two by ada@example.com via page",
            "api_key.updated Two by admin token via api",
            "api_key.rotated Two by ada@example.com via page",
            "api_key.revoked Two by admin token via api",
            "session.signed_out ada@example.com by ada@example.com via page",
        ],
        "a repeated revocation changes nothing and is not told"
    );
    assert!(entries.as_array().unwrap().iter().all(|entry| entry["actor"]["address"] == "127.0.0.1"));
    assert_eq!(entries[1]["target"]["id"], id.as_str());
    let only = control.get("/v1/audit?action=api_key.rotated&limit=1").await.expect(200);
    assert_eq!(only[0]["details"]["grace_seconds"], 3600);
    assert_eq!(only[0]["details"]["before"], json!({"expires_at": null}), "when it was to end before");
    let of_key = control.get(&format!("/v1/audit?target={id}")).await.expect(200);
    assert_eq!(of_key.as_array().unwrap().len(), 5, "created, renamed, updated, rotated, revoked");
}

fn line(entry: &Value) -> String {
    let text = |at: &str| entry.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let (actor, via) = (text("/actor/name"), text("/actor/via"));
    format!("{} {} by {actor} via {via}", text("/action"), text("/target/name"))
}

#[tokio::test]
async fn a_change_that_fails_is_not_told() {
    let control = Control::with_workspace().await;
    control.post("/v1/workspaces", json!({"name": "Demo"})).await.refused(409, "CONFLICT");
    control.post("/v1/api-keys/key_x/revoke", json!({})).await.refused(404, "NOT_FOUND");
    assert_eq!(control.get("/v1/audit").await.expect(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_list_comes_in_pages_and_refuses_what_it_does_not_know() {
    let control = Control::with_workspace().await;
    control.create_key().await;
    control.create_key().await;
    let page = control.get("/v1/audit?limit=2").await.body;
    let cursor = page["pagination"]["next_cursor"].as_str().unwrap().to_owned();
    let rest = control.get(&format!("/v1/audit?limit=2&cursor={cursor}")).await.body;
    assert_eq!(
        (rest["data"].as_array().unwrap().len(), &rest["pagination"]["next_cursor"]),
        (1, &Value::Null)
    );
    control.get("/v1/audit?action=key.eaten").await.refused(422, "VALIDATION_FAILED");
    control.get("/v1/audit?workspace=gone").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn the_database_refuses_to_change_or_delete_an_entry() {
    let control = Control::with_workspace().await;
    let replace = if database::is_on_server() {
        "TRUNCATE audit_log"
    } else {
        "INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log"
    };
    for sql in ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", replace] {
        let error = database::run(&control.database(), sql).await.unwrap_err();
        assert!(error.contains("the audit log is append-only"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn no_secret_is_told() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    let page =
        browser.submit(&format!("{KEYS}/new"), KEYS, &[("name", "One"), ("environment", "live")]).await;
    let text = control.get("/v1/audit?limit=200").await.body.to_string();
    let key = page.key();
    assert!(!text.contains(&key[..20]) && !text.contains(PASSWORD) && !text.contains("argon2"), "{text}");
    browser.get("/w/demo/audit").await.hides(&key);
}

/// Who reads the log later asks what it was before.
#[tokio::test]
async fn changes_are_told_with_their_old_and_new_values() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    let id = control.create_key_id().await;
    let path = format!("/v1/api-keys/{id}");
    let limits = |requests: u32| json!({"limits": [{"requests": requests, "window_seconds": 60}]});
    control.patch(&path, limits(100)).await.expect(200);
    control.patch(&path, limits(50)).await.expect(200);
    let entry = &control.get("/v1/audit?action=api_key.updated").await.expect(200)[0];
    assert_eq!(entry["details"]["before"], json!({"limits": ["default=100/60s"]}), "and nothing that stayed");
    assert_eq!(entry["details"]["limits"], json!(["default=50/60s"]));
    let bounds =
        json!({"name": "Renamed", "max_active_keys": 7, "ceiling": {"requests": 500, "window_seconds": 60}});
    control.patch("/v1/workspaces/demo", bounds).await.expect(200);
    let entry = &control.get("/v1/audit?action=workspace.updated").await.expect(200)[0];
    let before = json!({"name": "Demo", "max_active_keys": 1000, "ceiling": null});
    assert_eq!((&entry["details"]["before"], &entry["details"]["name"]), (&before, &json!("Renamed")));
    let page = browser.get("/w/demo/audit").await;
    for text in [
        "Limit: 100 per minute, 100 at once → 50 per minute, 50 at once",
        "Most active keys: 1000 → 7",
        "Name: Demo → Renamed",
        "Most for each key: No limit → 500 per minute, 500 at once",
    ] {
        page.shows(text);
    }
}

/// The words of a command line, times in another zone than the rest of the page, and what stayed as it was are not for people.
#[tokio::test]
async fn the_page_tells_changes_in_its_own_words_and_times() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    let id = control.create_key_id().await;
    let at = |verb: &str| format!("{KEYS}/{id}/{verb}");
    let end = json!({"expires_at": "2099-12-31T00:00:00Z"});
    control.patch(&format!("/v1/api-keys/{id}"), end).await.expect(200);
    browser.submit(&at("edit"), &at("edit"), &[("name", "Two")]).await;
    browser.submit(&at("rotate"), &at("rotate"), &[("grace_seconds", "86400")]).await.key();
    let bounds = json!({"workspace_limits": [{"name": "shared", "requests": 10, "window_seconds": 60}]});
    control.patch("/v1/workspaces/demo", bounds).await.expect(200);
    let page = browser.get("/w/demo/audit?action=api_key.updated").await;
    page.shows("Expires: Never → <time");
    page.shows(">31 Dec 2099, 00:00 UTC</time>");
    page.hides("Environment:");
    page.hides("Limit:");
    let page = browser.get("/w/demo/audit?action=api_key.rotated").await;
    page.shows("The old key works for: 24 hours more");
    page.hides("seconds");
    browser.get("/w/demo/audit?action=api_key.renamed").await.shows("→ Two");
    let page = browser.get("/w/demo/audit?action=workspace.updated").await;
    page.shows("All keys together: No limit → 10 per minute, 10 at once");
    for stayed in ["Short name:", "Default limit:", "Most for each key:", "Most active keys:"] {
        page.hides(stayed);
    }
    let page = browser.get("/w/demo/audit").await;
    for notation in ["/60s", "@workspace", "default=", ">2099-"] {
        page.hides(notation);
    }
}

/// Whoever takes the file for the whole log must not be wrong, and a seldom action must not cost a walk through all of it.
#[tokio::test]
async fn the_file_has_the_newest_entries_and_says_so_when_there_are_more() {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "owner").await;
    let name = |page: &Page| page.headers["content-disposition"].to_str().unwrap().to_owned();
    let lines = |page: &Page| page.text.lines().count() - 1;
    let whole = browser.get("/w/demo/audit/export").await;
    assert_eq!((name(&whole).as_str(), lines(&whole)), ("attachment; filename=\"audit-demo.csv\"", 3));
    let note = "The file has the newest 5,000.";
    browser.get("/w/demo/audit").await.hides(note);
    control
        .sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO audit_log (at, workspace_seq, actor_kind, actor, via, action, target, details)
             SELECT at, workspace_seq, actor_kind, actor, via, 'session.signed_out', target, details
             FROM audit_log JOIN n ON TRUE WHERE action = 'session.signed_in'",
        )
        .await;
    for query in ["", "?action=session.signed_out"] {
        let cut = browser.get(&format!("/w/demo/audit/export{query}")).await;
        let newest = "attachment; filename=\"audit-demo-newest-5000.csv\"";
        assert_eq!((name(&cut).as_str(), lines(&cut)), (newest, 5_000), "{query}");
        for page in [1, 200] {
            let sign = if query.is_empty() { '?' } else { '&' };
            browser.get(&format!("/w/demo/audit{query}{sign}page={page}")).await.shows(note);
        }
    }
    // The one sign-in is older than what is looked at, on the page and for the file.
    assert_eq!(lines(&browser.get("/w/demo/audit/export?action=session.signed_in").await), 0);
    browser.get("/w/demo/audit?action=session.signed_in").await.shows("were looked at, for the file, too");
}
