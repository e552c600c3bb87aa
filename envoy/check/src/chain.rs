//! One HTTP chain with the filter in it.

use crate::finding::Findings;
use crate::guard;
use crate::model::{Filter, Http, WASM};
use crate::node::At;
use crate::plugin::{Plugin, is_ours};
use crate::rules;

/// A chain with the filter in it.
pub struct Chain<'a, 'p> {
    /// The manager and its filters.
    pub http: &'p Http<'a>,
    /// The filter's place in the chain.
    pub position: usize,
    /// Its configuration; nothing when that is not seen.
    pub plugin: Option<&'p Plugin<'a>>,
}

/// True for a Wasm filter that is ours.
pub fn is_flamegate(filter: &Filter<'_>) -> bool {
    let config = filter.config.as_ref().and_then(|config| config.get("config"));
    filter.kind == WASM && config.is_some_and(|config| is_ours(&config, filter.name))
}

/// Notes what a guard asks for and the filter does not publish.
pub fn published(chain: &Chain<'_, '_>, at: &At<'_>, findings: &mut Findings) {
    let Some(plugin) = chain.plugin else { return };
    for (name, at) in guard::names(at).iter().filter(|(name, _)| !plugin.publishes(name)) {
        findings.at(
            &rules::STATE_MISSING,
            at,
            format!("wasm.flamegate.{name} is asked for and not published"),
        );
    }
}
