//! The gateways: which of them enforce the latest change, and their credentials. Operators see each of them; a tenant sees how
//! many there are, because names and revisions tell of everybody's doings.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::chrome::{Chrome, Section};
use super::error::PageError;
use super::place::Place;
use super::view::{Moment, html};
use crate::contract::Protocol;
use crate::domain::credentials::StoredCredential;
use crate::domain::gateways::{GatewayView, PUSHED_OUT};
use crate::domain::replicas::Replica;
use crate::http::app::App;

#[derive(Template)]
#[template(path = "gateways.html")]
struct GatewaysPage {
    chrome: Chrome,
    revision: u64,
    now: Moment,
    rows: Vec<Row>,
    glance: Glance,
    /// True when one line stands for those that were forgotten for room.
    pushed_out: bool,
    without_session: usize,
    other_database: usize,
    /// How many refuse keys with restrictions because their filters do not know them.
    without_restrictions: usize,
    credentials: Vec<CredentialLine>,
    /// Empty where there can be one only.
    replicas: Vec<ReplicaLine>,
}

#[derive(Template)]
#[template(path = "gateways_summary.html")]
struct SummaryPage {
    chrome: Chrome,
    glance: Glance,
}

/// How many gateways do what. The numbers are the same wherever they are shown.
pub(super) struct Glance {
    pub connected: usize,
    /// Connected, and enforce the latest change.
    pub up_to_date: usize,
    /// Not connected and not forgotten: they may use the keys that they had, and receipts name them.
    pub cut_off: usize,
}

/// A line of the table.
struct Row {
    id: String,
    has_session: bool,
    version: Option<String>,
    connected: bool,
    stale: bool,
    serves_nobody: bool,
    other_database: bool,
    knows_restrictions: bool,
    in_shadow: bool,
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

/// A line of the control planes.
struct ReplicaLine {
    id: String,
    this: bool,
    answers: bool,
    polls: u32,
    since: Moment,
    version: String,
}

/// The page.
pub(super) async fn show(State(app): State<App>, place: Place) -> Result<Response, PageError> {
    if !place.is_operator() {
        return Ok(summary(&app, &place));
    }
    let revision = app.store.head().revision;
    let gateways = app.gateways.list();
    let glance = Glance::new(&gateways, revision);
    let mut rows: Vec<_> = gateways.into_iter().map(|gateway| Row::new(gateway, revision)).collect();
    rows.sort_by_key(Row::is_well);
    let credential = |row: StoredCredential| CredentialLine {
        last_used: app.gateways.last_seen(&row.name).map(Moment::ago),
        revoked: row.revoked_at.is_some(),
        created: Moment::new(row.created_at),
        created_by: row.created_by,
        name: row.name,
    };
    let credentials = app.credentials.list().await?.into_iter().map(credential).collect();
    Ok(html(&GatewaysPage {
        chrome: place.chrome("Gateways", Section::Gateways),
        revision,
        now: Moment::seconds(app.clock.now()),
        glance,
        pushed_out: rows.iter().any(|row| row.id.ends_with(&format!("/{PUSHED_OUT}"))),
        without_session: rows.iter().filter(|row| row.connected && !row.has_session).count(),
        without_restrictions: rows.iter().filter(|row| row.connected && !row.knows_restrictions).count(),
        other_database: rows.iter().filter(|row| row.connected && row.other_database).count(),
        rows,
        credentials,
        replicas: replicas(&app),
    }))
}

/// The control planes of this database, where there can be several.
fn replicas(app: &App) -> Vec<ReplicaLine> {
    let this = app.gateways.replica();
    let line = |replica: Replica| ReplicaLine {
        this: this.as_ref() == Some(&replica.id),
        answers: replica.is_alive(),
        polls: replica.polls,
        since: Moment::ago(replica.started_at),
        version: replica.version,
        id: replica.id,
    };
    app.gateways.replicas().into_iter().map(line).collect()
}

impl Glance {
    pub fn new(gateways: &[GatewayView], revision: u64) -> Self {
        let count = |is: &dyn Fn(&GatewayView) -> bool| gateways.iter().filter(|gateway| is(gateway)).count();
        let enforces = |gateway: &GatewayView| {
            gateway.connected
                && !gateway.stale
                && gateway.workers != Some(0)
                && gateway.acknowledged.is_some_and(|at| at >= revision)
        };
        Self {
            connected: count(&|gateway| gateway.connected),
            up_to_date: count(&enforces),
            cut_off: count(&|gateway| !gateway.connected),
        }
    }

    /// Connected, and do not enforce the latest change.
    pub const fn behind(&self) -> usize {
        self.connected - self.up_to_date
    }
}

impl Row {
    /// True when there is nothing to do about it.
    const fn is_well(&self) -> bool {
        self.connected && !self.stale && !self.serves_nobody && !self.other_database && self.behind == 0
    }

    fn new(gateway: GatewayView, revision: u64) -> Self {
        Self {
            id: gateway.id,
            has_session: gateway.has_session,
            version: gateway.version,
            connected: gateway.connected,
            stale: gateway.stale,
            serves_nobody: gateway.workers == Some(0),
            other_database: gateway.other_database,
            knows_restrictions: gateway.accepts != Protocol::One,
            in_shadow: gateway.shadow == Some(true),
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
    let glance = Glance::new(&app.gateways.list(), app.store.head().revision);
    html(&SummaryPage { chrome: place.chrome("Gateways", Section::Gateways), glance })
}
