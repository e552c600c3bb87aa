//! Simulated workers on one host: skewed random load on a clock that the test moves, beside one ideal token bucket that
//! sees the same requests; and a host on which workers get in each other's way.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;

use flamegate::contract::key::{Environment, KeyHash};
use flamegate::contract::record::{KeyRecord, Limit, Scope};
use flamegate::host::fake::FakeHost;
use flamegate::host::{Clock, Expect, HostError, Now, SharedData, Versioned, Write};
use flamegate::limit::gcra::Quota;
use flamegate::limit::{Limiter, Slot};

pub const SECOND: u64 = 1_000_000_000;
pub const TICK: u64 = 20_000_000;

/// A limit as (requests, window in seconds, burst).
pub type Numbers = (u32, u32, u32);

/// How a run went.
#[derive(Default)]
pub struct Outcome {
    /// When each admitted request came.
    pub admitted: Vec<u64>,
    /// How many the ideal token bucket admitted, and how often the two decided differently.
    pub ideal: usize,
    pub differences: usize,
    pub requests: u64,
}

pub struct Cluster {
    pub host: FakeHost,
    pub workers: Vec<Limiter>,
    next_tick: Vec<u64>,
    random: u64,
}

impl Cluster {
    pub fn new(workers: usize, seed: u64) -> Self {
        let host = FakeHost::at(1000);
        let start = host.now().monotonic;
        // The workers' ticks are spread over the period, as they are in a process.
        let next_tick = (0..workers).map(|worker| start + TICK * worker as u64 / workers as u64).collect();
        Self { host, workers: (0..workers).map(|_| Limiter::new()).collect(), next_tick, random: seed | 1 }
    }

    /// xorshift64 (Marsaglia 2003): the same load in every run.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below.max(1)
    }

    /// Moves the clock and ticks every worker whose time has come.
    pub fn advance(&mut self, ns: u64) {
        let end = self.host.now().monotonic + ns;
        while let Some((worker, at)) =
            self.next_tick.iter().copied().enumerate().min_by_key(|(_, at)| *at).filter(|(_, at)| *at <= end)
        {
            self.host.advance_ns(at.saturating_sub(self.host.now().monotonic));
            self.workers[worker].tick(&self.host);
            self.next_tick[worker] = at + TICK;
        }
        self.host.advance_ns(end - self.host.now().monotonic);
    }

    /// A worker for the next request: half of all go to the first, half of the rest to the second, and so on; one in
    /// eight goes anywhere.
    pub fn skewed_worker(&mut self) -> usize {
        let count = self.workers.len();
        let random = self.random(1 << 20);
        if random.is_multiple_of(8) {
            (random / 8) as usize % count
        } else {
            random.trailing_ones() as usize % count
        }
    }

    /// `seconds` of load at `per_second` on average, in clumps and pauses, all on one limit.
    pub fn run(&mut self, slot: &Slot, numbers: Numbers, per_second: u64, seconds: u64) -> Outcome {
        let quota = quota(numbers);
        let (mut tat, mut outcome) = (0, Outcome::default());
        let end = self.host.now().monotonic + seconds * SECOND;
        while self.host.now().monotonic < end {
            let clump = if self.random(4) == 0 { 1 + self.random(15) } else { 1 };
            // The longer the pause, the larger the clump: `per_second` on average.
            let gap = self.random(2 * clump * SECOND / per_second);
            self.advance(gap);
            let now = self.host.now().monotonic;
            for _ in 0..clump {
                let worker = self.skewed_worker();
                let admitted = self.workers[worker].admit(&self.host, std::slice::from_ref(slot)).is_ok();
                let ideal = quota.take(tat, now, 1);
                tat = ideal.unwrap_or(tat);
                outcome.requests += 1;
                outcome.ideal += usize::from(ideal.is_some());
                outcome.differences += usize::from(ideal.is_some() != admitted);
                if admitted {
                    outcome.admitted.push(now);
                }
            }
        }
        outcome
    }
}

pub fn quota((requests, window, burst): Numbers) -> Quota {
    let number = |n| NonZeroU32::new(n).unwrap();
    Quota::new(number(requests), number(window), number(burst))
}

pub fn slot_of(workspace: &str, (requests, window, burst): Numbers) -> Slot {
    let number = |n| NonZeroU32::new(n).unwrap();
    let limit = Limit {
        scope: Scope::Workspace,
        burst: Some(number(burst)),
        ..Limit::per(number(requests), number(window))
    };
    let record = KeyRecord {
        limits: vec![limit.clone()],
        ..KeyRecord::new("key_a".to_owned(), workspace.to_owned(), Environment::Live)
    };
    Slot::new(&limit, &KeyHash([1; 32]), &record)
}

pub fn slot(numbers: Numbers) -> Slot {
    slot_of("ws_a", numbers)
}

/// Most tokens in a lease, as the documentation states it.
pub fn lease_max(numbers: Numbers) -> u64 {
    (u64::from(numbers.2) / 64).clamp(1, 256)
}

/// The most by which any window exceeds `burst + L / T`, in requests; negative when all stay below.
pub fn worst_excess(admitted: &[u64], numbers: Numbers) -> i64 {
    // The k-th admission at time t_k: (k - t_k / T) may rise by at most the burst from its lowest point so far.
    let interval = quota(numbers).emission_ns() as f64;
    let mut lowest = f64::MAX;
    let mut worst = f64::MIN;
    for (index, at) in admitted.iter().enumerate() {
        let level = index as f64 - (at - admitted[0]) as f64 / interval;
        lowest = lowest.min(level);
        worst = worst.max(level - lowest + 1.0 - f64::from(numbers.2));
    }
    (worst - 1e-6).ceil() as i64
}

/// A host on which other workers run between a worker's read and its write.
pub struct Racing {
    pub host: FakeHost,
    others: RefCell<Vec<Limiter>>,
    slot: Slot,
    pub admitted: Cell<u64>,
    turns: Cell<u64>,
}

impl Racing {
    /// Five other workers, all on the limit of `slot`.
    pub fn new(slot: &Slot) -> Self {
        let others = RefCell::new((0..5).map(|_| Limiter::new()).collect());
        let (admitted, turns) = (Cell::new(0), Cell::new(0));
        Self { host: FakeHost::at(1000), others, slot: slot.clone(), admitted, turns }
    }

    /// Another worker's request, one time in three; the others are not disturbed themselves.
    fn disturb(&self) {
        self.turns.set(self.turns.get() + 1);
        if !self.turns.get().is_multiple_of(3) {
            return;
        }
        let mut others = self.others.borrow_mut();
        let turn = self.turns.get() as usize % others.len();
        let result = others[turn].admit(&self.host, std::slice::from_ref(&self.slot));
        self.admitted.set(self.admitted.get() + u64::from(result.is_ok()));
    }
}

impl Clock for Racing {
    fn now(&self) -> Now {
        self.host.now()
    }
}

impl SharedData for Racing {
    fn read(&self, key: &str) -> Result<Option<Versioned>, HostError> {
        self.host.read(key)
    }

    fn write(&self, key: &str, bytes: &[u8], expect: Expect) -> Result<Write, HostError> {
        self.disturb();
        self.host.write(key, bytes, expect)
    }
}
