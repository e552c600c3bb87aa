//! What running programs answer, with one thing wrong at a time: each is found under its rule, in words.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test")]

use std::collections::BTreeSet;

use flamegate_check::{
    Admin, Control, Finding, Known, Severity, Token, TokenFile, control, gateway_rules::RUNNING_RULES, look,
    summary, tokens,
};
use serde_json::{Value, json};

const GOOD_FILE: &str = include_str!("good.yaml");
const HERE: &str = "0.1.0";

/// `good.yaml` as Envoy would tell it.
fn dump() -> Value {
    let types = "type.googleapis.com/envoy.admin.v3.";
    let yaml = |name: &str| -> Value { from_yaml(name) };
    json!({"configs": [
        {"@type": format!("{types}BootstrapConfigDump"), "bootstrap": yaml("bootstrap")},
        {"@type": format!("{types}ClustersConfigDump"), "static_clusters": yaml("clusters")},
        {"@type": format!("{types}ListenersConfigDump"), "static_listeners": yaml("listeners")},
    ]})
}

/// The parts of `good.yaml` as JSON.
fn from_yaml(part: &str) -> Value {
    let whole: Value = serde_yaml_ng::from_str(GOOD_FILE).unwrap();
    let wrapped = |list: &Value, name: &str| -> Value {
        list.as_array().unwrap().iter().map(|entry| json!({name: entry})).collect()
    };
    match part {
        "clusters" => wrapped(&whole["static_resources"]["clusters"], "cluster"),
        "listeners" => wrapped(&whole["static_resources"]["listeners"], "listener"),
        _ => whole,
    }
}

const STATS: &str = "\
cluster.flamegate-control.membership_healthy: 1
cluster.flamegate-control.upstream_rq_200: 12
wasmcustom.flamegate_keys: 5
wasmcustom.flamegate_revision: 7
wasmcustom.flamegate_table_age_seconds: 3
wasmcustom.flamegate_sync_pages_total: 12
";

fn admin() -> Admin {
    let info = json!({"version": "abc/1.40.0/Clean/RELEASE/BoringSSL", "state": "LIVE", "uptime_current_epoch": "90s", "command_line_options": {"concurrency": 2}, "node": {"id": "edge 1"}});
    Admin {
        url: "http://admin".to_owned(),
        config_dump: dump().to_string(),
        server_info: info.to_string(),
        stats: STATS.to_owned(),
        ahead_seconds: Some(0),
    }
}

fn gateway(more: Value) -> Value {
    let mut gateway = json!({"id": "shared/edge1-0a1b2c3d", "connected": true, "stale": false, "session": true,
        "acknowledged_revision": 7, "behind": 0});
    more.as_object().unwrap().iter().for_each(|(name, value)| gateway[name] = value.clone());
    gateway
}

fn known() -> Known {
    Known { revision: Some(7), gateways: Some(vec![gateway(json!({}))]), database: None }
}

fn answers() -> Control {
    Control {
        url: "http://control".to_owned(),
        unreachable: None,
        version: Some(HERE.to_owned()),
        ready: 200,
        status: Some(200),
        gateways: vec![gateway(json!({}))],
        database: json!({"path": "/data/flamegate.db", "epoch": "e_1", "revision": 7}),
        metrics: "flamegate_control_revision 7\nflamegate_control_foreign_epochs_total 0\n".to_owned(),
        ahead_seconds: Some(0),
    }
}

fn with_stats(changes: &[(&str, &str)]) -> Vec<Finding> {
    let stats = changes.iter().fold(STATS.to_owned(), |text, (from, to)| text.replace(from, to));
    look(&Admin { stats, ..admin() }, &known())
}

fn with_more_stats(more: &str) -> Vec<Finding> {
    look(&Admin { stats: format!("{STATS}{more}"), ..admin() }, &known())
}

/// With this in the statistics, where the control plane knows that all VMs are there.
fn whole(more: &str) -> Vec<Finding> {
    let known = Known { gateways: Some(vec![gateway(json!({"workers": 3}))]), ..known() };
    look(&Admin { stats: format!("{STATS}{more}"), ..admin() }, &known)
}

fn with_gateway(more: Value) -> Vec<Finding> {
    control(&Control { gateways: vec![gateway(more)], ..answers() }, HERE)
}

fn with_metrics(line: &str) -> Vec<Finding> {
    control(&Control { metrics: format!("{line}\n"), ..answers() }, HERE)
}

fn of_tokens(all: &[Token]) -> Vec<Finding> {
    tokens(all, &|token| (token.len() < 16).then(|| "a token must have at least 16 characters".to_owned()))
}

fn token(variable: &str, text: &str) -> Token {
    Token { variable: variable.to_owned(), text: Some(text.to_owned()), file: None }
}

fn token_file(text: Result<&str, &str>, mode: Option<bool>) -> Token {
    let text = text.map(str::to_owned).map_err(str::to_owned);
    let mode = mode.map(|starts| ("everybody may read it (mode 0644)".to_owned(), starts));
    let file = TokenFile { path: "/tokens".to_owned(), text, mode };
    Token { variable: "FLAMEGATE_SYNC_TOKEN".to_owned(), text: None, file: Some(file) }
}

fn info(field: &str, value: &str) -> Vec<Finding> {
    let mut info: Value = serde_json::from_str(&admin().server_info).unwrap();
    info[field] = json!(value);
    look(&Admin { server_info: info.to_string(), ..admin() }, &known())
}

const NO_TABLE: (&str, &str) = ("flamegate_revision: 7", "flamegate_revision: 0");
const OLD: (&str, &str) = ("age_seconds: 3", "age_seconds: 41");

/// (rule, words, what was found)
fn rows() -> Vec<(&'static str, &'static str, Vec<Finding>)> {
    let good = "a-token-that-is-long-enough";
    let head = |revision| look(&admin(), &Known { revision: Some(revision), ..known() });
    vec![
        (
            "admin-not-envoy",
            "/config_dump",
            look(&Admin { config_dump: "{}".to_owned(), ..admin() }, &known()),
        ),
        ("envoy-not-live", "DRAINING", info("state", "DRAINING")),
        ("envoy-version", "1.35.1", info("version", "abc/1.35.1/Clean/RELEASE/BoringSSL")),
        ("filter-not-running", "no metric", look(&Admin { stats: String::new(), ..admin() }, &known())),
        (
            "vm-reloaded",
            "is 2 since Envoy's start (90 s ago)",
            with_more_stats("wasm.flamegate.vm_reload_success: 2\n"),
        ),
        ("vm-reload-failed", "is 1", with_more_stats("wasm.flamegate.vm_reload_failure: 1\n")),
        ("guard-refused", "refused 3", with_more_stats("http.gateway.rbac.flamegate_guard.denied: 3\n")),
        ("table-missing", "no key table", with_stats(&[NO_TABLE])),
        ("table-missing", "no key table", with_more_stats("wasmcustom.flamegate_table_present: 0\n")),
        ("table-old", "41 s ago", with_stats(&[OLD])),
        (
            "sync-token-refused",
            "401 4 times since Envoy's start",
            with_stats(&[OLD, ("upstream_rq_200: 12", "upstream_rq_401: 4")]),
        ),
        (
            "control-cluster-without-host",
            "flamegate-control",
            with_stats(&[("membership_healthy: 1", "membership_healthy: 0")]),
        ),
        (
            "control-cluster-unreachable",
            "6 connections",
            with_stats(&[NO_TABLE, ("upstream_rq_200: 12", "upstream_cx_connect_fail: 6")]),
        ),
        (
            "polls-cut",
            "8 polls of 20",
            with_more_stats(
                "cluster.flamegate-control.upstream_rq_504: 8\nwasmcustom.flamegate_sync_failures_total: 8\n",
            ),
        ),
        (
            // Envoy has left the only control plane for a while, for that it answers nothing but 504.
            "polls-cut",
            "8 polls of 20",
            with_stats(&[(
                "membership_healthy: 1\n",
                "membership_healthy: 0\ncluster.flamegate-control.outlier_detection.ejections_active: 1\ncluster.flamegate-control.upstream_rq_504: 8\nwasmcustom.flamegate_sync_failures_total: 8\n",
            )]),
        ),
        ("polls-failed", "1 polls", with_more_stats("wasmcustom.flamegate_sync_failures_total: 1\n")),
        ("gateway-behind", "2 behind", head(9)),
        ("gateway-behind", "3 revisions behind", with_gateway(json!({"behind": 3}))),
        ("other-database", "3 beyond", head(4)),
        (
            "other-database",
            "edge1-0a1b2c3d has the table of another database and keeps it; the control plane's database is /data/flamegate.db",
            with_gateway(json!({"other_database": true, "acknowledged_revision": null})),
        ),
        ("table-empty", "has no key", with_stats(&[("flamegate_keys: 5", "flamegate_keys: 0")])),
        (
            "table-empty",
            "is /data/flamegate.db (epoch e_1)",
            look(
                &Admin { stats: STATS.replace("flamegate_keys: 5", "flamegate_keys: 0"), ..admin() },
                &answers().known(),
            ),
        ),
        (
            "table-empty",
            "/data/empty.db (epoch e_2)",
            control(
                &Control {
                    database: json!({"path": "/data/empty.db", "epoch": "e_2", "revision": 0}),
                    ..answers()
                },
                HERE,
            ),
        ),
        // Counters remember what is over.
        (
            "earlier",
            "sync-token-refused: the cluster flamegate-control answered 401 4 times since Envoy's start; the table was confirmed 3 s ago",
            with_more_stats(
                "cluster.flamegate-control.upstream_rq_401: 4\nwasmcustom.flamegate_sync_failures_total: 9\n",
            ),
        ),
        ("earlier", "vm-reload-failed: ", whole("wasm.flamegate.vm_reload_failure: 1\n")),
        ("earlier", "guard-refused: ", whole("http.gateway.rbac.flamegate_guard.denied: 3\n")),
        ("earlier", "foreign-epochs: 1 polls", with_metrics("flamegate_control_foreign_epochs_total 1")),
        ("gateway-unknown", "edge1-", look(&admin(), &Known { gateways: Some(Vec::new()), ..known() })),
        ("clock", "70 s behind", look(&Admin { ahead_seconds: Some(-70), ..admin() }, &known())),
        ("clock", "70 s ahead", control(&Control { ahead_seconds: Some(70), ..answers() }, HERE)),
        (
            "control-unreachable",
            "refused",
            control(&Control { unreachable: Some("refused".to_owned()), ..answers() }, HERE),
        ),
        (
            "control-unreachable",
            "no control plane of Flamegate",
            control(&Control { version: None, ..answers() }, HERE),
        ),
        ("control-not-ready", "503", control(&Control { ready: 503, ..answers() }, HERE)),
        (
            "control-version",
            "0.0.9",
            control(&Control { version: Some("0.0.9".to_owned()), ..answers() }, HERE),
        ),
        ("admin-token-refused", "refused", control(&Control { status: Some(401), ..answers() }, HERE)),
        ("admin-token-missing", "no admin token", control(&Control { status: None, ..answers() }, HERE)),
        ("no-gateway", "no gateway", control(&Control { gateways: Vec::new(), ..answers() }, HERE)),
        ("gateway-stale", "shared/edge1", with_gateway(json!({"stale": true}))),
        ("gateway-cut-off", "shared/edge1", with_gateway(json!({"connected": false}))),
        (
            "gateway-without-our-table",
            "shared/edge1",
            with_gateway(json!({"acknowledged_revision": null, "workers": 3})),
        ),
        ("gateway-serves-nobody", "shared/edge1", with_gateway(json!({"workers": 0}))),
        ("gateway-without-session", "shared/edge1", with_gateway(json!({"session": false}))),
        ("foreign-epochs", "2 polls", with_metrics("flamegate_control_foreign_epochs_total 2")),
        (
            "refused-sync-tokens",
            "9 polls",
            with_metrics("flamegate_control_refused_tokens_total{kind=\"sync\"} 9"),
        ),
        ("token-flaw", "16 characters", of_tokens(&[token("FLAMEGATE_ADMIN_TOKEN", "short")])),
        ("token-file", "cannot be read", of_tokens(&[token_file(Err("No such file"), None)])),
        ("token-file", "no token", of_tokens(&[token_file(Ok("\n"), None)])),
        (
            "token-file",
            "cannot both be set",
            of_tokens(&[Token { text: Some(good.to_owned()), ..token_file(Ok(good), None) }]),
        ),
        ("token-file-mode", "0644", of_tokens(&[token_file(Ok(good), Some(false))])),
        ("token-file-of-another", "0644", of_tokens(&[token_file(Ok(good), Some(true))])),
        (
            "tokens-equal",
            "in common",
            of_tokens(&[token("FLAMEGATE_ADMIN_TOKEN", good), token("FLAMEGATE_SYNC_TOKEN", good)]),
        ),
    ]
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(look(&admin(), &known()), []);
    assert_eq!(control(&answers(), HERE), []);
    let good = [
        token("FLAMEGATE_ADMIN_TOKEN", "a-token-that-is-long-enough"),
        token_file(Ok("another-token-that-is-long"), None),
    ];
    assert_eq!(of_tokens(&good), []);
    assert_eq!(answers().known().revision, Some(7));
}

#[test]
fn each_thing_that_is_wrong_is_found_in_words() {
    for (rule, words, findings) in rows() {
        let is_it = |finding: &&Finding| finding.rule.name == rule && finding.what.contains(words);
        assert!(
            findings.iter().any(|finding| is_it(&finding)),
            "{rule} ({words}) is not among {findings:#?}"
        );
    }
}

#[test]
fn every_rule_has_a_row() {
    let rows: BTreeSet<_> = rows().iter().map(|row| row.0).collect();
    // Found by the command line, where the question was asked; it has tests of its own.
    let elsewhere =
        BTreeSet::from(["admin-unreachable", "database", "database-elsewhere", "database-missing"]);
    let rules: BTreeSet<_> = RUNNING_RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(rules.difference(&rows).copied().collect::<BTreeSet<_>>(), elsewhere);
}

#[test]
fn the_configuration_of_a_running_envoy_is_checked_and_needs_no_environment() {
    let text = dump().to_string().replace("FLAMEGATE_SYNC_TOKEN", "OTHER_TOKEN");
    let findings = look(&Admin { config_dump: text, ..admin() }, &known());
    let errors: Vec<_> = findings.iter().filter(|finding| finding.rule.severity == Severity::Error).collect();
    assert!(errors.iter().any(|finding| finding.what.contains("sync.token_env")), "{findings:#?}");
    assert!(errors[0].path.starts_with("http://admin/config_dump configs[0].bootstrap"), "{errors:#?}");
}

#[test]
fn an_update_that_envoy_refused_is_told_in_its_words() {
    let mut dump = dump();
    dump["configs"][2]["dynamic_listeners"] = json!([{"name": "gateway", "error_state": {"details": "1 mistake(s) in the plugin configuration; realm: a text"}}]);
    let findings = look(&Admin { config_dump: dump.to_string(), ..admin() }, &known());
    let refused: Vec<_> = findings.iter().filter(|finding| finding.rule.name == "update-refused").collect();
    assert!(refused.len() == 1 && refused[0].what.contains("realm: a text"), "{findings:#?}");
}

#[test]
fn what_only_the_guard_answers_is_counted_by_its_manager() {
    let mut dump = dump();
    let manager = "/configs/2/static_listeners/0/listener/filter_chains/0/filters/0/typed_config";
    let routes = format!("{manager}/route_config/virtual_hosts/0/routes/2");
    *dump.pointer_mut(&routes).unwrap() =
        json!({"name": "flamegate-guard", "match": {"prefix": "/"}, "direct_response": {"status": 403}});
    let stats =
        format!("{STATS}http.gateway.rq_direct_response: 2\nhttp.async-client.rq_direct_response: 9\n");
    let findings = look(&Admin { config_dump: dump.to_string(), stats, ..admin() }, &known());
    let refused: Vec<_> = findings.iter().map(|finding| (finding.rule.name, finding.what.as_str())).collect();
    assert_eq!(refused, [("guard-refused", "the guard refused 2 requests since Envoy's start (90 s ago)")]);
}

/// Everything is refused then, and not for want of a table: nothing may say that requests pass or get 503.
#[test]
fn a_guard_whose_filter_is_gone_is_an_error_and_explains_the_rest() {
    let mut dump = dump();
    let filters =
        "/configs/2/static_listeners/0/listener/filter_chains/0/filters/0/typed_config/http_filters";
    dump.pointer_mut(filters).unwrap().as_array_mut().unwrap().remove(0);
    let stats = "cluster.flamegate-control.membership_healthy: 1\nhttp.gateway.rbac.flamegate_guard.denied: 3\nwasmcustom.flamegate_sync_pages_total: 12\n";
    let admin = Admin { config_dump: dump.to_string(), stats: stats.to_owned(), ..admin() };
    let rules: Vec<_> = look(&admin, &known()).iter().map(|finding| finding.rule.name).collect();
    assert!(rules.contains(&"guard-without-filter"), "{rules:?}");
    for untrue in ["no-flamegate", "table-missing", "guard-refused"] {
        assert!(!rules.contains(&untrue), "{untrue} in {rules:?}");
    }
}

#[test]
fn the_lines_above_the_findings_say_what_is_known() {
    let line = |stats: &str| summary(&Admin { stats: stats.to_owned(), ..admin() });
    assert!(line(STATS).ends_with("Envoy 1.40.0, table of 5 keys at revision 7, confirmed 3 s ago"));
    for none in ["", &STATS.replace("revision: 7", "revision: 0")] {
        assert!(line(none).ends_with("Envoy 1.40.0, no key table"), "{}", line(none));
    }
    let other = summary(&Admin { server_info: "{}".to_owned(), ..admin() });
    assert!(other.ends_with("this is not Envoy's admin interface"), "{other}");
    let told = answers().summary();
    assert!(told.ends_with("the control plane's database is /data/flamegate.db (epoch e_1)"), "{told}");
    let away = Control { unreachable: Some("refused".to_owned()), ..answers() }.summary();
    assert!(away.ends_with(": not reached"), "{away}");
}
