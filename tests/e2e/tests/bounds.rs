//! What an operator allows a workspace, on the way that a member takes: keys from the pages, requests to a real gateway.

use flamegate_e2e::{
    Answer, Plugin, Request, Stack,
    control::Control,
    http1::{Connection, encode},
};
use serde_json::json;

const EMAIL: &str = "member@example.com";
const PASSWORD: &str = "correct horse battery";
const KEYS: &str = "/w/full/settings/api-keys";

/// A member who is signed in to the pages.
struct Member<'c> {
    control: &'c Control,
    cookie: String,
}

/// What stands behind `before` in a page, up to the next quote or tag.
fn behind<'t>(page: &'t str, before: &str) -> &'t str {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("no {before} in {page}"));
    rest.split(['"', '<']).next().unwrap_or_default()
}

fn send(control: &Control, request: &Request, body: &str) -> Answer {
    let length = body.len().to_string();
    let request = request.clone().header("content-length", length);
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin");
    let mut connection = Connection::open(control.port).expect("connection");
    connection.send_bytes(&encode(&request)).expect("sent");
    connection.send_bytes(body.as_bytes()).expect("sent");
    connection.read_answer(false).expect("answer")
}

impl<'c> Member<'c> {
    fn sign_in(control: &'c Control) -> Self {
        let user = json!({"email": EMAIL, "workspace": "full", "role": "member", "password": PASSWORD});
        control.data("POST", "/v1/users", Some(&user));
        let form = format!("email={}&password={}", EMAIL.replace('@', "%40"), PASSWORD.replace(' ', "+"));
        let answer = send(control, &Request::new("POST", "/sign-in"), &form);
        let cookie = answer.header("set-cookie").expect("a session");
        Self { control, cookie: cookie.split(';').next().unwrap_or_default().to_owned() }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, path).header("cookie", self.cookie.clone())
    }

    /// A key with "no limit", as the form makes it.
    fn unlimited_key(&self) -> String {
        let form = send(self.control, &self.request("GET", &format!("{KEYS}/new")), "").text();
        let (csrf, once) = (behind(&form, "name=\"csrf\" value=\""), behind(&form, "name=\"once\" value=\""));
        let fields = format!("csrf={csrf}&once={once}&name=k&environment=live&expiry=never&limit=none");
        let page = send(self.control, &self.request("POST", KEYS), &fields).text();
        let (_, rest) = page.split_once("id=\"key\"").unwrap_or_else(|| panic!("no key in {page}"));
        behind(rest, ">").to_owned()
    }
}

#[test]
fn no_limit_in_the_page_is_not_more_than_the_workspace_has() {
    let stack = Stack::start("bounds-page", &Plugin::singleton(json!({})));
    stack.control.create_workspace("full");
    let shared = json!({"name": "shared", "requests": 5, "window_seconds": 3600});
    stack.control.bound("full", &json!({"workspace_limits": [shared]}));
    let member = Member::sign_in(&stack.control);
    // Many keys are no way around it, either.
    let keys: Vec<_> = (0..10).map(|_| member.unlimited_key()).collect();
    stack.accepted_key("live");
    let mut connection = Connection::open(stack.envoy.port).expect("connection");
    let mut admitted = 0;
    for key in keys.iter().cycle().take(50) {
        match connection.send(&Request::get("/v1/agents").bearer(key)).expect("answer").status {
            200 => admitted += 1,
            429 => {}
            status => panic!("status {status}"),
        }
    }
    assert_eq!(admitted, 5, "5 an hour for all of them, of 50 requests");
}
