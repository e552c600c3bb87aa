//! What makes a guard: whatever it lets through has filter state that only the filter writes, and only for who may pass.

use crate::node::{At, Value};

/// What a guard is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing passes without the filter.
    Closed,
    /// It asks for our filter state, and lets others through as well.
    Open,
    /// It has nothing to do with us.
    Foreign,
    /// It mentions our filter state in a form that is not judged here.
    Unclear,
}

/// How the names of our filter state begin.
pub const PREFIX: &str = "wasm.flamegate.";
/// What the rules of an RBAC filter are worth (`RBAC`, or `rbac` of `RBACPerRoute`).
pub fn of_rbac(rbac: &At<'_>) -> Guard {
    let mentions = |at: &At<'_>| at.texts().iter().any(|(text, _)| text.starts_with(PREFIX));
    if let Some(matcher) = rbac.get("matcher") {
        return if mentions(&matcher) { Guard::Unclear } else { Guard::Foreign };
    }
    let Some(rules) = rbac.get("rules") else { return Guard::Foreign };
    if !mentions(&rules) {
        return Guard::Foreign;
    }
    // 0 is ALLOW by its number; every other one, and whatever cannot be read, is not.
    let allows = rules.get("action").is_none_or(|action| match &action.node.value {
        Value::Text(name) => name == "ALLOW",
        Value::Number(number) => number.as_u64() == Some(0),
        _ => false,
    });
    let policies = rules.get("policies").map(|policies| policies.fields()).unwrap_or_default();
    let closed = policies.iter().all(|(_, policy)| {
        let principals = policy.list("principals");
        !principals.is_empty() && principals.iter().all(asks)
    });
    if allows && closed { Guard::Closed } else { Guard::Open }
}

/// True for a principal that nobody without our filter state is.
fn asks(principal: &At<'_>) -> bool {
    let ids = |name| principal.get(name).map(|all| all.list("ids"));
    if let Some(all) = ids("and_ids") {
        return all.iter().any(asks);
    }
    if let Some(any) = ids("or_ids") {
        return !any.is_empty() && any.iter().all(asks);
    }
    principal.get("filter_state").is_some_and(|matcher| in_matcher(&matcher).is_some())
}

/// What is asked for of who gets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An identity.
    Key,
    /// That no key was needed.
    Bypass,
}

/// What a route asks for (`RouteMatch`).
pub fn in_match(route_match: &At<'_>) -> Option<Asked> {
    route_match.list("filter_state").iter().find_map(in_matcher)
}

/// What a `FilterStateMatcher` asks for.
fn in_matcher(matcher: &At<'_>) -> Option<Asked> {
    let is_empty = matcher.get("string_match").is_some_and(|value| matches_empty(&value));
    asked(matcher.text_of("key")).filter(|_| !is_empty)
}

/// What filter state of this name says; nothing when it is not there on a permit or a bypass only.
pub fn asked(key: &str) -> Option<Asked> {
    match key.strip_prefix(PREFIX)? {
        "bypass" => Some(Asked::Bypass),
        "key_id" | "workspace_id" | "environment" => Some(Asked::Key),
        _ => None,
    }
}

/// True for a `StringMatcher` that an empty text fits, too.
pub fn matches_empty(value: &At<'_>) -> bool {
    let is_empty = |name| value.get(name).is_some_and(|at| at.text() == Some(""));
    let regex = value.dig(&["safe_regex", "regex"]).and_then(|at| at.text());
    ["exact", "prefix", "suffix", "contains"].into_iter().any(is_empty) || matches!(regex, Some("" | ".*"))
}

/// True when something below a node admits what passes in shadow: a match on the filter state that says so.
pub fn admits_shadow(at: &At<'_>) -> bool {
    let exact = |value: Option<At<'_>>| {
        value.is_some_and(|value| value.get("exact").is_some_and(|at| at.text() == Some("shadow")))
    };
    let bypass = |key: &str| key.strip_prefix(PREFIX) == Some("bypass");
    let by_input = at.all_of("single_predicate").into_iter().any(|single| {
        let key = single.dig(&["input", "typed_config", "key"]);
        key.is_some_and(|key| key.text().is_some_and(bypass)) && exact(single.get("value_match"))
    });
    // Of a route's match and an RBAC principal.
    let by_matcher = at
        .all_of("filter_state")
        .into_iter()
        .flat_map(|matchers| matchers.items())
        .any(|matcher| bypass(matcher.text_of("key")) && exact(matcher.get("string_match")));
    by_input || by_matcher
}

/// The names of our filter state that stand below a node, `wasm.flamegate.` left away, with their places.
pub fn names<'a>(at: &At<'a>) -> Vec<(&'a str, At<'a>)> {
    let mut found = Vec::new();
    for (text, at) in at.texts() {
        for (start, _) in text.match_indices(PREFIX) {
            let rest = text.get(start.saturating_add(PREFIX.len())..).unwrap_or_default();
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            found.push((rest.get(..end).unwrap_or_default(), at.clone()));
        }
    }
    found
}
