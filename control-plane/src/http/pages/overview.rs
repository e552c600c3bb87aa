//! The first page of a workspace.

use askama::Template;
use axum::extract::State;
use axum::response::{Redirect, Response};

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::gateways::Glance;
use super::place::Place;
use super::session::SignedIn;
use super::view::{counted, html};
use crate::domain::error::Error;
use crate::domain::keys::{KeyFilter, Status};
use crate::domain::users::Role;
use crate::http::app::App;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    chrome: Chrome,
    active: String,
    gateways: Glance,
    /// The log's revision, for operators: everybody's changes count in it.
    revision: Option<u64>,
    may_create: bool,
    api_url: String,
}

/// Leads to the user's first workspace.
pub(super) async fn home(signed_in: SignedIn) -> Redirect {
    match signed_in.user.memberships.first() {
        Some(first) => Redirect::to(&format!("/w/{}", first.slug)),
        None => Redirect::to("/account"),
    }
}

/// How the workspace is, at a glance.
pub(super) async fn show(State(app): State<App>, place: Place) -> Result<Response, PageError> {
    let revision = app.store.head().revision;
    let active = active_keys(&app, &place).await?;
    Ok(html(&OverviewPage {
        chrome: place.chrome("Overview", Section::Overview),
        active: counted(active),
        gateways: Glance::new(&app.gateways.list(), revision),
        revision: place.is_operator().then_some(revision),
        may_create: place.may(Role::Member),
        api_url: app.pages.api_url.clone(),
    }))
}

/// How many keys work. Looking at the rows is a list.
pub(super) async fn active_keys(app: &App, place: &Place) -> Result<u64, Error> {
    let workspace_seq = Some(place.membership.workspace_seq);
    let filter = KeyFilter { workspace_seq, status: Some(Status::Active), ..KeyFilter::default() };
    let lists = app.keys.over(app.for_lists());
    app.turns.run(&place.signed_in.user.id, async move { lists.count(&filter).await }).await
}
