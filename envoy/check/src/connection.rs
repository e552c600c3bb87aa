//! The connection manager around the filter: how paths are read, whose address counts, how long a request may wait.

use crate::chain::Chain;
use crate::finding::Findings;
use crate::rules;

const DEFAULT_HOLD_MS: u64 = 3000;

/// Checks the manager of a chain.
pub fn check(chain: &Chain<'_, '_>, findings: &mut Findings) {
    paths(chain, findings);
    let manager = &chain.http.manager;
    let Some(plugin) = chain.plugin else { return };
    let detects = !manager.list("original_ip_detection_extensions").is_empty();
    if plugin.json.get("failure_throttle").is_some() && !manager.is("use_remote_address") && !detects {
        findings.at(&rules::ADDRESS, manager, "failure_throttle is on and use_remote_address is not");
    }
    let hold =
        plugin.json.get("start_hold_ms").and_then(serde_json::Value::as_u64).unwrap_or(DEFAULT_HOLD_MS);
    for name in ["stream_idle_timeout", "request_timeout"] {
        let Some(seconds) = manager.seconds(name).filter(|seconds| *seconds > 0.0) else { continue };
        let limit = std::time::Duration::try_from_secs_f64(seconds).unwrap_or(std::time::Duration::MAX);
        if plugin.mode().is_some() && limit.as_millis() < u128::from(hold) {
            findings.at(&rules::HOLD, manager, format!("{name} is {seconds}s, and start_hold_ms {hold}"));
        }
    }
}

/// One reading of a path for filter, routes and upstream.
fn paths(chain: &Chain<'_, '_>, findings: &mut Findings) {
    let manager = &chain.http.manager;
    let action = manager.text_of("path_with_escaped_slashes_action");
    let mut missing = Vec::new();
    if !manager.is("normalize_path") {
        missing.push("normalize_path is not true");
    }
    if !manager.is("merge_slashes") {
        missing.push("merge_slashes is not true");
    }
    if matches!(action, "" | "KEEP_UNCHANGED" | "IMPLEMENTATION_SPECIFIC_DEFAULT") {
        missing.push("escaped slashes are kept");
    }
    if !missing.is_empty() {
        findings.at(
            &rules::PATHS,
            manager,
            format!("listener {}: {}", chain.http.listener, missing.join(", ")),
        );
    }
}
