//! The audit log of a workspace, for its owners.

use askama::Template;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::audit_details::{self, Line, Part};
use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::place::Place;
use super::query::query_of;
use super::view::{Moment, Pager, html};
use crate::domain::audit::{Action, AuditFilter, Entry};
use crate::domain::keys::paste::may_hold_key;
use crate::domain::lists::MOST_COUNTED;
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::extract::Query;

/// Which entries. What is not understood is as if it were not there: a page is not an API.
#[derive(Deserialize)]
pub(super) struct AuditQuery {
    action: Option<String>,
    /// Id of the thing that it was done to.
    target: Option<String>,
    page: Option<String>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    chrome: Chrome,
    rows: Vec<Row>,
    actions: Vec<(&'static str, &'static str, bool)>,
    /// The one thing whose entries are shown.
    target: Option<String>,
    /// The query of the list, without the page.
    query: String,
    pager: Pager,
    /// True on the last page that is shown, when there are more entries.
    cut: bool,
    /// True when there are more entries than were looked at.
    partly: bool,
    /// True when the file has only the newest of them.
    file_is_cut: bool,
}

/// An entry: who did what to what, when and from where.
struct Row {
    at: Moment,
    actor: String,
    did: &'static str,
    /// What it was done to; empty when that is the actor.
    target: String,
    /// Id of a key, which has a page.
    key: Option<String>,
    target_id: String,
    via: &'static str,
    address: String,
    details: Vec<Line>,
}

const PAGE: u32 = 50;
/// The last page that is shown, as in the list of keys.
const LAST_PAGE: u32 = MOST_COUNTED / PAGE;

impl AuditQuery {
    fn action(&self) -> Option<Action> {
        self.action.as_deref().and_then(Action::named)
    }

    /// An id is letters, digits and `_`; whatever else came is none.
    fn target(&self) -> Option<&str> {
        let is_id = |text: &&str| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        self.target.as_deref().filter(is_id).filter(|id| !may_hold_key(id))
    }

    fn filter(&self, place: &Place, offset: u32) -> AuditFilter {
        AuditFilter {
            workspace_seq: Some(place.membership.workspace_seq),
            action: self.action(),
            target_id: self.target().map(str::to_owned),
            offset,
            look: Some(MOST_COUNTED),
            ..AuditFilter::default()
        }
    }

    /// The same as a query, without the page.
    fn text(&self) -> String {
        let action = self.action().map(Action::as_str).unwrap_or_default();
        query_of(&[("action", action), ("target", self.target().unwrap_or_default())])
    }
}

/// The page.
pub(super) async fn show(
    State(app): State<App>,
    place: Place,
    Query(query): Query<AuditQuery>,
) -> Result<Response, PageError> {
    place.need(Role::Owner)?;
    let page = page_number(query.page.as_deref()).min(LAST_PAGE);
    let filter = query.filter(&place, (page - 1) * PAGE);
    let lists = app.audit.over(app.for_lists());
    let read = async move {
        let (entries, next) = lists.list(&filter, PAGE).await?;
        let more = next.is_some();
        let beyond = entries.is_empty() && page > 1;
        let total = if more || beyond {
            Some(lists.count(&AuditFilter { offset: 0, ..filter.clone() }).await?)
        } else {
            None
        };
        let looks = filter.action.is_some() && filter.target_id.is_none();
        let everything = AuditFilter { action: None, offset: 0, ..filter };
        let partly = looks && lists.count(&everything).await? > MOST_COUNTED.into();
        Ok((entries, more, total, partly))
    };
    let (entries, more, total, partly) = app.turns.run(&place.signed_in.user.id, read).await?;
    let until_here = u64::from((page - 1) * PAGE) + entries.len() as u64;
    let file_is_cut = total.unwrap_or(until_here) > MOST_EXPORTED.into();
    let last = total.map(|total| total.div_ceil(PAGE.into())).filter(|last| *last > 0);
    if let (true, Some(last)) = (entries.is_empty(), last) {
        // An empty page must not say that nothing has happened.
        let rest = query.text();
        let rest = if rest.is_empty() { rest } else { format!("{rest}&") };
        return Ok(
            Redirect::to(&format!("/w/{}/audit?{rest}page={last}", place.membership.slug)).into_response()
        );
    }
    let (shown, chosen) = (entries.len(), query.action());
    let actions =
        Action::ALL.into_iter().map(|action| (action.as_str(), words(action), Some(action) == chosen));
    let mut pager = Pager::new(page, PAGE, (shown, more), total, &query.text());
    let cut = page == LAST_PAGE && pager.next.take().is_some();
    Ok(html(&AuditPage {
        chrome: place.chrome("Audit log", Section::Audit),
        rows: entries.into_iter().map(row).collect(),
        actions: actions.collect(),
        target: query.target().map(str::to_owned),
        pager,
        cut,
        partly,
        file_is_cut,
        query: query.text(),
    }))
}

/// Most entries in one file.
const MOST_EXPORTED: u32 = 5_000;

/// The newest entries of the same choice as a file for a spreadsheet. It looks at as many as the page does: an action that hardly anybody has
/// done is not worth a walk through the whole log.
pub(super) async fn export(
    State(app): State<App>,
    place: Place,
    Query(query): Query<AuditQuery>,
) -> Result<Response, PageError> {
    place.need(Role::Owner)?;
    let filter = query.filter(&place, 0);
    let lists = app.audit.over(app.for_lists());
    let read = async move { lists.list(&filter, MOST_EXPORTED).await };
    let (entries, more) = app.turns.run(&place.signed_in.user.id, read).await?;
    let newest = more.map(|_| format!("-newest-{MOST_EXPORTED}")).unwrap_or_default();
    let mut text = String::from("time,actor,action,target,target_id,via,address,details\r\n");
    for entry in entries {
        let cells = [
            entry.at.to_string(),
            entry.actor,
            entry.action,
            entry.target,
            entry.target_id.unwrap_or_default(),
            entry.via,
            entry.address.unwrap_or_default(),
            entry.details.to_string(),
        ];
        text.push_str(&cells.map(|text| cell(&text)).join(","));
        text.push_str("\r\n");
    }
    let name = format!("attachment; filename=\"audit-{}{newest}.csv\"", place.membership.slug);
    Ok((
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)],
        text,
    )
        .into_response())
}

/// Where a spreadsheet takes a text for a formula; some take the signs of full width for the others.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// A cell of such a file (RFC 4180). What a spreadsheet would take for a formula is made text.
fn cell(text: &str) -> String {
    let mark = if text.starts_with(FORMULA) { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

/// A page's number: 1 for whatever is none.
pub(super) fn page_number(text: Option<&str>) -> u32 {
    text.and_then(|text| text.parse().ok()).filter(|page| (1..=100_000).contains(page)).unwrap_or(1)
}

fn row(entry: Entry) -> Row {
    let via = match entry.via.as_str() {
        "page" => "Console",
        "cli" => "Command line",
        _ => "API",
    };
    let details = audit_details::lines(&entry);
    let id = entry.target_id.unwrap_or_default();
    let about_self = entry.actor == entry.target;
    Row {
        details,
        at: Moment::seconds(entry.at),
        did: Action::named(&entry.action).map_or("did something else to", |action| did(action, about_self)),
        target: if about_self { String::new() } else { entry.target },
        key: Some(&id).filter(|id| id.starts_with("key_")).cloned(),
        target_id: id,
        actor: entry.actor,
        via,
        address: entry.address.unwrap_or_default(),
    }
}

/// What somebody did, before its object; `alone` when the object is who did it.
const fn did(action: Action, alone: bool) -> &'static str {
    match (action, alone) {
        (Action::GatewayCredentialAdded, _) => "added the gateway credential",
        (Action::GatewayCredentialRevoked, _) => "revoked the gateway credential",
        (Action::GatewayForgotten, _) => "forgot the gateway",
        (Action::KeyCreated, _) => "generated the key",
        (Action::KeysImported, _) => "imported",
        (Action::KeyRenamed, _) => "renamed a key to",
        (Action::KeyUpdated, _) => "changed the key",
        (Action::KeyRotated, _) => "rotated the key",
        (Action::KeyRevoked, _) => "revoked the key",
        (Action::KeyShadowBegun, _) => "put in shadow the key",
        (Action::KeyShadowEnded, _) => "took out of shadow the key",
        (Action::WorkspaceCreated, _) => "created the workspace",
        (Action::WorkspaceUpdated, _) => "changed the workspace",
        (Action::UserAdded, false) => "added",
        (Action::UserAdded, true) => "joined",
        (Action::MemberInvited, _) => "invited",
        (Action::InvitationWithdrawn, _) => "withdrew the invitation of",
        (Action::RoleSet, false) => "changed the role of",
        (Action::RoleSet, true) => "changed their own role",
        (Action::OperatorMade, _) => "made an operator of",
        (Action::OperatorEnded, _) => "ended the operator's rights of",
        (Action::PasswordSet, false) => "changed the password of",
        (Action::PasswordSet, true) => "changed their password",
        (Action::SecondFactorSet, _) => "set up their second factor",
        (Action::SecondFactorRemoved, true) => "removed their second factor",
        (Action::SecondFactorRemoved, false) => "removed the second factor of",
        (Action::UserDisabled, _) => "locked",
        (Action::UserEnabled, _) => "unlocked",
        (Action::SignedIn, _) => "signed in",
        (Action::SignedOut, _) => "signed out",
        (Action::SessionEnded, true) => "ended a session of theirs",
        (Action::SessionEnded, false) => "ended a session of",
        (Action::TokenCreated, _) => "made the operator token",
        (Action::TokenRevoked, _) => "revoked the operator token",
        (Action::PlanCreated, _) => "made the plan",
        (Action::PlanUpdated, _) => "changed the plan",
        (Action::PlanDeleted, _) => "removed the plan",
        (Action::SignedOutEverywhere, true) => "signed out everywhere",
        (Action::SignedOutEverywhere, false) => "ended all sessions of",
    }
}

pub(super) const fn words(action: Action) -> &'static str {
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
        Action::KeyShadowBegun => "Key put in shadow",
        Action::KeyShadowEnded => "Key taken out of shadow",
        Action::WorkspaceCreated => "Workspace created",
        Action::WorkspaceUpdated => "Workspace changed",
        Action::UserAdded => "Member added",
        Action::MemberInvited => "Member invited",
        Action::InvitationWithdrawn => "Invitation withdrawn",
        Action::RoleSet => "Role changed",
        Action::OperatorMade => "Made an operator",
        Action::OperatorEnded => "No operator any more",
        Action::PasswordSet => "Password changed",
        Action::SecondFactorSet => "Second factor set up",
        Action::SecondFactorRemoved => "Second factor removed",
        Action::UserDisabled => "Member locked",
        Action::UserEnabled => "Member unlocked",
        Action::SignedIn => "Signed in",
        Action::SignedOut => "Signed out",
        Action::SignedOutEverywhere => "Signed out everywhere",
        Action::SessionEnded => "Session ended",
        Action::TokenCreated => "Operator token made",
        Action::TokenRevoked => "Operator token revoked",
        Action::PlanCreated => "Plan made",
        Action::PlanUpdated => "Plan changed",
        Action::PlanDeleted => "Plan removed",
    }
}
