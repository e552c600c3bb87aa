//! Every HTTP chain: whether the filter is in it, what happens when it fails, and the guard.

use flamegate::config::Role;

use crate::chain::{Chain, is_flamegate, published};
use crate::finding::Findings;
use crate::guard::{self, Guard};
use crate::model::{Filter, Http, Model, RBAC};
use crate::node::At;
use crate::options::Options;
use crate::plugin::Plugin;
use crate::{connection, logs, neighbours, routes, rules};

/// Checks every chain; the plugin configurations that were found.
pub fn check<'a>(model: &Model<'a>, options: &Options<'_>, findings: &mut Findings) -> Vec<Plugin<'a>> {
    let chains = model.http();
    let mut plugins = Vec::new();
    let with: Vec<_> = chains.iter().map(|http| http.filters.iter().position(is_flamegate)).collect();
    let any = with.iter().any(Option::is_some);
    for (http, position) in chains.iter().zip(&with) {
        match position {
            Some(position) => plugins.extend(one(model, http, *position, options, findings)),
            None => without(model, http, any, findings),
        }
    }
    if chains.is_empty() {
        none(model, findings);
        plugins.extend(alone(model, options, findings));
    }
    if any {
        beside(model, findings);
    }
    plugins
}

/// A chain that has no Flamegate in it.
fn without(model: &Model<'_>, http: &Http<'_>, any: bool, findings: &mut Findings) {
    let unseen: Vec<_> =
        http.filters.iter().filter(|filter| filter.config.is_none()).map(|filter| filter.name).collect();
    if !unseen.is_empty() {
        let what =
            format!("the filters {} of listener {} come by discovery", unseen.join(", "), http.listener);
        findings.at(&rules::UNSEEN, &http.manager, what);
    } else if !routes::reach_an_upstream(model, &http.manager) {
        // Nothing to protect: redirects and fixed answers.
    } else if has_guard(model, http) {
        let what = format!("listener {} has a guard and no Flamegate filter", http.listener);
        findings.at(&rules::NO_FILTER, &http.manager, what);
    } else if any {
        let what = format!("listener {} has no Flamegate filter", http.listener);
        findings.at(&rules::UNGUARDED_LISTENER, &http.manager, what);
    } else {
        findings.at(&rules::NO_FLAMEGATE, &http.manager, "there is no Flamegate filter in any HTTP chain");
    }
}

/// What goes past every HTTP chain, or writes what only the filter should.
fn beside(model: &Model<'_>, findings: &mut Findings) {
    for (listener, filter) in model.network() {
        let kind = filter.get("typed_config").map(|config| config.typed().0).unwrap_or_default();
        if filter.get("config_discovery").is_some() {
            let what =
                format!("the filter {} of listener {listener} comes by discovery", filter.text_of("name"));
            findings.at(&rules::UNSEEN, &filter, what);
        } else if kind.ends_with(".TcpProxy") {
            let what = format!("listener {listener} passes connections on (tcp_proxy), whatever is in them");
            findings.at(&rules::UNGUARDED_LISTENER, &filter, what);
        }
    }
    let places = model.listeners.iter().chain(&model.routes).chain(&model.filters);
    for key in places.flat_map(|at| at.all_of("object_key")) {
        if key.text().is_some_and(|text| text.starts_with(guard::PREFIX)) {
            findings.at(&rules::STATE_FORGED, &key, "filter state of Flamegate's name is set here");
        }
    }
}

/// What discovery delivers without the chain that it is for.
fn alone<'a>(model: &Model<'a>, options: &Options<'_>, findings: &mut Findings) -> Vec<Plugin<'a>> {
    if model.bootstrap.is_some() {
        return Vec::new();
    }
    for routes in model.routes.iter().chain(&model.parts) {
        findings.at(
            &rules::UNSEEN,
            routes,
            "these routes come without their listener: its filter and guard are not here",
        );
    }
    let delivered = model.filters.iter().map(|at| model.delivered(at)).filter(is_flamegate);
    let plugin = |filter: Filter<'a>| {
        failing(&filter, findings);
        findings.at(&rules::UNSEEN, &filter.at, "the filter comes without its chain: the guard is not here");
        Plugin::of_envoy(&filter.config.as_ref()?.get("config")?, options, findings)
    };
    delivered.filter_map(plugin).collect()
}

/// True when nothing gets on here that the filter has not seen.
fn has_guard(model: &Model<'_>, http: &Http<'_>) -> bool {
    let rbac = |filter: &Filter<'_>| {
        let worth = filter.config.as_ref().map_or(Guard::Foreign, guard::of_rbac);
        filter.kind == RBAC && !filter.at.is("disabled") && worth == Guard::Closed
    };
    http.filters.iter().any(rbac) || routes::all_ask(model, &http.manager)
}

fn none(model: &Model<'_>, findings: &mut Findings) {
    let Some(bootstrap) = &model.bootstrap else { return };
    if model.may_bring("lds_config") {
        findings.at(&rules::UNSEEN, bootstrap, "listeners come by discovery");
    } else {
        findings.at(&rules::NO_FLAMEGATE, bootstrap, "there is no HTTP listener");
    }
}

fn one<'a>(
    model: &Model<'a>,
    http: &Http<'a>,
    position: usize,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Option<Plugin<'a>> {
    let filter = http.filters.get(position)?;
    let config = filter.config.as_ref()?.get("config")?;
    let plugin = Plugin::of_envoy(&config, options, findings);
    let chain = Chain { http, position, plugin: plugin.as_ref() };
    failing(filter, findings);
    artifact(&chain, &config, findings);
    neighbours::check(&chain, findings);
    upgrades(model, &chain, findings);
    guards(model, &chain, findings);
    shadow(model, &chain, findings);
    routes::check(model, &chain, findings);
    connection::check(&chain, findings);
    logs::check(&chain, findings);
    if let Some(plugin) = plugin.as_ref().filter(|plugin| plugin.role() == Role::Sync) {
        findings.at(&rules::ROLE, &plugin.at, "an HTTP filter has the role sync");
    }
    plugin
}

/// Which of the two artifacts it is, where its name says so.
fn artifact(chain: &Chain<'_, '_>, config: &At<'_>, findings: &mut Findings) {
    let always =
        chain.plugin.is_some_and(|plugin| plugin.json.get("rate_limit_headers") == Some(&"always".into()));
    let file = config
        .dig(&["vm_config", "code", "local"])
        .map(|local| local.text_of("filename"))
        .unwrap_or_default();
    if always && file.rsplit('/').next() == Some("flamegate.wasm") {
        findings.at(
            &rules::ARTIFACT,
            config,
            format!("rate_limit_headers is \"always\", and the code {file}"),
        );
    }
}

/// What happens when the filter cannot run.
fn failing(filter: &Filter<'_>, findings: &mut Findings) {
    if filter.at.is("is_optional") {
        findings.at(&rules::OPTIONAL, &filter.at, format!("the filter {} is optional", filter.name));
    }
    let Some(config) = filter.config.as_ref().and_then(|config| config.get("config")) else { return };
    let policy = config.get("failure_policy");
    if config.is("fail_open") {
        findings.at(&rules::FAIL_OPEN, &config, "fail_open is true");
    }
    match policy.as_ref().and_then(|policy| policy.text()) {
        Some("FAIL_RELOAD") => {}
        Some("FAIL_OPEN") => findings.at(&rules::FAIL_OPEN, &config, "failure_policy is FAIL_OPEN"),
        other => {
            let what = format!("failure_policy is {}", other.unwrap_or("not set"));
            findings.at(&rules::FAIL_POLICY, &config, what);
        }
    }
}

/// RBAC guards by their rules for the whole chain; what routes make of them is in `routes`.
fn guards(model: &Model<'_>, chain: &Chain<'_, '_>, findings: &mut Findings) {
    let mut is_guarded = routes::have_guards(model, &chain.http.manager);
    for (index, filter) in chain.http.filters.iter().enumerate().filter(|(_, filter)| filter.kind == RBAC) {
        let Some(config) = &filter.config else { continue };
        let worth = guard::of_rbac(config);
        if worth != Guard::Foreign {
            published(chain, config, findings);
        }
        match worth {
            Guard::Foreign => {}
            _ if index < chain.position => {
                findings.at(
                    &rules::GUARD_ORDER,
                    &filter.at,
                    format!("{} stands before the filter", filter.name),
                );
                is_guarded = true;
            }
            Guard::Closed => {
                is_guarded = true;
                if config.text_of("rules_stat_prefix") != "flamegate_guard" {
                    findings.at(
                        &rules::GUARD_UNNAMED,
                        &filter.at,
                        format!("{} has no name in the metrics", filter.name),
                    );
                }
            }
            Guard::Open => {
                findings.at(
                    &rules::GUARD_WEAK,
                    &filter.at,
                    format!("{} has a policy without filter state of Flamegate", filter.name),
                );
                is_guarded = true;
            }
            Guard::Unclear => {
                findings.at(&rules::GUARD_UNSEEN, &filter.at, format!("{} uses a matcher tree", filter.name));
                is_guarded = true;
            }
        }
    }
    if !is_guarded {
        let what = format!("listener {} has no guard behind the filter", chain.http.listener);
        findings.at(&rules::NO_GUARD, &chain.http.manager, what);
    }
}

/// What passes in shadow, and whether the guard knows of it.
fn shadow(model: &Model<'_>, chain: &Chain<'_, '_>, findings: &mut Findings) {
    let manager = &chain.http.manager;
    let routes = model.routes_of(manager);
    let told = guard::admits_shadow(manager) || routes.as_ref().is_some_and(guard::admits_shadow);
    let Some(plugin) = chain.plugin else { return };
    let is_on = plugin.flag("shadow");
    if is_on {
        findings.at(&rules::SHADOW, &plugin.at, format!("listener {} is in shadow", chain.http.listener));
    }
    if is_on && !told && routes.is_some() {
        findings.at(&rules::SHADOW_UNTOLD, &plugin.at, "shadow is on, and no guard admits what passes in it");
    }
    if !is_on && told {
        findings.at(
            &rules::SHADOW_TOLD,
            manager,
            "the guard admits what passes in shadow, and the filter is not",
        );
    }
}

/// Upgrades with filters of their own, which go past those of the chain.
fn upgrades<'a>(model: &Model<'a>, chain: &Chain<'a, '_>, findings: &mut Findings) {
    for upgrade in chain.http.manager.list("upgrade_configs") {
        let own: Vec<_> = upgrade.list("filters").iter().map(|at| model.filter(at)).collect();
        let is_on = |filter: &Filter<'_>| !filter.at.is("disabled");
        let guards = |filter: &Filter<'_>| {
            let worth = filter.config.as_ref().map_or(Guard::Foreign, guard::of_rbac);
            filter.kind == RBAC && is_on(filter) && matches!(worth, Guard::Closed | Guard::Unclear)
        };
        let position = own.iter().position(|filter| is_flamegate(filter) && is_on(filter));
        let is_guarded = position.is_some_and(|at| {
            own.iter().skip(at).any(guards) || routes::have_guards(model, &chain.http.manager)
        });
        if !own.is_empty() && !is_guarded {
            let kind = upgrade.text_of("upgrade_type");
            findings.at(
                &rules::UPGRADE_FILTERS,
                &upgrade,
                format!("upgrades of type {kind} have filters of their own"),
            );
        }
    }
}
