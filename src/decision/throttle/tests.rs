//! The throttle alone: how many failures of whom, what an eviction costs, and which texts name the same client.

use super::*;

const SECOND: u64 = NANOS_PER_SECOND;

fn throttle(failures: u32, window_seconds: u32, addresses: usize) -> Throttle {
    let number = |n: u32| NonZeroU32::new(n).unwrap();
    Throttle::new(
        ThrottleConfig { failures: number(failures), window_seconds: number(window_seconds), addresses },
        64,
    )
}

fn client(number: u32) -> ClientAddress {
    ClientAddress::parse(std::net::Ipv4Addr::from_bits(number).to_string().as_bytes()).unwrap()
}

/// Fails as often as the throttle lets it, at most `most` times.
fn fail(throttle: &mut Throttle, client: ClientAddress, now: u64, most: usize) -> usize {
    for count in 0..most {
        if throttle.check(client, now).is_err() {
            return count;
        }
        throttle.note_failure(client, now);
    }
    most
}

#[test]
fn an_address_fails_as_often_as_configured_and_then_once_per_interval() {
    let mut throttle = throttle(20, 60, 64);
    let start = 1_000 * SECOND;
    assert_eq!(fail(&mut throttle, client(1), start, 1_000), 20);
    let refusal = throttle.check(client(1), start).unwrap_err();
    assert_eq!(refusal.retry_after_seconds, 3);
    assert_eq!(refusal.headers.get("retry-after"), Some("3"));
    assert!(throttle.check(client(1), start + 3 * SECOND - 1).is_err());
    assert_eq!(
        fail(&mut throttle, client(1), start + 3 * SECOND, 1_000),
        1,
        "Retry-After is true, and earns one"
    );
    assert_eq!(fail(&mut throttle, client(1), start + 9 * SECOND, 1_000), 2);
    assert_eq!(fail(&mut throttle, client(1), start + 69 * SECOND, 1_000), 20, "at rest again");
}

#[test]
fn addresses_do_not_pay_for_each_other() {
    let mut throttle = throttle(3, 60, 64);
    assert_eq!(fail(&mut throttle, client(1), SECOND, 10), 3);
    assert_eq!(fail(&mut throttle, client(2), SECOND, 10), 3);
    assert!(throttle.check(client(3), SECOND).is_ok());
}

#[test]
fn a_hundred_thousand_addresses_take_no_more_memory() {
    let mut throttle = throttle(3, 60, 4096);
    assert_eq!(throttle.bytes(), 4096 * 16 + 64 * 16);
    for number in 0..100_000 {
        throttle.note_failure(client(number), SECOND);
    }
    assert_eq!((throttle.bytes(), throttle.sets.len()), (4096 * 16 + 64 * 16, 512));
}

/// Newcomers with one failure each take places from each other, not from one that is throttled.
#[test]
fn a_throttled_address_is_not_forgotten_for_newcomers() {
    for _ in 0..20 {
        let mut throttle = throttle(20, 60, 64);
        let attacker = client(u32::MAX);
        assert_eq!(fail(&mut throttle, attacker, SECOND, 1_000), 20);
        for number in 0..10_000 {
            throttle.note_failure(client(number), SECOND);
        }
        assert!(throttle.check(attacker, SECOND).is_err());
    }
}

#[test]
fn an_address_without_a_place_of_its_own_starts_at_rest() {
    let mut throttle = throttle(2, 60, 8);
    for number in 0..8 {
        assert_eq!(fail(&mut throttle, client(number), SECOND, 10), 2);
    }
    throttle.note_failure(client(8), SECOND);
    assert!(throttle.check(client(8), SECOND).is_ok(), "it has not what its predecessor in the place had");
}

#[test]
fn the_latest_values_that_were_accepted_are_remembered() {
    let mut throttle = throttle(1, 60, 64);
    let sets = 64 / WAYS as u128;
    for number in 0..100 {
        // All in one set.
        throttle.note_success(5 + number * sets);
        throttle.note_success(5 + number * sets);
    }
    for number in 0..100 {
        assert_eq!(throttle.was_accepted(5 + number * sets), number >= 100 - WAYS as u128, "{number}");
    }
    assert!(!throttle.was_accepted(6));
}

#[test]
fn texts_of_one_client_are_the_same_address() {
    let same = [
        ("192.0.2.1:443", "192.0.2.1"),
        ("192.0.2.1:0", "192.0.2.1:65535"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1:1"),
        ("[2001:db8:1:2::1]:80", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
    ];
    for (one, other) in same {
        assert!(ClientAddress::parse(one.as_bytes()).is_some(), "{one}");
        assert_eq!(
            ClientAddress::parse(one.as_bytes()),
            ClientAddress::parse(other.as_bytes()),
            "{one} {other}"
        );
    }
    let different = [("192.0.2.1:1", "192.0.2.2:1"), ("[2001:db8:1:2::1]:80", "[2001:db8:1:3::1]:80")];
    for (one, other) in different {
        assert_ne!(
            ClientAddress::parse(one.as_bytes()),
            ClientAddress::parse(other.as_bytes()),
            "{one} {other}"
        );
    }
    for none in ["", "/run/envoy.sock", "@envoy", "192.0.2", "192.0.2.1:", "192.0.2.1:70000", "[::1", "a.b:1"]
    {
        assert_eq!(ClientAddress::parse(none.as_bytes()), None, "{none}");
    }
    assert_eq!(ClientAddress::parse(b"192.0.2.\xff"), None);
}
