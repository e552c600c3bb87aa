//! Settings → API Keys: the list. Making keys, showing them once and changing them are in the files below.

mod change;
mod create;
mod edit;
mod force;
mod history;
mod once;
mod page;
mod pair;
mod receipt;
mod reveal;
mod row;
mod search;

use crate::contract::Environment;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use self::row::Row;
use super::audit::page_number;
use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::place::Place;
use super::query::query_of;
use super::view::{Pager, html};
use crate::domain::keys::{KeyFilter, Status};
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::extract::Query;

pub(super) use self::change::{ask_revoke, ask_rotate, revoke, rotate};
pub(super) use self::create::{create, new};
pub(super) use self::edit::{ask_edit, edit};
pub(super) use self::once::copied;
pub(super) use self::page::show;
pub(super) use self::search::search;

/// Which keys. What is not understood is as if it were not there: a page is not an API.
#[derive(Deserialize)]
pub(super) struct ListQuery {
    q: Option<String>,
    environment: Option<String>,
    status: Option<String>,
    page: Option<String>,
    /// Set after a search for a key that is not one of this workspace.
    pasted: Option<String>,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    chrome: Chrome,
    rows: Vec<Row>,
    pager: Pager,
    search: String,
    /// True when somebody has pasted a key that is not here.
    pasted: bool,
    environment: &'static str,
    status: &'static str,
    may_change: bool,
    /// True when the workspace has no keys at all, whatever the filter.
    none_yet: bool,
    api_url: String,
}

const PAGE: u32 = 50;

/// The list.
pub(super) async fn list(
    State(app): State<App>,
    place: Place,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let search = query.q.as_deref().unwrap_or_default().trim();
    if let Some(key) = search::place_of_key(&app, &place, search).await? {
        // It came in the address, where nobody should put it. It must not stay there.
        return Ok(Redirect::to(&key).into_response());
    }
    let search = search::bounded(search);
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
    let text = (!search.is_empty()).then(|| search.to_owned());
    let counts = text.is_none();
    let filter =
        KeyFilter { environment, status, search: text, offset: (page - 1) * PAGE, ..everything.clone() };
    let lists = app.keys.over(app.for_lists());
    let read = async move {
        // One look at the rows. What a search leaves is not counted as well: that would be another look at all of them.
        let (keys, next) = lists.list(&filter, PAGE).await?;
        let more = next.is_some();
        let total =
            if more && counts { Some(lists.count(&KeyFilter { offset: 0, ..filter }).await?) } else { None };
        let none_yet = keys.is_empty() && lists.list(&everything, 1).await?.0.is_empty();
        Ok((keys, more, total, none_yet))
    };
    let (keys, more, total, none_yet) = app.turns.run(&place.signed_in.user.id, read).await?;
    let now = app.clock.now();
    let parts = [("q", search), ("environment", environment_name), ("status", status_name)];
    Ok(html(&KeysPage {
        chrome: place.chrome("API Keys", Section::ApiKeys),
        rows: keys.iter().map(|key| Row::new(key, now)).collect(),
        pager: Pager::new(page, PAGE, (keys.len(), more), total, &query_of(&parts)),
        search: search.to_owned(),
        pasted: query.pasted.is_some(),
        environment: environment_name,
        status: status_name,
        may_change: place.may(Role::Member),
        none_yet,
        api_url: app.pages.api_url.clone(),
    }))
}
