//! Several workers, one limit, any order of requests of any cost, ticks, pauses, lost races, foreign bytes and changes there and back between
//! two sets of numbers: what is admitted by each of them stays within the bound that `flamegate::limit` documents.

use std::num::NonZeroU32;

use flamegate::contract::key::{Environment, KeyHash};
use flamegate::contract::record::{KeyRecord, Limit};
use flamegate::host::fake::FakeHost;
use flamegate::host::{Clock as _, Expect, SharedData as _};
use flamegate::limit::{Limiter, Slot};

use crate::input::Input;

const MILLISECOND: u64 = 1_000_000;

/// One set of numbers, and what was admitted by it.
struct Numbers {
    slots: [Slot; 1],
    emission_ns: u128,
    burst: u64,
    admitted: u64,
}

impl Numbers {
    fn new(requests: u32, window: u32, burst: u32) -> Self {
        let number = |n| NonZeroU32::new(n).unwrap();
        let limit = Limit { burst: Some(number(burst)), ..Limit::per(number(requests), number(window)) };
        let record = KeyRecord {
            limits: vec![limit.clone()],
            ..KeyRecord::new("key".into(), "ws".into(), Environment::Live)
        };
        Self {
            slots: [Slot::new(&limit, &KeyHash([7; 32]), &record)],
            emission_ns: (u128::from(window) * 1_000_000_000 / u128::from(requests)).max(1),
            burst: u64::from(burst),
            admitted: 0,
        }
    }

    /// Most that may have been admitted in so many nanoseconds, when the limit began from rest so often.
    fn most(&self, elapsed: u128, workers: usize, starts: u64) -> u128 {
        let lease = (self.burst / 64).clamp(1, 256);
        let idle = workers as u64 * (lease - 1);
        u128::from((self.burst + idle) * starts) + elapsed / self.emission_ns + 1
    }
}

/// The first bytes choose limit and workers, the others are what happens.
pub fn limiter(input: &[u8]) {
    let mut input = Input(input);
    let mut number = |most: u16| u32::from(input.short() % most) + 1;
    let (requests, window, burst) = (number(2_000), number(60), number(4_000));
    let mut numbers = [
        Numbers::new(requests, window, burst),
        Numbers::new(requests / 2 + 1, window, (requests + burst) / 3 + 1),
    ];
    let mut current = 0;
    let host = FakeHost::at(1_000);
    let mut workers: Vec<Limiter> = (0..1 + input.byte() % 8).map(|_| Limiter::new()).collect();
    let begin = host.monotonic();
    let mut starts = 1u64;
    for _ in 0..512 {
        if input.is_empty() {
            break;
        }
        let (what, amount) = (input.byte(), input.byte());
        let index = usize::from(what) % workers.len();
        let worker = &mut workers[index];
        let by: &mut Numbers = &mut numbers[current];
        match what >> 5 {
            // A request that costs more than one token.
            3 if amount >= 128 => {
                let cost = u32::from(amount - 127) * 16;
                if worker.admit_for(&host, &by.slots, cost).is_ok() {
                    by.admitted += u64::from(by.slots[0].need(cost));
                }
            }
            0..=3 => {
                for _ in 0..=amount {
                    match worker.admit(&host, &by.slots) {
                        Ok(()) => by.admitted += 1,
                        Err(refusal) => assert!(refusal.retry_after_ns > 0 && refusal.slot == 0),
                    }
                }
            }
            4 => worker.tick(&host),
            5 => host.advance_ns(u64::from(amount) * MILLISECOND),
            6 => host.advance_ns(u64::from(amount) * u64::from(amount) * 20 * MILLISECOND),
            // Lost races, fewer than are tolerated.
            _ if amount < 200 => host.inject_conflicts(u32::from(amount) % 8),
            _ if amount < 250 => current = 1 - current,
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
    for by in &numbers {
        let most = by.most(elapsed, workers.len(), starts);
        assert!(
            u128::from(by.admitted) <= most,
            "{} admitted, at most {most}: {requests}/{window} s burst {}, {} workers, {elapsed} ns, {starts} starts",
            by.admitted,
            by.burst,
            workers.len()
        );
    }
    let fallbacks: u64 = workers.iter_mut().map(Limiter::take_fallbacks).sum();
    assert_eq!(fallbacks, 0, "shared data was there all the time");
}
