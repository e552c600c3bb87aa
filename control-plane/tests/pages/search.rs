//! The search of the key list: what means the same is found, what people type keeps its other half, and a key that somebody
//! pastes finds its own row and stays nowhere.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::browser::{Browser, PASSWORD, Page, add_user};
use crate::common::{self, Control};

const KEYS: &str = "/w/demo/settings/api-keys";
const SEARCH: &str = "/w/demo/settings/api-keys/search";

async fn start() -> (Control, Browser) {
    let control = Control::with_workspace().await;
    let browser = Browser::of(&control, "ada@example.com", "viewer").await;
    (control, browser)
}

async fn make(control: &Control, name: &str) -> serde_json::Value {
    let body = json!({"workspace": "demo", "name": name, "environment": "live"});
    control.post("/v1/api-keys", body).await.expect(201)
}

/// Searches by the form, as a person does, and returns where that leads and what is there.
async fn search(browser: &Browser, fields: &[(&str, &str)]) -> (String, Page) {
    let page = browser.submit(KEYS, SEARCH, fields).await;
    assert_eq!(page.status, 303, "{}", page.text);
    let place = page.location().to_owned();
    let found = browser.get(&place).await;
    assert_eq!(found.status, 200, "{place}");
    (place, found)
}

#[tokio::test]
async fn what_means_the_same_is_found() {
    let (control, browser) = start().await;
    for (name, asked) in [
        ("Ärger", &["ärger", "ÄRGER", "A\u{308}rger", "a\u{308}RGER"][..]),
        ("Cafe\u{301} Nord", &["café", "CAFÉ", "cafe\u{301}"]),
        ("Große Straße", &["grosse strasse", "GROSSE STRASSE", "große"]),
        ("ΟΔΟΣ Αθήνα", &["οδος", "οδοσ", "ΑΘΉΝΑ"]),
        ("Дом 7", &["дом"]),
        ("ｆｕｌｌ ｗｉｄｔｈ", &["full width", "FULL"]),
        ("ﬁnance", &["finance", "FI"]),
        ("100% _under\\ 'quoted'", &["100%", "_UNDER\\", "'quoted'"]),
    ] {
        make(&control, name).await;
        for text in asked {
            let (_, page) = search(&browser, &[("q", text)]).await;
            // Names are kept composed.
            page.shows(&name.replace('\'', "&#39;").replace("e\u{301}", "é"));
        }
    }
    // And what does not is not.
    for text in ["argerx", "_nder", "10_%"] {
        search(&browser, &[("q", text)]).await.1.shows("No key matches");
    }
}

#[tokio::test]
async fn a_name_from_before_and_another_name_are_found_too() {
    let (control, browser) = start().await;
    let id = make(&control, "Ärger").await["id"].as_str().unwrap().to_owned();
    control.patch(&format!("/v1/api-keys/{id}"), json!({"name": "Öde"})).await.expect(200);
    search(&browser, &[("q", "ÖDE")]).await.1.shows("Öde");
    search(&browser, &[("q", "ärger")]).await.1.shows("No key matches");
    let import = json!({"keys": [{"hash": "0".repeat(64), "workspace": "demo", "name": "Übernahme", "environment": "live"}]});
    control.post("/v1/api-keys/import-batch", import).await.expect(200);
    search(&browser, &[("q", "übernahme")]).await.1.shows("Übernahme");
    // As the migration leaves them.
    control.sql("UPDATE api_keys SET folded = NULL").await;
    search(&browser, &[("q", "öde")]).await.1.shows("No key matches");
    let control = control.restart(|_| {}).await;
    let browser = browser.at(&control);
    for (text, name) in [("öDE", "Öde"), ("ÜBERNAHME", "Übernahme")] {
        search(&browser, &[("q", text)]).await.1.shows(name);
    }
}

#[tokio::test]
async fn a_search_keeps_its_other_half() {
    let (control, browser) = start().await;
    let odd = "a&b#c%d+e=f?g/h\"i'j<k>\\ ;:@,";
    for number in 0..51 {
        make(&control, &format!("{odd} {number:02}")).await;
    }
    let (place, first) = search(&browser, &[("q", odd), ("environment", "live"), ("status", "all")]).await;
    first.shows(&format!("name=\"q\" type=\"search\" value=\"{}\"", escaped(odd)));
    // What the link to the next page says is read as it was written.
    let next = first.text.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let next = next.replace("&#38;", "&");
    let url = reqwest::Url::parse("http://h/").unwrap().join(&next).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        pairs,
        [pair("q", odd), pair("environment", "live"), pair("status", "all"), pair("page", "2")],
        "{place}"
    );
    let second = browser.get(&format!("{KEYS}{next}")).await;
    second.shows(&format!("{} 00", escaped(odd)));
    second.shows(&format!("value=\"{}\"", escaped(odd)));
}

/// As templates write it.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| if "&<>\"'".contains(c) { format!("&#{};", u32::from(c)) } else { c.to_string() })
        .collect()
}

#[tokio::test]
async fn a_pasted_key_finds_its_own_row_and_stays_nowhere() {
    let (control, browser) = start().await;
    let (wanted, _) = (make(&control, "Wanted").await, make(&control, "Other").await);
    let (id, key) = (wanted["id"].as_str().unwrap(), wanted["key"].as_str().unwrap());
    control.revoke(id, "0").await;
    let secret = &key["sk_live_".len()..];
    for text in [
        key.to_owned(),
        format!("Bearer {key}"),
        format!("Authorization: Bearer {key}\r\n"),
        format!("\"{key}\","),
        format!("export FLAMETALK_API_KEY='{key}'"),
        format!("curl https://api.example.com -H \"Authorization: Bearer {key}\""),
        format!("https://api.example.com/?key={key}&x=1"),
    ] {
        // In the form of the page, and in an address as an old bookmark or an old page has it.
        let url = reqwest::Url::parse_with_params("http://h/", [("q", text.as_str())]).unwrap();
        let (place, found) = search(&browser, &[("q", &text), ("status", "active")]).await;
        let by_address = browser.get(&format!("{KEYS}?{}", url.query().unwrap())).await;
        assert_eq!((by_address.status, by_address.location()), (303, place.as_str()), "{text}");
        assert!(!place.contains(&secret[..8]) && place.contains(id), "{place}");
        found.shows("Wanted");
        found.hides("Other");
        found.hides(&secret[..secret.len() - 4]);
    }
    let page = browser.get(KEYS).await;
    page.hides(secret);
    let audit = control.get("/v1/audit").await;
    assert!(!audit.body.to_string().contains(secret));
}

#[tokio::test]
async fn a_key_of_nobody_or_of_another_workspace_is_not_found_and_not_kept() {
    let (control, browser) = start().await;
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let body = json!({"workspace": "rival", "name": "Theirs", "environment": "live"});
    let theirs = control.post("/v1/api-keys", body).await.expect(201);
    let theirs = theirs["key"].as_str().unwrap();
    let half = &theirs[..30];
    for text in [theirs, half, "sk_test_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let (place, page) = search(&browser, &[("q", text)]).await;
        assert!(!place.contains(&text[8..]), "{place}");
        page.shows("is not one of this workspace");
        page.hides("Theirs");
        page.hides(&text[8..]);
    }
    // A hint, and a word that only begins like a key, are no secret.
    let hint = make(&control, "Mine").await["key_hint"].as_str().unwrap().to_owned();
    search(&browser, &[("q", &hint)]).await.1.shows("Mine");
    search(&browser, &[("q", "sk_live_")]).await.1.shows("Mine");
}

#[tokio::test]
async fn a_key_in_the_field_for_the_name_is_refused_and_not_shown() {
    let (control, browser) = start().await;
    add_user(&control, "bob@example.com", "demo", "owner").await;
    browser.sign_in("bob@example.com", PASSWORD).await;
    let made = make(&control, "Mine").await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let new = format!("{KEYS}/new");
    let page = browser.submit(&new, KEYS, &[("name", key), ("environment", "live")]).await;
    assert_eq!(page.status, 422);
    page.shows("It holds an API key");
    page.hides(&key[8..]);
    let rename = format!("{KEYS}/{id}/edit");
    let page = browser.submit(&rename, &rename, &[("name", &format!("Bearer {key}"))]).await;
    assert_eq!(page.status, 422);
    page.hides(&key[8..]);
    browser.get(&format!("{new}?name={key}")).await.hides(&key[8..]);
    let body = json!({"workspace": "demo", "name": key, "environment": "live"});
    assert_eq!(control.post("/v1/api-keys", body).await.problems().len(), 1);
}

#[tokio::test]
async fn a_search_asks_for_a_session_and_its_token_and_is_bounded() {
    let (control, browser) = start().await;
    assert_eq!(Browser::new(&control).post(SEARCH, &[("q", "x")]).await.status, 303);
    assert_eq!(browser.post(SEARCH, &[("q", "x")]).await.status, 403);
    make(&control, "Mine").await;
    let long = "ä".repeat(1_200);
    let (place, page) = search(&browser, &[("q", &long)]).await;
    assert!(place.len() < 4_000, "{}", place.len());
    page.shows("No key matches");
}

#[tokio::test]
async fn a_key_in_a_form_that_comes_too_soon_is_not_shown_again() {
    let (control, _) = start().await;
    let browser = Browser::of(&control, "bob@example.com", "owner").await;
    let key = make(&control, "Mine").await["key"].as_str().unwrap().to_owned();
    let form = browser.get(&format!("{KEYS}/new")).await;
    let name = format!("Bearer {key}");
    let typed = [("name", name.as_str()), ("environment", "live"), ("expiry", "90")];
    let mut page = browser.submit_from(&form, KEYS, &typed).await;
    for _ in 0..1_000 {
        if page.status == 429 {
            break;
        }
        assert_eq!(page.status, 422);
        page = browser.submit_from(&form, KEYS, &typed).await;
    }
    page.shows("Too many changes at once");
    page.shows("name=\"expiry\" value=\"90\"");
    page.hides(&key[8..]);
}

/// A key from elsewhere, shorter than ours.
const LEGACY: &str = "sk_live_legacy-4711";

async fn import(control: &Control, workspace: &str, key: &str, name: &str) -> common::Answer {
    let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    let body = json!({"hash": hash, "workspace": workspace, "name": name, "environment": "live"});
    control.post("/v1/api-keys/import", body).await
}

#[tokio::test]
async fn a_short_key_from_elsewhere_is_a_key_when_it_is_pasted() {
    let (control, browser) = start().await;
    control.post("/v1/workspaces", json!({"name": "Rival"})).await.expect(201);
    let id = import(&control, "demo", LEGACY, "Legacy").await.expect(201)["id"].as_str().unwrap().to_owned();
    import(&control, "rival", "sk_test_app", "Theirs").await;
    for text in [
        LEGACY.to_owned(),
        format!("Bearer {LEGACY}"),
        format!("KEY='{LEGACY}'; export KEY"),
        format!("https://api.example.com/?key={LEGACY}&x=1"),
    ] {
        let url = reqwest::Url::parse_with_params("http://h/", [("q", text.as_str())]).unwrap();
        let (place, found) = search(&browser, &[("q", &text)]).await;
        let by_address = browser.get(&format!("{KEYS}?{}", url.query().unwrap())).await;
        assert_eq!((by_address.status, by_address.location()), (303, place.as_str()), "{text}");
        assert!(place.contains(&id) && !place.contains("legacy"), "{place}");
        found.shows("Legacy");
        found.hides(LEGACY);
    }
    // One of another workspace is a key, too, and one that nobody has is text.
    let (place, page) = search(&browser, &[("q", "sk_test_app")]).await;
    assert!(!place.contains("sk_test_app"), "{place}");
    page.shows("is not one of this workspace");
    make(&control, "for sk_live_legacy-4712").await;
    search(&browser, &[("q", "sk_live_legacy-4712")]).await.1.shows("for sk_live_legacy-4712");
}

#[tokio::test]
async fn a_short_key_from_elsewhere_gets_into_no_name() {
    let (control, _) = start().await;
    let browser = Browser::of(&control, "bob@example.com", "owner").await;
    let name = format!("leak {LEGACY}.");
    import(&control, "demo", LEGACY, &name).await.refused(422, "VALIDATION_FAILED");
    let batch = |name: &str| {
        let hash: String = Sha256::digest(LEGACY).iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"keys": [
            {"hash": hash, "workspace": "demo", "name": "Legacy", "environment": "live"},
            {"hash": "0".repeat(64), "workspace": "demo", "name": name, "environment": "live"},
        ]})
    };
    control.post("/v1/api-keys/import-batch", batch(&name)).await.refused(422, "VALIDATION_FAILED");
    import(&control, "demo", LEGACY, "Legacy").await.expect(201);
    control.post("/v1/api-keys/import-batch", batch(&name)).await.refused(422, "VALIDATION_FAILED");
    let made = json!({"workspace": "demo", "name": name, "environment": "live"});
    control.post("/v1/api-keys", made).await.refused(422, "VALIDATION_FAILED");
    let id = make(&control, "Mine").await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/api-keys/{id}");
    control.patch(&path, json!({"name": name})).await.refused(422, "VALIDATION_FAILED");
    let rename = format!("{KEYS}/{id}/edit");
    for (form, action) in [(format!("{KEYS}/new"), KEYS), (rename.clone(), &rename)] {
        let page = browser.submit(&form, action, &[("name", &name), ("environment", "live")]).await;
        assert_eq!(page.status, 422);
        page.shows("It holds an API key");
        page.hides(LEGACY);
    }
    for shown in [control.get("/v1/api-keys").await, control.get("/v1/audit").await] {
        assert!(!shown.body.to_string().contains(LEGACY));
    }
}
