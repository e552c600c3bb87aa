//! Plugin configuration that is not understood never gets as far as a request.

use flamegate_e2e::{Envoy, Plugin, process::Folder};
use serde_json::{Value, json};

/// Whether Envoy accepts it, and what it prints.
fn validate(name: &str, filter: Value) -> (bool, String) {
    let folder = Folder::new(name);
    let output = Envoy::validate(&folder, &Plugin::alone(filter));
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (output.status.success(), text)
}

#[test]
fn a_good_one_is_accepted() {
    let (accepted, text) =
        validate("config-good", json!({"sync": {"mode": "elected"}, "bypass": [{"path": "/healthz"}]}));
    assert!(accepted, "{text}");
}

#[test]
fn all_mistakes_are_listed_with_their_paths() {
    let filter = json!({
        "realm": 7,
        "bypass": [{"path": "healthz"}, {"path": "/a/", "match": "regex", "verb": "GET"}],
        "rate_limit_header": "always",
        "static_keys": [{"hash": "12", "id": "key_1", "workspace": "ws_1", "environment": "prod", "expires_at": null,
            "limits": [{"name": "default", "scope": "key", "requests": 0, "window_seconds": 60}]}],
        "sync": {"mode": "quorum", "retry_min_ms": 500, "retry_max_ms": 50},
    });
    let (accepted, text) = validate("config-bad", filter);
    assert!(!accepted);
    let paths = [
        "realm",
        "bypass[0].path",
        "bypass[1].match",
        "bypass[1].verb",
        "rate_limit_header",
        "static_keys[0].hash",
        "static_keys[0].environment",
        "static_keys[0].limits[0].requests",
        "sync.mode",
        "sync.retry_max_ms",
    ];
    for path in paths {
        assert!(text.contains(path), "{path} is not named in:\n{text}");
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for filter in [json!(null), json!([]), json!("sync"), json!({})] {
        let (accepted, text) = validate("config-form", filter.clone());
        assert!(!accepted, "{filter} was accepted: {text}");
    }
}

#[test]
fn a_configuration_without_its_token_is_refused() {
    let (accepted, text) =
        validate("config-token", json!({"sync": {"mode": "elected", "token_env": "NOT_SET"}}));
    assert!(!accepted);
    assert!(text.contains("NOT_SET"), "{text}");
}
