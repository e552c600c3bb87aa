//! What of a route's metadata is understood, and that nothing else is.

use super::super::headers::{serialize_map, serialize_pairs};
use super::*;

/// A map of these fields; values are bytes.
fn map(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let owned = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
    serialize_pairs(&owned.collect::<Vec<_>>())
}

fn list(entries: &[&str]) -> Vec<u8> {
    serialize_map(entries.iter().map(|entry| (*entry, "")))
}

fn with_cost(cost: f64) -> Result<RouteSettings, Unreadable> {
    RouteSettings::read(&map(&[("cost", &cost.to_le_bytes())]))
}

#[test]
fn what_is_not_said_is_as_without_settings() {
    let settings = RouteSettings::read(&map(&[])).unwrap();
    assert_eq!(settings, RouteSettings::default());
    assert!(settings.cost == 1 && settings.admits(Environment::Live) && settings.admits(Environment::Test));
}

#[test]
fn a_cost_is_a_whole_number_within_bounds() {
    for cost in [0, 1, 5, MAX_COST] {
        assert_eq!(with_cost(f64::from(cost)).unwrap().cost, cost);
    }
    for cost in [-1.0, 0.5, f64::from(MAX_COST) + 1.0, f64::NAN, f64::INFINITY, -f64::INFINITY, 1e300] {
        let why = with_cost(cost).unwrap_err().to_string();
        assert_eq!(why, "cost: a whole number from 0 to 1000000", "{cost}");
    }
    assert_eq!(with_cost(-0.0).unwrap().cost, 0);
    // A text, a flag, a list.
    for value in [&b"5"[..], b"", &[1], &list(&["5"]), b"12345678", b"123456789"] {
        assert!(RouteSettings::read(&map(&[("cost", value)])).is_err(), "{value:?}");
    }
}

#[test]
fn environments_are_a_list_of_those_that_there_are() {
    let of = |entries: &[&str]| RouteSettings::read(&map(&[("environments", &list(entries))]));
    let admits = |settings: RouteSettings| [Environment::Live, Environment::Test].map(|e| settings.admits(e));
    assert_eq!(admits(of(&["live"]).unwrap()), [true, false]);
    assert_eq!(admits(of(&["test"]).unwrap()), [false, true]);
    assert_eq!(admits(of(&["test", "live", "test"]).unwrap()), [true, true]);
    for entries in [&[][..], &["prod"], &["live", "prod"], &["Live"], &[""]] {
        let why = of(entries).unwrap_err().to_string();
        assert_eq!(why, r#"environments: a list of "live" and "test", at least one"#, "{entries:?}");
    }
    for value in [&b"live"[..], b"", &8_f64.to_le_bytes(), &serialize_map([("live", "x")].into_iter())] {
        assert!(RouteSettings::read(&map(&[("environments", value)])).is_err(), "{value:?}");
    }
}

#[test]
fn both_together_and_nothing_beside_them() {
    let (five, live) = (5_f64.to_le_bytes(), list(&["live"]));
    let both = RouteSettings::read(&map(&[("environments", &live), ("cost", &five)])).unwrap();
    assert!(both.cost == 5 && !both.admits(Environment::Test));
    for name in ["costs", "Cost", "", "cost ", "environment"] {
        let why = RouteSettings::read(&map(&[("cost", &five), (name, &five)])).unwrap_err().to_string();
        assert_eq!(why, format!("unknown field \"{name}\""));
    }
    let why = RouteSettings::read(&map(&[("a\n\"b", b""), ("cost", &five)])).unwrap_err().to_string();
    assert_eq!(why, r#"unknown field "a\n\"b""#);
    let long = "n".repeat(100);
    let why = RouteSettings::read(&map(&[(&long, b"")])).unwrap_err().to_string();
    assert_eq!(why, format!("unknown field \"{}\"", &long[..MOST_SHOWN]));
}

#[test]
fn what_is_no_map_or_too_long_is_unreadable() {
    for bytes in [&b""[..], b"\x01", b"\x01\0\0\0", &[0xFF; 16], &[0xFF; MAX_BYTES + 1], b"cost"] {
        assert!(RouteSettings::read(bytes).is_err(), "{bytes:?}");
    }
    let whole = map(&[("cost", &5_f64.to_le_bytes()), ("environments", &list(&["live"]))]);
    for end in 0..whole.len() {
        let read = RouteSettings::read(&whole[..end]);
        assert!(read.is_err() || end == whole.len() - 1, "{end}");
    }
}
