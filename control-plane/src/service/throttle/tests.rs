//! How attempts are slowed down, and what that may cost.

use std::net::IpAddr;
use std::time::Duration;

use super::attempts::CAPACITY;
use super::subject::{FAILED, PER_ACCOUNT, PER_DEVICES};
use super::{Attempt, Throttle};
use crate::service::clock::Clock;

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

const ADA: &str = "ada@example.com";

fn stranger(from: Option<IpAddr>) -> Attempt<'static> {
    Attempt::of_stranger(ADA, from)
}

fn at(device: &str) -> Attempt<'_> {
    Attempt { account: ADA, from: address(1), known: Some(device) }
}

#[test]
fn one_address_has_few_attempts_at_an_account_and_leaves_the_others_theirs() {
    let clock = Clock::default();
    clock.stop();
    let throttle = Throttle::new(clock.clone());
    for _ in 0..8 {
        throttle.admit(stranger(address(1)), 1).unwrap();
    }
    assert_eq!(throttle.admit(stranger(address(1)), 1), Err(Duration::from_secs(30)));
    throttle.admit(stranger(address(2)), 1).unwrap();
    throttle.admit(Attempt::of_stranger("bob@example.com", address(1)), 1).unwrap();
    clock.advance(Duration::from_secs(30));
    throttle.admit(stranger(address(1)), 1).unwrap();
    throttle.admit(stranger(address(1)), 1).unwrap_err();
}

#[test]
fn an_account_is_slowed_down_from_wherever_the_attempts_come() {
    let clock = Clock::default();
    clock.stop();
    let throttle = Throttle::new(clock.clone());
    for last in 0..40 {
        throttle.admit(stranger(address(last)), 1).unwrap();
    }
    assert_eq!(throttle.admit(stranger(address(99)), 1), Err(Duration::from_secs(30)));
    // Somebody who gets in from a place that nobody knows makes the others' attempts no fewer.
    throttle.forgive(stranger(address(3)));
    throttle.admit(stranger(address(98)), 1).unwrap();
    throttle.admit(stranger(address(97)), 1).unwrap_err();
    throttle.admit(at("laptop"), 1).unwrap();
}

#[test]
fn a_device_counts_for_itself_and_all_of_an_account_together() {
    let clock = Clock::default();
    clock.stop();
    let throttle = Throttle::new(clock.clone());
    for _ in 0..8 {
        throttle.admit(at("stolen"), 1).unwrap();
    }
    throttle.admit(at("stolen"), 1).unwrap_err();
    throttle.admit(at("laptop"), 1).unwrap();
    throttle.forgive(at("laptop"));
    let others: Vec<_> = (0..7).map(|number| format!("phone {number}")).collect();
    let admitted =
        others.iter().flat_map(|phone| [phone; 8]).filter(|phone| throttle.admit(at(phone), 1).is_ok());
    assert_eq!(admitted.count(), 52, "sixty at once, of which eight were the stolen one's");
    throttle.admit(at("laptop"), 1).unwrap_err();
    throttle.admit(stranger(address(1)), 1).unwrap();
    let elsewhere = Attempt { account: "bob@example.com", ..at("laptop") };
    throttle.admit(elsewhere, 1).unwrap();
}

/// For an hour strangers try an account as often as they may, each second from twenty addresses that nobody has seen before; its owner comes
/// now and then, and mistypes twice each time.
#[test]
fn strangers_with_any_number_of_addresses_keep_no_known_device_out_and_guess_no_faster() {
    let clock = Clock::default();
    clock.stop();
    let throttle = Throttle::new(clock.clone());
    let (mut guesses, mut addresses) = (0, 0u32);
    const SECONDS: u32 = 3_600;
    for second in 0..SECONDS {
        for _ in 0..20 {
            addresses += 1;
            let from = IpAddr::from((0x0a00_0000 + addresses).to_be_bytes());
            guesses += u32::from(throttle.admit(stranger(Some(from)), 1).is_ok());
        }
        if second % 97 == 0 {
            let attempt = Attempt { from: None, ..at("laptop") };
            for _ in 0..3 {
                throttle.admit(attempt, 1).expect("the owner is kept out");
            }
            throttle.forgive(attempt);
        }
        clock.advance(Duration::from_secs(1));
    }
    let most = PER_ACCOUNT.burst + SECONDS / 30;
    assert!((most - 1..=most).contains(&guesses), "{guesses} guesses, {most} at most");
}

/// A thief who has signed in for as long as they could has a hundred devices, and does not know the new password.
#[test]
fn however_many_devices_a_thief_has_an_account_is_guessed_at_a_bounded_rate() {
    let clock = Clock::default();
    clock.stop();
    let throttle = Throttle::new(clock.clone());
    let devices: Vec<_> = (0..100).map(|number| format!("device {number}")).collect();
    let mut guesses = 0;
    for _ in 0..300 {
        guesses += devices.iter().filter(|device| throttle.admit(at(device), 1).is_ok()).count();
        clock.advance(Duration::from_secs(1));
    }
    let most = PER_DEVICES.burst as usize + 300 / 5;
    assert!((most - 1..=most).contains(&guesses), "{guesses} guesses, {most} at most");
}

#[test]
fn an_address_is_slowed_down_whatever_the_accounts() {
    let throttle = Throttle::new(Clock::default());
    for number in 0..30 {
        throttle.admit(Attempt::of_stranger(&format!("user{number}@example.com"), address(1)), 1).unwrap();
    }
    throttle.admit(Attempt::of_stranger("user30@example.com", address(1)), 1).unwrap_err();
    throttle.admit(Attempt::of_stranger("user30@example.com", address(2)), 1).unwrap();
}

#[test]
fn wrong_tokens_are_slowed_per_address_and_not_for_ever() {
    let clock = Clock::default();
    let throttle = Throttle::new(clock.clone());
    assert!((0..20).all(|_| !throttle.wrong_token(address(1))));
    assert!((0..1_000).all(|_| throttle.wrong_token(address(1))));
    assert!(!throttle.wrong_token(address(2)));
    throttle.admit(Attempt::of_stranger("ada@example.com", address(1)), 1).unwrap();
    clock.advance(Duration::from_secs(3));
    assert!(!throttle.wrong_token(address(1)), "a flood does not lengthen the time");
    assert!(throttle.wrong_token(address(1)));
}

#[test]
fn success_is_forgiven() {
    let throttle = Throttle::new(Clock::default());
    for _ in 0..100 {
        throttle.admit(Attempt::of_stranger("ada@example.com", address(1)), 1).unwrap();
        throttle.forgive(Attempt::of_stranger("ada@example.com", address(1)));
    }
}

#[test]
fn even_success_has_an_end() {
    let clock = Clock::default();
    let throttle = Throttle::new(clock.clone());
    for _ in 0..100 {
        throttle.forgive(Attempt::of_stranger("ada@example.com", address(1)));
    }
    let wait = throttle.admit(Attempt::of_stranger("ada@example.com", address(1)), 1).unwrap_err();
    throttle.admit(Attempt::of_stranger("bob@example.com", address(1)), 1).unwrap();
    clock.advance(wait + Duration::from_millis(1));
    throttle.admit(Attempt::of_stranger("ada@example.com", address(1)), 1).unwrap();
}

#[test]
fn memory_is_bounded() {
    let throttle = Throttle::new(Clock::default());
    for number in 0..u32::try_from(CAPACITY).unwrap() {
        throttle
            .admit(Attempt::of_stranger(&number.to_string(), Some(IpAddr::from(number.to_be_bytes()))), 1)
            .unwrap();
    }
    assert!(throttle.inner.lock().rests.len() <= CAPACITY);
}

#[test]
fn a_neighbourhood_of_ipv6_is_one_address() {
    let throttle = Throttle::new(Clock::default());
    let near = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
    for number in 0..30 {
        throttle.admit(Attempt::of_stranger(&format!("user{number}@example.com"), near(number)), 1).unwrap();
    }
    throttle.admit(Attempt::of_stranger("user30@example.com", near(99)), 1).unwrap_err();
}

#[test]
fn a_network_of_ipv6_is_slowed_down_whatever_its_neighbourhoods() {
    let throttle = Throttle::new(Clock::default());
    let near = |subnet: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, subnet, 0, 0, 0, 1]));
    for number in 0..60 {
        throttle.admit(Attempt::of_stranger(&format!("user{number}@example.com"), near(number)), 1).unwrap();
    }
    throttle.admit(Attempt::of_stranger("user60@example.com", near(60)), 1).unwrap_err();
    throttle.admit(Attempt::of_stranger("user60@example.com", near(0x100)), 1).unwrap();
    throttle.forgive(Attempt::of_stranger("user60@example.com", near(0x100)));
    throttle.forgive(Attempt::of_stranger("user0@example.com", near(0)));
    throttle.admit(Attempt::of_stranger("user60@example.com", near(60)), 1).unwrap();
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

/// For a day somebody who knows the password tries codes as often as they may, from ever new addresses and with ever new devices.
#[test]
fn codes_are_guessed_at_a_bounded_rate_and_recovery_codes_are_not_in_the_way() {
    let clock = Clock::default();
    clock.stop();
    let throttle = Throttle::new(clock.clone());
    let (mut strangers, mut known) = (0, 0);
    for step in 0..24 * 60 {
        clock.advance(Duration::from_secs(60));
        let device = format!("device {step}");
        let [a, b, c, d] = u32::to_be_bytes(step);
        let from = Some(IpAddr::from([198 ^ a, b, c, d]));
        strangers += i32::from(throttle.admit_code(stranger(from), true).is_ok());
        known += i32::from(throttle.admit_code(at(&device), true).is_ok());
    }
    assert_eq!((strangers, known), (10 + 23, 10 + 23));
    throttle.admit_code(stranger(address(1)), true).unwrap_err();
    throttle.admit_code(stranger(address(1)), false).unwrap();
    throttle.admit_code(at("laptop"), false).unwrap();
    // A success gives its own back, the password's before it, and no other's.
    throttle.forgive_code(at("laptop"), false);
    throttle.admit_code(at("laptop"), true).unwrap_err();
    clock.advance(Duration::from_secs(3_600));
    throttle.admit_code(at("laptop"), true).unwrap();
    throttle.forgive_code(at("laptop"), true);
    throttle.admit_code(at("laptop"), true).unwrap();
    throttle.admit_code(at("laptop"), true).unwrap_err();
}
