//! Several workers, one limit, any order of requests, ticks, pauses, lost races and foreign bytes: what is admitted stays within
//! the bound that `flamegate::limit` documents.

use std::num::NonZeroU32;

use flamegate::{
    api_key::{Environment, KeyHash},
    host::{Clock as _, Expect, SharedData as _, fake::FakeHost},
    limit::{Limiter, Slot},
    record::{KeyRecord, Limit, Scope},
};

use crate::input::Input;

const MILLISECOND: u64 = 1_000_000;

/// The first bytes choose limit and workers, the others are what happens.
pub fn limiter(input: &[u8]) {
    let mut input = Input(input);
    let number = |n: u16| NonZeroU32::new(u32::from(n) + 1).unwrap();
    let (requests, window, burst) =
        (number(input.short() % 2_000), number(input.short() % 60), number(input.short() % 4_000));
    let limit = Limit {
        name: "default".into(),
        scope: Scope::Key,
        requests,
        window_seconds: window,
        burst: Some(burst),
    };
    let record = KeyRecord {
        id: "key".into(),
        workspace: "ws".into(),
        environment: Environment::Live,
        expires_at: None,
        limits: vec![limit.clone()],
    };
    let slots = [Slot::new(&limit, &KeyHash([7; 32]), &record)];
    let host = FakeHost::at(1_000);
    let mut workers: Vec<Limiter> = (0..1 + input.byte() % 8).map(|_| Limiter::new()).collect();
    let begin = host.monotonic();
    let (mut admitted, mut starts) = (0u64, 1u64);
    for _ in 0..512 {
        if input.is_empty() {
            break;
        }
        let (what, amount) = (input.byte(), input.byte());
        let index = usize::from(what) % workers.len();
        let worker = &mut workers[index];
        match what >> 5 {
            0..=3 => {
                for _ in 0..=amount {
                    match worker.admit(&host, &slots) {
                        Ok(()) => admitted += 1,
                        Err(refusal) => assert!(refusal.retry_after_ns > 0 && refusal.slot == 0),
                    }
                }
            }
            4 => worker.tick(&host),
            5 => host.advance_ns(u64::from(amount) * MILLISECOND),
            6 => host.advance_ns(u64::from(amount) * u64::from(amount) * 20 * MILLISECOND),
            // Lost races, fewer than are tolerated.
            _ if amount < 250 => host.inject_conflicts(u32::from(amount) % 8),
            _ => {
                // Another plugin's bytes: the limit starts over, which is one more burst.
                for key in host.keys() {
                    let _ = host.write(&key, &[amount, 1, 2], Expect::Any);
                    starts += 1;
                }
            }
        }
        host.inject_conflicts(0);
    }
    let elapsed = u128::from(host.monotonic() - begin);
    let emission = u128::from(window.get()) * 1_000_000_000 / u128::from(requests.get());
    let burst = u64::from(burst.get());
    let lease = (burst / 64).clamp(1, 256);
    let idle = workers.len() as u64 * (lease - 1);
    let most = u128::from(burst * starts + idle * starts) + elapsed / emission.max(1) + 1;
    assert!(
        u128::from(admitted) <= most,
        "{admitted} admitted, at most {most}: {requests}/{window} s burst {burst}, {} workers, {elapsed} ns, {starts} starts",
        workers.len()
    );
    let fallbacks: u64 = workers.iter_mut().map(Limiter::take_fallbacks).sum();
    assert_eq!(fallbacks, 0, "shared data was there all the time");
}
