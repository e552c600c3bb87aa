//! What the list of keys and the audit log of the pages ask for, of a workspace with half of all keys and of a small one: each state in each order, on the first page and on a
//! late one, and what no index knows, which no key matches, so that as much is looked at as may be.

use jiff::{SignedDuration, Timestamp};

use crate::contract::Environment;
use crate::domain::audit::{Action, AuditFilter};
use crate::domain::keys::{KeyFilter, KeyOrder, Status};
use crate::domain::lists::MOST_COUNTED;
use crate::domain::shadow;
use crate::domain::usage::minute_of;
use crate::store::seam::audit::ReadAudit as _;
use crate::store::seam::keys::ReadKeys as _;
use crate::store::seam::shadow::{ReadShadow as _, WriteShadow as _};
use crate::store::seam::workspaces::ReadWorkspaces as _;
use crate::store::sql::statement::Sql;

/// The workspace with half of all keys, and one of the others.
pub(super) const LARGE: i64 = 1;
pub(super) const SMALL: i64 = 3;

/// Most rows that one query may look at. The rows of a look are counted twice, as they are found and as they are left out, and so are a few besides.
pub(super) const MOST_ROWS: u64 = 2 * MOST_COUNTED as u64 + 500;

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).unwrap()
}

pub(super) fn ago(days: i64) -> Timestamp {
    now() - SignedDuration::from_hours(24 * days)
}

/// What would have been refused: a row of each key on one day, and as many of gateways.
async fn ask_shadow(sql: &mut impl Sql) {
    let from = shadow::since(shadow::MOST_DAYS, minute_of(now()));
    for offset in [0, MOST_COUNTED - 1_000] {
        let (found, total) = sql.shadowed_keys(from, shadow::MOST_LOOKED_AT, offset, 50).await.unwrap();
        assert!(total <= MOST_COUNTED.into() && (found.len() == 50 || offset > 0), "{total}");
    }
    assert!(!sql.shadowed_reasons(from, shadow::MOST_LOOKED_AT).await.unwrap().is_empty());
    assert!(sql.forget_shadow(minute_of(ago(10)), 100).await.unwrap() > 0);
}

pub(super) async fn ask(sql: &mut impl Sql) {
    ask_log(sql).await;
    ask_shadow(sql).await;
    for filter in filters() {
        for offset in [0, MOST_COUNTED - 100] {
            let filter = KeyFilter { offset, ..filter.clone() };
            sql.list_keys(&filter, now(), 51).await.unwrap();
        }
        let found = sql.count_keys(&filter, now()).await.unwrap();
        let is_plain = filter.environment.is_none() && filter.created_by.is_none() && filter.search.is_none();
        assert_eq!(found > 0, is_plain, "{filter:?}");
        let first = sql.list_keys(&filter, now(), 51).await.unwrap();
        assert_eq!(first.len() as u64, found.min(51), "{filter:?}");
    }
}

/// The page of a plan: who is on it, on the first page and on a late one; and what the API lists of it.
pub(super) async fn ask_plans(sql: &mut impl Sql) {
    for plan in ["gold", "few"] {
        let on_it = KeyFilter { plan: Some(plan.to_owned()), ..KeyFilter::default() };
        let of_pages = KeyFilter { look: Some(MOST_COUNTED), ..on_it.clone() };
        let first = sql.list_keys(&of_pages, now(), 51).await.unwrap();
        assert!(
            first.len() > 4 && first.iter().all(|key| key.plan == on_it.plan && key.revoked_at.is_none())
        );
        assert!(first.is_sorted_by_key(|key| -key.seq));
        let late = KeyFilter { offset: MOST_COUNTED - 100, ..of_pages };
        sql.list_keys(&late, now(), 51).await.unwrap();
        let before = first.first().map(|key| key.seq);
        assert!(!sql.list_keys(&KeyFilter { before, ..on_it }, now(), 4).await.unwrap().is_empty());
    }
    assert_eq!(sql.workspaces_on_plan("house", 10, 51).await.unwrap().len(), 40);
}

/// The audit log of a workspace: everything, what was done to one thing, and an action that nobody has done; a page of it, and its file.
async fn ask_log(sql: &mut impl Sql) {
    for workspace in [LARGE, SMALL] {
        let all = AuditFilter {
            workspace_seq: Some(workspace),
            look: Some(MOST_COUNTED),
            ..AuditFilter::default()
        };
        let late = AuditFilter { offset: MOST_COUNTED - 100, ..all.clone() };
        let one = AuditFilter { target_id: Some("key_4".to_owned()), ..all.clone() };
        let never = AuditFilter { action: Some(Action::KeyRevoked), ..all.clone() };
        for filter in [&all, &late, &one, &never] {
            for limit in [51, 5_001] {
                sql.list_entries(filter, limit).await.unwrap();
            }
            sql.count_entries(filter).await.unwrap();
        }
        assert_eq!(sql.list_entries(&all, 51).await.unwrap().len(), 51);
        assert_eq!(sql.count_entries(&never).await.unwrap(), 0);
    }
}

fn filters() -> Vec<KeyFilter> {
    let of = |status| KeyFilter { status, look: Some(MOST_COUNTED), ..KeyFilter::default() };
    let sorted = |status, order| KeyFilter { order, ..of(status) };
    let active = Some(Status::Active);
    let soon = ago(-30);
    let states = [
        of(active),
        sorted(active, KeyOrder::Oldest),
        sorted(active, KeyOrder::Ends),
        sorted(active, KeyOrder::LongestUnused),
        KeyFilter { ends_before: Some(soon), ..sorted(active, KeyOrder::Ends) },
        KeyFilter { unused_since: Some(ago(90)), ..sorted(active, KeyOrder::LongestUnused) },
        KeyFilter { refused_since: Some(ago(7)), ..sorted(None, KeyOrder::LatestRefused) },
        sorted(Some(Status::Expired), KeyOrder::Ends),
        of(Some(Status::Revoked)),
        sorted(Some(Status::Revoked), KeyOrder::Oldest),
        of(None),
        sorted(None, KeyOrder::Oldest),
        sorted(None, KeyOrder::WorkingFirst),
    ];
    let narrow = |filter: KeyFilter| {
        let text = || Some("nobody has this".to_owned());
        [
            KeyFilter { environment: Some(Environment::Test), ..filter.clone() },
            KeyFilter { created_by: text(), ..filter.clone() },
            KeyFilter { search: text(), ..filter.clone() },
            filter,
        ]
    };
    let of_each = |filter: KeyFilter| {
        [LARGE, SMALL].map(|workspace_seq| KeyFilter { workspace_seq: Some(workspace_seq), ..filter.clone() })
    };
    states.into_iter().flat_map(narrow).flat_map(of_each).collect()
}
