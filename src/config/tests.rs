//! Defaults, every field, and every mistake with its path, all at once.

use super::parse::FILTER_FIELDS;
use super::*;
use crate::decision::auth::Accepts;
use crate::decision::published::Published;
use crate::decision::sources::Source;

fn parse(json: &str) -> Result<Config, ConfigError> {
    Config::parse(json.as_bytes(), |name| (name == "FLAMEGATE_SYNC_TOKEN").then(|| "token".to_owned()))
}

fn mistakes(json: &str) -> Vec<String> {
    let error = parse(json).expect_err("refused");
    error.0.into_iter().map(|mistake| format!("{}: {}", mistake.path, mistake.problem)).collect()
}

const HASH: &str = "4b4090ccee1e713c3d411b96a4226b90bd0f0deb34e02d19475a951316fd04ee";

#[test]
fn an_almost_empty_configuration_has_the_documented_defaults() {
    let config = parse(r#"{"sync":{}}"#).unwrap();
    assert_eq!((config.role, config.tick_ms), (Role::Filter, 20));
    let filter = &config.filter;
    assert_eq!(filter.realm, "flametalk");
    assert_eq!(filter.accepts, Accepts { live: true, test: true, checksum_only: false });
    assert!(filter.bypass.is_empty() && filter.static_keys.is_empty());
    assert_eq!(filter.key_sources, None);
    assert!(filter.cors_preflight && filter.identity_headers && filter.end_streams);
    assert_eq!(filter.published, Published::default());
    assert!(!filter.forward_authorization && !filter.rate_limit_on_success);
    assert_eq!((filter.cache_records, filter.max_staleness_ns), (4096, None));
    assert_eq!(filter.failure_throttle, None);
    let sync = config.sync.unwrap();
    assert_eq!((sync.mode, sync.wait_seconds, sync.page_size), (SyncMode::Singleton, 25, 250));
    assert_eq!((sync.cluster.as_str(), sync.authority.as_str()), ("flamegate-control", "flamegate-control"));
    assert_eq!((sync.gateway.as_str(), sync.token.as_str(), sync.retry_ms), ("", "token", (200, 5_000)));
}

#[test]
fn every_field_is_read() {
    let json = format!(
        r#"{{"role":"filter","realm":"acme","environments":["test"],"cors_preflight":false,"forward_authorization":true,
        "identity_headers":false,"filter_state":["denied","workspace_id"],"end_streams":false,"rate_limit_headers":"always","require_checksum":true,"tick_ms":5,
        "cache_records":7,"max_staleness_seconds":60,
        "failure_throttle":{{"failures":20,"window_seconds":60,"addresses":1000}},
        "bypass":[{{"path":"/healthz"}},{{"path":"/public/","match":"prefix","methods":["GET","HEAD"],"upgrade":true}}],
        "static_keys":[{{"hash":"{HASH}","id":"key_1","workspace":"ws_1","environment":"test","expires_at":12,
          "limits":[{{"name":"default","scope":"workspace","requests":100,"window_seconds":60,"burst":20}}]}}],
        "sync":{{"mode":"elected","cluster":"outbound|8080||c.ns.svc.cluster.local","authority":"c.ns","gateway":"gw-1",
          "token_env":"FLAMEGATE_SYNC_TOKEN","wait_seconds":30.0,"page_size":1000,"retry_min_ms":50,"retry_max_ms":60}}}}"#
    );
    let config = parse(&json).unwrap();
    assert_eq!((config.tick_ms, config.filter.cache_records), (5, 7));
    assert_eq!(config.filter.accepts, Accepts { live: false, test: true, checksum_only: true });
    assert_eq!(config.filter.bypass[1].methods, ["GET", "HEAD"]);
    assert!(!config.filter.end_streams);
    let published = config.filter.published;
    assert_eq!(
        (published.identity(), published.bypass(), published.denied()),
        ([true, false, false], false, true)
    );
    assert!(config.filter.bypass[1].prefix && !config.filter.bypass[0].prefix);
    assert!(config.filter.bypass[1].upgrade && !config.filter.bypass[0].upgrade);
    assert_eq!(config.filter.max_staleness_ns, Some(60_000_000_000));
    let throttle = config.filter.failure_throttle.unwrap();
    assert_eq!((throttle.failures.get(), throttle.window_seconds.get(), throttle.addresses), (20, 60, 1_000));
    let key = &config.filter.static_keys[0];
    assert_eq!((key.record().expires_at, key.slots().len()), (Some(12), 1));
    let sync = config.sync.unwrap();
    assert_eq!((sync.mode, sync.wait_seconds, sync.retry_ms), (SyncMode::Elected, 30, (50, 60)));
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_paths() {
    let found = mistakes(
        r#"{"relam":"x","environments":["prod"],"filter_state":["key_id","keyid"],"tick_ms":0,"cors_preflight":"yes","rate_limit_headers":"sometimes",
        "failure_throttle":{"failures":0,"addresses":1,"per":"ip"},
        "bypass":[{"path":"public"},{"path":"/public","match":"prefix"},{"match":"exact"},{"path":"/a/../b"},7,
          {"path":"/x","methods":["get"],"regex":true,"upgrade":"yes"},
          {"path":"/a#b"},{"path":"/a?b"},{"path":"/a%20b"},{"path":"/..a/"}],
        "static_keys":[{"hash":"12","id":"key 1","workspace":"ws_1","environment":"sk_live_s3cret","expires_at":"2030",
          "limits":[{"request":1,"window_seconds":0}]}],
        "sync":{"mode":"pull","cluster":"","wait_seconds":-1,"retry_min_ms":500,"retry_max_ms":20,"token":"s3cret"}}"#,
    );
    for path in [
        "relam: unknown field",
        "environments[0]: one of",
        "filter_state[1]: one of \"key_id\", \"workspace_id\", \"environment\", \"denied\"",
        "tick_ms: a whole number from 1 to 500",
        "cors_preflight: true or false, not this text",
        "rate_limit_headers: one of \"denied\", \"always\"",
        "failure_throttle.failures: a whole number from 1 to 10000",
        "failure_throttle.window_seconds: is required",
        "failure_throttle.addresses: a whole number from 64 to 65536",
        "failure_throttle.per: unknown field",
        "bypass[0].path: a path with one reading",
        "bypass[1].path: a prefix ends in '/'",
        "bypass[2].path: is required",
        "bypass[3].path: a path with one reading",
        "bypass[4]: an object, not this number",
        "bypass[5].methods[0]: a method in capitals",
        "bypass[5].regex: unknown field",
        "bypass[5].upgrade: true or false, not this text",
        "bypass[6].path: a path with one reading",
        "bypass[7].path: a path with one reading",
        "bypass[8].path: a path with one reading",
        "bypass[9].path: a path with one reading",
        "static_keys[0].hash: SHA-256 of the key",
        "static_keys[0].id: 1 to 64 letters",
        "static_keys[0].environment: one of \"live\", \"test\"",
        "static_keys[0].expires_at: Unix seconds or null",
        "static_keys[0].limits[0].request: unknown field",
        "static_keys[0].limits[0].requests: is required",
        "static_keys[0].limits[0].window_seconds: a whole number from 1 to 2678400",
        "sync.mode: one of \"singleton\", \"elected\"",
        "sync.cluster: printable ASCII",
        "sync.wait_seconds: a whole number",
        "sync.retry_max_ms: at least retry_min_ms",
        "sync.token: unknown field",
    ] {
        assert!(found.iter().any(|line| line.starts_with(path)), "{path} is missing in {found:#?}");
    }
    assert!(!found.iter().any(|line| line.contains("s3cret")), "values are not quoted");
}

#[test]
fn places_of_keys_are_read_in_their_order() {
    let config = parse(
        r#"{"sync":{},"key_sources":[{"header":"x-api-key"},{"bearer":"authorization"},{"basic":"username"},{"query":"api_key"},
        {"cookie":"__Host-key"},{"websocket_protocol":"flametalk.key."}]}"#,
    );
    let sources = config.unwrap().filter.key_sources.unwrap();
    assert_eq!(
        sources.all(),
        [
            Source::Header("x-api-key".into()),
            Source::Bearer,
            Source::BasicUsername,
            Source::Query("api_key".into()),
            Source::Cookie("__Host-key".into()),
            Source::WebsocketProtocol("flametalk.key.".into()),
        ]
    );
    // What is the default anyway costs nothing more.
    assert_eq!(
        parse(r#"{"sync":{},"key_sources":[{"bearer":"authorization"}]}"#).unwrap().filter.key_sources,
        None
    );
}

#[test]
fn mistakes_in_places_of_keys() {
    let long = "a".repeat(64);
    for (places, expected) in [
        ("{}", "key_sources: a list of places".to_owned()),
        ("[]", "key_sources: 1 to 8 places".to_owned()),
        (r#"["x-api-key"]"#, "key_sources[0]: an object, not this text".to_owned()),
        ("[{}]", "key_sources[0]: an object with one of \"bearer\", \"header\"".to_owned()),
        (r#"[{"body":"key"}]"#, "key_sources[0]: an object with one of".to_owned()),
        (r#"[{"query":"a","cookie":"a"}]"#, "key_sources[0]: an object with one of".to_owned()),
        (r#"[{"query":"a","in":"a"}]"#, "key_sources[0].in: unknown field".to_owned()),
        (r#"[{"basic":"password"}]"#, "key_sources[0].basic: one of \"username\"".to_owned()),
        (
            r#"[{"query":"a"},{"query":"b"},{"query":"a"}]"#,
            "key_sources[2]: this place is in the list".to_owned(),
        ),
        (
            r#"[{"websocket_protocol":"a"},{"websocket_protocol":"b"}]"#,
            "key_sources[1]: one prefix".to_owned(),
        ),
        (r#"[{"query":""}]"#, "key_sources[0].query: 1 to 63 letters".to_owned()),
        (r#"[{"cookie":"a=b"}]"#, "key_sources[0].cookie: 1 to 63 letters".to_owned()),
        (r#"[{"websocket_protocol":"a,b"}]"#, "key_sources[0].websocket_protocol: 1 to 63".to_owned()),
        (r#"[{"header":7}]"#, "key_sources[0].header: a text".to_owned()),
    ] {
        let found = mistakes(&format!(r#"{{"sync":{{}},"key_sources":{places}}}"#));
        assert!(found.iter().any(|line| line.starts_with(&expected)), "{places}: {found:?}");
    }
    for header in [
        "",
        "X-Api-Key",
        "x_api_key",
        "authorization",
        "cookie",
        "host",
        ":path",
        "connection",
        "x-flametalk-key",
        "x-envoy-key",
        "x-forwarded-for",
        "content-type",
        "access-control-request-method",
        &long,
    ] {
        let found = mistakes(&format!(r#"{{"sync":{{}},"key_sources":[{{"header":"{header}"}}]}}"#));
        assert!(found[0].starts_with("key_sources[0].header: the name of a header"), "{header}: {found:?}");
    }
    let nine: Vec<String> = (0..9).map(|number| format!(r#"{{"query":"k{number}"}}"#)).collect();
    let found = mistakes(&format!(r#"{{"sync":{{}},"key_sources":[{}]}}"#, nine.join(",")));
    assert_eq!(found, ["key_sources: 1 to 8 places"]);
}

#[test]
fn contradictions_are_mistakes() {
    for (json, line) in [
        (r#"{"role":"sync"}"#, "sync: role \"sync\" needs it"),
        ("{}", "sync: neither \"sync\" nor \"static_keys\""),
        (r#"{"role":"sync","sync":{},"realm":"x"}"#, "realm: has no meaning with role \"sync\""),
        (r#"{"sync":{},"max_staleness_seconds":30}"#, "max_staleness_seconds: 0 (off) or at least 35"),
        (r#"{"static_keys":[],"max_staleness_seconds":60}"#, "max_staleness_seconds: has no meaning without"),
        (r#"{"sync":{},"environments":[]}"#, "environments: at least one"),
        (r#"{"sync":{},"filter_state":false}"#, "filter_state: a list of names: what was false is []"),
        (r#"{"sync":{},"filter_state":"key_id"}"#, "filter_state: a list of names, as [\"key_id\"]"),
        (r#"{"sync":{},"filter_state":true}"#, "filter_state: a list of names: leave it out"),
        (r#"{"sync":{},"realm":"a\"b"}"#, "realm: printable ASCII without quotes"),
        (r#"{"sync":{"mode":"elected","token_env":"NONE"}}"#, "sync.token_env: environment variable NONE"),
        (r#"{"role":"sync","sync":{"token_env":"NONE"}}"#, "sync.token_env: environment variable NONE"),
        (r#"{"sync":{},"sync":{}}"#, ": not valid JSON: field \"sync\" stands twice"),
        ("[]", ": an object, not a list"),
        ("", ": is empty"),
        ("{\"sync\":", ": not valid JSON"),
    ] {
        let found = mistakes(json);
        assert!(found.iter().any(|found| found.starts_with(line)), "{json}: {found:?}");
    }
}

#[test]
fn a_reader_beside_a_singleton_needs_no_token() {
    assert!(Config::parse(br#"{"sync":{"mode":"singleton"}}"#, |_| None).is_ok());
}

#[test]
fn the_same_static_key_twice_is_a_mistake() {
    let key = format!(r#"{{"hash":"{HASH}","id":"k","workspace":"w","environment":"test"}}"#);
    let found = mistakes(&format!(r#"{{"static_keys":[{key},{key}]}}"#));
    assert_eq!(found, ["static_keys[1].hash: this hash is in the list already"]);
}

#[test]
fn static_keys_that_disagree_about_a_limit_of_their_workspace_are_a_mistake() {
    let key = |hash: &str, workspace: &str, limits: &str| {
        format!(
            r#"{{"hash":"{}","id":"k","workspace":"{workspace}","environment":"test","limits":[{limits}]}}"#,
            hash.repeat(64)
        )
    };
    let limit = |name: &str, scope: &str, numbers: &str| {
        format!(r#"{{"name":"{name}","scope":"{scope}","window_seconds":3600,{numbers}}}"#)
    };
    let five = limit("shared", "workspace", r#""requests":5"#);
    let own = limit("shared", "key", r#""requests":9"#);
    for other in [r#""requests":50"#, r#""requests":5,"burst":4"#] {
        let other = limit("shared", "workspace", other);
        let keys = [key("1", "w", &five), key("2", "x", &other), key("3", "w", &format!("{own},{other}"))];
        let found = mistakes(&format!(r#"{{"static_keys":[{}]}}"#, keys.join(",")));
        assert_eq!(
            found,
            [
                "static_keys[2].limits[1]: has other numbers than static_keys[0].limits[0]: a limit of a workspace has \
              one set of numbers for all its keys"
            ]
        );
    }
    // The same numbers, another name, or a limit of the key itself contradict nothing.
    let same = limit("shared", "workspace", r#""requests":5,"burst":5"#);
    let another = limit("another", "workspace", r#""requests":50"#);
    let keys = [key("1", "w", &five), key("2", "w", &format!("{own},{same}")), key("3", "w", &another)];
    assert!(parse(&format!(r#"{{"static_keys":[{}]}}"#, keys.join(","))).is_ok());
}

#[test]
fn the_answer_depends_on_the_text_alone() {
    for json in [r#"{"sync":{}}"#, r#"{"sync":{"wait_seconds":0}}"#, "nonsense"] {
        let answers: Vec<bool> = (0..3).map(|_| parse(json).is_ok()).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_configuration_or_a_refusal(bytes: Vec<u8>) {
        let _ = Config::parse(&bytes, |_| None);
    }

    #[test]
    fn any_field_with_any_value_is_read_or_refused(
        field in proptest::sample::select(FILTER_FIELDS),
        value in proptest::sample::select(vec!["null", "true", "-1", "1e99", "\"\"", "[]", "{}", "[{}]", "[null]", "[[[]]]"]),
    ) {
        let _ = parse(&format!(r#"{{"sync":{{}},"{field}":{value}}}"#));
    }
}
