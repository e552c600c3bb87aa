//! Routes by their paths: which of them need no key, and what they make of paths that need none.

use flamegate::config::FilterConfig;

use crate::finding::Findings;
use crate::node::At;
use crate::rules;

/// The path of a route's match.
enum Path<'a> {
    Exact(&'a str),
    Prefix(&'a str),
    Other,
}

fn path_of<'a>(route_match: &At<'a>) -> Path<'a> {
    for name in ["prefix", "path_separated_prefix"] {
        if let Some(prefix) = route_match.get(name).and_then(|at| at.text()) {
            return Path::Prefix(prefix);
        }
    }
    route_match.get("path").and_then(|at| at.text()).map_or(Path::Other, Path::Exact)
}

/// False when no path can fit both matches.
pub fn may_meet(one: &At<'_>, other: &At<'_>) -> bool {
    if one.is_not("case_sensitive") || other.is_not("case_sensitive") {
        return true;
    }
    match (path_of(one), path_of(other)) {
        (Path::Exact(one), Path::Exact(other)) => one == other,
        (Path::Exact(path), Path::Prefix(prefix)) | (Path::Prefix(prefix), Path::Exact(path)) => {
            path.starts_with(prefix)
        }
        (Path::Prefix(one), Path::Prefix(other)) => one.starts_with(other) || other.starts_with(one),
        _ => true,
    }
}

/// True when every request of this match needs no key by a bypass rule.
pub fn is_open(config: &FilterConfig, route_match: &At<'_>) -> bool {
    // The filter knows letters apart.
    if route_match.is_not("case_sensitive") {
        return false;
    }
    let rules = config.bypass.iter().filter(|rule| rule.methods.is_empty());
    rules.into_iter().any(|rule| match path_of(route_match) {
        Path::Exact(path) => rule.opens(path),
        Path::Prefix(prefix) => rule.prefix && prefix.starts_with(&rule.path),
        Path::Other => false,
    })
}

/// A route for people.
pub fn described(route: &At<'_>, route_match: &At<'_>) -> String {
    let name = route.text_of("name");
    let path = ["prefix", "path", "path_separated_prefix"]
        .iter()
        .find_map(|kind| Some((*kind, route_match.get(kind)?.text()?)));
    let regex = || Some(("safe_regex", route_match.dig(&["safe_regex", "regex"])?.text()?));
    let matched = path
        .or_else(regex)
        .map_or_else(|| "some requests".to_owned(), |(kind, text)| format!("{kind} {text}"));
    if name.is_empty() { format!("the route of {matched}") } else { format!("the route {name} ({matched})") }
}

/// What routes do to paths that a bypass rule opens.
pub fn check(routes: &[At<'_>], config: &FilterConfig, findings: &mut Findings) {
    for rule in config.bypass.iter().filter(|rule| !(rule.prefix && rule.path == "/")) {
        for route in routes {
            let Some(route_match) = route.get("match") else { continue };
            let (touches, is_narrower) = match path_of(&route_match) {
                Path::Exact(path) => (rule.opens(path), rule.prefix && path != rule.path),
                Path::Prefix(prefix) => {
                    let inside = rule.prefix && prefix.starts_with(&rule.path);
                    let bare = prefix.trim_end_matches('/') == rule.path.trim_end_matches('/');
                    (rule.path.starts_with(prefix) || inside, inside && !bare)
                }
                Path::Other => (false, false),
            };
            let rewrites = ["prefix_rewrite", "regex_rewrite", "path_rewrite_policy", "path_rewrite"];
            let rewrite = rewrites.iter().find_map(|name| route.dig(&["route", name]));
            if let Some(rewrite) = rewrite.filter(|_| touches) {
                let what = format!("the bypass rule {} opens a path that is rewritten", rule.path);
                findings.at(&rules::BYPASS_REWRITE, &rewrite, what);
            }
            if touches && is_narrower {
                let what =
                    format!("the bypass rule {} also opens {}", rule.path, described(route, &route_match));
                findings.at(&rules::BYPASS_ROUTE, route, what);
            }
            if takes_all(&route_match, &rule.path) {
                break;
            }
        }
    }
}

/// True when no request that the rule opens gets beyond this route.
fn takes_all(route_match: &At<'_>, rule: &str) -> bool {
    let conditions = [
        "headers",
        "query_parameters",
        "grpc",
        "runtime_fraction",
        "filter_state",
        "dynamic_metadata",
        "tls_context",
    ];
    let takes_path = match path_of(route_match) {
        Path::Exact(path) => path == rule,
        Path::Prefix(prefix) => rule.starts_with(prefix),
        Path::Other => false,
    };
    takes_path && conditions.iter().all(|name| route_match.get(name).is_none())
}
