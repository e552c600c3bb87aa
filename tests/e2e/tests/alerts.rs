//! Alerts and dashboard ask for metrics that exist: on a real gateway with a key in use, and at its control plane.

use std::{collections::BTreeSet, fs, path::Path};

use flamegate_e2e::{Plugin, Protocol, Request, Stack, eventually};
use serde_json::{Value, json};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text below a field of this name.
fn texts(value: &Value, field: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == field => found.push(text.clone()),
                    other => texts(other, field, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, field, found)),
        _ => {}
    }
}

/// The expressions of alerts, panels and variables.
fn expressions() -> Vec<String> {
    let mut found = Vec::new();
    let alerts: Value = serde_yaml_ng::from_str(&read("envoy/compose/alerts.yml")).expect("alerts");
    texts(&alerts, "expr", &mut found);
    let dashboard: Value =
        serde_json::from_str(&read("envoy/compose/grafana/dashboards/flamegate.json")).expect("dashboard");
    texts(&dashboard, "expr", &mut found);
    texts(&dashboard["templating"], "query", &mut found);
    found
}

/// Of the guard where it is an RBAC filter, which it is not in envoy.yaml; and of a control plane with TLS of its own, whose tests
/// (`control-plane/tests/tls`) ask for these.
const ELSEWHERE: [&str; 3] = [
    "envoy_http_rbac_denied",
    "flamegate_control_tls_certificate_expiry_timestamp_seconds",
    "flamegate_control_tls_files_refused",
];

/// The metrics that they name.
fn named() -> BTreeSet<String> {
    let expressions = expressions();
    assert!(expressions.len() > 25, "{} expressions", expressions.len());
    let words = expressions.iter().flat_map(|expression| {
        // Not labels and their values; the name that is a pattern is another test's.
        let outside = expression.split(['{', '}']).step_by(2);
        outside.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
    });
    words
        .filter(|word| word.starts_with("flamegate_") || word.starts_with("envoy_"))
        .map(str::to_owned)
        .collect()
}

/// The names of the samples in a page for Prometheus.
fn names(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_is_there() {
    let stack = Stack::start("alerts", &Plugin::singleton(json!({})));
    let key = stack.accepted_key("live");
    stack.control.revoke(&key.id, "15s");
    // What there is of fleet limits is there once one is used.
    let limit = json!({"requests": 10_000, "window_seconds": 1, "reach": "fleet"});
    let fleet = stack.control.create_key("e2e", "live", json!({"limits": [limit]}));
    stack.wait_for_status(&fleet.key, 200);
    // A wrong token, which is counted when there was one.
    let wrong = Request::get("/sync/v1/changes").bearer("a-token-of-nobody");
    wrong.send(Protocol::Http1, stack.control.port).expect("an answer");
    let named = named();
    eventually("the metrics", || {
        let mut there = names(&stack.envoy.admin("/stats/prometheus").text());
        let control = Request::get("/metrics").send(Protocol::Http1, stack.control.port)?;
        there.extend(names(&control.text()));
        let missing: Vec<&String> =
            named.difference(&there).filter(|name| !ELSEWHERE.contains(&name.as_str())).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    });
}

/// The pattern by which an alert finds a gateway without `stats_tags`.
#[test]
fn without_stats_tags_the_names_carry_the_labels() {
    let pattern = "{__name__=~\"flamegate_requests_total_[a-z_]+\"}";
    assert!(expressions().iter().any(|expression| expression.contains(pattern)), "no alert has {pattern}");
    let untagged = |page: &str| {
        let counters = names(page)
            .into_iter()
            .filter_map(|name| name.strip_prefix("flamegate_requests_total_").map(str::to_owned));
        counters.filter(|rest| rest.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())).count()
    };
    let with = Stack::start("stats-tags", &Plugin::singleton(json!({})));
    with.accepted_key("live");
    let without = Stack::start_changed("no-stats-tags", &Plugin::singleton(json!({})), |text| {
        let (before, rest) = text.split_once("stats_config:\n").expect("stats_config");
        let rest = rest.split_once("\n\n").expect("the end of stats_config").1;
        format!("{before}{rest}")
    });
    without.accepted_key("live");
    eventually("counters without labels", || {
        match untagged(&without.envoy.admin("/stats/prometheus").text()) {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    });
    assert_eq!(untagged(&with.envoy.admin("/stats/prometheus").text()), 0);
}
