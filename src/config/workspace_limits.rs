//! Limits that static keys of one workspace share. All keys of a workspace count in one state for a limit of one name: with
//! two sets of numbers each would undo what the other has counted, and nobody would be limited.

use std::collections::HashMap;

use crate::contract::record::{KeyRecord, Limit, Scope};

use super::fields::Fields;

/// Reports each limit of a workspace whose numbers differ from the first of its name; `keys` with their paths.
pub(super) fn check<'k>(root: &mut Fields<'_, '_>, keys: impl Iterator<Item = (&'k str, &'k KeyRecord)>) {
    let mut seen = HashMap::new();
    for (path, record) in keys {
        let shared = |(_, limit): &(usize, &Limit)| limit.scope == Scope::Workspace;
        for (index, limit) in record.limits.iter().enumerate().filter(shared) {
            let at = format!("{path}.limits[{index}]");
            let numbers = (limit.requests, limit.window_seconds, limit.burst());
            let (first, first_at) =
                seen.entry((&record.workspace, &limit.name)).or_insert_with(|| (numbers, at.clone()));
            if *first != numbers {
                let problem = format!(
                    "has other numbers than {first_at}: a limit of a workspace has one set of numbers for all its keys"
                );
                root.mistake(&at, &problem);
            }
        }
    }
}
