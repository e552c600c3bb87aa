//! Plans in the pages: for operators only; made, changed and removed by forms; who is on which; and the choice of one for a key and for a workspace.

use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Browser, Form as _, Page};
use crate::common::Control;

const LIST: &str = "/operators/plans";
const NEW: &str = "/operators/new-plan";
const GOLD: &str = "/operators/plans/gold";
const EDIT: &str = "/operators/plans/gold/edit";
const DELETE: &str = "/operators/plans/gold/delete";
const SETTINGS: &str = "/w/demo/settings";
/// The form of a plan of keys with one limit.
const FIELDS: [(&str, &str); 6] = [
    ("name", "gold"),
    ("scope", "key"),
    ("requests", "1000"),
    ("window_seconds", "60"),
    ("access", "some"),
    ("methods", "GET"),
];

/// With an operator, who is a member of `demo` as well.
async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let operator = Browser::of(&control, "ada@example.com", "member").await;
    control.patch("/v1/users/ada@example.com", json!({"operator": true})).await.expect(200);
    (control, operator)
}

async fn plan(control: &Control, name: &str) -> Value {
    control.get(&format!("/v1/plans/{name}")).await.expect(200)
}

/// Makes `gold` by the form.
async fn make(operator: &Browser) -> Page {
    let made = operator.submit(NEW, LIST, &FIELDS).await;
    operator.follow(&made).await
}

fn key_on(plan: &str) -> Value {
    json!({"workspace": "demo", "name": "Checkout", "environment": "live", "plan": plan})
}

/// All fields of the form that a page shows, as a browser would send them.
fn sent(page: &Page) -> Vec<(String, String)> {
    let form = page.text.split_once("<form class=\"card stack\"").expect("a form").1;
    let form = form.split_once("</form>").unwrap().0;
    let value = |tag: &str, name: &str| {
        let rest = tag.split_once(&format!("{name}=\""))?.1;
        Some(rest.split('"').next().unwrap().to_owned())
    };
    let mut fields = Vec::new();
    for part in form.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        if tag.starts_with("input") && (!tag.contains("radio") || tag.contains("checked")) {
            fields.extend(value(tag, "name").map(|name| (name, value(tag, " value").unwrap_or_default())));
        } else if tag.starts_with("textarea") {
            fields.extend(value(tag, "name").map(|name| (name, text.trim().to_owned())));
        } else if tag.starts_with("select") {
            fields.extend(value(tag, " name").map(|name| (name, String::new())));
        } else if tag.starts_with("option") {
            let chosen = fields.last_mut().expect("a select");
            if chosen.1.is_empty() || tag.contains("selected") {
                chosen.1 = value(tag, " value").unwrap();
            }
        }
    }
    fields
}

/// The same with some of them filled in.
fn filled(page: &Page, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut fields = sent(page);
    for (name, value) in more {
        fields.retain(|(there, _)| there != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields
}

async fn post(browser: &Browser, path: &str, fields: &[(String, String)]) -> Page {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(path, &fields).await
}

/// The fields that a page asks to be sent once more.
fn hidden(page: &Page) -> Vec<(String, String)> {
    let inputs = page.text.split("<input type=\"hidden\" name=\"").skip(1);
    inputs
        .map(|rest| {
            let (name, rest) = rest.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split('"').next().unwrap().to_owned())
        })
        .filter(|(name, _)| name != "csrf")
        .collect()
}

/// Fills in the form, looks at what it would do, and says yes.
async fn change(operator: &Browser, more: &[(&str, &str)]) -> Page {
    let asked = post(operator, EDIT, &filled(&operator.get(EDIT).await, more)).await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    confirm(operator, &asked).await
}

async fn confirm(operator: &Browser, asked: &Page) -> Page {
    let mut fields = hidden(asked);
    fields.push(("csrf".to_owned(), asked.value("csrf")));
    fields.push(("confirmed".to_owned(), "on".to_owned()));
    post(operator, EDIT, &fields).await
}

#[tokio::test]
async fn a_plan_is_made_by_a_form_and_its_page_shows_who_is_on_it() {
    let (control, operator) = start().await;
    operator.get(LIST).await.shows("No plan yet");
    let page = make(&operator).await;
    for text in
        ["Saved.", "1,000 per minute", "<dt>Read only</dt><dd class=\"wrap\">GET", "0 keys on this plan"]
    {
        page.shows(text);
    }
    let there = plan(&control, "gold").await;
    assert_eq!(
        (&there["limits"][0]["name"], &there["restrict"]),
        (&json!("default"), &json!({"methods": ["GET"]}))
    );
    let on_it = control.post("/v1/api-keys", key_on("gold")).await.expect(201);
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let mut other = key_on("gold");
    (other["workspace"], other["name"]) = (json!("rival"), json!("Elsewhere"));
    control.post("/v1/api-keys", other).await.expect(201);
    let revoked = control.post("/v1/api-keys", key_on("gold")).await.expect(201);
    control.revoke(revoked["id"].as_str().unwrap(), "0").await;
    let page = operator.get(GOLD).await;
    page.shows("2 keys on this plan");
    page.shows(&format!("/w/demo/settings/api-keys/{}", on_it["id"].as_str().unwrap()));
    page.shows("<bdi>Elsewhere</bdi>");
    page.hides("/w/rival/");
    page.hides(revoked["id"].as_str().unwrap());
    operator.get(LIST).await.shows("2 keys");
    assert_eq!(operator.get("/operators/plans/none").await.status, 404);
}

#[tokio::test]
async fn an_edit_says_whom_it_touches_before_it_is_made() {
    let (control, operator) = start().await;
    make(&operator).await;
    for _ in 0..3 {
        control.post("/v1/api-keys", key_on("gold")).await.expect(201);
    }
    let revision = control.revision();
    let more = [
        ("requests", "5"),
        ("window_seconds", "1"),
        ("requests_2", "70"),
        ("window_seconds_2", "86400"),
        ("methods", "GET, PUT"),
    ];
    let asked = post(&operator, EDIT, &filled(&operator.get(EDIT).await, &more)).await;
    assert_eq!((asked.status, control.revision()), (200, revision), "nothing is done before it is confirmed");
    asked.shows("Change “gold” for 3 keys?");
    asked.shows("1,000 per minute, 1,000 at once</dd>");
    asked.shows("5 per second, 5 at once; 70 per day, 70 at once</dd>");
    asked.shows("GET, PUT</dd>");
    // Back to the form, as it was filled in.
    let mut fields = hidden(&asked);
    fields.extend([("csrf".to_owned(), asked.value("csrf")), ("back".to_owned(), "on".to_owned())]);
    let again = post(&operator, EDIT, &fields).await;
    again.shows(
        "name=\"requests_2\" type=\"number\" inputmode=\"numeric\" min=\"1\" max=\"1000000\" value=\"70\"",
    );
    let done = confirm(&operator, &asked).await;
    operator.follow(&done).await.shows("Saved.");
    assert_eq!(control.revision(), revision + 1, "one revision");
    let there = plan(&control, "gold").await;
    let names: Vec<_> =
        there["limits"].as_array().unwrap().iter().map(|limit| limit["name"].clone()).collect();
    assert_eq!(names, ["default", "limit-2"]);
    // Twice is once.
    let twice = confirm(&operator, &asked).await;
    assert_eq!((twice.status, twice.location()), (303, GOLD));
    assert_eq!(control.revision(), revision + 1);
    let told = control.get("/v1/audit?action=plan.updated").await.expect(200);
    assert_eq!((told.as_array().unwrap().len(), &told[0]["actor"]["name"]), (1, &json!("ada@example.com")));
    // The first limit is taken away, the second is the one that it was; and everything is open.
    change(&operator, &[("requests", ""), ("burst", ""), ("access", "all")]).await;
    let there = plan(&control, "gold").await;
    assert_eq!(
        (&there["limits"][0]["name"], &there["limits"][0]["requests"]),
        (&json!("limit-2"), &json!(70))
    );
    assert_eq!((there["limits"].as_array().unwrap().len(), &there["restrict"]), (1, &json!(null)));
}

#[tokio::test]
async fn a_form_that_was_overtaken_changes_nothing() {
    let (control, operator) = start().await;
    make(&operator).await;
    control.post("/v1/api-keys", key_on("gold")).await.expect(201);
    let form = operator.get(EDIT).await;
    let asked = post(&operator, EDIT, &filled(&form, &[("requests", "5")])).await;
    let by_another = json!({"limits": [{"requests": 9, "window_seconds": 1}]});
    control.patch("/v1/plans/gold", by_another).await.expect(200);
    for page in
        [post(&operator, EDIT, &filled(&form, &[("requests", "5")])).await, confirm(&operator, &asked).await]
    {
        assert_eq!(page.status, 409);
        page.shows("Somebody has changed this plan since you opened the form");
        page.shows("value=\"5\"");
        assert_eq!(plan(&control, "gold").await["limits"][0]["requests"], 9);
    }
    // Sent once more, it is for the plan as it is.
    let seen = post(&operator, EDIT, &filled(&form, &[("requests", "5")])).await;
    let asked = post(&operator, EDIT, &sent(&seen)).await;
    asked.shows("9 per second");
    assert_eq!(confirm(&operator, &asked).await.status, 303);
    assert_eq!(plan(&control, "gold").await["limits"][0]["requests"], 5);
}

#[tokio::test]
async fn what_is_wrong_is_told_at_its_field() {
    let (control, operator) = start().await;
    let more =
        [("name", "a b"), ("requests", "0"), ("requests_3", "5"), ("burst_3", "many"), ("methods", "get")];
    let page = post(&operator, LIST, &filled(&operator.get(NEW).await, &more)).await;
    assert_eq!(page.status, 422);
    page.shows("<title>Error: New plan");
    for (field, words) in [
        ("name", "Use 1 to 64 letters"),
        ("requests", "Enter a number from 1 to 1,000,000."),
        // The third is the second that is filled in, and the form has them in order.
        ("burst_2", "Enter a number from 1 to 1,000,000."),
    ] {
        page.shows(&format!("<a href=\"#{field}\">"));
        page.shows(&format!("id=\"{field}-problem\">{words}"));
    }
    page.shows("<details open>");
    make(&operator).await;
    // The same form again is the same plan, another one of this name is a mistake.
    let again = operator.submit(NEW, LIST, &FIELDS).await;
    assert_eq!((again.status, again.location()), (303, GOLD));
    let other = [&FIELDS[..2], &[("requests", "7"), ("window_seconds", "60")]].concat();
    let taken = operator.submit(NEW, LIST, &other).await;
    assert_eq!(taken.status, 422);
    taken.shows("id=\"name-problem\">The name is taken.");
    let page =
        post(&operator, EDIT, &filled(&operator.get(EDIT).await, &[("access", "some"), ("methods", "")]))
            .await;
    page.shows("id=\"methods-problem\"");
    assert_eq!(control.get("/v1/plans").await.expect(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_plan_that_nobody_has_is_deleted() {
    let (control, operator) = start().await;
    make(&operator).await;
    let key = control.post("/v1/api-keys", key_on("gold")).await.expect(201);
    operator.get(DELETE).await.shows("It cannot be deleted while somebody has it: 1 key.");
    let form = operator.get(EDIT).await;
    let csrf = [("csrf".to_owned(), form.value("csrf"))];
    assert_eq!(post(&operator, DELETE, &csrf).await.status, 409);
    control.revoke(key["id"].as_str().unwrap(), "0").await;
    let deleted = operator.submit(DELETE, DELETE, &[]).await;
    operator.follow(&deleted).await.shows("The plan is deleted.");
    assert_eq!(post(&operator, DELETE, &csrf).await.status, 303, "twice is once");
    assert_eq!(control.get("/v1/plans/gold").await.status, 404);
}

#[tokio::test]
async fn what_a_person_may_not_is_refused_and_forms_of_elsewhere_are() {
    let (control, operator) = start().await;
    make(&operator).await;
    let owner = Browser::of(&control, "bob@example.com", "owner").await;
    let csrf = owner.get("/account").await.value("csrf");
    for path in [LIST, NEW, GOLD, EDIT, DELETE] {
        assert_eq!(owner.get(path).await.status, 403, "{path}");
    }
    for path in [LIST, EDIT, DELETE, "/w/demo/settings/plan"] {
        assert_eq!(owner.post(path, &[("csrf", &csrf), ("plan", "gold")]).await.status, 403, "{path}");
        let stale = operator.post(path, &[("csrf", "another session's")]).await;
        assert_eq!(stale.status, 403, "{path}");
        let foreign = operator.request(Method::POST, path).header("sec-fetch-site", "cross-site").form(&[]);
        assert_eq!(operator.send(foreign).await.status, 403, "{path}");
    }
    assert_eq!(plan(&control, "gold").await["limits"][0]["requests"], 1000);
}

#[tokio::test]
async fn an_operator_chooses_a_keys_plan_where_it_is_made_and_edited() {
    let (control, operator) = start().await;
    make(&operator).await;
    let owner = Browser::of(&control, "bob@example.com", "owner").await;
    let (new, keys) = ("/w/demo/settings/api-keys/new", "/w/demo/settings/api-keys");
    owner.get(new).await.hides("id=\"plan\"");
    operator.get(new).await.shows("<option value=\"gold\">gold: 1,000/min, restricted</option>");
    let fields = [("name", "Checkout"), ("environment", "live"), ("expiry", "never"), ("plan", "gold")];
    operator.submit(new, keys, &fields).await.key();
    owner.submit(new, keys, &fields).await.key();
    let all = control.get("/v1/api-keys").await.expect(200);
    assert_eq!((&all[1]["plan"], &all[0]["plan"]), (&json!("gold"), &json!(null)), "not an owner's to give");
    let id = all[1]["id"].as_str().unwrap().to_owned();
    let (page, edit) = (format!("{keys}/{id}"), format!("{keys}/{id}/edit"));
    // What it may do is its plan's, for everybody in the workspace.
    for browser in [&owner, &operator] {
        let page = browser.get(&page).await;
        page.shows("That of its plan");
        page.shows("1,000 per minute, 1,000 at once<br>Read only: GET");
    }
    owner.get(&page).await.hides("/operators/plans");
    owner.get(keys).await.shows("Plan gold");
    let shown = async || control.get(&format!("/v1/api-keys/{id}")).await.expect(200)["plan"].clone();
    owner.get(&edit).await.hides("id=\"plan\"");
    assert_eq!(owner.submit(&edit, &edit, &[("name", "B"), ("plan", "")]).await.status, 303);
    assert_eq!(shown().await, "gold");
    operator.get(&edit).await.shows("<option value=\"gold\" selected>");
    let refused = operator.submit(&edit, &edit, &[("name", "B"), ("plan", "none")]).await;
    assert_eq!(refused.status, 422);
    refused.shows("id=\"plan-problem\">No such plan.");
    let none = operator.submit(&edit, &edit, &[("name", "B"), ("plan", "")]).await;
    operator.follow(&none).await.hides("<dt>Plan");
    assert_eq!(shown().await, json!(null));
}

#[tokio::test]
async fn an_operator_chooses_a_workspaces_plan_in_its_settings() {
    let (control, operator) = start().await;
    let fields = [("name", "house"), ("scope", "workspace"), ("requests", "9"), ("window_seconds", "1")];
    assert_eq!(operator.submit(NEW, LIST, &fields).await.status, 303);
    make(&operator).await;
    let owner = Browser::of(&control, "bob@example.com", "owner").await;
    owner.get(SETTINGS).await.hides("id=\"plan\"");
    let page = operator.get(SETTINGS).await;
    page.shows("<option value=\"house\">");
    page.hides("<option value=\"gold\">");
    let action = "/w/demo/settings/plan";
    let given = operator.submit(SETTINGS, action, &[("plan", "house")]).await;
    operator.follow(&given).await.shows("<option value=\"house\" selected>");
    owner.get(SETTINGS).await.shows("<dt>Plan</dt><dd class=\"wrap\">house<br>9 per second");
    let page = operator.get("/operators/plans/house").await;
    page.shows("1 workspace on this plan");
    page.shows("<a href=\"/w/demo/settings\">");
    let wrong = operator.submit(SETTINGS, action, &[("plan", "gold")]).await;
    assert_eq!(wrong.status, 422);
    wrong.shows("id=\"plan-problem\">Is a plan of a key");
    operator.submit(SETTINGS, action, &[("plan", "")]).await;
    assert_eq!(control.get("/v1/workspaces/demo").await.expect(200)["plan"], json!(null));
}

#[tokio::test]
async fn keys_on_a_plan_come_in_pages_and_an_empty_one_leads_to_the_last() {
    let (control, operator) = start().await;
    make(&operator).await;
    let keys: Vec<_> = (0..120)
        .map(|number| {
            json!({"hash": format!("{number:064x}"), "workspace": "demo", "name": format!("Device {number:03}"),
                "environment": "live", "plan": "gold"})
        })
        .collect();
    control.post("/v1/api-keys/import-batch", json!({"keys": keys})).await.expect(200);
    let first = operator.get(GOLD).await;
    first.shows("120 keys on this plan");
    first.shows("1–50 of 120");
    first.shows("Device 119");
    first.hides("Device 069");
    let last = operator.get(&format!("{GOLD}?page=3")).await;
    last.shows("Device 000");
    let beyond = operator.get(&format!("{GOLD}?page=99")).await;
    assert_eq!((beyond.status, beyond.location()), (303, "/operators/plans/gold?page=3"));
}

#[tokio::test]
async fn a_form_whose_session_has_ended_comes_back_and_allows_no_more_than_was_filled_in() {
    let (_control, operator) = start().await;
    operator.set_cookie("AAAAAAAAAAAAAAAAAAAAAA");
    let more = [("requests_2", "70"), ("window_seconds_2", "86400"), ("paths", "/v1/agents")];
    let sent = operator.post(LIST, &[&FIELDS[..], &more].concat()).await;
    let place = sent.location();
    assert!(place.starts_with("/sign-in?next=/operators/new-plan%3F"), "{place}");
    for part in ["requests%3D1000", "requests_2%3D70", "access%3Dsome", "methods%3DGET", "paths%3D"] {
        assert!(place.contains(part), "{part} in {place}");
    }
    let long = "/v1/agents/x ".repeat(400);
    let sent = operator.post(LIST, &[&FIELDS[..], &[("paths", &long)]].concat()).await;
    assert!(!sent.location().contains("access"), "all of it or none: {}", sent.location());
}
