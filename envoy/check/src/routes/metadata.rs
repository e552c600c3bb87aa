//! What routes say of their requests in their metadata: read as the filter reads it, on the route that the filter sees, and not where a
//! client chooses the route.
//!
//! The filter sees the route that Envoy found before the filters, when nothing has filter state yet. Where a guard chooses routes, that is
//! one that a request without a key would end at, and the request goes on by another one.

use flamegate::config::{RouteSettings, route_settings};
use serde_json::Value as Json;

use crate::bypass::{described, may_meet};
use crate::finding::Findings;
use crate::guard::Asked;
use crate::node::At;
use crate::rules;

/// A route of a virtual host.
pub struct Seen<'a> {
    /// The route.
    pub at: At<'a>,
    /// What it stands in: a route configuration, a virtual host.
    pub above: Vec<At<'a>>,
    /// What was asked for before it is reached, which no request has before the filter.
    pub asked: Option<Asked>,
}

/// Namespace of the filter's settings among a route's metadata.
const NAMESPACE: &str = "flamegate";
/// Pseudo-headers are what the request is, not something that the client says beside it.
const PSEUDO_HEADERS: [&str; 3] = [":method", ":path", ":authority"];

/// Checks the routes of a chain; `is_on`: its filter reads such settings.
pub fn check(mut routes: Vec<Seen<'_>>, is_on: bool, findings: &mut Findings) {
    // A route stands there once for each of its clusters that changes filters.
    routes.dedup_by(|a, b| is_same(&a.at, &b.at));
    for seen in &routes {
        let Some(own) = settings_of(&seen.at) else { continue };
        if is_on {
            one(seen, &own, &routes, findings);
        } else {
            let what = format!("{} has settings, and route_settings is off", name(&seen.at));
            findings.at(&rules::METADATA_OFF, &own, what);
        }
    }
    let mut above: Vec<&At<'_>> = Vec::new();
    for level in routes.iter().flat_map(|seen| &seen.above) {
        if !above.iter().any(|known| is_same(known, level)) {
            above.push(level);
        }
    }
    for own in above.into_iter().filter_map(settings_of) {
        let what = "settings of a virtual host or of all its routes together are not read";
        findings.at(&rules::METADATA_UNREAD, &own, what);
    }
    if is_on {
        routes.chunk_by(in_one_host).for_each(|host| by_client(host, findings));
    }
}

fn is_same(one: &At<'_>, other: &At<'_>) -> bool {
    std::ptr::eq(one.node, other.node)
}

fn in_one_host(one: &Seen<'_>, other: &Seen<'_>) -> bool {
    one.above.last().zip(other.above.last()).is_some_and(|(one, other)| is_same(one, other))
}

/// One route with settings.
fn one(seen: &Seen<'_>, own: &At<'_>, routes: &[Seen<'_>], findings: &mut Findings) {
    let settings = match route_settings(&as_envoy_has_it(own)) {
        Ok(settings) => settings,
        Err(why) => {
            return findings.at(&rules::METADATA_UNREADABLE, own, format!("{}: {why}", name(&seen.at)));
        }
    };
    // The other routes of the same requests.
    let others =
        routes.iter().filter(|other| in_one_host(seen, other) && matches(&other.at) == matches(&seen.at));
    let says_the_same = |other: &Seen<'_>| said(&other.at) == Some(settings);
    if seen.asked.is_some() {
        let mut before = others.filter(|other| other.asked.is_none());
        if !before.any(says_the_same) {
            let what =
                format!("{} is found after the filter, and none before it says the same", name(&seen.at));
            findings.at(&rules::METADATA_UNREAD, own, what);
        }
    } else {
        let mut behind = others.filter(|other| other.asked == Some(Asked::Key)).peekable();
        if behind.peek().is_some() && !behind.any(says_the_same) {
            let what = format!("{}: the one behind the guard does not say the same", name(&seen.at));
            findings.at(&rules::METADATA_ONE_SIDED, own, what);
        }
    }
}

/// Clients that choose the route choose what they pay, by what has settings and by what has none.
fn by_client(host: &[Seen<'_>], findings: &mut Findings) {
    let routes: Vec<_> = host.iter().filter(|seen| seen.asked.is_none()).collect();
    for (index, seen) in routes.iter().enumerate() {
        let Some(route_match) = seen.at.get("match") else { continue };
        let Some(by) = chosen_by(&route_match) else { continue };
        let own = said(&seen.at).unwrap_or_default();
        // Whoever does not send it gets to one that stands behind.
        let differs = |other: &&Seen<'_>| {
            let meets = other.at.get("match").is_none_or(|other| may_meet(&route_match, &other));
            meets && said(&other.at).unwrap_or_default() != own
        };
        if settings_of(&seen.at).is_some() || routes.iter().skip(index).any(differs) {
            let what = format!("{} is chosen by {by}, which the client sends or does not", name(&seen.at));
            findings.at(&rules::METADATA_BY_CLIENT, &seen.at, what);
        }
    }
}

/// What a client says beside its request that a match asks for.
fn chosen_by(route_match: &At<'_>) -> Option<String> {
    let named = |list: &str| {
        route_match.list(list).iter().map(|at| at.text_of("name").to_owned()).collect::<Vec<_>>()
    };
    let header = named("headers").into_iter().find(|name| !PSEUDO_HEADERS.contains(&name.as_str()));
    let query =
        || named("query_parameters").into_iter().next().map(|name| format!("the query parameter {name}"));
    let cookie = || named("cookies").into_iter().next().map(|name| format!("the cookie {name}"));
    let grpc = || route_match.get("grpc").map(|_| "the header content-type".to_owned());
    header.map(|name| format!("the header {name}")).or_else(query).or_else(cookie).or_else(grpc)
}

/// What a route is found by, but for filter state.
fn matches(route: &At<'_>) -> Vec<(String, String)> {
    let fields = route.get("match").map(|route_match| route_match.fields()).unwrap_or_default();
    let mut fields: Vec<_> = fields
        .into_iter()
        .filter(|(name, _)| !matches!(*name, "filter_state" | "filterState"))
        .map(|(name, at)| (name.to_owned(), at.node.to_json().to_string()))
        .collect();
    fields.sort();
    fields
}

fn settings_of<'a>(at: &At<'a>) -> Option<At<'a>> {
    // A namespace is no field's name, and may be null.
    let all = at.dig(&["metadata", "filter_metadata"])?.fields();
    all.into_iter().find(|(name, _)| *name == NAMESPACE).map(|(_, own)| own)
}

/// What the filter reads of a route; nothing for what it cannot read.
fn said(route: &At<'_>) -> Option<RouteSettings> {
    route_settings(&as_envoy_has_it(&settings_of(route)?)).ok()
}

/// In YAML a number with a point is a text to Envoy, where nothing says that it has to be a number. A tree of JSON has no lines.
fn as_envoy_has_it(own: &At<'_>) -> Json {
    let json = own.node.to_json();
    if own.node.line == 0 { json } else { pointless(json) }
}

fn pointless(json: Json) -> Json {
    match json {
        Json::Number(number) if number.is_f64() => Json::String(number.to_string()),
        Json::Array(items) => items.into_iter().map(pointless).collect(),
        Json::Object(fields) => fields.into_iter().map(|(name, value)| (name, pointless(value))).collect(),
        other => other,
    }
}

fn name(route: &At<'_>) -> String {
    route.get("match").map_or_else(|| "a route".to_owned(), |route_match| described(route, &route_match))
}
