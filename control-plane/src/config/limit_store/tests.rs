//! Addresses and files of the engine of fleet limits: what is read, and what is refused.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn addresses_are_read_and_shown_without_passwords() {
    for (text, shown, user, password, database) in [
        ("redis://a", "redis://a:6379", None, None, 0),
        ("rediss://a:7000/3", "rediss://a:7000", None, None, 3),
        ("redis://:p%40ss@[::1]:1", "redis://::1:1", None, Some("p@ss"), 0),
        ("redis+sentinel://u:p@s1,s2:9/m/2", "redis+sentinel://s1:26379,s2:9/m", Some("u"), Some("p"), 2),
    ] {
        let store = LimitStore::parse(text).unwrap();
        assert_eq!(format!("{store:?}"), shown);
        assert_eq!((store.user(), store.password(), store.database()), (user, password, database), "{text}");
    }
}

#[test]
fn what_is_none_is_refused_without_its_password() {
    let long = "redis://u:secret@a,b";
    for text in [
        "",
        "http://a",
        "redis://",
        "redis+sentinel://a",
        "redis://a/x",
        "redis://a?x=1",
        "redis://a:p:1",
        long,
    ] {
        let source = |name: &str| (name == LIMIT_STORE).then(|| format!("{text} "));
        let error = LimitStore::read(&source, &mut Vec::new()).unwrap_err();
        assert!(error.starts_with("FLAMEGATE_LIMIT_STORE: ") && !error.contains("secret"), "{text}: {error}");
    }
}

#[test]
fn files_are_for_what_the_address_says_and_a_mistake_names_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["password", "key"] {
        std::fs::write(path(name), " p@ss\n").unwrap();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(path("pem"), "of anybody").unwrap();
    let read = |address: &str, files: &[(&str, &str)]| {
        let source = |name: &str| {
            let of_file = files
                .iter()
                .find(|(variable, _)| name.strip_prefix("FLAMEGATE_LIMIT_STORE_") == Some(variable));
            if name == LIMIT_STORE { Some(address.to_owned()) } else { of_file.map(|(_, file)| path(file)) }
        };
        LimitStore::read(&source, &mut Vec::new())
    };
    let store = read("rediss+sentinel://a/m", &[("SENTINEL_PASSWORD_FILE", "password"), ("CA_FILE", "pem")]);
    let store = store.unwrap().unwrap();
    assert_eq!((store.sentinel_password(), store.password()), (Some("p@ss"), None));
    assert_eq!(store.pem().unwrap().ca.unwrap(), b"of anybody");
    let both = [("CERT_FILE", "pem"), ("KEY_FILE", "key")];
    assert!(read("rediss://a", &both).unwrap().unwrap().pem().unwrap().own.is_some());
    assert!(!format!("{store:?}").contains("p@ss"));
    for (address, files, error) in [
        ("", &[("CA_FILE", "pem")][..], "CA_FILE: there is no FLAMEGATE_LIMIT_STORE that it would be for"),
        (
            "redis://a",
            &[("SENTINEL_PASSWORD_FILE", "password")],
            "SENTINEL_PASSWORD_FILE: FLAMEGATE_LIMIT_STORE names no sentinels",
        ),
        ("redis://a", &[("CA_FILE", "pem")], "CA_FILE is for TLS"),
        (
            "rediss://:x@a",
            &[("PASSWORD_FILE", "password")],
            "PASSWORD_FILE: FLAMEGATE_LIMIT_STORE has a password in it already",
        ),
        ("rediss://a", &both[..1], "CERT_FILE is set and FLAMEGATE_LIMIT_STORE_KEY_FILE is not"),
        ("rediss://a", &both[1..], "KEY_FILE is set and FLAMEGATE_LIMIT_STORE_CERT_FILE is not"),
        ("rediss://a", &[("CA_FILE", "none")], "CA_FILE: "),
        ("rediss://a", &[("CERT_FILE", "pem"), ("KEY_FILE", "pem")], "KEY_FILE: "),
    ] {
        let found = read(address, files).unwrap_err();
        assert!(found.starts_with(&format!("FLAMEGATE_LIMIT_STORE_{error}")), "{address} {files:?}: {found}");
    }
}
