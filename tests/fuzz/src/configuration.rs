//! The plugin configuration: any bytes are either a configuration or a list of mistakes, the same each time, and no mistake
//! repeats what stands in a secret's place.

use flamegate::config::{Config, Role};

const TOKEN: &str = "5ecret-t0ken-0f-the-fuzzer";

/// The input is the JSON.
pub fn configuration(input: &[u8]) {
    let parse = || Config::parse(input, |name| (name == "FLAMEGATE_SYNC_TOKEN").then(|| TOKEN.to_owned()));
    match (parse(), parse()) {
        (Ok(one), Ok(two)) => {
            let text = format!("{one:?}");
            assert_eq!(text, format!("{two:?}"), "two readings of one text");
            assert!(!text.contains(TOKEN), "the token is printed");
            check(&one);
            serde_json::from_slice::<serde_json::Value>(input).expect("what is accepted is JSON");
        }
        (Err(one), Err(two)) => {
            assert_eq!(one, two, "two readings of one text");
            assert!(!one.0.is_empty(), "refused without a mistake");
            assert!(one.0.iter().all(|mistake| !mistake.problem.is_empty()), "a mistake without a word");
            assert!(!one.to_string().contains(TOKEN), "the token is in a mistake");
        }
        _ => panic!("two readings of one text differ"),
    }
}

/// What every accepted configuration has, whatever stands in it.
fn check(config: &Config) {
    assert!((1..=500).contains(&config.tick_ms));
    let filter = &config.filter;
    assert!((1..=100_000).contains(&filter.cache_records));
    assert!(filter.accepts.live || filter.accepts.test);
    assert!(!filter.realm.contains(['"', '\\', '\r', '\n']), "the realm stands in a header");
    for rule in &filter.bypass {
        assert!(flamegate::decision::bypass::is_unambiguous(rule.path.as_bytes()), "{rule:?}");
        assert!(!rule.prefix || rule.path.ends_with('/'), "{rule:?}");
    }
    for key in &filter.static_keys {
        assert!(key.record().problems().is_empty(), "{:?}", key.record());
    }
    if let Some(throttle) = filter.failure_throttle {
        assert!((64..=65_536).contains(&throttle.addresses));
    }
    assert!(config.role == Role::Filter || config.sync.is_some(), "a sync without a source");
}
