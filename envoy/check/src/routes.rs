//! Routes: which of them the filter and a guard stand before, and what they do to paths that need no key.

mod metadata;

use flamegate::config::FilterConfig;

use crate::bypass::{self, described, is_open};
use crate::chain::{Chain, published};
use crate::finding::Findings;
use crate::guard::{self, Asked, Guard};
use crate::jwt::{self, Jwt};
use crate::model::{Filter, Model, RBAC};
use crate::node::At;
use crate::rules;
use crate::tree;

use self::metadata::Seen;

/// A route and what may change filters for it, the outermost first.
struct Route<'a> {
    at: At<'a>,
    /// Route configuration, virtual host, route, weighted cluster.
    levels: Vec<At<'a>>,
    /// What was asked for before it is reached, by itself or by the tree that leads to it.
    asked: Option<Asked>,
}

/// How many of the levels stand above the route.
const HOST: usize = 2;

/// All routes of a manager, as far as they are seen.
fn all<'a>(model: &Model<'a>, manager: &At<'a>) -> Vec<Route<'a>> {
    let Some(config) = model.routes_of(manager) else { return Vec::new() };
    let mut found = Vec::new();
    for host in config.list("virtual_hosts") {
        let plain = host.list("routes").into_iter().map(|at| (at, None));
        let tree = host.get("matcher").map(|matcher| tree::walk(&matcher).routes).unwrap_or_default();
        for (at, asked) in plain.chain(tree) {
            let asked = asked.or_else(|| guard::in_match(&at.get("match")?));
            let levels = vec![config.clone(), host.clone(), at.clone()];
            let weighted =
                at.dig(&["route", "weighted_clusters"]).map(|all| all.list("clusters")).unwrap_or_default();
            let changing: Vec<_> =
                weighted.into_iter().filter(|one| one.get("typed_per_filter_config").is_some()).collect();
            for cluster in &changing {
                let levels = levels.iter().chain([cluster]).cloned().collect();
                found.push(Route { at: at.clone(), levels, asked });
            }
            if changing.is_empty() {
                found.push(Route { at, levels, asked });
            }
        }
    }
    found
}

/// All routes of a manager by themselves.
pub fn plain<'a>(model: &Model<'a>, manager: &At<'a>) -> Vec<At<'a>> {
    all(model, manager).into_iter().map(|route| route.at).collect()
}

/// True when a request can get to an upstream, or when that cannot be told.
pub fn reach_an_upstream(model: &Model<'_>, manager: &At<'_>) -> bool {
    let Some(config) = model.routes_of(manager) else { return true };
    let trees = config.list("virtual_hosts").into_iter().filter_map(|host| host.get("matcher"));
    let unclear = trees.into_iter().any(|matcher| !tree::walk(&matcher).unclear.is_empty());
    unclear
        || config.get("vhds").is_some()
        || plain(model, manager).iter().any(|route| route.get("route").is_some())
}

/// True when some routes ask for filter state themselves, or a tree before them.
pub fn have_guards(model: &Model<'_>, manager: &At<'_>) -> bool {
    model.routes_of(manager).is_none() || all(model, manager).iter().any(|route| route.asked.is_some())
}

/// True when every route to an upstream asks for filter state, or a tree before it.
pub fn all_ask(model: &Model<'_>, manager: &At<'_>) -> bool {
    let mut upstreams =
        all(model, manager).into_iter().filter(|route| route.at.get("route").is_some()).peekable();
    upstreams.peek().is_some() && upstreams.all(|route| route.asked.is_some())
}

/// Checks the routes of a chain.
pub fn check<'a>(model: &Model<'a>, chain: &Chain<'a, '_>, findings: &mut Findings) {
    unseen(model, chain, findings);
    let routes = all(model, &chain.http.manager);
    let guarded = chain.http.filters.iter().enumerate().any(|(index, filter)| {
        let worth = filter.config.as_ref().map_or(Guard::Foreign, guard::of_rbac);
        filter.kind == RBAC && index > chain.position && worth != Guard::Foreign
    });
    // Without any guard there is one finding for the chain.
    let any_guard = guarded || have_guards(model, &chain.http.manager);
    let config = chain.plugin.and_then(|plugin| plugin.config.as_ref()).map(|config| &config.filter);
    for route in routes.iter().filter(|route| route.at.get("route").is_some()) {
        one(chain, route, any_guard, config, findings);
    }
    if let Some(plugin) = chain.plugin {
        let seen = |route: &Route<'a>| Seen {
            at: route.at.clone(),
            above: route.levels.iter().take(HOST).cloned().collect(),
            asked: route.asked,
        };
        metadata::check(routes.iter().map(seen).collect(), plugin.flag("route_settings"), findings);
    }
    if let Some(config) = config {
        // Who needs no key has no identity, and does not get to routes that ask for one.
        let routes = routes.iter().filter(|route| route.asked != Some(Asked::Key));
        bypass::check(&routes.map(|route| route.at.clone()).collect::<Vec<_>>(), config, findings);
    }
}

/// What of the routes is not in the text.
fn unseen<'a>(model: &Model<'a>, chain: &Chain<'a, '_>, findings: &mut Findings) {
    let (manager, listener) = (&chain.http.manager, &chain.http.listener);
    let Some(config) = model.routes_of(manager) else {
        let name = manager.get("rds").map(|rds| rds.text_of("route_config_name"));
        let what = match name {
            Some(name) => format!("the routes {name} of listener {listener} come by discovery"),
            None => format!("the routes of listener {listener} depend on its scope"),
        };
        findings.at(&rules::UNSEEN, manager, what);
        return;
    };
    if config.get("vhds").is_some() {
        findings.at(
            &rules::UNSEEN,
            &config,
            format!("virtual hosts of listener {listener} come by discovery"),
        );
    }
    for matcher in config.list("virtual_hosts").iter().filter_map(|host| host.get("matcher")) {
        published(chain, &matcher, findings);
        for part in tree::walk(&matcher).unclear {
            findings.at(
                &rules::UNSEEN,
                &part,
                "this part of the matcher tree is of a form that is not judged",
            );
        }
    }
}

fn one(
    chain: &Chain<'_, '_>,
    route: &Route<'_>,
    any_guard: bool,
    config: Option<&FilterConfig>,
    findings: &mut Findings,
) {
    let Some(route_match) = route.at.get("match") else { return };
    published(chain, &route_match, findings);
    let Some(filter) = chain.http.filters.get(chain.position) else { return };
    let asks = route.asked.is_some();
    if asks {
        late(chain, route, findings);
    }
    let levels = route.levels.iter().take(if asks { HOST } else { usize::MAX }).cloned().collect();
    let route = &Route { at: route.at.clone(), levels, asked: route.asked };
    let is_on = is_on(route, filter.name, filter.at.is("disabled"));
    let is_guarded = asks || rbac_guards(chain, route, findings);
    let name = described(&route.at, &route_match);
    match (is_on, is_guarded) {
        (true, true) => {}
        (false, true) => findings.at(
            &rules::ROUTE_DEAD,
            &route.at,
            format!("{name}: the filter is off and the guard is on"),
        ),
        (false, false) => match jwt::of(&chain.http.manager, &changes_of(chain, route)) {
            Jwt::Cleaned => {}
            Jwt::Uncleaned => findings.at(
                &rules::ROUTE_OPEN,
                &route.at,
                format!("{name}: a JWT is asked for, and x-flametalk-… of the client is not removed"),
            ),
            Jwt::None => {
                findings.at(&rules::ROUTE_OPEN, &route.at, format!("{name}: filter and guard are off"))
            }
        },
        (true, false) => {
            if any_guard && !config.is_some_and(|config| is_open(config, &route_match)) {
                findings.at(&rules::ROUTE_UNGUARDED, &route.at, format!("{name} has no guard"));
            }
        }
    }
    let follows = route.at.dig(&["route", "internal_redirect_policy"]);
    if let Some(policy) =
        follows.filter(|_| chain.plugin.is_some_and(|plugin| !plugin.flag("internal_redirects")))
    {
        findings.at(
            &rules::REDIRECTS,
            &policy,
            format!("{name} follows redirects, and internal_redirects is off"),
        );
    }
}

/// What a route says about filters that have run before it is found.
fn late(chain: &Chain<'_, '_>, route: &Route<'_>, findings: &mut Findings) {
    for level in route.levels.iter().skip(HOST) {
        let settings = level.get("typed_per_filter_config").map(|all| all.fields()).unwrap_or_default();
        for (name, at) in settings {
            let position = chain.http.filters.iter().position(|filter| filter.name == name);
            if position.is_some_and(|position| position <= chain.position) || at.is("disabled") {
                findings.at(&rules::ROUTE_LATE, &at, format!("the settings of {name} come too late"));
            }
        }
    }
}

/// True when a filter runs for a route.
fn is_on(route: &Route<'_>, name: &str, is_off_by_itself: bool) -> bool {
    let said = changes(route, name).into_iter().rev().find_map(|change| {
        let (kind, at) = change.typed();
        kind.ends_with(".FilterConfig").then(|| !at.is("disabled"))
    });
    said.unwrap_or(!is_off_by_itself)
}

/// What is said about a filter for a route, the outermost first.
fn changes<'a>(route: &Route<'a>, name: &str) -> Vec<At<'a>> {
    let per_filter = route.levels.iter().filter_map(|level| level.get("typed_per_filter_config"));
    // Looked up as they stand: a filter's name is no field's.
    per_filter
        .filter_map(|all| all.fields().into_iter().find(|(known, _)| *known == name).map(|(_, at)| at))
        .collect()
}

/// What a route's own rules for a guard are worth.
fn weak(own: &At<'_>, name: &str, worth: Guard, findings: &mut Findings) {
    match worth {
        Guard::Open => {
            let what = format!("{name} has a policy without filter state of Flamegate here");
            findings.at(&rules::GUARD_WEAK, own, what);
        }
        Guard::Unclear => findings.at(&rules::GUARD_UNSEEN, own, format!("{name} uses a matcher tree here")),
        Guard::Closed | Guard::Foreign => {}
    }
}

/// What is said about each JWT filter that runs for a route: the filter, and the innermost change.
fn changes_of<'a, 'h>(chain: &Chain<'a, 'h>, route: &Route<'a>) -> Vec<(&'h Filter<'a>, At<'a>)> {
    let filters = chain.http.filters.iter().filter(|filter| jwt::is_it(filter));
    filters.filter_map(|filter| Some((filter, changes(route, filter.name).pop()?))).collect()
}

/// True when an RBAC filter behind ours guards the route.
fn rbac_guards(chain: &Chain<'_, '_>, route: &Route<'_>, findings: &mut Findings) -> bool {
    let behind = chain.http.filters.iter().skip(chain.position.saturating_add(1));
    let mut guards = false;
    for filter in
        behind.filter(|filter| filter.kind == RBAC && is_on(route, filter.name, filter.at.is("disabled")))
    {
        // The innermost replaces the others, and the filter's own.
        let own = changes(route, filter.name).into_iter().rev().find_map(|change| {
            let (kind, at) = change.typed();
            let at = if kind.ends_with(".FilterConfig") { at.get("config")?.typed().1 } else { at };
            Some(at)
        });
        let worth = match own {
            Some(own) => {
                published(chain, &own, findings);
                let worth = own.get("rbac").map_or(Guard::Foreign, |rbac| guard::of_rbac(&rbac));
                weak(&own, filter.name, worth, findings);
                worth
            }
            None => filter.config.as_ref().map_or(Guard::Foreign, guard::of_rbac),
        };
        // What is open or unclear for the whole chain is said once, there.
        guards |= worth != Guard::Foreign;
    }
    guards
}
