//! A browser without scripts: keeps cookies, follows nothing by itself, and sends what a form has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flamegate_control::domain::users::second_factor::{SecondFactor, Secret};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::common::Control;

pub const PASSWORD: &str = "correct horse battery";

/// A browser.
pub struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
    session_name: String,
}

/// What came back.
pub struct Page {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Browser {
    pub fn new(control: &Control) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let session_name = session_name(control);
        Self { http: http.build().unwrap(), base: control.url(""), cookies: Arc::default(), session_name }
    }

    /// One that a new member of `demo` has signed in with.
    pub async fn of(control: &Control, email: &str, role: &str) -> Self {
        add_user(control, email, "demo", role).await;
        let browser = Self::new(control);
        assert_eq!(browser.sign_in(email, PASSWORD).await.status, 303);
        browser
    }

    /// The same browser at another control plane on the same host: cookies do not know ports.
    pub fn at(&self, control: &Control) -> Self {
        Self { cookies: Arc::clone(&self.cookies), ..Self::new(control) }
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Page {
        self.post("/sign-in", &[("email", email), ("password", password)]).await
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path)).await
    }

    /// A form as a page of ours sends it, without its token.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self.request(Method::POST, path).header("sec-fetch-site", "same-origin");
        self.send(request.form(fields)).await
    }

    /// Opens the page, fills in its form and sends that, token and all.
    pub async fn submit(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let form = self.get(page).await;
        assert_eq!(form.status, 200, "{page}: {}", form.text);
        self.submit_from(&form, action, fields).await
    }

    /// The same for a page that is open already.
    pub async fn submit_from(&self, form: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let (csrf, once) = (form.value("csrf"), form.value("once"));
        let own = [("csrf", csrf.as_str()), ("once", once.as_str())];
        self.post(action, &[&own[..], fields].concat()).await
    }

    /// Opens the page that this one leads to.
    pub async fn follow(&self, page: &Page) -> Page {
        assert_eq!(page.status, 303, "{}", page.text);
        self.get(page.location()).await
    }

    /// Revokes a key by its form; the key's page, which is the receipt.
    pub async fn revoke(&self, id: &str) -> Page {
        let path = format!("/w/demo/settings/api-keys/{id}/revoke");
        self.follow(&self.submit(&path, &path, &[]).await).await
    }

    /// A request with the browser's cookies.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let cookies: Vec<_> = self.cookies.lock().unwrap().iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = self.http.request(method, format!("{}{path}", self.base));
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Page { status, headers, text: response.text().await.unwrap() }
    }

    pub fn cookie(&self) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        cookies.iter().find(|(name, _)| name.contains(SESSION)).map(|(_, value)| value.clone())
    }

    /// Name and value of the cookie that says that somebody has signed in on this browser before.
    pub fn device(&self) -> (String, String) {
        let cookies = self.cookies.lock().unwrap();
        let device = cookies.iter().find(|(name, _)| name.starts_with("flamegate_device"));
        device.map(|(name, value)| (name.clone(), value.clone())).unwrap()
    }

    /// Keeps a cookie, wherever it is from.
    pub fn keep(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub fn set_cookie(&self, value: &str) {
        self.cookies.lock().unwrap().insert(self.session_name.clone(), value.to_owned());
    }
}

impl Page {
    /// The value of a hidden field; empty when there is none.
    pub fn value(&self, name: &str) -> String {
        let at = format!("name=\"{name}\" value=\"");
        let value = self.text.split_once(&at).map(|(_, rest)| rest.split('"').next().unwrap());
        value.unwrap_or_default().to_owned()
    }

    /// Where it leads.
    pub fn location(&self) -> &str {
        self.headers["location"].to_str().unwrap()
    }

    /// The key that the page shows.
    pub fn key(&self) -> String {
        let (_, rest) = self.text.split_once("id=\"key\"").expect("the page shows a key");
        rest.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()
    }

    #[track_caller]
    pub fn shows(&self, text: &str) {
        assert!(self.text.contains(text), "no {text:?} in {}", self.text);
    }

    #[track_caller]
    pub fn hides(&self, text: &str) {
        assert!(!self.text.contains(text), "{text:?} in {}", self.text);
    }
}

/// The session's cookie, whatever database it belongs to.
const SESSION: &str = "flamegate_session";

/// Its name at this control plane.
pub fn session_name(control: &Control) -> String {
    session_name_of(&control.server.app.store.head().epoch)
}

/// Its name for a database of this epoch.
pub fn session_name_of(epoch: &str) -> String {
    let epoch = Sha256::digest(epoch);
    let digits: String = epoch.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{SESSION}_{digits}")
}

/// Sends a form, as browsers encode it.
pub trait Form {
    fn form(self, fields: &[(&str, &str)]) -> Self;
}

impl Form for reqwest::RequestBuilder {
    fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut url = reqwest::Url::parse("form:").unwrap();
        url.query_pairs_mut().extend_pairs(fields);
        let body = url.query().unwrap_or_default().to_owned();
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }
}

pub async fn add_user(control: &Control, email: &str, workspace: &str, role: &str) -> String {
    let body = json!({"email": email, "workspace": workspace, "role": role, "password": PASSWORD});
    control.post("/v1/users", body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// Gives somebody a second factor, as if they had set it up.
pub async fn give_second_factor(control: &Control, email: &str) {
    let user = control.server.app.users.find(email).await.unwrap();
    let secret = Secret::of(&[7; 20]).unwrap();
    let factor = SecondFactor { secret, since: control.clock.now(), last_step: 0 };
    let write = control
        .server
        .app
        .store
        .write(move |tx| Box::pin(async move { tx.insert_second_factor(user.seq, &factor, &[]).await }));
    write.await.map(drop).unwrap();
}
