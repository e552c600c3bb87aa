//! Settings → API Keys: the list. Making keys, showing them once and changing them are in the files below.

mod change;
mod create;
mod receipt;
mod reveal;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use flamegate::api_key::{ApiKey, Environment};
use jiff::Timestamp;
use serde::Deserialize;

use super::audit::page_number;
use super::error::PageError;
use super::place::Place;
use super::view::{Chrome, Moment, Pager, Section, html, limits_text};
use crate::app::App;
use crate::http::extract::Query;
use crate::keys::secret::HINT_TAIL_LEN;
use crate::keys::{Key, Status};
use crate::store::KeyFilter;
use crate::users::Role;

pub(super) use self::change::{ask_rename, ask_revoke, ask_rotate, rename, revoke, rotate};
pub(super) use self::create::{create, new};

/// Which keys. What is not understood is as if it were not there: a page is not an API.
#[derive(Deserialize)]
pub(super) struct ListQuery {
    q: Option<String>,
    environment: Option<String>,
    status: Option<String>,
    page: Option<String>,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    chrome: Chrome,
    rows: Vec<Row>,
    pager: Pager,
    search: String,
    environment: &'static str,
    status: &'static str,
    may_change: bool,
    /// True when the workspace has no keys at all, whatever the filter.
    none_yet: bool,
    api_url: String,
}

/// A key as the pages show it.
pub(super) struct Row {
    pub id: String,
    pub name: String,
    pub environment: &'static str,
    pub hint: String,
    pub created: Moment,
    pub created_by: Option<String>,
    pub expires: Option<Moment>,
    pub revoked: Option<Moment>,
    pub limits: String,
    pub limits_inherited: bool,
    /// `active`, `ending` (rotated, still in its grace), `revoked` or `expired`.
    pub status: &'static str,
}

/// A state in words.
#[derive(Template)]
#[template(source = r#"<span class="badge {{ tone }}">{{ text }}</span>"#, ext = "html")]
pub(super) struct Badge {
    tone: &'static str,
    text: &'static str,
}

const PAGE: u32 = 50;

/// The list.
pub(super) async fn list(
    State(app): State<App>,
    place: Place,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let search = query.q.as_deref().unwrap_or_default().trim();
    if let Some(tail) = tail_of_key(search) {
        // Someone has pasted a whole key. It must not stay in the address bar.
        let path = format!("/w/{}/settings/api-keys?status=all&q={tail}", place.membership.slug);
        return Ok(Redirect::to(&path).into_response());
    }
    let page = page_number(query.page.as_deref());
    let (environment, environment_name) = match query.environment.as_deref() {
        Some("live") => (Some(Environment::Live), "live"),
        Some("test") => (Some(Environment::Test), "test"),
        _ => (None, ""),
    };
    let (status, status_name) = match query.status.as_deref() {
        Some("revoked") => (Some(Status::Revoked), "revoked"),
        Some("expired") => (Some(Status::Expired), "expired"),
        Some("all") => (None, "all"),
        _ => (Some(Status::Active), "active"),
    };
    let everything =
        KeyFilter { workspace_seq: Some(place.membership.workspace_seq), ..KeyFilter::default() };
    let none_yet = app.keys.count(&everything).await? == 0;
    let text = (!search.is_empty()).then(|| search.to_owned());
    let filter = KeyFilter { environment, status, search: text, offset: (page - 1) * PAGE, ..everything };
    let total = app.keys.count(&filter).await?;
    let (keys, _) = app.keys.list(&filter, PAGE).await?;
    let now = app.clock.now();
    let parts = [("q", search), ("environment", environment_name), ("status", status_name)];
    Ok(html(&KeysPage {
        chrome: place.chrome("API Keys", Section::ApiKeys),
        rows: keys.iter().map(|key| Row::new(key, now)).collect(),
        pager: Pager::new(page, PAGE, total, &query_of(&parts)),
        search: search.to_owned(),
        environment: environment_name,
        status: status_name,
        may_change: place.may(Role::Member),
        none_yet,
        api_url: app.pages.api_url.clone(),
    }))
}

impl Row {
    pub fn new(key: &Key, now: Timestamp) -> Self {
        let status = match key.status(now) {
            Status::Active if key.rotated_to.is_some() => "ending",
            status => status.as_str(),
        };
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            environment: key.environment.as_str(),
            hint: key.hint.clone(),
            created: Moment::day(key.created_at),
            created_by: key.created_by.clone(),
            expires: key.expires_at.map(|end| Moment::end(end, now)),
            revoked: key.revoked_at.map(Moment::day),
            limits: limits_text(key.limits()),
            limits_inherited: key.own_limits.is_none(),
            status,
        }
    }

    /// `Live` or `Test`.
    pub fn environment_name(&self) -> &'static str {
        if self.environment == "live" { "Live" } else { "Test" }
    }

    /// Its state, in words and a colour.
    pub fn badge(&self) -> Badge {
        let (tone, text) = match self.status {
            "active" => ("good", "Active"),
            "ending" => ("warn", "Ending"),
            "revoked" => ("bad", "Revoked"),
            _ => ("", "Expired"),
        };
        Badge { tone, text }
    }

    /// Whether it can still be revoked.
    pub fn works(&self) -> bool {
        matches!(self.status, "active" | "ending")
    }
}

/// The last characters of what looks like a whole key.
fn tail_of_key(text: &str) -> Option<&str> {
    ApiKey::from_bytes(text.as_bytes())?;
    text.get(text.len().checked_sub(HINT_TAIL_LEN)?..)
}

fn query_of(parts: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (name, value) in parts.iter().filter(|(_, value)| !value.is_empty()) {
        let separator = if query.is_empty() { "" } else { "&" };
        query.push_str(&format!("{separator}{name}="));
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => query.push(char::from(byte)),
                other => query.push_str(&format!("%{other:02X}")),
            }
        }
    }
    query
}
