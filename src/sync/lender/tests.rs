//! What the sync asks for, tells and gives back, between workers on a host and a control plane that the test plays.

use std::num::NonZeroU32;

use super::*;
use crate::contract::key::{Environment, KeyHash};
use crate::contract::leases::Ask;
use crate::contract::record::{KeyRecord, Limit, Reach, Scope, WhenUnreachable};
use crate::host::Clock as _;
use crate::host::fake::FakeHost;
use crate::limit::Slot;
use crate::limit::fleet::{Answer, Ask as Wish, Fleet};
use crate::limit::pool::{Lent, Pool};

const TICK_NS: u64 = 20_000_000;
const MILLI: u64 = 1_000_000;

fn slot(requests: u32, window: u32, burst: u32, when_unreachable: WhenUnreachable) -> Slot {
    slot_of(7, requests, window, burst, when_unreachable)
}

/// Of the key with this hash.
fn slot_of(hash: u8, requests: u32, window: u32, burst: u32, when_unreachable: WhenUnreachable) -> Slot {
    let number = |n| NonZeroU32::new(n).unwrap();
    let limit = Limit {
        name: "default".to_owned(),
        scope: Scope::Key,
        requests: number(requests),
        window_seconds: number(window),
        burst: Some(number(burst)),
        reach: Reach::Fleet,
        when_unreachable,
    };
    let mut record = KeyRecord::new("key_1".to_owned(), "ws_1".to_owned(), Environment::Live);
    record.limits = vec![limit.clone()];
    Slot::new(&limit, &KeyHash([hash; 32]), &record)
}

/// One process: a leader and a worker.
struct Process {
    host: FakeHost,
    lender: Lender,
    worker: Fleet,
    counts: Counts,
    calls: Vec<LeaseCall>,
    refuses: bool,
    /// What every ask gets, at once.
    lends: Option<u32>,
    /// What other gateways hold.
    elsewhere: u32,
}

impl Process {
    fn new() -> Self {
        let host = FakeHost::at(1_000);
        let lender = Lender::new(&host, "gw-1".to_owned(), None);
        let (worker, counts, calls) = (Fleet::default(), Counts::default(), Vec::new());
        let (refuses, lends, elsewhere) = (false, None, 0);
        let mut process = Self { host, lender, worker, counts, calls, refuses, lends, elsewhere };
        process.pass(1);
        process
    }

    /// So many ticks of both; the calls that were made.
    fn pass(&mut self, ticks: u32) -> Vec<LeaseCall> {
        let before = self.calls.len();
        for _ in 0..ticks {
            self.host.advance_ns(TICK_NS);
            self.worker.tick(&self.host);
            let (calls, refuses) = (&mut self.calls, self.refuses);
            self.lender.tick(&self.host, self.host.now(), &mut self.counts, |body| {
                if refuses {
                    return Err(HostError(2));
                }
                calls.push(LeaseCall::parse(body).unwrap());
                Ok(u32::try_from(calls.len()).unwrap())
            });
            if let Some(tokens) = self.lends
                && self.lender.waits_for(u32::try_from(self.calls.len()).unwrap())
            {
                self.answer(tokens, 7, 0);
            }
        }
        self.calls[before..].to_vec()
    }

    /// The answer to the last call: the same for each ask that wants.
    fn answer(&mut self, tokens: u32, generation: u64, retry_after_ms: u64) {
        self.answer_to(self.calls.len(), tokens, generation, retry_after_ms);
    }

    fn answer_to(&mut self, number: usize, tokens: u32, generation: u64, retry_after_ms: u64) {
        let asks = &self.calls[number - 1].asks;
        let grant = |ask: &Ask| {
            let tokens = tokens.min(ask.want);
            Grant { tokens, generation, left: 5, retry_after_ms, held_elsewhere: self.elsewhere }
        };
        let answer = LeaseAnswer { lease_ms: 1_000, grants: asks.iter().map(grant).collect() };
        self.answered_to(number, Ok(&serde_json::to_vec(&answer).unwrap()));
    }

    fn answered(&mut self, answer: Result<&[u8], Failure>) {
        self.answered_to(self.calls.len(), answer);
    }

    /// The last call fails, and so does the one that another control plane gets at once.
    fn fail(&mut self, kind: Kind) {
        self.answered(Err(Failure::new(kind, "test")));
        assert_eq!(self.pass(1).len(), 1, "another one is asked at once");
        self.answered(Err(Failure::new(kind, "test")));
    }

    fn answered_to(&mut self, number: usize, answer: Result<&[u8], Failure>) {
        let number = u32::try_from(number).unwrap();
        assert!(self.lender.waits_for(number));
        self.lender.answered(&self.host, number, answer, self.host.now().monotonic, &mut self.counts);
    }

    /// A request, as far as this limit is concerned.
    fn request(&mut self, slot: &Slot) -> Answer {
        self.worker.check(&self.host);
        if self.worker.spend(slot, 1, || true) {
            return Answer::Token;
        }
        let answer = self.worker.refill(&self.host, slot, self.host.now(), (Wish::Take, 1));
        if answer == Answer::Token {
            assert!(self.worker.spend_now(slot, 1, || false));
        }
        answer
    }
}

fn only(calls: &[LeaseCall]) -> Ask {
    let [LeaseCall { asks, .. }] = calls else { panic!("{calls:?}") };
    let [ask] = &asks[..] else { panic!("{asks:?}") };
    ask.clone()
}

#[test]
fn a_cold_request_waits_for_one_token_and_what_it_used_is_told() {
    let mut process = Process::new();
    let slot = slot(100, 60, 20, WhenUnreachable::Refuse);
    assert!(process.pass(50).is_empty(), "nobody asks while no limit is in use");
    assert_eq!(process.request(&slot), Answer::Awaited);
    let ask = only(&process.pass(1));
    assert_eq!((ask.owner.as_str(), ask.name.as_str(), ask.want, ask.spent), ("key_1", "default", 1, 0));
    process.answer(1, 40, 0);
    assert_eq!(process.request(&slot), Answer::Token);
    process.lends = Some(1);
    let calls = process.pass(20);
    let told: Vec<_> =
        calls.iter().flat_map(|call| &call.asks).map(|ask| (ask.spent, ask.generation)).collect();
    assert_eq!(told, [(1, 40)], "once");
    assert!(process.pass(300).is_empty());
}

#[test]
fn a_limit_in_use_has_tokens_before_it_needs_them_and_idle_ones_go_back() {
    let mut process = Process::new();
    let slot = slot(1_000, 1, 1_000, WhenUnreachable::Refuse);
    let (mut waited, mut asked) = (0, 0);
    for round in 0..100 {
        for _ in 0..20 {
            waited += usize::from(process.request(&slot) == Answer::Awaited && round >= 20);
        }
        process.lends = Some(u32::MAX);
        asked += process.pass(1).len();
    }
    assert_eq!(waited, 0);
    assert!(asked <= 25, "{asked} calls in two seconds");
    let calls = process.pass(40);
    let asks: Vec<_> = calls.iter().flat_map(|call| call.asks.clone()).collect();
    assert!(asks.iter().map(|ask| ask.returned).sum::<u32>() > 50, "{asks:?} {:?}", process.calls);
    let all: Vec<_> = process.calls.iter().flat_map(|call| call.asks.clone()).collect();
    let granted: u32 = all.iter().map(|ask| ask.want).sum();
    let told: u32 = all.iter().map(|ask| ask.spent + ask.returned).sum();
    assert!(told <= granted, "{told} of {granted}: {all:?}");
}

#[test]
fn what_is_used_up_refuses_for_as_long_as_it_was_said() {
    let mut process = Process::new();
    let slot = slot(10, 60, 10, WhenUnreachable::Refuse);
    assert_eq!(process.request(&slot), Answer::Awaited);
    process.pass(1);
    process.answer(0, 7, 4_000);
    assert_eq!(process.request(&slot), Answer::Refused(6_000 * MILLI), "at least one emission interval");
    assert!(process.pass(30).is_empty());
    assert!(matches!(process.request(&slot), Answer::Refused(wait) if wait < 6_000 * MILLI));
    process.pass(25);
    assert_eq!(process.request(&slot), Answer::Awaited, "after a second others may have given some back");
    assert_eq!(only(&process.pass(1)).want, 1);
}

#[test]
fn without_an_answer_a_limit_goes_by_what_it_says_and_what_it_admitted_is_told_on_return() {
    for when_unreachable in [WhenUnreachable::Gateway, WhenUnreachable::Refuse] {
        let mut process = Process::new();
        let slot = slot(10, 60, 20, when_unreachable);
        assert_eq!(process.request(&slot), Answer::Awaited);
        process.pass(1);
        process.fail(Kind::Unreached);
        process.pass(1);
        let expected = if slot.refuses_alone() { Answer::Refused(1_000 * MILLI) } else { Answer::Alone };
        assert_eq!(process.request(&slot), expected);
        if expected == Answer::Alone {
            assert!((0..4).all(|_| process.worker.spend(&slot, 1, || true)), "the gateway's own limiter");
            assert!(!process.worker.spend(&slot, 1, || false));
        }
        process.refuses = true;
        process.pass(300);
        process.refuses = false;
        let probes = process.pass(150);
        assert!(!probes.is_empty() && probes[0].asks.is_empty(), "{probes:?}");
        process.answered(Ok(br#"{"lease_ms":1000,"grants":[]}"#));
        process.lends = Some(1);
        let asks: Vec<_> = process.pass(3).into_iter().flat_map(|call| call.asks).collect();
        let alone: u32 = asks.iter().map(|ask| ask.alone).sum();
        assert!(alone <= 5 && (alone > 0) == (expected == Answer::Alone), "what has not drained: {asks:?}");
        assert_ne!(process.request(&slot), expected);
    }
}

/// Two control planes in turn, one of which says no, or is gone.
#[test]
fn while_every_other_call_fails_a_limit_in_use_has_tokens() {
    let mut process = Process::new();
    let slot = slot(1_000, 1, 1_000, WhenUnreachable::Refuse);
    let (mut calls, mut lost) = (0, 0);
    for round in 0..200 {
        for _ in 0..10 {
            let answer = process.request(&slot);
            assert!(!matches!(answer, Answer::Refused(_)), "{round}: {answer:?}");
            assert!(answer == Answer::Token || round < 40, "{round}: {answer:?}");
        }
        for call in process.pass(1) {
            calls += 1;
            let told: u32 = call.asks.iter().map(|ask| ask.spent + ask.returned).sum();
            if calls % 2 == 0 {
                assert_eq!(told, 0, "the second try: a report that came twice would admit more");
                process.answer(u32::MAX, 7, 0);
            } else {
                lost += told;
                process.answered(Err(Failure::new(Kind::Refused, "test")));
            }
        }
    }
    assert!(Lending::read(&process.host).unwrap().unwrap().works);
    assert!(lost > 100, "the first ones told something: {lost}");
}

#[test]
fn what_a_gateway_admitted_by_itself_is_told_until_a_call_that_tells_it_is_answered() {
    type Loss = (&'static str, fn(&mut Process));
    let losses: [Loss; 5] = [
        ("the call fails", |process| {
            process.pass(1);
            process.fail(Kind::Unreached);
        }),
        ("the first of two fails", |process| {
            process.pass(1);
            process.answered(Err(Failure::new(Kind::Unreached, "test")));
        }),
        ("it cannot be sent", |process| {
            process.refuses = true;
            process.pass(1);
            process.refuses = false;
        }),
        ("nobody says what became of it", |process| drop(process.pass(76))),
        ("it is late, and another one is answered", |process| {
            process.pass(16);
            process.answered_to(process.calls.len(), Ok(br#"{"lease_ms":1000,"grants":[]}"#));
        }),
    ];
    for (what, lose) in losses {
        let mut process = Process::new();
        // Another limit finds out that nothing is lent; of this one, of which nothing drains while the test runs, nobody has asked before.
        let [other, slot] =
            [slot_of(9, 100, 1, 20, WhenUnreachable::Refuse), slot(1, 1_000, 20, WhenUnreachable::Gateway)];
        process.request(&other);
        process.pass(1);
        process.fail(Kind::Unreached);
        process.pass(1);
        assert_eq!(process.request(&slot), Answer::Alone);
        assert!((0..5).all(|_| process.worker.spend(&slot, 1, || true)), "the gateway's own limiter");
        // It is back, and what is told then does not arrive.
        process.pass(15);
        process.answered(Ok(br#"{"lease_ms":1000,"grants":[]}"#));
        lose(&mut process);
        process.lends = Some(1);
        let told = |calls: Vec<LeaseCall>| -> Vec<u32> {
            let asks = calls.into_iter().flat_map(|call| call.asks);
            asks.map(|ask| ask.alone).filter(|alone| *alone > 0).collect()
        };
        assert_eq!(told(process.pass(200)), [5], "{what}");
        assert_eq!(told(process.pass(200)), [0; 0], "{what}: once it has arrived");
    }
}

#[test]
fn a_late_answer_and_one_that_never_comes_stop_lending() {
    let mut process = Process::new();
    let slot = slot(100, 60, 20, WhenUnreachable::Gateway);
    process.request(&slot);
    process.pass(1);
    process.pass(14);
    assert!(Lending::read(&process.host).unwrap().unwrap().works);
    process.pass(1);
    assert!(!Lending::read(&process.host).unwrap().unwrap().works);
    process.worker.tick(&process.host);
    assert_eq!(process.request(&slot), Answer::Alone);
    process.answer_to(1, 1, 7, 0);
    assert!(Lending::read(&process.host).unwrap().unwrap().works, "better late");
    process.pass(3);
    assert_eq!(process.request(&slot), Answer::Token);
    // The leader is gone: nobody says that lending works.
    process.host.advance_ns(4_000 * MILLI);
    process.worker.tick(&process.host);
    assert_eq!(process.request(&slot), Answer::Alone);
}

#[test]
fn a_new_leader_goes_on_with_what_lies_in_shared_data() {
    let mut process = Process::new();
    let slot = slot(100, 60, 20, WhenUnreachable::Refuse);
    process.request(&slot);
    process.pass(1);
    process.answer(1, 7, 0);
    assert_eq!(process.request(&slot), Answer::Token);
    process.worker.tick(&process.host);
    process.lender = Lender::new(&process.host, "gw-1".to_owned(), None);
    let asks: Vec<_> = process.pass(10).into_iter().flat_map(|call| call.asks).collect();
    assert_eq!(asks.iter().map(|ask| ask.spent).sum::<u32>(), 1);
}

#[test]
fn a_refusal_counts_as_one_while_others_hold_tokens_when_the_last_answer_said_that_they_do() {
    let mut process = Process::new();
    let slot = slot(100, 60, 20, WhenUnreachable::Refuse);
    assert_eq!(process.request(&slot), Answer::Awaited);
    process.pass(1);
    process.elsewhere = 3;
    process.answer(0, 7, 600);
    // By the pool, and by what the worker believes of it for a while.
    assert!((0..2).all(|_| matches!(process.request(&slot), Answer::Refused(_))));
    let looked = process.worker.refill(&process.host, &slot, process.host.now(), (Wish::Look, 1));
    assert!(matches!(looked, Answer::Refused(_)), "by another limit: {looked:?}");
    assert_eq!((process.worker.take_refused_while_held(), process.worker.take_refused_while_held()), (2, 0));
    // They have used theirs.
    process.pass(50);
    assert_eq!(process.request(&slot), Answer::Awaited);
    process.pass(1);
    process.elsewhere = 0;
    process.answer(0, 8, 600);
    assert!(matches!(process.request(&slot), Answer::Refused(_)));
    // Nobody knows what others hold while nothing is lent.
    process.elsewhere = 3;
    process.pass(50);
    process.request(&slot);
    process.pass(1);
    process.answer(0, 9, 600);
    assert!(matches!(process.request(&slot), Answer::Refused(_)));
    assert_eq!(process.worker.take_refused_while_held(), 1);
    process.pass(50);
    process.request(&slot);
    process.pass(1);
    process.fail(Kind::Refused);
    process.pass(4);
    assert!(matches!(process.request(&slot), Answer::Refused(_)));
    assert_eq!(process.worker.take_refused_while_held(), 0);
}

/// A client that sends its next request when it has an answer, five in a tick where it waits for nothing.
#[test]
fn a_client_that_sends_one_request_after_the_other_waits_for_the_first_ones_alone() {
    let mut process = Process { lends: Some(u32::MAX), ..Process::new() };
    let slot = slot(1_000, 1, 1_000, WhenUnreachable::Refuse);
    let (mut waited, mut admitted) = (0, 0);
    for _ in 0..100 {
        for _ in 0..5 {
            match process.request(&slot) {
                Answer::Token => admitted += 1,
                Answer::Awaited => {
                    waited += 1;
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        process.pass(1);
    }
    assert!(waited <= 30 && admitted >= 400, "{waited} waited, {admitted} were admitted");
}

#[test]
fn the_first_worker_that_finds_a_pool_low_says_so_and_the_next_need_not() {
    let mut process = Process { lends: Some(1), ..Process::new() };
    let slot = slot(1_000, 1, 1_000, WhenUnreachable::Refuse);
    assert_eq!(process.request(&slot), Answer::Awaited);
    process.pass(1);
    let now = process.host.now();
    for bucket in 0..BUCKETS {
        lending::update(&process.host, bucket, now.monotonic, |pools| {
            for entry in &mut pools.0 {
                entry.demand.low = 100;
                entry.pool.put(Lent { tokens: 40, generation: 7, term: Term::new(now, 1_000 * MILLI) });
            }
            (true, ())
        })
        .unwrap();
    }
    let said = [(); 2].map(|()| {
        let mut worker = Fleet::default();
        assert_eq!(worker.refill(&process.host, &slot, now, (Wish::Take, 1)), Answer::Token);
        lending::take_calls(&process.host).unwrap().count()
    });
    assert_eq!(said, [1, 0]);
}

/// The thread stands still between a tick and a request.
#[test]
fn no_token_is_used_that_ended_while_a_thread_stood_still_for_a_while() {
    for (age_ms, still_ms, uses) in [
        // So far from their end that they have not ended.
        (200, 300, true),
        (490, 300, true),
        // Near it, each request looks: before the margin, and after it.
        (600, 150, true),
        (600, 290, false),
        (700, 160, false),
    ] {
        let mut process = Process { lends: Some(u32::MAX), ..Process::new() };
        let slot = slot(1_000, 1, 1_000, WhenUnreachable::Refuse);
        process.request(&slot);
        process.pass(1);
        let term = Term::new(process.host.now(), 1_000 * MILLI);
        for bucket in 0..BUCKETS {
            lending::update(&process.host, bucket, process.host.now().monotonic, |pools| {
                for entry in &mut pools.0 {
                    entry.pool = Pool::default();
                    entry.pool.put(Lent { tokens: 40, generation: 7, term });
                }
                (true, ())
            })
            .unwrap();
        }
        process.lends = None;
        process.host.advance_ns(age_ms * MILLI);
        process.worker.tick(&process.host);
        // A lease of several, and a tick's look at them.
        (0..4).for_each(|_| assert_eq!(process.request(&slot), Answer::Token));
        assert!(process.worker.tokens() >= 3);
        process.worker.tick(&process.host);
        process.host.advance_ns(still_ms * MILLI);
        let is_over = term.is_over(process.host.now(), 0);
        let used = (0..3).all(|_| process.request(&slot) == Answer::Token);
        assert_eq!(used, uses, "{age_ms} ms old, {still_ms} ms later");
        assert!(!(used && is_over), "{age_ms} ms old, {still_ms} ms later: ended");
    }
}
