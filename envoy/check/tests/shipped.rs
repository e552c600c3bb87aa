//! Every configuration that this repository ships, filled in as it is meant to be: no error in any, and no warning that would not be meant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

use flamegate_check::{Finding, Options, Role, Severity, check};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The YAML files of a folder and of those below it, as paths from the root.
fn yaml_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
        if root().join(&path).is_dir() {
            found.extend(yaml_below(&path));
        } else if path.ends_with(".yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn found(text: &str, role: Option<Role>) -> Vec<Finding> {
    let set = |_: &str| Some("a-token-of-the-environment".to_owned());
    check(text, &Options { environment: Some(&set), role })
}

/// With every placeholder filled in.
fn filled(path: &str) -> String {
    let line = |path: &str| {
        let json: serde_json::Value = serde_json::from_str(&read(path)).unwrap();
        json.to_string()
    };
    let mut text = read(path);
    let special = [
        ("${FILTER_CONFIG}", line("envoy/filter.json")),
        ("${SYNC_CONFIG}", line("envoy/sync.json")),
        ("${FILTER_ENVIRONMENT}", "[FLAMEGATE_SYNC_TOKEN]".to_owned()),
        ("${WASM}", "/etc/envoy/flamegate.wasm".to_owned()),
    ];
    for (name, value) in special {
        text = text.replace(name, &value);
    }
    while let Some((before, rest)) = text.split_once("${") {
        let (name, after) = rest.split_once('}').unwrap();
        let value = if name.ends_with("PORT") { "10000" } else { "x" };
        text = format!("{before}{value}{after}");
    }
    text
}

#[track_caller]
fn assert_no_error(path: &str, findings: &[Finding]) {
    let errors: Vec<_> = findings.iter().filter(|finding| finding.rule.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{path}: {errors:#?}");
}

#[test]
fn the_configuration_of_make_run_has_nothing_but_hints() {
    let findings = found(&filled("envoy/envoy.yaml"), None);
    assert!(findings.iter().all(|finding| finding.rule.severity == Severity::Hint), "{findings:#?}");
}

#[test]
fn as_a_template_it_is_told_to_be_one_and_the_rest_is_checked() {
    let findings = found(&read("envoy/envoy.yaml"), None);
    let errors: Vec<_> = findings.iter().filter(|finding| finding.rule.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].rule.name == "template" && errors[0].what.contains("${GATEWAY_PORT}"), "{errors:#?}");
    assert!(findings.iter().any(|finding| finding.what.contains("${FILTER_CONFIG}")), "{findings:#?}");
}

#[test]
fn no_recipe_has_an_error() {
    let recipes = yaml_below("envoy/recipes");
    assert!(recipes.len() >= 6, "{recipes:?}");
    for path in recipes {
        let findings = found(&filled(&path), None);
        assert_no_error(&path, &findings);
        // What a recipe opens is meant, and is told all the same.
        let opens = findings.iter().any(|finding| finding.rule.name == "route-open");
        assert_eq!(opens, path.ends_with("/routes.yaml"), "{path}: {findings:#?}");
    }
}

#[test]
fn the_plugin_configurations_have_no_mistake() {
    for (path, role) in [("envoy/filter.json", Role::Filter), ("envoy/sync.json", Role::Sync)] {
        assert_eq!(found(&read(path), Some(role)), [], "{path}");
    }
}

#[test]
fn the_resources_for_istio_and_envoy_gateway_have_no_error_and_are_read() {
    for path in yaml_below("envoy/istio").into_iter().chain(yaml_below("envoy/envoy-gateway")) {
        assert_no_error(&path, &found(&read(&path), None));
    }
    for path in ["envoy/istio/base/wasmplugin.yaml", "envoy/envoy-gateway/policy.yaml"] {
        let broken =
            read(path).replace("/.flamegate/ready", "ready").replace("FLAMEGATE_SYNC_TOKEN", "OTHER");
        let whats: Vec<_> = found(&broken, None).into_iter().map(|finding| finding.what).collect();
        assert_eq!(whats.len(), 2, "{path}: {whats:#?}");
        assert!(whats.iter().any(|what| what.starts_with("readiness_path")), "{path}: {whats:#?}");
        assert!(whats.iter().any(|what| what.starts_with("sync.token_env")), "{path}: {whats:#?}");
    }
}
