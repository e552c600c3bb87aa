//! The throttle of failed authentications: any order of failures and pauses keeps every address within its quota as long as
//! there are places for all, texts of addresses never panic, and memory does not move.

use std::num::NonZeroU32;

use flamegate::decision::throttle::{ClientAddress, Throttle, ThrottleConfig};

use crate::input::Input;

const SECOND: u64 = 1_000_000_000;
/// So few that no set of eight places overflows.
const ADDRESSES: usize = 8;

/// The first byte says whether the rest is the text of an address or what happens.
pub fn throttle(input: &[u8]) {
    let mut input = Input(input);
    if input.byte().is_multiple_of(2) {
        text(input.0);
    } else {
        events(&mut input);
    }
}

fn text(text: &[u8]) {
    if ClientAddress::parse(text).is_some() {
        let text = std::str::from_utf8(text).expect("an address is text");
        assert!(text.contains('.') || text.contains("::") || text.matches(':').count() >= 7, "{text}");
        let bare = text.parse::<std::net::IpAddr>().is_ok();
        assert!(bare || text.parse::<std::net::SocketAddr>().is_ok());
    }
}

fn events(input: &mut Input<'_>) {
    let number = |n: u8| NonZeroU32::new(u32::from(n) + 1).unwrap();
    let config = ThrottleConfig {
        failures: number(input.byte()),
        window_seconds: number(input.byte()),
        addresses: 64,
    };
    let mut throttle = Throttle::new(config, 64);
    let bytes = throttle.bytes();
    let (begin, mut now) = (1_000 * SECOND, 1_000 * SECOND);
    let mut failures = [0u64; ADDRESSES];
    for _ in 0..256 {
        if input.is_empty() {
            break;
        }
        let (what, amount) = (input.byte(), input.byte());
        let who = usize::from(what) % ADDRESSES;
        let client = ClientAddress::parse(format!("192.0.2.{who}:1").as_bytes()).expect("an address");
        if what < 192 {
            for _ in 0..amount {
                match throttle.check(client, now) {
                    Ok(()) => {
                        throttle.note_failure(client, now);
                        failures[who] += 1;
                    }
                    Err(throttled) => {
                        assert!(throttled.retry_after_seconds >= 1);
                        let then = now + throttled.retry_after_seconds * SECOND;
                        assert!(throttle.check(client, then).is_ok(), "Retry-After is not true");
                        break;
                    }
                }
            }
        } else {
            now += u64::from(amount) * SECOND / 4;
        }
    }
    let forgiven =
        (now - begin) * u64::from(config.failures.get()) / (u64::from(config.window_seconds.get()) * SECOND);
    let most = u64::from(config.failures.get()) + forgiven + 1;
    assert!(failures.iter().all(|count| *count <= most), "{failures:?} failures, at most {most}: {config:?}");
    assert_eq!(throttle.bytes(), bytes);
}
