//! What somebody ought to look at: keys that end soon, keys that have ended and are still used, keys that nobody uses.

use jiff::{SignedDuration, Timestamp};

use super::service::Usage;
use crate::domain::error::Error;
use crate::domain::keys::{Key, KeyFilter, KeyOrder, NoticeCounts, Status};

/// Why a key is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It ends within this many days: 1, 7 or 30.
    Ends(i64),
    /// It has ended, and somebody came with it within the last seven days.
    StillUsed,
    /// It was not used for 90 days.
    Unused,
}

/// A key that is to be looked at.
pub struct Notice {
    /// Why.
    pub why: Why,
    /// The key.
    pub key: Key,
}

/// Of each kind at most so many are told; the most pressing ones.
pub const MOST_NOTICES: u32 = 100;
/// A key that has ended is in use when somebody came with it within this time.
pub const STILL_USED: SignedDuration = SignedDuration::from_hours(7 * 24);
const UNUSED: SignedDuration = SignedDuration::from_hours(90 * 24);
const ENDS_WITHIN_DAYS: [i64; 3] = [1, 7, 30];

impl Usage {
    /// What is to be looked at, of one workspace or of all: first what is still used, who came last first; then what ends, soonest first; then
    /// what is unused, for the longest time first. Each kind is the beginning of an index, so this looks at no more keys than it tells.
    pub async fn notices(&self, workspace_seq: Option<i64>) -> Result<Vec<Notice>, Error> {
        let (mut view, now) = (self.store.read().await?, self.clock.now());
        let mut notices = Vec::new();
        for key in view.list_keys(&still_used(workspace_seq, now), now, MOST_NOTICES).await? {
            notices.push(Notice { why: Why::StillUsed, key });
        }
        for key in view.list_keys(&ending(workspace_seq, 30, now), now, MOST_NOTICES).await? {
            let within = ENDS_WITHIN_DAYS.into_iter().find(|days| {
                key.expires_at.is_some_and(|end| end.second() <= days_from(now, *days).as_second())
            });
            notices.push(Notice { why: Why::Ends(within.unwrap_or(30)), key });
        }
        for key in view.list_keys(&unused(workspace_seq, now), now, MOST_NOTICES).await? {
            notices.push(Notice { why: Why::Unused, key });
        }
        Ok(notices)
    }

    /// How many there are, in all workspaces.
    pub async fn count_notices(&self) -> Result<NoticeCounts, Error> {
        let (mut view, now) = (self.store.read().await?, self.clock.now());
        let mut counts = NoticeCounts::default();
        for (count, days) in counts.ends.iter_mut().zip(ENDS_WITHIN_DAYS) {
            *count = view.count_keys(&ending(None, days, now), now).await?;
        }
        counts.still_used = view.count_keys(&still_used(None, now), now).await?;
        counts.unused = view.count_keys(&unused(None, now), now).await?;
        Ok(counts)
    }
}

fn days_from(now: Timestamp, days: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(days * 24)).unwrap_or(Timestamp::MAX)
}

fn still_used(workspace_seq: Option<i64>, now: Timestamp) -> KeyFilter {
    let refused_since = Some(now.checked_sub(STILL_USED).unwrap_or(Timestamp::MIN));
    KeyFilter { workspace_seq, refused_since, order: KeyOrder::LatestRefused, ..KeyFilter::default() }
}

fn ending(workspace_seq: Option<i64>, days: i64, now: Timestamp) -> KeyFilter {
    let ends_before = Some(days_from(now, days));
    KeyFilter {
        workspace_seq,
        status: Some(Status::Active),
        ends_before,
        order: KeyOrder::Ends,
        ..KeyFilter::default()
    }
}

fn unused(workspace_seq: Option<i64>, now: Timestamp) -> KeyFilter {
    let unused_since = Some(now.checked_sub(UNUSED).unwrap_or(Timestamp::MIN));
    KeyFilter {
        workspace_seq,
        status: Some(Status::Active),
        unused_since,
        order: KeyOrder::LongestUnused,
        ..KeyFilter::default()
    }
}
