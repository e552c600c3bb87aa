//! The other key of a rotation, as a key's page tells of it: does it still work, is it still used, may it end?

use jiff::{SignedDuration, Timestamp};

use super::row::Row;
use crate::domain::error::Error;
use crate::domain::keys::Key;
use crate::domain::usage::{Minute, minute_of};
use crate::http::app::App;
use crate::http::pages::place::Place;
use crate::http::pages::view::Moment;

/// The other key of a rotation.
pub(super) struct Other {
    pub key: Row,
    pub idle: Idle,
    /// When it was last used.
    pub last: Option<Moment>,
    /// The gateway where that was, for operators.
    pub at: Option<String>,
}

/// Whether a key is used, as far as anybody has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Nobody has counted yet.
    Unknown,
    /// It was used within a week, or nobody has counted for that long.
    No,
    /// It was not used for so many days, and somebody has counted all that time: it may end.
    Days(i64),
}

/// Who has used a key in the last week may come again.
const WEEK: SignedDuration = SignedDuration::from_hours(24 * 7);

impl Other {
    /// By its id, if there is one and it is in this workspace.
    pub async fn find(
        app: &App,
        place: &Place,
        id: Option<&str>,
        since: Option<Minute>,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        let Some(id) = id else { return Ok(None) };
        let key = app.keys.find(id).await?;
        if key.workspace_seq != place.membership.workspace_seq {
            return Ok(None);
        }
        Ok(Some(Self {
            idle: Idle::of(&key, since, now),
            last: key.uses.last_used_at.map(|at| Moment::used(at, now)),
            at: key.uses.last_used_by.clone().filter(|_| place.is_operator()),
            key: Row::new(&key, now),
        }))
    }
}

impl Idle {
    /// Of a key, when counting began then.
    pub fn of(key: &Key, since: Option<Minute>, now: Timestamp) -> Self {
        let Some(since) = since else { return Self::Unknown };
        let counted = since.max(minute_of(key.created_at));
        let last = key.uses.last_used_at.map_or(counted, minute_of);
        let minutes = minute_of(now) - last;
        if minutes < WEEK.as_mins() { Self::No } else { Self::Days(minutes / 1_440) }
    }
}
