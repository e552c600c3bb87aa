//! The form of a plan: what it says of limits and restrictions, and how it is filled in.
//!
//! It has room for as many limits as there may be. A limit whose number of requests is empty is none.

use std::collections::HashSet;

use crate::contract::{Limit, MAX_LIMITS, Scope};
use crate::domain::error::Problems;
use crate::domain::keys::RestrictDraft;
use crate::domain::limits::{LimitDraft, scope_name};
use crate::domain::plans::{Plan, PlanDraft, PlanPatch};
use crate::http::pages::fields::Fields;
use crate::http::pages::limits::window_text;
use crate::http::pages::limits_form::{REACH, limit_of_row, reach_of};
use crate::http::pages::restrict_form::{filled_in, restrict_of};

/// One limit of the form.
pub(super) struct LimitRow {
    /// What the names of its fields end in.
    pub suffix: &'static str,
    pub legend: &'static str,
    /// The name of a limit that there is.
    pub name: String,
    pub requests: String,
    pub windows: Vec<Window>,
    pub burst: String,
    pub reach: String,
}

/// A length of a window that can be chosen.
pub(super) struct Window {
    pub seconds: String,
    pub words: String,
    pub chosen: bool,
}

/// Of each limit, what its fields' names end in, and what it is called.
const ROWS: [(&str, &str); MAX_LIMITS] =
    [("", "Limit"), ("_2", "Second limit"), ("_3", "Third limit"), ("_4", "Fourth limit")];
/// The fields of a limit.
const FIELDS: [&str; 5] = [NAME, "requests", "window_seconds", "burst", REACH];
const NAME: &str = "limit_name";
const WINDOWS: [u32; 4] = [1, 60, 3_600, 86_400];
const MINUTE: &str = "60";

/// What is sent, with the limits that are filled in before those that are not: a limit's place is its number in what is wrong with it.
pub(super) fn in_order(fields: &Fields) -> Fields {
    let is_limit = |name: &str| {
        ROWS.iter().any(|(suffix, _)| FIELDS.iter().any(|field| name == format!("{field}{suffix}")))
    };
    let mut sorted: Vec<_> = ROWS.iter().map(|(suffix, _)| *suffix).collect();
    sorted.sort_by_key(|suffix| !is_filled_in(fields, suffix));
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let others = fields.pairs().into_iter().filter(|(name, _)| !is_limit(name)).map(owned);
    let moved = ROWS.iter().zip(sorted).flat_map(|((to, _), from)| {
        FIELDS.map(|field| (format!("{field}{to}"), fields.text(&format!("{field}{from}")).to_owned()))
    });
    Fields::of(others.chain(moved).collect())
}

fn is_filled_in(fields: &Fields, suffix: &str) -> bool {
    ["requests", "burst"].iter().any(|field| !fields.text(&format!("{field}{suffix}")).is_empty())
}

/// A plan to be made.
pub(super) fn draft(fields: &Fields, problems: &mut Problems) -> PlanDraft {
    PlanDraft {
        name: Some(fields.text("name").to_owned()),
        scope: Some(fields.text("scope")).filter(|scope| !scope.is_empty()).map(str::to_owned),
        limits: Some(limits(fields, problems)),
        restrict: restrict_of(fields, problems),
    }
}

/// What the form makes of a plan. It says all of it.
pub(super) fn patch(fields: &Fields, problems: &mut Problems) -> PlanPatch {
    let limits = limits(fields, problems);
    let restrict = restrict_of(fields, problems).map(|draft| Some(draft).filter(|draft| !is_open(draft)));
    PlanPatch { limits: Some(limits), restrict, seen: fields.text("revision").parse().ok() }
}

fn is_open(draft: &RestrictDraft) -> bool {
    let RestrictDraft { methods, paths, addresses } = draft;
    [methods, paths, addresses].into_iter().flatten().all(Vec::is_empty)
}

/// The limits of fields that are in order. A new one gets a name that no other has: a limit is counted by its name, so one that is there keeps its own.
fn limits(fields: &Fields, problems: &mut Problems) -> Vec<LimitDraft> {
    let filled_in = || ROWS.iter().filter(|(suffix, _)| is_filled_in(fields, suffix));
    let name = |suffix: &str| fields.text(&format!("{NAME}{suffix}")).to_owned();
    let mut names: HashSet<String> = filled_in().map(|(suffix, _)| name(suffix)).collect();
    let mut drafts = Vec::new();
    for (number, (suffix, _)) in filled_in().enumerate() {
        let mut draft = limit_of_row(fields, suffix, &format!("limits[{number}]"), problems);
        let given = Some(name(suffix)).filter(|name| !name.is_empty());
        let name = given.or_else(|| new_names().find(|name| !names.contains(name)));
        names.extend(name.clone());
        draft.name = name;
        drafts.push(draft);
    }
    drafts
}

fn new_names() -> impl Iterator<Item = String> {
    ["default".to_owned()].into_iter().chain((2..=2 * MAX_LIMITS).map(|number| format!("limit-{number}")))
}

/// The form of a plan that is there, where nobody has typed.
pub(super) fn filled_in_for(typed: Fields, plan: &Plan) -> Fields {
    let revision = plan.revision.to_string();
    let typed = filled_in(typed, plan.restrict.as_ref()).or_absent("revision", &revision);
    ROWS.iter().zip(&plan.limits).fold(typed, |typed, ((suffix, _), limit)| {
        let Limit { name, requests, window_seconds, burst, .. } = limit;
        let burst = burst.map(|burst| burst.to_string()).unwrap_or_default();
        let values = [
            name.clone(),
            requests.to_string(),
            window_seconds.to_string(),
            burst,
            reach_of(limit).to_owned(),
        ];
        FIELDS
            .iter()
            .zip(values)
            .fold(typed, |typed, (field, value)| typed.or_absent(&format!("{field}{suffix}"), &value))
    })
}

/// The limits as the form shows them.
pub(super) fn rows(typed: &Fields) -> Vec<LimitRow> {
    let row = |(suffix, legend): (&'static str, &'static str)| {
        let text = |field: &str| typed.text(&format!("{field}{suffix}")).to_owned();
        LimitRow {
            suffix,
            legend,
            name: text(NAME),
            requests: text("requests"),
            windows: windows(&text("window_seconds")),
            burst: text("burst"),
            reach: text(REACH),
        }
    };
    ROWS.map(row).into_iter().collect()
}

impl LimitRow {
    /// Whether it is one.
    pub fn is_there(&self) -> bool {
        !self.requests.is_empty() || !self.burst.is_empty()
    }

    /// The id of one of its fields.
    pub fn id(&self, field: &str) -> String {
        format!("{field}{}", self.suffix)
    }
}

/// Those of every form, and the one that is chosen where it is another one.
fn windows(chosen: &str) -> Vec<Window> {
    let chosen = if chosen.is_empty() { MINUTE } else { chosen };
    let mut lengths = WINDOWS.to_vec();
    if let Ok(other) = chosen.parse::<u32>()
        && other > 0
        && !lengths.contains(&other)
    {
        lengths.push(other);
        lengths.sort_unstable();
    }
    let window = |length: u32| {
        let seconds = length.to_string();
        Window { chosen: seconds == chosen, seconds, words: window_text(length) }
    };
    lengths.into_iter().map(window).collect()
}

/// Which scope a new plan gets.
pub(super) fn is_of_workspaces(typed: &Fields) -> bool {
    typed.text("scope") == scope_name(Scope::Workspace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Error;
    use crate::domain::limits::parse_list;
    use jiff::Timestamp;

    fn plan(limits: &str) -> Plan {
        Plan {
            name: "gold".to_owned(),
            scope: Scope::Key,
            limits: if limits.is_empty() { Vec::new() } else { parse_list(limits).unwrap() },
            restrict: None,
            revision: 7,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_form_that_nobody_has_touched_changes_nothing() {
        for limits in ["", "100/1m+20", "5/90s,day=1000/1d^fleet,x=7/1s^fleet-refuse,month=9/31d+3"] {
            let plan = plan(limits);
            let typed = filled_in_for(Fields::default(), &plan);
            let mut problems = Problems::default();
            let patch = patch(&in_order(&typed), &mut problems);
            assert!(problems.is_empty());
            assert_eq!(patch.seen, Some(7));
            assert_eq!(patch.apply(&plan).unwrap(), plan, "{limits}");
        }
    }

    #[test]
    fn a_limit_without_requests_is_none_and_a_new_one_has_a_name_of_its_own() {
        let plan = plan("100/1m,limit-2=5/1s");
        let typed = filled_in_for(
            fields(&[("requests", ""), ("burst", ""), ("requests_4", "9"), ("window_seconds_4", "60")]),
            &plan,
        );
        let mut problems = Problems::default();
        let wanted = patch(&in_order(&typed), &mut problems).apply(&plan).unwrap();
        let names: Vec<_> =
            wanted.limits.iter().map(|limit| (limit.name.as_str(), limit.requests.get())).collect();
        assert_eq!(names, [("limit-2", 5), ("default", 9)]);
    }

    #[test]
    fn what_is_wrong_is_told_of_the_limit_that_it_is_about() {
        let typed = in_order(&fields(&[("requests_2", "5"), ("window_seconds_2", "1"), ("burst_3", "many")]));
        let mut problems = Problems::default();
        let wanted = draft(&typed, &mut problems);
        let Err(Error::Invalid(more)) = wanted.check(Timestamp::UNIX_EPOCH) else { panic!("it is no plan") };
        problems.extend(more);
        let told: Vec<_> = problems.iter().map(|(path, _)| path).collect();
        assert_eq!(told, ["limits[1].burst", "name", "limits[1].requests", "limits[1].window_seconds"]);
        assert_eq!((typed.text("requests"), typed.text("burst_2")), ("5", "many"));
    }
}
