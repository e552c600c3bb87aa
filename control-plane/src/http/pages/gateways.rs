//! The gateways: which of them enforce the latest change.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::place::Place;
use super::view::{Chrome, Moment, Section, html};
use crate::app::App;
use crate::gateways::GatewayView;

#[derive(Template)]
#[template(path = "gateways.html")]
struct GatewaysPage {
    chrome: Chrome,
    revision: u64,
    rows: Vec<Row>,
    connected: usize,
}

/// A line of the table.
struct Row {
    id: String,
    version: Option<String>,
    connected: bool,
    revision: Option<u64>,
    behind: u64,
    table: Option<Moment>,
    last_seen: Moment,
}

/// The page.
pub(super) async fn show(State(app): State<App>, place: Place) -> Response {
    let revision = app.store.head().revision;
    let row = |gateway: GatewayView| Row {
        id: gateway.id,
        version: gateway.version,
        connected: gateway.connected,
        revision: gateway.acknowledged,
        behind: gateway.acknowledged.map_or(revision, |at| revision.saturating_sub(at)),
        table: gateway.acknowledged_at.map(Moment::ago),
        last_seen: Moment::ago(gateway.last_seen),
    };
    let rows: Vec<_> = app.gateways.list().into_iter().map(row).collect();
    let connected = rows.iter().filter(|row| row.connected).count();
    html(&GatewaysPage { chrome: place.chrome("Gateways", Section::Gateways), revision, rows, connected })
}
