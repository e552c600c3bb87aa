//! How attempts are slowed down, and what that may cost.

use std::net::IpAddr;
use std::time::Duration;

use super::Throttle;
use super::attempts::{CAPACITY, FAILED};
use crate::service::clock::Clock;

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

#[test]
fn an_account_is_slowed_down_from_wherever_the_attempts_come() {
    let clock = Clock::default();
    let throttle = Throttle::new(clock.clone());
    for last in 0..8 {
        throttle.admit("ada@example.com", address(last), 1).unwrap();
    }
    let wait = throttle.admit("ada@example.com", address(9), 1).unwrap_err();
    assert!(wait <= Duration::from_secs(30) && wait > Duration::from_secs(29), "{wait:?}");
    throttle.admit("bob@example.com", address(9), 1).unwrap();
    clock.advance(Duration::from_secs(30));
    throttle.admit("ada@example.com", address(9), 1).unwrap();
    throttle.admit("ada@example.com", address(9), 1).unwrap_err();
}

#[test]
fn an_address_is_slowed_down_whatever_the_accounts() {
    let throttle = Throttle::new(Clock::default());
    for number in 0..30 {
        throttle.admit(&format!("user{number}@example.com"), address(1), 1).unwrap();
    }
    throttle.admit("user30@example.com", address(1), 1).unwrap_err();
    throttle.admit("user30@example.com", address(2), 1).unwrap();
}

#[test]
fn wrong_tokens_are_slowed_per_address_and_not_for_ever() {
    let clock = Clock::default();
    let throttle = Throttle::new(clock.clone());
    assert!((0..20).all(|_| !throttle.wrong_token(address(1))));
    assert!((0..1_000).all(|_| throttle.wrong_token(address(1))));
    assert!(!throttle.wrong_token(address(2)));
    throttle.admit("ada@example.com", address(1), 1).unwrap();
    clock.advance(Duration::from_secs(3));
    assert!(!throttle.wrong_token(address(1)), "a flood does not lengthen the time");
    assert!(throttle.wrong_token(address(1)));
}

#[test]
fn success_is_forgiven() {
    let throttle = Throttle::new(Clock::default());
    for _ in 0..100 {
        throttle.admit("ada@example.com", address(1), 1).unwrap();
        throttle.forgive("ada@example.com", address(1));
    }
}

#[test]
fn even_success_has_an_end() {
    let clock = Clock::default();
    let throttle = Throttle::new(clock.clone());
    for _ in 0..100 {
        throttle.forgive("ada@example.com", address(1));
    }
    let wait = throttle.admit("ada@example.com", address(1), 1).unwrap_err();
    throttle.admit("bob@example.com", address(1), 1).unwrap();
    clock.advance(wait + Duration::from_millis(1));
    throttle.admit("ada@example.com", address(1), 1).unwrap();
}

#[test]
fn memory_is_bounded() {
    let throttle = Throttle::new(Clock::default());
    for number in 0..u32::try_from(CAPACITY).unwrap() {
        throttle.admit(&number.to_string(), Some(IpAddr::from(number.to_be_bytes())), 1).unwrap();
    }
    assert!(throttle.inner.lock().rests.len() <= CAPACITY);
}

#[test]
fn a_neighbourhood_of_ipv6_is_one_address() {
    let throttle = Throttle::new(Clock::default());
    let near = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
    for number in 0..30 {
        throttle.admit(&format!("user{number}@example.com"), near(number), 1).unwrap();
    }
    throttle.admit("user30@example.com", near(99), 1).unwrap_err();
}

#[test]
fn a_network_of_ipv6_is_slowed_down_whatever_its_neighbourhoods() {
    let throttle = Throttle::new(Clock::default());
    let near = |subnet: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, subnet, 0, 0, 0, 1]));
    for number in 0..60 {
        throttle.admit(&format!("user{number}@example.com"), near(number), 1).unwrap();
    }
    throttle.admit("user60@example.com", near(60), 1).unwrap_err();
    throttle.admit("user60@example.com", near(0x100), 1).unwrap();
    throttle.forgive("user60@example.com", near(0x100));
    throttle.forgive("user0@example.com", near(0));
    throttle.admit("user60@example.com", near(60), 1).unwrap();
}

#[test]
fn who_has_failed_lately_is_not_the_first() {
    let clock = Clock::default();
    let throttle = Throttle::new(clock.clone());
    assert!(throttle.is_first(address(1)) && !throttle.is_first(address(1)) && throttle.is_first(address(2)));
    throttle.trust(address(1));
    assert!(throttle.is_first(address(1)) && !throttle.is_first(None));
    clock.advance(FAILED.every);
    assert!(throttle.is_first(address(1)));
}
