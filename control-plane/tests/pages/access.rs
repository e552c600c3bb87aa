//! `docs/ACCESS.md`: who may do what. Every operation of the API and every page is asked for by everybody, and the tables there are what
//! comes of it. `UPDATE_ACCESS=1` writes them anew, for whoever has changed that on purpose.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use flamegate_control::config::oidc::OidcConfig;
use flamegate_control::domain::oidc::Rules;
use flamegate_control::domain::users::password::Password;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::browser::{Browser, PASSWORD, Page, add_user};
use crate::common::{ADMIN, Control, SYNC};

const YES: &str = "yes";
const NO: &str = "–";
const METRICS: &str = "metrics-token-for-tests";

/// Who sends a token, as the table's columns.
const BEARERS: [&str; 9] = [
    "token of the environment",
    "token for everything",
    "owner token",
    "member token",
    "viewer token",
    "gateway credential",
    "metrics token",
    "API key",
    "stranger",
];

/// Who is signed in, as the table's columns.
const PEOPLE: [&str; 6] = ["operator", "owner", "member", "viewer", "of another workspace", "stranger"];

type Rows = BTreeMap<String, Vec<&'static str>>;

/// Makes what answers quickly to many wrong tokens, with somebody of each kind.
async fn start() -> Control {
    let control = Control::tuned(|config| {
        // One that nobody reaches: who may come so far is asked here.
        config.oidc = Some(OidcConfig {
            issuer: "http://127.0.0.1:1".to_owned(),
            client_id: "flamegate".to_owned(),
            client_secret: Password::new("a secret".to_owned()),
            name: "id".to_owned(),
            scopes: Vec::new(),
            rules: Rules::default(),
            redirect_uri: "http://127.0.0.1:1/sign-in/oidc/back".to_owned(),
        });
        config.guess_pause = Duration::ZERO;
        config.person_limit = None;
        config.receipt_wait = Duration::ZERO;
        config.metrics_tokens = flamegate_control::domain::tokens::Tokens::new([METRICS]);
    });
    let control = control.await;
    for name in ["Demo", "Rival"] {
        control.post("/v1/workspaces", json!({"name": name})).await.expect(201);
    }
    control
}

/// What stands for the parameters of a path: of the workspace `demo`, and new each time, so that nothing is in the way.
async fn filled(control: &Control, path: &str) -> String {
    let mut path = path.replace("{workspace}", "demo");
    if path.contains("/operators/tokens/{name}") {
        let name = format!("t{}.x", control.rows("operator_tokens").await);
        control.post("/v1/tokens", json!({"name": name})).await.expect(201);
        path = path.replace("{name}", &name);
    }
    if path.contains("/operators/plans/{name}") {
        // Some of them are removed, so their number is no name.
        let name = format!("p{}", control.rows("audit_log").await);
        control.post("/v1/plans", json!({"name": name})).await.expect(201);
        path = path.replace("{name}", &name);
    }
    if path.contains("/members/{id}") {
        let email = format!("m{}@example.com", control.rows("users").await);
        path = path.replace("{id}", &add_user(control, &email, "demo", "viewer").await);
    } else if path.contains("{id}") {
        path = path.replace("{id}", &control.create_key_id().await);
    }
    if path.contains("{secret}") {
        let email = format!("i{}@example.com", control.rows("invitations").await);
        let by = control.server.app.users.find("owner@example.com").await.unwrap().as_actor(None);
        let invited = control.server.app.users.invite(1, &email, "viewer", by).await.unwrap();
        path = path.replace("{secret}", &invited.secret);
    }
    assert!(!path.contains('{'), "{path}: say what stands for it");
    path
}

/// Every operation of the document by everybody.
async fn api(control: &Control) -> Rows {
    let mut tokens = vec![Some(ADMIN.to_owned())];
    for (name, role) in [("all", None), ("o", Some("owner")), ("m", Some("member")), ("v", Some("viewer"))] {
        let mut body = json!({"name": name});
        if let Some(role) = role {
            (body["workspace"], body["role"]) = (json!("demo"), json!(role));
        }
        let made = control.post("/v1/tokens", body).await.expect(201);
        tokens.push(Some(made["token"].as_str().unwrap().to_owned()));
    }
    let key = control.create_key().await["key"].as_str().unwrap().to_owned();
    tokens.extend([Some(SYNC.to_owned()), Some(METRICS.to_owned()), Some(key), None]);
    let document = control.get("/openapi.json").await.body;
    let mut rows = Rows::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let mut cells = Vec::new();
            for token in &tokens {
                // Nothing has this name, so nothing is in the way of the next one; who may ask is told first.
                let url = control.url(&path.replace(['{', '}'], ""));
                let mut request = control.http.request(method.clone(), url);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let status = request.send().await.unwrap().status().as_u16();
                cells.push(if matches!(status, 401 | 403) { NO } else { YES });
            }
            rows.insert(format!("{path} {method}"), cells);
        }
    }
    rows
}

/// Every route of the pages, as the program has them.
fn routes() -> Vec<(Method, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/pages.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let (inside, outside) =
        source.split_once("let mut same_origin").expect("the routes of a workspace come first");
    let mut found = Vec::new();
    for (part, prefix) in [(inside, "/w/{workspace}"), (outside, "")] {
        for route in part.split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            // Below a nested router the first page has no slash of its own; and what is for all that is not there is no page.
            let path = if path == "/" && !prefix.is_empty() { "" } else { path };
            if path.contains("{*") {
                continue;
            }
            let handlers = route.split_once('"').unwrap().1.split_once('"').unwrap().1;
            let handlers = handlers.split("\n        .").next().unwrap();
            for (word, method) in [("get(", Method::GET), ("post(", Method::POST)] {
                if handlers.contains(word) {
                    found.push((method, format!("{prefix}{path}")));
                }
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Somebody with a browser.
struct Person {
    browser: Browser,
    email: Option<&'static str>,
}

impl Person {
    /// Signed in, if they can be.
    async fn sign_in(&self) -> String {
        let Some(email) = self.email else { return String::new() };
        let mut page = self.browser.get("/account").await;
        if page.status != 200 {
            assert_eq!(self.browser.sign_in(email, PASSWORD).await.status, 303);
            page = self.browser.get("/account").await;
        }
        page.value("csrf")
    }

    /// Sends the request, as a page of theirs would.
    async fn ask(&self, method: &Method, path: &str) -> &'static str {
        use crate::browser::Form as _;
        let csrf = self.sign_in().await;
        let request: RequestBuilder = self.browser.request(method.clone(), path);
        let request = if *method == Method::POST {
            request.header("sec-fetch-site", "same-origin").form(&[("csrf", &csrf)])
        } else {
            request
        };
        if is_refused(&self.browser.send(request).await) { NO } else { YES }
    }
}

/// Not for them, or there is nothing for them.
fn is_refused(page: &Page) -> bool {
    let leads_to_sign_in =
        page.status == 303 && page.location().starts_with("/sign-in") && !page.location().contains("bye=");
    matches!(page.status, 403 | 404) || leads_to_sign_in
}

async fn pages(control: &Control) -> Rows {
    let mut people = Vec::new();
    for (email, workspace, role) in [
        ("operator@example.com", "demo", "viewer"),
        ("owner@example.com", "demo", "owner"),
        ("member@example.com", "demo", "member"),
        ("viewer@example.com", "demo", "viewer"),
        ("rival@example.com", "rival", "owner"),
    ] {
        add_user(control, email, workspace, role).await;
        people.push(Person { browser: Browser::new(control), email: Some(email) });
    }
    control.patch("/v1/users/operator@example.com", json!({"operator": true})).await.expect(200);
    people.push(Person { browser: Browser::new(control), email: None });
    let mut rows = Rows::new();
    for (method, path) in routes() {
        let mut cells = Vec::new();
        for person in &people {
            cells.push(person.ask(&method, &filled(control, &path).await).await);
        }
        rows.insert(format!("{path} {method}"), cells);
    }
    rows
}

/// The table as Markdown.
fn table(columns: &[&str], rows: &Rows) -> String {
    let mut text = format!("| | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for (row, cells) in rows {
        let (path, method) = row.rsplit_once(' ').unwrap();
        writeln!(text, "| `{method} {path}` | {} |", cells.join(" | ")).unwrap();
    }
    text
}

/// The text between two marks of a document, with what is before and behind it.
fn marked<'t>(text: &'t str, mark: &str) -> (&'t str, &'t str, &'t str) {
    let begin = format!("<!-- {mark} -->\n");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no mark {mark}"));
    let (inside, behind) = rest.split_once("<!-- end -->").unwrap();
    (&text[..before.len() + begin.len()], inside, behind)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_who_may_do_what() {
    let control = start().await;
    let tables =
        [("api", table(&BEARERS, &api(&control).await)), ("pages", table(&PEOPLE, &pages(&control).await))];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ACCESS.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let mut differs = Vec::new();
    for (mark, found) in &tables {
        let (before, told, behind) = marked(&text, mark);
        let lines = |one: &str, other: &str| -> Vec<String> {
            one.lines().filter(|line| !other.lines().any(|there| there == *line)).map(str::to_owned).collect()
        };
        differs.extend(lines(told, found).into_iter().map(|line| format!("docs/ACCESS.md: {line}")));
        differs.extend(lines(found, told).into_iter().map(|line| format!("it is:          {line}")));
        text = format!("{before}{found}<!-- end -->{behind}");
    }
    if std::env::var_os("UPDATE_ACCESS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert!(differs.is_empty(), "UPDATE_ACCESS=1 writes it anew, if that is meant:\n{}", differs.join("\n"));
}
