//! A workspace's settings besides the keys.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::limits::{BoundsText, limits_text};
use super::place::Place;
use super::session::SignedIn;
use super::view::{Moment, html};
use crate::domain::error::Error;
use crate::domain::keys::{KeyFilter, Status};
use crate::http::app::App;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    chrome: Chrome,
    name: String,
    id: String,
    slug: String,
    limits: String,
    bounds: BoundsText,
    active: u64,
    max_active_keys: Option<u32>,
    created: Moment,
    role: &'static str,
}

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    chrome: Chrome,
    members: Vec<Member>,
    more: bool,
}

/// A line of the members' table.
struct Member {
    email: String,
    role: &'static str,
    you: bool,
    disabled: bool,
    created: Moment,
}

/// Members on the page; a workspace with more of them is listed by the API.
const MEMBERS_SHOWN: u32 = 200;

/// Leads to the user's first workspace.
pub(super) async fn home(signed_in: SignedIn) -> Redirect {
    match signed_in.user.memberships.first() {
        Some(first) => Redirect::to(&format!("/w/{}", first.slug)),
        None => Redirect::to("/account"),
    }
}

/// How many keys work. Looking at the rows is a list.
async fn active_keys(app: &App, place: &Place) -> Result<u64, Error> {
    let workspace_seq = Some(place.membership.workspace_seq);
    let filter = KeyFilter { workspace_seq, status: Some(Status::Active), ..KeyFilter::default() };
    let lists = app.keys.over(app.for_lists());
    app.turns.run(&place.signed_in.user.id, async move { lists.count(&filter).await }).await
}

/// What the workspace is.
pub(super) async fn settings(State(app): State<App>, place: Place) -> Result<Response, PageError> {
    let workspace = app.workspaces.find(&place.membership.workspace).await?;
    Ok(html(&SettingsPage {
        chrome: place.chrome("Settings", Section::Settings),
        limits: limits_text(&workspace.default_limits),
        bounds: BoundsText::new(&workspace.bounds),
        active: active_keys(&app, &place).await?,
        max_active_keys: workspace.bounds.max_active_keys,
        name: workspace.name,
        id: workspace.id,
        slug: workspace.slug,
        created: Moment::new(workspace.created_at),
        role: place.membership.role.as_str(),
    }))
}

/// Who else is there.
pub(super) async fn members(State(app): State<App>, place: Place) -> Result<Response, PageError> {
    let seq = place.membership.workspace_seq;
    let (users, next) = app.users.list(Some(seq), 0, MEMBERS_SHOWN).await?;
    let member = |user: crate::domain::users::User| {
        let role = user.membership(&place.membership.slug).map(|membership| membership.role.as_str());
        let you = user.id == place.signed_in.user.id;
        let (disabled, created) = (user.disabled_at.is_some(), Moment::new(user.created_at));
        Ok(Member { role: role.ok_or(Error::NotFound("user"))?, you, disabled, created, email: user.email })
    };
    let members = users.into_iter().map(member).collect::<Result<_, Error>>()?;
    let chrome = place.chrome("Members", Section::Members);
    Ok(html(&MembersPage { chrome, members, more: next.is_some() }).into_response())
}
