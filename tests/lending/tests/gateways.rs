//! Several gateways of several workers each against one book, on clocks that the test moves: under skewed load that is more than the limit
//! admits, with calls and answers that are late or lost, gateways that die, and a control plane that is away. Whatever happens, the fleet
//! stays within the bound; in calm it loses little of it.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that overflows or finds nothing should fail"
)]

use std::num::NonZeroU32;

use flamegate::contract::key::{Environment, KeyHash};
use flamegate::contract::leases::{Grant, LEASE_MS, LeaseAnswer, LeaseCall};
use flamegate::contract::record::{KeyRecord, Limit, Reach, WhenUnreachable};
use flamegate::decision::metrics::Counts;
use flamegate::host::Clock as _;
use flamegate::host::fake::FakeHost;
use flamegate::limit::fleet::{Answer, Ask, Fleet};
use flamegate::limit::{Limiter, Slot};
use flamegate::sync::failure::{Failure, Kind};
use flamegate::sync::lender::Lender;
use flamegate_control::domain::lending::{Book, Numbers, Step};

const MILLI: u64 = 1_000_000;
/// Time moves in steps of this.
const STEP: u64 = MILLI;
const TICK_STEPS: u64 = 20;
const WORKERS: usize = 4;

/// xorshift64 (Marsaglia 2003): the same load in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below.max(1)
    }
}

fn limit(requests: u32, window: u32, burst: u32) -> Limit {
    let number = |n| NonZeroU32::new(n).unwrap();
    Limit {
        burst: Some(number(burst)),
        reach: Reach::Fleet,
        when_unreachable: WhenUnreachable::Refuse,
        ..Limit::per(number(requests), number(window))
    }
}

struct Gateway {
    host: FakeHost,
    lender: Lender,
    workers: Vec<Fleet>,
    limiter: Limiter,
    counts: Counts,
    calls: u32,
    /// Requests for which the lease alone was not enough, and what workers asked of shared data on ticks.
    refills: u64,
    ticks: u64,
    /// Requests that wait for tokens: at which worker, until when, and what they cost.
    waiting: Vec<(usize, u64, u32)>,
}

/// A message on its way: to the control plane, or back to a gateway.
struct Message {
    at: u64,
    gateway: usize,
    life: u32,
    number: u32,
    body: Result<Vec<u8>, Vec<u8>>,
}

struct World {
    gateways: Vec<Gateway>,
    /// How often each has died.
    lives: Vec<u32>,
    messages: Vec<Message>,
    book: Option<Book>,
    numbers: Numbers,
    slot: Slot,
    random: Random,
    now: u64,
    /// So many workers of a gateway get requests.
    busy: u64,
    /// Requests cost up to so many tokens.
    dearest: u32,
    /// When each token was used.
    admitted: Vec<u64>,
    waited: u64,
    calls: u64,
}

impl Gateway {
    fn new(now: u64) -> Self {
        let host = FakeHost::at(1_000);
        host.advance_ns(now);
        let lender = Lender::new(&host, "gw".to_owned(), None);
        let workers = (0..WORKERS).map(|_| Fleet::default()).collect();
        let (limiter, counts) = (Limiter::new(), Counts::default());
        Self { host, lender, workers, limiter, counts, calls: 0, refills: 0, ticks: 0, waiting: Vec::new() }
    }

    fn request(&mut self, worker: usize, slot: &Slot, ask: Ask, cost: u32) -> Answer {
        let (host, limiter) = (&self.host, &mut self.limiter);
        let fleet = &mut self.workers[worker];
        fleet.check(host);
        let need = slot.need(cost);
        if fleet.spend(slot, need, || limiter.spend(slot, need)) {
            return Answer::Token;
        }
        self.refills += 1;
        let answer = fleet.refill(host, slot, host.now(), (ask, cost));
        if answer == Answer::Token {
            assert!(fleet.spend_now(slot, need, || false));
        }
        answer
    }
}

impl World {
    fn new(gateways: usize, limit: &Limit, seed: u64) -> Self {
        let mut record = KeyRecord::new("key_1".to_owned(), "ws_1".to_owned(), Environment::Live);
        record.limits = vec![limit.clone()];
        Self {
            gateways: (0..gateways).map(|_| Gateway::new(0)).collect(),
            lives: vec![0; gateways],
            messages: Vec::new(),
            book: None,
            numbers: Numbers::of(limit, 1),
            slot: Slot::new(limit, &KeyHash([7; 32]), &record),
            random: Random((seed * 7919) | 1),
            now: 0,
            busy: 2,
            dearest: 1,
            admitted: Vec::new(),
            waited: 0,
            calls: 0,
        }
    }

    /// One millisecond: messages arrive, everybody ticks in turn. `trouble` in a thousand messages are lost, and as many are very late.
    fn step(&mut self, trouble: u64) {
        self.now += STEP;
        for gateway in &self.gateways {
            gateway.host.advance_ns(STEP);
        }
        let due = |message: &Message, now: u64| message.at <= now;
        while let Some(index) = self.messages.iter().position(|message| due(message, self.now)) {
            let message = self.messages.swap_remove(index);
            self.arrive(message, trouble);
        }
        for index in 0..self.gateways.len() {
            let tick = self.now / STEP + index as u64 * 7;
            if tick.is_multiple_of(TICK_STEPS) {
                let gateway = &mut self.gateways[index];
                let before = gateway.host.calls();
                gateway.workers.iter_mut().for_each(|worker| worker.tick(&gateway.host));
                let after = gateway.host.calls();
                gateway.ticks += after.0 + after.1 - before.0 - before.1;
            }
            // The sync and the workers wake each other.
            if tick.is_multiple_of(4) {
                self.sync(index, trouble);
                self.decide_anew(index);
            }
        }
    }

    fn sync(&mut self, index: usize, trouble: u64) {
        let gateway = &mut self.gateways[index];
        let (mut sent, number) = (None, gateway.calls + 1);
        let now = gateway.host.now();
        gateway.lender.tick(&gateway.host, now, &mut gateway.counts, |body| {
            sent = Some(body.to_vec());
            Ok(number)
        });
        if let Some(body) = sent {
            gateway.calls = number;
            self.calls += 1;
            self.send(index, number, Ok(body), trouble);
        }
    }

    fn send(&mut self, gateway: usize, number: u32, body: Result<Vec<u8>, Vec<u8>>, trouble: u64) {
        let luck = self.random.below(1_000);
        let late = if luck >= trouble && luck < 2 * trouble { 600 } else { 4 };
        let at = self.now + MILLI * (1 + self.random.below(late));
        if luck >= trouble {
            let life = self.lives[gateway];
            self.messages.push(Message { at, gateway, life, number, body });
        }
    }

    fn arrive(&mut self, message: Message, trouble: u64) {
        let Message { gateway, life, number, body, .. } = message;
        match body {
            Ok(call) => {
                let call = LeaseCall::parse(&call).unwrap();
                let grants = call.asks.iter().map(|ask| {
                    let step = Step {
                        want: ask.want.into(),
                        generation: ask.generation,
                        spent: ask.spent.into(),
                        returned: ask.returned.into(),
                        alone: ask.alone.into(),
                    };
                    let now = 10_000_000 + self.now / 1_000;
                    let (book, lent) = Book::step(self.book, now, None, self.numbers, step);
                    self.book = Some(book);
                    Grant {
                        tokens: u32::try_from(lent.tokens).unwrap(),
                        generation: lent.generation,
                        left: u32::try_from(lent.left).unwrap(),
                        retry_after_ms: lent.wait_us.div_ceil(1_000),
                        held_elsewhere: 0,
                    }
                });
                let answer = LeaseAnswer { lease_ms: LEASE_MS, grants: grants.collect() };
                let answer = serde_json::to_vec(&answer).unwrap();
                if life == self.lives[gateway] {
                    self.send(gateway, number, Err(answer), trouble);
                }
            }
            Err(answer) if life == self.lives[gateway] => {
                let gateway = &mut self.gateways[gateway];
                let now = gateway.host.now().monotonic;
                gateway.lender.answered(&gateway.host, number, Ok(&answer), now, &mut gateway.counts);
            }
            Err(_) => {}
        }
    }

    fn request(&mut self, gateway: usize) {
        let worker = self.random.below(self.busy) as usize;
        let cost = if self.dearest == 1 { 1 } else { 1 + self.random.below(u64::from(self.dearest)) as u32 };
        self.request_at(gateway, worker, cost);
    }

    fn request_at(&mut self, gateway: usize, worker: usize, cost: u32) {
        match self.gateways[gateway].request(worker, &self.slot, Ask::Take, cost) {
            Answer::Token => self.admit(cost),
            Answer::Awaited => {
                self.waited += 1;
                self.gateways[gateway].waiting.push((worker, self.now + 100 * MILLI, cost));
            }
            Answer::Refused(_) | Answer::Alone => {}
        }
    }

    fn admit(&mut self, cost: u32) {
        let tokens = self.slot.need(cost) as usize;
        self.admitted.extend(std::iter::repeat_n(self.now, tokens));
    }

    fn decide_anew(&mut self, index: usize) {
        for (worker, until, cost) in std::mem::take(&mut self.gateways[index].waiting) {
            let gateway = &mut self.gateways[index];
            match gateway.request(worker, &self.slot, Ask::TakeAgain, cost) {
                Answer::Token => self.admit(cost),
                Answer::Awaited if self.now < until => gateway.waiting.push((worker, until, cost)),
                Answer::Awaited | Answer::Refused(_) | Answer::Alone => {}
            }
        }
    }

    /// By how much the worst interval is above the bound, in tokens.
    fn excess(&self) -> i64 {
        // From an earlier request to this one so many were admitted, and so many may be: in nanoseconds of T each.
        let emission_ns = self.numbers.emission_us.get() as i64 * 1_000;
        let (mut best, mut worst) = (i64::MIN, i64::MIN);
        for (index, at) in self.admitted.iter().enumerate() {
            let level = index as i64 * emission_ns - *at as i64;
            best = best.max(-level);
            worst = worst.max(level + best + emission_ns - self.numbers.burst as i64 * emission_ns);
        }
        worst.div_euclid(emission_ns) + i64::from(worst.rem_euclid(emission_ns) > 0)
    }

    fn restart(&mut self, gateway: usize) {
        self.lives[gateway] += 1;
        self.gateways[gateway] = Gateway::new(self.now);
    }
}

#[test]
fn in_calm_the_fleet_admits_nearly_what_one_bucket_would_and_never_more() {
    let mut shares_of = Vec::new();
    for (numbers, shares) in [
        ((10, 1, 20), [1, 1, 1]),
        ((100, 1, 100), [1, 1, 1]),
        ((100, 1, 100), [8, 1, 1]),
        ((1_000, 1, 300), [1, 1, 1]),
        ((1_000, 1, 1_000), [30, 1, 0]),
    ] {
        let limit = limit(numbers.0, numbers.1, numbers.2);
        let mut world = World::new(3, &limit, u64::from(numbers.0));
        let (rate, all) = (3 * u64::from(numbers.0) / u64::from(numbers.1), shares.iter().sum::<u64>());
        let seconds = 6;
        let mut owed = 0;
        for _ in 0..seconds * 1_000 {
            world.step(0);
            owed += rate;
            while owed >= 1_000 {
                owed -= 1_000;
                let mut pick = world.random.below(all);
                let gateway = shares.iter().position(|share| {
                    let is_it = pick < *share;
                    pick = pick.saturating_sub(*share);
                    is_it
                });
                world.request(gateway.unwrap());
            }
        }
        let ideal = u64::from(numbers.2) + seconds * u64::from(numbers.0) / u64::from(numbers.1);
        let share = world.admitted.len() as f64 / ideal as f64;
        let (waited, calls) = (world.waited, world.calls);
        println!(
            "{numbers:?} {shares:?}: {share:.3} of ideal, {waited} waited, {calls} calls in {seconds} s"
        );
        assert!(world.excess() <= 0, "{numbers:?} {shares:?}: {} above the bound", world.excess());
        shares_of.push((numbers, shares, share));
    }
    assert!(shares_of.iter().all(|(.., share)| *share >= 0.97), "{shares_of:?}");
}

/// What a request of a limit in steady use costs beside the decrement, whatever its rate and the number of workers: seldom a look at the pool,
/// nearly none on ticks, and of the control plane one call in 100 ms.
#[test]
fn a_hot_limit_seldom_looks_at_its_pool_and_calls_ten_times_a_second() {
    const SECONDS: u64 = 3;
    for (rate, busy, most_refills, most_ticks) in [
        (1_000, 1, 40, 10),
        (1_000, 4, 60, 130),
        (3_000, 4, 25, 50),
        (9_500, 1, 6, 3),
        (9_500, 4, 6, 20),
        (18_000, 2, 5, 1),
    ] {
        // More than the rate for a while: the burst is large.
        let mut world = World { busy, ..World::new(1, &limit(600_000, 60, 600_000), rate) };
        let mut seen = (0, 0, 0, 0);
        for step in 0..2 * SECONDS * 1_000 {
            world.step(0);
            (0..(step + 1) * rate / 1_000 - step * rate / 1_000).for_each(|_| world.request(0));
            if step + 1 == SECONDS * 1_000 {
                let gateway = &world.gateways[0];
                seen = (world.admitted.len(), gateway.refills, gateway.ticks, world.calls);
            }
        }
        let gateway = &world.gateways[0];
        let thousands = (world.admitted.len() - seen.0) as f64 / 1e3;
        let [refills, ticks] =
            [gateway.refills - seen.1, gateway.ticks - seen.2].map(|count| count as f64 / thousands);
        let calls = world.calls - seen.3;
        println!(
            "{rate} a second, {busy} workers: of 1,000 requests {refills:.1} ask the pool, and ticks {ticks:.1} times shared data; \
             {calls} calls in {SECONDS} s, {} waited",
            world.waited
        );
        assert_eq!(thousands, (SECONDS * rate) as f64 / 1e3, "all are admitted");
        assert!(refills <= f64::from(most_refills) && ticks <= f64::from(most_ticks));
        assert!(calls <= SECONDS * 10);
    }
}

#[test]
fn requests_that_cost_more_find_their_tokens_among_those_that_cost_one() {
    // Together less than the rate, so what there is suffices: half of it by requests that cost one, and every two seconds one that costs more
    // than lies anywhere.
    for (numbers, dearest) in [((100, 1, 100), 40), ((10, 1, 20), 8), ((1_000, 1, 1_000), 500)] {
        let limit = limit(numbers.0, numbers.1, numbers.2);
        let mut world = World::new(3, &limit, 5);
        let mut dear = 0;
        for step in 0..10_000_u64 {
            world.step(0);
            if step.is_multiple_of(2_000 / u64::from(numbers.0)) {
                let gateway = world.random.below(3) as usize;
                world.request(gateway);
            }
            if step % 2_000 == 1_999 {
                let before = world.admitted.len();
                world.request_at(0, 0, dearest);
                // As long as it may wait.
                (0..101).for_each(|_| world.step(0));
                dear += usize::from(world.admitted.len() - before >= dearest as usize);
            }
        }
        assert!(world.excess() <= 0, "{numbers:?}: {} above the bound", world.excess());
        assert_eq!(dear, 5, "{numbers:?}: of 5 that cost {dearest}");
    }
}

#[test]
fn whatever_is_lost_late_or_dies_the_fleet_stays_within_the_bound() {
    let mut admitted = 0;
    for seed in 1..=40 {
        let numbers = [(10, 1, 10), (100, 1, 50), (1_000, 1, 300)][seed as usize % 3];
        let limit = limit(numbers.0, numbers.1, numbers.2);
        let mut world = World::new(3, &limit, seed);
        // Half of the histories have requests that cost more, some of them more than there ever is.
        world.dearest = if seed % 2 == 0 { 1 } else { 30 };
        let rate = 3 * u64::from(numbers.0);
        let mut owed = 0;
        for step in 0..5_000_u64 {
            world.step(100);
            // Bursts and rests.
            if step % 700 > 300 {
                owed += rate;
            }
            while owed >= 1_000 {
                owed -= 1_000;
                let gateway = world.random.below(3) as usize;
                world.request(gateway);
            }
            if world.random.below(1_500) == 0 {
                let gateway = world.random.below(3) as usize;
                world.restart(gateway);
            }
            if world.random.below(1_000) == 0 {
                let gateway = &mut world.gateways[step as usize % 3];
                let (number, now) = (gateway.calls, gateway.host.now().monotonic);
                let lost = Err(Failure::new(Kind::Lost, "test"));
                gateway.lender.answered(&gateway.host, number, lost, now, &mut gateway.counts);
            }
        }
        assert!(world.excess() <= 0, "seed {seed}: {} above the bound", world.excess());
        admitted += world.admitted.len();
    }
    assert!(admitted > 5_000, "{admitted}");
}
