//! Lists of a page: which ranges of which indexes they look at, and of each how many rows at most. What no index knows (environment, maker, what was
//! searched for) is asked of those rows only, so a page costs as much in a workspace of a million keys as in one of ten thousand.

use jiff::Timestamp;

use crate::domain::keys::{KeyFilter, KeyOrder, Status};
use crate::store::sql::statement::Statement;

/// A range of an index of a workspace's keys, in one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// What gateways accept, newest or oldest first: `api_keys_working`.
    Working(Seq),
    /// Those of them that end, the next first, perhaps only before a moment: `api_keys_ends`.
    Ending,
    /// Those of them that do not, among the oldest: `api_keys_working`.
    Endless,
    /// What has expired, the latest first: `api_keys_ends`.
    Expired,
    /// What was revoked: `api_keys_revoked`.
    Revoked(Seq),
    /// All of them: `api_keys_workspace`.
    All(Seq),
    /// Those on a plan, of whatever workspace, that are not revoked, newest first: `api_keys_plan`.
    OnPlan,
}

/// The order in which keys were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seq {
    /// Newest first.
    Down,
    /// Oldest first.
    Up,
}

/// The ranges of a list, one after the other.
pub fn ranges(filter: &KeyFilter) -> Vec<Range> {
    if is_of_plan(filter) {
        return vec![Range::OnPlan];
    }
    let seq = if filter.order == KeyOrder::Oldest { Seq::Up } else { Seq::Down };
    match (filter.status, filter.order) {
        (Some(Status::Active), _) if filter.ends_before.is_some() => vec![Range::Ending],
        (Some(Status::Active), KeyOrder::Ends) => vec![Range::Ending, Range::Endless],
        (Some(Status::Active), _) => vec![Range::Working(seq)],
        (Some(Status::Expired), _) => vec![Range::Expired],
        (Some(Status::Revoked), _) => vec![Range::Revoked(seq)],
        (None, KeyOrder::WorkingFirst) => {
            vec![Range::Working(Seq::Down), Range::Expired, Range::Revoked(Seq::Down)]
        }
        (None, _) => vec![Range::All(seq)],
    }
}

/// Whether it asks who is on a plan, wherever they are.
pub const fn is_of_plan(filter: &KeyFilter) -> bool {
    filter.plan.is_some() && filter.workspace_seq.is_none()
}

impl Range {
    /// In which order its keys are: its index's, workspace and all, which is the same in one workspace. A server that is asked for the order of
    /// `seq` alone may walk the keys of all of them.
    pub const fn order(self) -> &'static str {
        match self {
            Self::Working(Seq::Down) | Self::Revoked(Seq::Down) | Self::All(Seq::Down) => {
                "k.workspace_seq DESC, k.seq DESC"
            }
            Self::Working(Seq::Up) | Self::Revoked(Seq::Up) | Self::All(Seq::Up) | Self::Endless => {
                "k.workspace_seq, k.seq"
            }
            Self::Ending => "k.workspace_seq, k.expires_at, k.seq",
            // None of them is revoked; but the index has them behind that.
            Self::OnPlan => "k.plan DESC, k.revoked_at DESC, k.seq DESC",
            Self::Expired => "k.workspace_seq DESC, k.expires_at DESC, k.seq DESC",
        }
    }

    /// Some of its rows, in brackets: so many, behind so many. Each condition is the index's own: another one would be asked of row after row,
    /// past the most.
    pub fn push(self, sql: &mut Statement, filter: &KeyFilter, now: Timestamp, (most, behind): (u32, u32)) {
        let now = now.as_second();
        sql.push("(SELECT * FROM api_keys k WHERE ");
        if self == Self::OnPlan {
            sql.push("k.plan = ").push_bind(filter.plan.clone()).push(" AND k.revoked_at IS NULL");
        } else {
            // From this workspace to this one: what is equal to something needs no order, and the index would be forgotten with it.
            sql.push("k.workspace_seq >= ").push_bind(filter.workspace_seq);
            sql.push(" AND k.workspace_seq <= ").push_bind(filter.workspace_seq);
        }
        match self {
            Self::All(_) | Self::OnPlan => {}
            // Those of the last second, which nobody has taken off the list yet, are left out of it below.
            Self::Working(_) | Self::Endless => {
                sql.push(" AND k.listed = 1");
            }
            Self::Revoked(_) => {
                sql.push(" AND k.revoked_at IS NOT NULL");
            }
            Self::Expired => {
                sql.push(" AND k.revoked_at IS NULL AND k.expires_at <= ").push_bind(now);
            }
            Self::Ending => {
                sql.push(" AND k.revoked_at IS NULL AND k.expires_at > ").push_bind(now);
                if let Some(before) = filter.ends_before {
                    sql.push(" AND k.expires_at < ").push_bind(before.as_second());
                }
            }
        }
        sql.push(" ORDER BY ").push(self.order()).push(" LIMIT ").push_bind(most);
        sql.push(" OFFSET ").push_bind(behind).push(")");
    }

    /// What else is asked of the rows.
    pub fn push_rest(self, sql: &mut Statement, now: Timestamp) {
        match self {
            Self::Working(_) => {
                sql.push(" AND (k.expires_at IS NULL OR k.expires_at > ")
                    .push_bind(now.as_second())
                    .push(")");
            }
            Self::Endless => {
                sql.push(" AND k.expires_at IS NULL");
            }
            Self::Ending | Self::Expired | Self::Revoked(_) | Self::All(_) | Self::OnPlan => {}
        }
    }

    /// Whether every row is one of the list's, as far as it goes: but for a few of the last second.
    pub const fn is_exact(self) -> bool {
        !matches!(self, Self::Endless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_is_ranges_of_indexes() {
        let of = |status, order| ranges(&KeyFilter { status, order, ..KeyFilter::default() });
        assert_eq!(of(Some(Status::Active), KeyOrder::Newest), [Range::Working(Seq::Down)]);
        assert_eq!(of(Some(Status::Revoked), KeyOrder::Oldest), [Range::Revoked(Seq::Up)]);
        assert_eq!(of(Some(Status::Active), KeyOrder::Ends), [Range::Ending, Range::Endless]);
        assert_eq!(of(Some(Status::Expired), KeyOrder::Oldest), [Range::Expired]);
        assert_eq!(of(None, KeyOrder::WorkingFirst).len(), 3, "what works, what ended, what was ended");
        let ends_before = Some(Timestamp::UNIX_EPOCH);
        let on_plan = KeyFilter { plan: Some("gold".to_owned()), ..KeyFilter::default() };
        assert_eq!(ranges(&on_plan), [Range::OnPlan]);
        let here = KeyFilter { workspace_seq: Some(1), ..on_plan };
        assert_eq!(ranges(&here), [Range::All(Seq::Down)], "of one workspace it is asked of its keys");
        let ending = KeyFilter { status: Some(Status::Active), ends_before, ..KeyFilter::default() };
        assert_eq!(ranges(&ending), [Range::Ending]);
    }
}
