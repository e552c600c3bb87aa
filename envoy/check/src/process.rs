//! What is once per process: the sync as a bootstrap service and how it fits the filters, and the tags of the metrics.

use flamegate::config::{Role, SyncMode};

use crate::finding::Findings;
use crate::model::Model;
use crate::node::At;
use crate::options::Options;
use crate::plugin::{Plugin, is_ours};
use crate::rules;

/// Checks the services of the bootstrap against the filters; those that were found.
pub fn check<'a>(
    model: &Model<'a>,
    filters: &[Plugin<'_>],
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<Plugin<'a>> {
    let mut syncs = Vec::new();
    for service in model.services() {
        let Some(config) = service.get("config").filter(|config| is_ours(config, "")) else { continue };
        if !service.is("singleton") {
            findings.at(&rules::NOT_SINGLETON, &service, "the bootstrap extension has no singleton: true");
        }
        let Some(sync) = Plugin::of_envoy(&config, options, findings) else { continue };
        if sync.role() != Role::Sync {
            findings.at(&rules::ROLE, &sync.at, "the bootstrap extension has the role filter");
        }
        syncs.push(sync);
    }
    // A configuration that is not seen, such as a placeholder, is of the kind that its place says.
    let services = model
        .services()
        .iter()
        .filter(|at| at.get("config").is_some_and(|config| is_ours(&config, "")))
        .count();
    pairs(model, filters, &syncs, services, findings);
    if !filters.is_empty() || services > 0 {
        tags(model, findings);
    }
    syncs
}

fn pairs(
    model: &Model<'_>,
    filters: &[Plugin<'_>],
    syncs: &[Plugin<'_>],
    services: usize,
    findings: &mut Findings,
) {
    let mut readers = filters
        .iter()
        .filter(|filter| filter.role() == Role::Filter && filter.mode() == Some(SyncMode::Singleton))
        .peekable();
    if readers.peek().is_none() && !filters.is_empty() {
        for sync in syncs {
            findings.at(
                &rules::SYNC_UNUSED,
                &sync.at,
                "no filter here reads what the bootstrap extension fetches",
            );
        }
    }
    for filter in readers {
        if services == 0 && model.bootstrap.is_none() {
            findings.at(
                &rules::UNSEEN,
                &filter.at,
                "the filter is in singleton mode; the bootstrap with its sync is not in this file",
            );
            continue;
        }
        if services == 0 {
            findings.at(
                &rules::SYNC_MISSING,
                &filter.at,
                "the filter is in singleton mode, and no bootstrap extension has role sync",
            );
        }
        let matching = syncs.iter().find(|sync| vm_id(sync) == vm_id(filter));
        match (matching, syncs.first()) {
            (Some(sync), _) => alike(filter, sync, findings),
            (None, Some(sync)) => {
                let (here, there) = (vm_id(filter), vm_id(sync));
                findings.at(
                    &rules::VM_ID,
                    &filter.at,
                    format!("the filter has vm_id '{here}', and the sync '{there}'"),
                );
            }
            (None, None) => {}
        }
    }
}

fn vm_id<'a>(plugin: &Plugin<'a>) -> &'a str {
    plugin.vm().map(|vm| vm.text_of("vm_id")).unwrap_or_default()
}

/// A filter and the sync that fills its table.
fn alike(filter: &Plugin<'_>, sync: &Plugin<'_>, findings: &mut Findings) {
    let key = |plugin: &Plugin<'_>| {
        let vm = plugin.vm()?;
        Some(["code", "configuration"].map(|name| vm.get(name).map(|at| at.node.to_json())))
    };
    if key(filter) == key(sync) {
        findings.at(&rules::VM_SHARED, &sync.at, "filter and sync have the same vm_config.configuration");
    }
    let bounded = filter.config.as_ref().is_some_and(|config| config.filter.max_staleness_ns.is_some());
    let (here, there) = (filter.wait_seconds(), sync.wait_seconds());
    if bounded && here != there {
        findings.at(
            &rules::WAIT_DIFFERS,
            &filter.at,
            format!("sync.wait_seconds is {here} in the filter, and {there} in the sync"),
        );
    }
}

/// The tags that make labels of verdict and reason.
fn tags(model: &Model<'_>, findings: &mut Findings) {
    let Some(bootstrap) = &model.bootstrap else { return };
    let tags = bootstrap.get("stats_config").map(|config| config.list("stats_tags")).unwrap_or_default();
    let has = |name: &str| {
        let named = |tag: &&At<'_>| tag.text_of("tag_name") == name;
        tags.iter().filter(named).any(|tag| tag.text_of("regex").contains("flamegate_requests_total"))
    };
    let missing: Vec<_> = ["verdict", "reason"].into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        findings.at(
            &rules::STATS,
            bootstrap,
            format!("stats_config has no tag {}", missing.join(" and no tag ")),
        );
    }
}
