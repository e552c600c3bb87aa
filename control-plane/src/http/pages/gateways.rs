//! The gateways: which of them enforce the latest change, and their credentials. Operators see each of them; a tenant sees how
//! many there are, because names and revisions tell of everybody's doings.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::place::Place;
use super::view::{Moment, html};
use crate::domain::credentials::StoredCredential;
use crate::domain::gateways::GatewayView;
use crate::http::app::App;

#[derive(Template)]
#[template(path = "gateways.html")]
struct GatewaysPage {
    chrome: Chrome,
    revision: u64,
    rows: Vec<Row>,
    connected: usize,
    cut_off: usize,
    without_session: usize,
    other_database: usize,
    credentials: Vec<CredentialLine>,
}

#[derive(Template)]
#[template(path = "gateways_summary.html")]
struct SummaryPage {
    chrome: Chrome,
    connected: usize,
    up_to_date: usize,
    cut_off: usize,
}

/// A line of the table.
struct Row {
    id: String,
    credential: String,
    has_session: bool,
    version: Option<String>,
    connected: bool,
    stale: bool,
    serves_nobody: bool,
    other_database: bool,
    leaving: bool,
    revision: Option<u64>,
    behind: u64,
    table: Option<Moment>,
    last_seen: Moment,
}

/// A line of the credentials.
struct CredentialLine {
    name: String,
    revoked: bool,
    created_by: String,
    created: Moment,
    last_used: Option<Moment>,
}

/// The page.
pub(super) async fn show(State(app): State<App>, place: Place) -> Result<Response, PageError> {
    if !place.is_operator() {
        return Ok(summary(&app, &place));
    }
    let revision = app.store.head().revision;
    let rows: Vec<_> = app.gateways.list().into_iter().map(|gateway| Row::new(gateway, revision)).collect();
    let credential = |row: StoredCredential| CredentialLine {
        last_used: app.gateways.last_seen(&row.name).map(Moment::ago),
        revoked: row.revoked_at.is_some(),
        created: Moment::new(row.created_at),
        created_by: row.created_by,
        name: row.name,
    };
    let credentials = app.credentials.list().await?.into_iter().map(credential).collect();
    let connected = rows.iter().filter(|row| row.connected).count();
    Ok(html(&GatewaysPage {
        chrome: place.chrome("Gateways", Section::Gateways),
        revision,
        connected,
        cut_off: rows.len() - connected,
        without_session: rows.iter().filter(|row| row.connected && !row.has_session).count(),
        other_database: rows.iter().filter(|row| row.connected && row.other_database).count(),
        rows,
        credentials,
    }))
}

impl Row {
    fn new(gateway: GatewayView, revision: u64) -> Self {
        Self {
            id: gateway.id,
            credential: gateway.credential,
            has_session: gateway.has_session,
            version: gateway.version,
            connected: gateway.connected,
            stale: gateway.stale,
            serves_nobody: gateway.workers == Some(0),
            other_database: gateway.other_database,
            leaving: gateway.leaving,
            revision: gateway.acknowledged,
            behind: gateway.acknowledged.map_or(revision, |at| revision.saturating_sub(at)),
            table: gateway.acknowledged_at.map(Moment::ago),
            last_seen: Moment::ago(gateway.last_seen),
        }
    }
}

/// How many gateways there are, and no more.
fn summary(app: &App, place: &Place) -> Response {
    let revision = app.store.head().revision;
    let (connected, others): (Vec<_>, Vec<_>) =
        app.gateways.list().into_iter().partition(|gateway| gateway.connected);
    let current = |gateway: &&GatewayView| gateway.acknowledged.is_some_and(|at| at >= revision);
    html(&SummaryPage {
        chrome: place.chrome("Gateways", Section::Gateways),
        up_to_date: connected.iter().filter(current).count(),
        connected: connected.len(),
        cut_off: others.len(),
    })
}
