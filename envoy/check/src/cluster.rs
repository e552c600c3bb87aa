//! The cluster of the control plane: there, verified, with time for a poll that is held, and without those that have ended.

use crate::finding::Findings;
use crate::model::Model;
use crate::node::At;
use crate::plugin::Plugin;
use crate::rules;

/// What a call has beyond the time for which a poll is held.
const GIVEN_UP_AFTER: u64 = 5;
/// What the control plane keeps a connection for, by default.
const CONTROL_IDLE_SECONDS: f64 = 75.0;
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Checks the cluster of everybody who talks to the control plane.
pub fn check<'p, 'a: 'p>(
    model: &Model<'_>,
    plugins: impl Iterator<Item = &'p Plugin<'a>>,
    findings: &mut Findings,
) {
    for plugin in plugins.filter(|plugin| plugin.speaks()) {
        let name = plugin.cluster();
        match model.cluster(name) {
            Some(cluster) => one(cluster, name, plugin.wait_seconds(), findings),
            None if model.may_bring("cds_config") => {
                findings.at(
                    &rules::CLUSTER_UNSEEN,
                    &plugin.at,
                    format!("the cluster {name} is not in this file"),
                );
            }
            None => findings.at(
                &rules::CLUSTER,
                &plugin.at,
                format!("there is no cluster {name}, which sync.cluster names"),
            ),
        }
    }
}

fn one(cluster: &At<'_>, name: &str, wait: u64, findings: &mut Findings) {
    let options = cluster.dig(&["typed_extension_protocol_options", HTTP_OPTIONS]);
    let inner = options.as_ref().and_then(|options| options.get("common_http_protocol_options"));
    let common = inner.or_else(|| cluster.get("common_http_protocol_options"));
    let seconds =
        |field| common.as_ref().and_then(|common| common.seconds(field)).filter(|seconds| *seconds > 0.0);
    let needed = wait.saturating_add(GIVEN_UP_AFTER);
    let short = seconds("max_stream_duration")
        .filter(|seconds| *seconds < std::time::Duration::from_secs(needed).as_secs_f64());
    if let Some(seconds) = short {
        let what = format!("cluster {name} ends a call after {seconds}s, and a poll may take {needed}s");
        findings.at(&rules::CLUSTER_TIME, cluster, what);
    }
    if seconds("idle_timeout").is_none_or(|seconds| seconds >= CONTROL_IDLE_SECONDS) {
        findings.at(
            &rules::CLUSTER_IDLE,
            cluster,
            format!("cluster {name} keeps idle connections for longer than the control plane"),
        );
    }
    let places = cluster.get("load_assignment").map(|load| load.list("endpoints")).unwrap_or_default();
    let several = places.iter().map(|place| place.list("lb_endpoints").len()).sum::<usize>() > 1;
    if several && cluster.get("outlier_detection").is_none() {
        let what = format!("cluster {name} has several endpoints and no outlier detection");
        findings.at(&rules::CLUSTER_REPLICAS, cluster, what);
    }
    let Some((kind, tls)) = cluster.dig(&["transport_socket", "typed_config"]).map(|config| config.typed())
    else {
        return;
    };
    if !kind.ends_with(".UpstreamTlsContext") {
        return;
    }
    let context = tls.get("common_tls_context");
    let verifies =
        ["validation_context", "validation_context_sds_secret_config", "combined_validation_context"];
    if !verifies.iter().any(|name| context.as_ref().is_some_and(|context| context.get(name).is_some())) {
        findings.at(&rules::CLUSTER_TLS, cluster, format!("cluster {name} takes any certificate"));
    }
}
