//! Defaults, precedence, and that every mistake is reported in one go.

use std::collections::HashMap;

use crate::config::*;
use crate::domain::tokens::token_list;

const ADMIN: &str = "admin-token-0123456789";
const SYNC: &str = "sync-token-0123456789";

fn load(args: ServeArgs, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let map: HashMap<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::load(&args, &|name| map.get(name).cloned())
}

#[test]
fn tokens_are_all_that_is_needed() {
    let config = load(ServeArgs::default(), &[(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database.file(), Some(&*std::env::current_dir().unwrap().join("flamegate.db")));
    assert!(!config.init, "a new database is asked for");
    assert_eq!(config.default_limits, limits::product_default());
    assert!(config.admin_tokens.accept(ADMIN.as_bytes()) && !config.admin_tokens.accept(SYNC.as_bytes()));
}

#[test]
fn flags_win_over_the_environment() {
    let args = ServeArgs { listen: Some("127.0.0.1:1".into()), ..ServeArgs::default() };
    let variables = [(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC), ("FLAMEGATE_LISTEN", "127.0.0.1:2")];
    assert_eq!(load(args, &variables).unwrap().listen.port(), 1);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let args = ServeArgs { listen: Some("nowhere".into()), ..ServeArgs::default() };
    let ConfigErrors(errors) =
        load(args, &[(ADMIN_TOKEN, "short"), ("FLAMEGATE_DEFAULT_LIMITS", "x")]).unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert_eq!(errors[0], "--listen: 'nowhere' is not valid (an example is 127.0.0.1:8080)");
    assert_eq!(errors[2], "FLAMEGATE_ADMIN_TOKEN: a token must have at least 16 characters");
    assert_eq!(errors[3], "FLAMEGATE_SYNC_TOKEN is not set");
}

#[test]
fn several_tokens_are_accepted_and_must_differ_from_the_others() {
    let both = format!("{ADMIN}, {SYNC}");
    let ConfigErrors(errors) =
        load(ServeArgs::default(), &[(ADMIN_TOKEN, &both), (SYNC_TOKEN, SYNC)]).unwrap_err();
    assert_eq!(errors, ["FLAMEGATE_ADMIN_TOKEN and FLAMEGATE_SYNC_TOKEN must differ"]);
    assert!(Tokens::new(token_list(&both)).accept(SYNC.as_bytes()));
}

#[test]
fn equal_characters_are_no_token() {
    let (few, enough) = ("a".repeat(40), "abcdefgh".repeat(2));
    let ConfigErrors(errors) =
        load(ServeArgs::default(), &[(ADMIN_TOKEN, "1234567".repeat(5).as_str()), (SYNC_TOKEN, &few)])
            .unwrap_err();
    for (error, name) in errors.iter().zip([ADMIN_TOKEN, SYNC_TOKEN]) {
        let told = "a token must have at least 8 different characters (openssl rand -hex 32 makes one)";
        assert_eq!(*error, format!("{name}: {told}"), "the name, what to do, and never the value");
    }
    assert_eq!(errors.len(), 2);
    load(ServeArgs::default(), &[(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, &enough)]).unwrap();
}

#[test]
fn metrics_may_have_a_token_and_a_listener_of_their_own() {
    let tokens = [(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)];
    let config = load(ServeArgs::default(), &tokens).unwrap();
    assert!(config.metrics_tokens.is_empty() && config.metrics_listen.is_none());
    let own = [(METRICS_TOKEN, "metrics-token-0123456789"), ("FLAMEGATE_METRICS_LISTEN", "127.0.0.1:9090")];
    let config = load(ServeArgs::default(), &[&tokens[..], &own].concat()).unwrap();
    assert_eq!(config.metrics_listen.unwrap().port(), 9090);
    assert!(config.metrics_tokens.accept(b"metrics-token-0123456789"));
    let wrong = [(METRICS_TOKEN, ADMIN), ("FLAMEGATE_METRICS_LISTEN", "9090")];
    let ConfigErrors(errors) = load(ServeArgs::default(), &[&tokens[..], &wrong].concat()).unwrap_err();
    let listen = "FLAMEGATE_METRICS_LISTEN: '9090' is not valid (an example is 127.0.0.1:9090)";
    assert_eq!(errors, [listen, "FLAMEGATE_ADMIN_TOKEN and FLAMEGATE_METRICS_TOKEN must differ"]);
}

#[test]
fn series_of_keys_are_off_unless_a_number_says_how_many() {
    let of = |text: Option<&'static str>| {
        let more = text.map(|text| ("FLAMEGATE_METRICS_PER_KEY", text));
        let variables: Vec<_> = [(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)].into_iter().chain(more).collect();
        load(ServeArgs::default(), &variables).map(|config| config.metrics_per_key)
    };
    for (text, wanted) in [(None, 0), (Some("none"), 0), (Some("500"), 500)] {
        assert_eq!(of(text), Ok(wanted));
    }
    for wrong in ["all", "-1", "10001"] {
        let told = format!("FLAMEGATE_METRICS_PER_KEY: '{wrong}' is no number up to 10000, or none");
        assert_eq!(of(Some(wrong)), Err(ConfigErrors(vec![told])));
    }
}

#[test]
fn debug_output_does_not_show_tokens() {
    let config = load(ServeArgs::default(), &[(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)]).unwrap();
    let text = format!("{config:?}");
    assert!(!text.contains(ADMIN) && !text.contains(SYNC), "{text}");
}

#[test]
fn settings_of_the_pages_are_checked() {
    let tokens = [(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)];
    let pages = load(ServeArgs::default(), &tokens).unwrap().pages;
    assert_eq!((pages.public_origin.as_deref(), pages.trust_proxy, pages.is_secure()), (None, false, false));
    let good = [("FLAMEGATE_PUBLIC_URL", "https://Keys.example.com/"), ("FLAMEGATE_SESSION_IDLE", "30m")];
    let pages = load(ServeArgs::default(), &[&tokens[..], &good].concat()).unwrap().pages;
    assert_eq!(pages.public_origin.as_deref(), Some("https://keys.example.com"));
    assert_eq!((pages.session_idle.as_secs(), pages.is_secure()), (1_800, true));
    let bad = [
        ("FLAMEGATE_PUBLIC_URL", "keys.example.com/path"),
        ("FLAMEGATE_API_URL", "ftp://x"),
        ("FLAMEGATE_TRUST_PROXY", "maybe"),
        ("FLAMEGATE_SESSION_IDLE", "1s"),
        ("FLAMEGATE_SESSION_MAX", "for ever"),
    ];
    let ConfigErrors(errors) = load(ServeArgs::default(), &[&tokens[..], &bad].concat()).unwrap_err();
    assert_eq!(errors.len(), 5, "{errors:?}");
}

#[test]
fn idle_connections_have_a_time() {
    let tokens = [(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)];
    for (text, seconds) in
        [(None, Some(75)), (Some("620s"), Some(620)), (Some("0s"), None), (Some("2d"), None)]
    {
        let given = text.map(|text| ("FLAMEGATE_IDLE_TIMEOUT", text));
        let all: Vec<_> = tokens.into_iter().chain(given).collect();
        let loaded = load(ServeArgs::default(), &all);
        assert_eq!(loaded.ok().map(|config| config.idle_timeout.as_secs()), seconds, "{text:?}");
    }
}

#[test]
fn what_is_allowed_unless_somebody_says_otherwise() {
    let tokens = [(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)];
    let config = load(ServeArgs::default(), &tokens).unwrap();
    assert_eq!(config.default_max_active_keys, Some(1_000));
    assert_eq!(config.person_limit.as_ref().map(limits::to_text).as_deref(), Some("default=60/60s+30"));
    let none = [("FLAMEGATE_DEFAULT_MAX_ACTIVE_KEYS", "none"), ("FLAMEGATE_PERSON_LIMIT", "none")];
    let config = load(ServeArgs::default(), &[&tokens[..], &none].concat()).unwrap();
    assert_eq!((config.default_max_active_keys, config.person_limit), (None, None));
    let bad = [
        ("FLAMEGATE_DEFAULT_MAX_ACTIVE_KEYS", "-1"),
        ("FLAMEGATE_PERSON_LIMIT", "1/1s,two=2/1s"),
        ("FLAMEGATE_DEFAULT_LIMITS", "ceiling=1/1s"),
    ];
    let ConfigErrors(errors) = load(ServeArgs::default(), &[&tokens[..], &bad].concat()).unwrap_err();
    assert_eq!(
        errors,
        [
            "FLAMEGATE_DEFAULT_LIMITS: no limit may be named ceiling",
            "FLAMEGATE_DEFAULT_MAX_ACTIVE_KEYS: '-1' is not valid (an example is 1000)",
            "FLAMEGATE_PERSON_LIMIT: must be one limit, or none",
        ]
    );
}

#[test]
fn tls_has_a_certificate_and_a_key_and_plain_http_for_others_is_said() {
    let with = |more: &[(&str, &str)]| {
        let tokens = [(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)];
        load(ServeArgs::default(), &[&tokens[..], more].concat())
    };
    let (cert, key, ca) =
        (("FLAMEGATE_TLS_CERT", "c"), ("FLAMEGATE_TLS_KEY", "k"), ("FLAMEGATE_TLS_CLIENT_CA", "ca"));
    let everywhere = ("FLAMEGATE_LISTEN", "0.0.0.0:8080");
    let config = with(&[cert, key, ca, everywhere]).unwrap();
    assert_eq!(config.tls.unwrap().client_ca.as_deref(), Some("ca"));
    assert!(config.pages.is_secure() && !config.pages.is_secure_for_good() && config.warnings.is_empty());
    for (given, told) in [
        (vec![cert], "FLAMEGATE_TLS_CERT is set and FLAMEGATE_TLS_KEY is not: TLS needs both"),
        (vec![key, ca], "FLAMEGATE_TLS_KEY is set and FLAMEGATE_TLS_CERT is not: TLS needs both"),
        (
            vec![ca],
            "FLAMEGATE_TLS_CLIENT_CA is for TLS, and FLAMEGATE_TLS_CERT and FLAMEGATE_TLS_KEY are not set",
        ),
        (
            vec![cert, key, ("FLAMEGATE_PUBLIC_URL", "http://keys.example.com")],
            "FLAMEGATE_PUBLIC_URL: must begin with https://, because the server speaks TLS",
        ),
    ] {
        assert_eq!(with(&given).unwrap_err(), ConfigErrors(vec![told.to_owned()]));
    }
    for (listen, is_told) in
        [("127.0.0.1:1", false), ("[::1]:1", false), ("[::]:1", true), ("10.0.0.7:1", true)]
    {
        let warnings = with(&[("FLAMEGATE_LISTEN", listen)]).unwrap().warnings;
        assert_eq!(
            warnings.iter().any(|text| text.contains("plain HTTP on")),
            is_told,
            "{listen}: {warnings:?}"
        );
    }
}

#[test]
fn a_provider_of_identities_is_named_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "the secret\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let with = |more: &[(&str, &str)]| {
        let tokens = [(ADMIN_TOKEN, ADMIN), (SYNC_TOKEN, SYNC)];
        load(ServeArgs::default(), &[&tokens[..], more].concat())
    };
    let whole = [
        ("FLAMEGATE_OIDC_ISSUER", "https://id.example.com/realm"),
        ("FLAMEGATE_OIDC_CLIENT_ID", "us"),
        ("FLAMEGATE_OIDC_CLIENT_SECRET_FILE", secret.to_str().unwrap()),
        ("FLAMEGATE_PUBLIC_URL", "https://keys.example.com"),
    ];
    let config = with(&whole).unwrap();
    let oidc = config.oidc.unwrap();
    assert_eq!((oidc.name.as_str(), oidc.client_secret.reveal()), ("id.example.com", "the secret"));
    assert_eq!(oidc.redirect_uri, "https://keys.example.com/sign-in/oidc/back");
    assert!(config.pages.passwords && oidc.rules.is_empty() && !format!("{oidc:?}").contains("the secret"));
    assert!(with(&[]).unwrap().oidc.is_none());
    for (left_out, told) in [
        (0, "FLAMEGATE_OIDC_ISSUER is not set, and other FLAMEGATE_OIDC_… are"),
        (1, "FLAMEGATE_OIDC_CLIENT_ID is not set, and FLAMEGATE_OIDC_ISSUER is"),
        (2, "FLAMEGATE_OIDC_CLIENT_SECRET_FILE is not set, and FLAMEGATE_OIDC_ISSUER is"),
        (3, "FLAMEGATE_OIDC_ISSUER needs FLAMEGATE_PUBLIC_URL: the provider sends people back there"),
    ] {
        let rest: Vec<_> =
            whole.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, one)| *one).collect();
        assert_eq!(with(&rest).unwrap_err(), ConfigErrors(vec![told.to_owned()]));
    }
    let errors = with(
        &[&whole[1..], &[("FLAMEGATE_OIDC_ISSUER", "http://id.example.com"), ("FLAMEGATE_OIDC_ROLES", "x")]]
            .concat(),
    );
    let ConfigErrors(errors) = errors.unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    let ConfigErrors(errors) = with(&[("FLAMEGATE_PASSWORDS", "false")]).unwrap_err();
    assert_eq!(
        errors,
        ["FLAMEGATE_PASSWORDS is false, and without FLAMEGATE_OIDC_ISSUER nobody could sign in"]
    );
}
