//! What was done to a key, of the audit log, for who may see that.

use crate::domain::audit::{Action, AuditFilter, Entry};
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::domain::users::Role;
use crate::http::app::App;
use crate::http::pages::audit::words;
use crate::http::pages::audit_details::{self, Line};
use crate::http::pages::place::Place;
use crate::http::pages::view::Moment;

/// What was done to a key, newest first.
pub(super) struct History {
    pub entries: Vec<Done>,
    /// True when there is more.
    pub more: bool,
}

/// Something that was done.
pub(super) struct Done {
    pub action: &'static str,
    pub at: Moment,
    pub actor: String,
    pub address: Option<String>,
    pub details: Vec<Line>,
}

/// Entries on the page.
const MOST_ENTRIES: u32 = 20;

impl History {
    /// Of a key; `None` for who may not see the audit log.
    pub async fn of(app: &App, place: &Place, key: &Key) -> Result<Option<Self>, Error> {
        if !place.may(Role::Owner) {
            return Ok(None);
        }
        let filter = AuditFilter { target_id: Some(key.id.clone()), ..AuditFilter::default() };
        let (entries, next) = app.audit.list(&filter, MOST_ENTRIES).await?;
        Ok(Some(Self { entries: entries.into_iter().map(Done::new).collect(), more: next.is_some() }))
    }
}

impl Done {
    fn new(entry: Entry) -> Self {
        Self {
            action: Action::named(&entry.action).map_or("Something else", words),
            at: Moment::new(entry.at),
            details: audit_details::lines(&entry),
            actor: entry.actor,
            address: entry.address,
        }
    }
}
