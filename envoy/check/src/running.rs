//! What the configuration of a running Envoy says about its sync and its guards.

use flamegate::config::{Role, SyncMode};

use crate::chain::is_flamegate;
use crate::finding::Findings;
use crate::model::Model;
use crate::node::{At, Node};
use crate::options::Options;
use crate::plugin::{Plugin, is_ours};
use crate::routes;

/// The sync of a gateway, as it is configured.
pub struct Sync {
    /// Cluster of the control plane.
    pub cluster: String,
    /// How long a poll is held.
    pub wait_seconds: u64,
}

/// What each plugin that talks to the control plane is configured with.
fn speakers<'a>(dump: &'a Node) -> Vec<Plugin<'a>> {
    let model = Model::of_dump(&dump.root());
    let (options, mut unused) = (Options::default(), Findings::default());
    let services = model.services();
    let filters = model.http().into_iter().flat_map(|http| http.filters).filter_map(|filter| filter.config);
    let configs = services.into_iter().chain(filters).filter_map(|at| at.get("config"));
    let ours = configs.filter(|config| is_ours(config, ""));
    let plugins = ours.filter_map(|config| Plugin::of_envoy(&config, &options, &mut unused));
    plugins.collect()
}

/// Statistics prefixes of the managers in which nothing but the guard answers directly.
pub fn guards(dump: &Node) -> Vec<String> {
    let model = Model::of_dump(&dump.root());
    let is_exact = |manager: &At<'_>| {
        let routes = routes::plain(&model, manager);
        let mut direct = routes.iter().filter(|route| route.get("direct_response").is_some()).peekable();
        direct.peek().is_some() && direct.all(|route| route.text_of("name") == "flamegate-guard")
    };
    let managers = model.http().into_iter().map(|http| http.manager);
    managers.filter(is_exact).map(|manager| manager.text_of("stat_prefix").to_owned()).collect()
}

/// True when the filter is in some chain.
pub fn has_filter(dump: &Node) -> bool {
    Model::of_dump(&dump.root()).http().iter().any(|http| http.filters.iter().any(is_flamegate))
}

/// The syncs of a process. A filter in singleton mode whose sync is missing still waits for a table.
pub fn syncs(dump: &Node) -> Vec<Sync> {
    let plugins = speakers(dump);
    let reads =
        |plugin: &&Plugin<'_>| plugin.role() == Role::Filter && plugin.mode() == Some(SyncMode::Singleton);
    let speaking: Vec<_> = plugins.iter().filter(|plugin| plugin.speaks()).collect();
    let meant = if speaking.is_empty() { plugins.iter().filter(reads).take(1).collect() } else { speaking };
    let sync = |plugin: &&Plugin<'_>| (plugin.cluster().to_owned(), plugin.wait_seconds());
    let mut all: Vec<_> = meant.iter().map(sync).collect();
    all.sort();
    all.dedup();
    all.into_iter().map(|(cluster, wait_seconds)| Sync { cluster, wait_seconds }).collect()
}

/// The names under which they poll, where the configuration has some.
pub fn names(dump: &Node) -> Vec<String> {
    let name = |plugin: &Plugin<'_>| Some(plugin.config.as_ref()?.sync.as_ref()?.gateway.clone());
    speakers(dump)
        .iter()
        .filter(|plugin| plugin.speaks())
        .filter_map(name)
        .filter(|name| !name.is_empty())
        .collect()
}
