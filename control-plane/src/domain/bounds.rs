//! What an operator allows a workspace: a ceiling for each of its keys, limits of the whole workspace, and how many keys
//! may be active. Whoever is limited cannot loosen any of it, whatever they say about a key's own limits.
//!
//! A key record is composed here and nowhere else: the key's own limits or the default ones, the ceiling, and every limit
//! of the workspace. So one (workspace, limit name) has one set of numbers, and the ceiling counts on whatever the key's own
//! limits are called: a limit of another name is another count.

use std::cmp::Ordering;

use super::error::Problems;
use super::limits::{self, LimitDraft};
use crate::contract::{Limit, MAX_LIMITS, Reach, Scope};

/// Name of the ceiling's limit in a key record. No other limit of a key may have it.
pub const CEILING: &str = "ceiling";

/// The bounds of one workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Most that one key may do; `None` for as much as its own limits say.
    pub ceiling: Option<Limit>,
    /// Limits that all keys of the workspace share; they apply to every one of them.
    pub workspace_limits: Vec<Limit>,
    /// Most keys that may be active at once; `None` for as many as one likes.
    pub max_active_keys: Option<u32>,
}

/// The limits of a key record. `own` are those of the key, or the default ones.
pub fn compose(own: Vec<Limit>, ceiling: Option<&Limit>, workspace_limits: &[Limit]) -> Vec<Limit> {
    let is_own = |limit: &Limit| limit.scope == Scope::Key && (ceiling.is_none() || limit.name != CEILING);
    let mut composed: Vec<_> = own.into_iter().filter(is_own).collect();
    // What does not fit is refused when it is written. Should it be there all the same (limits of a schema before this
    // one), the operator's limits stay, because a record with too many would be refused by every gateway. Of the others
    // the tightest stay: whoever set one meant it to hold.
    keep_tightest(&mut composed, room_beside(ceiling, workspace_limits));
    // Also when one of these is within it: that one could be renamed, and would begin to count anew each time.
    composed.extend(ceiling.cloned());
    composed.extend(workspace_limits.iter().cloned());
    composed.truncate(MAX_LIMITS);
    composed
}

/// How many limits of its own a key may have.
fn room_beside(ceiling: Option<&Limit>, workspace_limits: &[Limit]) -> usize {
    MAX_LIMITS.saturating_sub(workspace_limits.len() + usize::from(ceiling.is_some()))
}

/// Takes out the loosest limits, by rate and then by burst, until there is room for the rest.
fn keep_tightest(limits: &mut Vec<Limit>, room: usize) {
    while limits.len() > room {
        let loosest = limits
            .iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| compare_rates(a, b).then_with(|| a.burst().cmp(&b.burst())));
        let Some((loosest, _)) = loosest else { return };
        limits.remove(loosest);
    }
}

/// True when `limit` admits at most what `ceiling` does, in the long run and at once.
fn is_within(limit: &Limit, ceiling: &Limit) -> bool {
    compare_rates(limit, ceiling).is_le() && limit.burst() <= ceiling.burst()
}

/// Which of the two admits more in the long run.
fn compare_rates(a: &Limit, b: &Limit) -> Ordering {
    let product = |requests: &Limit, window: &Limit| {
        u64::from(requests.requests.get()) * u64::from(window.window_seconds.get())
    };
    product(a, b).cmp(&product(b, a))
}

/// True when two limits of one name mean the same.
fn is_same(a: &Limit, b: &Limit) -> bool {
    let numbers = |limit: &Limit| (limit.requests, limit.window_seconds, limit.burst());
    numbers(a) == numbers(b) && (a.reach, a.when_unreachable) == (b.reach, b.when_unreachable)
}

impl Bounds {
    /// A key's own limits as they are stored: what is the workspace's is left out. Problems have paths at `at`. Limits that are
    /// all looser than the ceiling would never be felt: whoever sets them is told, rather than wonder later.
    pub fn fit(&self, own: Vec<Limit>, at: &str, problems: &mut Problems) -> Vec<Limit> {
        let names_ceiling = own.iter().any(|limit| self.is_ceiling(limit));
        let kept = self.strip(own, at, problems);
        if let Some(ceiling) = &self.ceiling {
            let within = names_ceiling || kept.iter().any(|limit| is_within(limit, ceiling));
            if !within && !kept.is_empty() {
                let numbers = numbers(ceiling);
                let text = format!(
                    "one of them must be within the workspace's ceiling of {numbers}: neither a higher rate nor more at \
                     once"
                );
                problems.add(at, text);
            }
        }
        self.count(&kept, at, problems);
        kept
    }

    /// The default limits of the workspace as they are stored.
    pub fn fit_default(&self, default: Vec<Limit>, at: &str, problems: &mut Problems) -> Vec<Limit> {
        let kept = self.strip(default, at, problems);
        if self.workspace_limits.len() + usize::from(self.ceiling.is_some()) > MAX_LIMITS {
            problems
                .add("workspace_limits", format!("at most {MAX_LIMITS} limits together with the ceiling"));
        } else {
            self.count(&kept, at, problems);
        }
        kept
    }

    /// True when a key with these own limits has a record that gateways accept.
    pub fn has_room_for(&self, own: &[Limit]) -> bool {
        own.len() <= self.room()
    }

    /// Takes out what the workspace's bounds say anyway, and refuses what contradicts them.
    fn strip(&self, own: Vec<Limit>, at: &str, problems: &mut Problems) -> Vec<Limit> {
        let mut kept = Vec::with_capacity(own.len());
        for (index, limit) in own.into_iter().enumerate() {
            let path = format!("{at}[{index}]");
            match limit.scope {
                Scope::Workspace => match self.workspace_limits.iter().find(|one| one.name == limit.name) {
                    Some(one) if is_same(one, &limit) => {}
                    Some(one) => {
                        let text = format!(
                            "the workspace's limit of this name is {}, for all its keys",
                            numbers(one)
                        );
                        problems.add(path, text);
                    }
                    None => problems
                        .add(path, "limits of the whole workspace are set by an operator, not with a key"),
                },
                Scope::Key if limit.name != CEILING => kept.push(limit),
                Scope::Key if self.is_ceiling(&limit) => {}
                Scope::Key => {
                    let text = format!("'{CEILING}' is the name of the ceiling that an operator sets");
                    problems.add(format!("{path}.name"), text);
                }
            }
        }
        kept
    }

    fn is_ceiling(&self, limit: &Limit) -> bool {
        let is_named = limit.scope == Scope::Key && limit.name == CEILING;
        is_named && self.ceiling.as_ref().is_some_and(|ceiling| is_same(ceiling, limit))
    }

    fn count(&self, own: &[Limit], at: &str, problems: &mut Problems) {
        let room = self.room();
        if own.len() > room {
            let taken = MAX_LIMITS - room;
            let text = format!(
                "at most {room}: a key has at most {MAX_LIMITS} limits, and the workspace's ceiling and limits are \
                 {taken} of them"
            );
            problems.add(at, text);
        }
    }

    fn room(&self) -> usize {
        room_beside(self.ceiling.as_ref(), &self.workspace_limits)
    }
}

/// A ceiling as a request gives it. It is the key's own, and its name is given.
pub fn check_ceiling(draft: LimitDraft, problems: &mut Problems) -> Option<Limit> {
    let mut found = Problems::default();
    if draft.name.as_deref().is_some_and(|name| name != CEILING) {
        found.add(".name", format!("must be {CEILING}, or not given"));
    }
    if draft.scope.as_deref().is_some_and(|scope| scope != "key") {
        found.add(".scope", "must be key, or not given: a ceiling is of each key for itself");
    }
    let draft = LimitDraft { name: Some(CEILING.to_owned()), scope: None, ..draft };
    let mut checked = Problems::default();
    let limit = limits::check(&[draft], "", &mut checked).pop();
    found.extend_from("[0]", checked);
    problems.extend_at("ceiling", found);
    limit
}

/// Limits of the whole workspace as a request gives them.
pub fn check_workspace_limits(drafts: &[LimitDraft], problems: &mut Problems) -> Vec<Limit> {
    const AT: &str = "workspace_limits";
    let of_workspace = |(index, draft): (usize, &LimitDraft)| {
        if draft.scope.as_deref().is_some_and(|scope| scope != "workspace") {
            problems.add(format!("{AT}[{index}].scope"), "must be workspace, or not given");
        }
        if draft.name.as_deref() == Some(CEILING) {
            let text = format!("'{CEILING}' is the name of the limit that the field {CEILING} sets");
            problems.add(format!("{AT}[{index}].name"), text);
        }
        LimitDraft { scope: Some("workspace".to_owned()), ..draft.clone() }
    };
    let drafts: Vec<_> = drafts.iter().enumerate().map(of_workspace).collect();
    limits::check(&drafts, AT, problems)
}

/// How many keys may be active: a whole number, or `null` for as many as one likes.
pub fn check_max_active_keys(given: Option<i64>, problems: &mut Problems) -> Option<u32> {
    let number = given?;
    let checked = u32::try_from(number).ok().filter(|number| *number <= MOST_KEYS);
    if checked.is_none() {
        problems.add("max_active_keys", format!("0 to {MOST_KEYS}, or null for as many as one likes"));
    }
    checked
}

/// The largest quota.
const MOST_KEYS: u32 = 1_000_000_000;

/// `100 per 60 seconds, 20 at once`: people read it on the pages, in answers and on the command line.
fn numbers(limit: &Limit) -> String {
    let Limit { requests, window_seconds, .. } = limit;
    let fleet = if limit.reach == Reach::Fleet { ", all gateways together" } else { "" };
    format!("{requests} per {window_seconds} seconds, {} at once{fleet}", limit.burst())
}

#[cfg(test)]
mod tests;
