//! The audit log of a workspace, for its owners.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::audit_details::{self, Line, Part};
use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::place::Place;
use super::view::{Moment, Pager, html};
use crate::domain::audit::{Action, AuditFilter, Entry};
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::extract::Query;

/// Which entries. What is not understood is as if it were not there: a page is not an API.
#[derive(Deserialize)]
pub(super) struct AuditQuery {
    action: Option<String>,
    page: Option<String>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    chrome: Chrome,
    rows: Vec<Row>,
    actions: Vec<(&'static str, &'static str, bool)>,
    pager: Pager,
}

/// A line of the table.
struct Row {
    at: Moment,
    actor: String,
    via: &'static str,
    address: String,
    action: &'static str,
    target: String,
    target_id: String,
    details: Vec<Line>,
}

const PAGE: u32 = 50;

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    place: Place,
    Query(query): Query<AuditQuery>,
) -> Result<Response, PageError> {
    place.need(Role::Owner)?;
    let chosen = query.action.as_deref().and_then(Action::named);
    let page = page_number(query.page.as_deref());
    let filter = AuditFilter {
        workspace_seq: Some(place.membership.workspace_seq),
        action: chosen,
        target_id: None,
        before: None,
        offset: (page - 1) * PAGE,
    };
    let lists = app.audit.over(app.for_lists());
    let read = async move {
        let (entries, next) = lists.list(&filter, PAGE).await?;
        let more = next.is_some();
        let total = if more { Some(lists.count(&AuditFilter { offset: 0, ..filter }).await?) } else { None };
        Ok((entries, more, total))
    };
    let (entries, more, total) = app.turns.run(&place.signed_in.user.id, read).await?;
    let shown = entries.len();
    let query = chosen.map(|action| format!("action={}", action.as_str())).unwrap_or_default();
    let actions =
        Action::ALL.into_iter().map(|action| (action.as_str(), words(action), Some(action) == chosen));
    Ok(html(&AuditPage {
        chrome: place.chrome("Audit log", Section::Audit),
        rows: entries.into_iter().map(row).collect(),
        actions: actions.collect(),
        pager: Pager::new(page, PAGE, (shown, more), total, &query),
    }))
}

/// A page's number: 1 for whatever is none.
pub(super) fn page_number(text: Option<&str>) -> u32 {
    text.and_then(|text| text.parse().ok()).filter(|page| (1..=100_000).contains(page)).unwrap_or(1)
}

fn row(entry: Entry) -> Row {
    let via = match entry.via.as_str() {
        "page" => "Pages",
        "cli" => "Command line",
        _ => "API",
    };
    Row {
        details: audit_details::lines(&entry),
        at: Moment::new(entry.at),
        actor: entry.actor,
        via,
        address: entry.address.unwrap_or_default(),
        action: Action::named(&entry.action).map_or("Something else", words),
        target: entry.target,
        target_id: entry.target_id.unwrap_or_default(),
    }
}

const fn words(action: Action) -> &'static str {
    match action {
        Action::GatewayCredentialAdded => "Gateway credential added",
        Action::GatewayCredentialRevoked => "Gateway credential revoked",
        Action::GatewayForgotten => "Gateway forgotten",
        Action::KeyCreated => "Key generated",
        Action::KeysImported => "Keys imported",
        Action::KeyRenamed => "Key renamed",
        Action::KeyUpdated => "Key changed",
        Action::KeyRotated => "Key rotated",
        Action::KeyRevoked => "Key revoked",
        Action::WorkspaceCreated => "Workspace created",
        Action::WorkspaceUpdated => "Workspace changed",
        Action::UserAdded => "Member added",
        Action::MemberInvited => "Member invited",
        Action::InvitationWithdrawn => "Invitation withdrawn",
        Action::RoleSet => "Role changed",
        Action::OperatorMade => "Made an operator",
        Action::OperatorEnded => "No operator any more",
        Action::PasswordSet => "Password changed",
        Action::UserDisabled => "Member locked",
        Action::UserEnabled => "Member unlocked",
        Action::SignedIn => "Signed in",
        Action::SignedOut => "Signed out",
        Action::SignedOutEverywhere => "Signed out everywhere",
    }
}
