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
    guards(model, &chain, findings);
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
