//! The matcher tree of a virtual host (`VirtualHost.matcher`): which routes it leads to, and whether it asks for filter state on the way.

use crate::guard::{self, Asked};
use crate::node::At;

/// What a tree leads to.
#[derive(Default)]
pub struct Leads<'a> {
    /// Routes, each with what was asked for on the way to it.
    pub routes: Vec<(At<'a>, Option<Asked>)>,
    /// Parts of a form that is not judged.
    pub unclear: Vec<At<'a>>,
}

/// Walks the tree of a virtual host.
pub fn walk<'a>(matcher: &At<'a>) -> Leads<'a> {
    let mut leads = Leads::default();
    tree(matcher, None, &mut leads);
    leads
}

fn tree<'a>(matcher: &At<'a>, asked: Option<Asked>, leads: &mut Leads<'a>) {
    let rows = matcher.get("matcher_list").map(|list| list.list("matchers")).unwrap_or_default();
    for row in &rows {
        let here = row.get("predicate").and_then(|predicate| in_predicate(&predicate, &mut leads.unclear));
        lead(row.get("on_match"), asked.or(here), leads);
    }
    if let Some(by_value) = matcher.get("matcher_tree") {
        let here = by_value.get("input").and_then(|input| in_input(&input));
        let maps =
            ["exact_match_map", "prefix_match_map"].iter().find_map(|name| by_value.dig(&[name, "map"]));
        match maps {
            Some(map) => map.fields().into_iter().for_each(|(value, on_match)| {
                lead(Some(on_match), asked.or(here.filter(|_| !value.is_empty())), leads);
            }),
            None => leads.unclear.push(by_value),
        }
    }
    lead(matcher.get("on_no_match"), asked, leads);
}

/// `OnMatch`: another tree, or an action with routes.
fn lead<'a>(on_match: Option<At<'a>>, asked: Option<Asked>, leads: &mut Leads<'a>) {
    let Some(on_match) = on_match else { return };
    if let Some(matcher) = on_match.get("matcher") {
        return tree(&matcher, asked, leads);
    }
    let Some((kind, action)) = on_match.dig(&["action", "typed_config"]).map(|action| action.typed()) else {
        return;
    };
    match kind.rsplit('.').next() {
        Some("RouteList") => {
            leads.routes.extend(action.list("routes").into_iter().map(|route| (route, asked)))
        }
        Some("Route") => leads.routes.push((action, asked)),
        _ => leads.unclear.push(action),
    }
}

/// What every request that a predicate is true for has.
fn in_predicate<'a>(predicate: &At<'a>, unclear: &mut Vec<At<'a>>) -> Option<Asked> {
    let several = |name| predicate.get(name).map(|all| all.list("predicate"));
    if let Some(any) = several("or_matcher") {
        let asked: Option<Vec<_>> = any.iter().map(|one| in_predicate(one, unclear)).collect();
        let asked = asked.filter(|asked| !asked.is_empty())?;
        return Some(if asked.contains(&Asked::Bypass) { Asked::Bypass } else { Asked::Key });
    }
    if let Some(all) = several("and_matcher") {
        return all.iter().find_map(|one| in_predicate(one, unclear));
    }
    let single = predicate.get("single_predicate")?;
    let asked = in_input(&single.get("input")?)?;
    if let Some(value) = single.get("value_match") {
        return Some(asked).filter(|_| !guard::matches_empty(&value));
    }
    let custom = single.get("custom_match")?;
    let kind = custom.get("typed_config").map(|config| config.typed().0).unwrap_or_default();
    // By its hash: a value that is not there has none.
    if !kind.ends_with(".ConsistentHashing") {
        unclear.push(custom);
    }
    Some(asked)
}

fn in_input(input: &At<'_>) -> Option<Asked> {
    let (kind, config) = input.get("typed_config")?.typed();
    guard::asked(config.text_of("key")).filter(|_| kind.ends_with(".FilterStateInput"))
}
