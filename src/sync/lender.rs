//! Lends the fleet's tokens to this process: asks the control plane for those of the limits in use, puts them into the pools in shared
//! data, tells what was admitted, and gives back what lies idle (`POST /sync/v1/leases`). One call for all accounts that are due.
//!
//! What is told of tokens leaves shared data before it is sent, and is never sent again. A call that fails is lost with what it said: tokens end
//! with their lease then, and none are made. What was admitted without tokens is told until a call that tells it is answered.
//!
//! While the control plane does not answer, or not soon, the workers are told so, and each limit goes by its `when_unreachable`; calls
//! that ask for nothing look whether it is back.

use crate::contract::leases::{Grant, LeaseAnswer, LeaseCall, MAX_ASKS};
use crate::decision::metrics::{Counter, Counts, FLEET_GAUGES};
use crate::host::{HostError, Monotonic, Now, SharedData, random_u64};
use crate::limit::lending::{self, BEAT_NS, BUCKETS, Lending, bucket_of};
use crate::limit::pool::{Report, Term};
use crate::limit::waiters;

use super::failure::{Failure, Kind};
use super::plans::{Asked, Paces, next_look, plan, take_in};

/// Time that a call may take, in milliseconds: after a lease's length an answer is of no use.
pub const ANSWER_MS: u32 = 1_000;
/// After this time without an answer nothing is lent until one comes, in nanoseconds.
const LATE_NS: u64 = 300_000_000;
/// A call of which the host said nothing more is over then.
const LOST_NS: u64 = 1_500_000_000;
/// First and longest pause after failures, in nanoseconds.
const PAUSE_NS: u64 = 100_000_000;
const MOST_PAUSE_AFTER_FAILURES_NS: u64 = 2_000_000_000;
/// When a control plane that does not know the path is asked again.
const NO_SUCH_PATH_NS: u64 = 60_000_000_000;
/// Most calls that are out at one time.
const MAX_CALLS: usize = 4;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// A leader's side of it.
#[derive(Debug)]
pub struct Lender {
    gateway: String,
    /// When each bucket is looked at again.
    due: Vec<Monotonic>,
    /// Tokens that lay in each when it was looked at last.
    tokens: Vec<u64>,
    paces: Paces,
    calls: Vec<Call>,
    /// What the workers are told, and whether the sync has said it since it changed.
    lending: Lending,
    is_said: bool,
    has_made: bool,
    failures: u32,
    asks_again_at: Monotonic,
    /// Whether the last call failed and lending goes on, and what another control plane is asked at once.
    is_second_try: bool,
    again: Vec<Asked>,
    /// How long an answer takes, in nanoseconds.
    trip_ns: u64,
}

/// A call that is out.
#[derive(Debug)]
struct Call {
    number: u32,
    asked: Now,
    asks: Vec<Asked>,
}

impl Lender {
    /// Begins to lead. Until a call fails it is taken to work: who asks first finds out, and nobody asks where there is no fleet limit.
    /// `queue` wakes this context.
    pub fn new<H: SharedData>(host: &H, gateway: String, queue: Option<u32>) -> Self {
        let said = Lending::read(host).ok().flatten().unwrap_or_default();
        let queue = queue.map_or(0, |queue| queue.saturating_add(1));
        Self {
            gateway,
            due: vec![0; usize::from(BUCKETS)],
            tokens: vec![0; usize::from(BUCKETS)],
            paces: Paces::default(),
            calls: Vec::new(),
            lending: Lending { works: true, queue, ..said },
            is_said: false,
            has_made: false,
            failures: 0,
            asks_again_at: 0,
            is_second_try: false,
            again: Vec::new(),
            trip_ns: 0,
        }
    }

    /// True when this call is one of these.
    pub fn waits_for(&self, call: u32) -> bool {
        self.calls.iter().any(|out| out.number == call)
    }

    /// Whether tokens are lent, and how many lie here; `None` while no fleet limit was in use.
    pub fn gauges(&self) -> Option<[u64; FLEET_GAUGES.len()]> {
        let mode = if self.lending.works { 1 } else { 2 };
        let tokens = self.tokens.iter().fold(0, |sum: u64, tokens| sum.saturating_add(*tokens));
        let is_used = self.lending.answers > 0 || !self.lending.works;
        is_used.then_some([mode, tokens])
    }

    /// Asks for what is due. To be called on every tick, and when a worker wakes the sync.
    pub fn tick<H: SharedData>(
        &mut self,
        host: &H,
        now: Now,
        counts: &mut Counts,
        send: impl FnOnce(&[u8]) -> Result<u32, HostError>,
    ) {
        // What is missing is made before the next look.
        self.has_made = self.has_made || lending::make(host).is_ok();
        self.give_up(host, now.monotonic, counts);
        if self.has_made && now.monotonic >= self.asks_again_at && self.calls.len() < MAX_CALLS {
            let asks = self.next_asks(host, now);
            let is_late = |call: &Call| now.monotonic.saturating_sub(call.asked.monotonic) >= LATE_NS;
            if !asks.is_empty() || (!self.lending.works && self.calls.iter().all(is_late)) {
                self.call(host, asks, now, counts, send);
            }
        }
        self.say(host, now.monotonic);
    }

    /// What came of a call that is out.
    pub fn answered<H: SharedData>(
        &mut self,
        host: &H,
        number: u32,
        answer: Result<&[u8], Failure>,
        now: Monotonic,
        counts: &mut Counts,
    ) {
        let Some(index) = self.calls.iter().position(|call| call.number == number) else { return };
        let call = self.calls.swap_remove(index);
        let answer = answer.and_then(|body| {
            LeaseAnswer::parse(body, call.asks.len()).map_err(|why| Failure::new(Kind::Unreadable, why))
        });
        match answer {
            Ok(answer) => {
                (self.failures, self.asks_again_at, self.is_second_try) = (0, 0, false);
                self.trip_ns = now.saturating_sub(call.asked.monotonic).saturating_add(self.trip_ns) / 2;
                self.granted(host, &call, &answer, now);
                self.abandon_late(host, now);
                if !self.lending.works {
                    log::info!("flamegate: tokens of fleet limits are lent again");
                }
                self.lending.works = true;
                self.lending.answers = self.lending.answers.wrapping_add(1);
                self.is_said = false;
            }
            Err(failure) => self.try_again(host, &failure, call.asks, now, counts),
        }
        self.say(host, now);
    }

    /// The proxy sends the next call to another control plane, where there are several: what a call that failed has asked for is asked for once
    /// more, at once, before the workers are told that nothing is lent. What it has told of tokens is not told again.
    fn try_again<H: SharedData>(
        &mut self,
        host: &H,
        failure: &Failure,
        asks: Vec<Asked>,
        now: Monotonic,
        counts: &mut Counts,
    ) {
        if self.lending.works && !self.is_second_try {
            counts.increment(Counter::FleetFailures);
            self.is_second_try = true;
            let asks = asks.into_iter().filter(|ask| ask.want > 0 || ask.alone > 0);
            self.again.extend(asks.map(|ask| Asked { report: Report::default(), ..ask }));
        } else {
            self.failed(failure, now, counts);
            tell_again(host, &asks, now);
        }
    }

    /// What is asked now: nothing, to see whether lending works.
    fn next_asks<H: SharedData>(&mut self, host: &H, now: Now) -> Vec<Asked> {
        let again = std::mem::take(&mut self.again);
        if !self.lending.works {
            tell_again(host, &again, now.monotonic);
            return Vec::new();
        }
        if again.is_empty() { self.due_asks(host, now) } else { again }
    }

    /// Tokens and requests of the buckets that are due, as asks.
    fn due_asks<H: SharedData>(&mut self, host: &H, now: Now) -> Vec<Asked> {
        let called = lending::take_calls(host).into_iter().flatten();
        for bucket in called {
            if let Some(due) = self.due.get_mut(usize::from(bucket)) {
                *due = 0;
            }
        }
        let mut asks = Vec::new();
        for bucket in 0..BUCKETS {
            let index = usize::from(bucket);
            if self.due.get(index).is_some_and(|due| *due > now.monotonic) {
                continue;
            }
            let (paces, trip_ns) = (&self.paces, self.trip_ns);
            let looked = lending::update(host, bucket, now.monotonic, |pools| {
                let plans: Vec<_> =
                    pools.0.iter_mut().map(|entry| plan(entry, paces, trip_ns, now)).collect();
                let changed = plans.iter().any(|plan| plan.changed);
                (changed, plans)
            });
            let next = looked.as_ref().map_or(now.monotonic, |plans| next_look(plans, now.monotonic));
            if let Some(due) = self.due.get_mut(index) {
                *due = next;
            }
            if let (Some(tokens), Ok(plans)) = (self.tokens.get_mut(index), &looked) {
                *tokens = plans.iter().fold(0, |sum, plan| sum.saturating_add(u64::from(plan.tokens)));
            }
            for plan in looked.into_iter().flatten() {
                asks.extend(plan.asks);
                self.paces.insert(plan.account, plan.pace);
            }
            // Each account has at most two asks.
            if asks.len() >= MAX_ASKS.saturating_sub(MOST_PER_BUCKET) {
                break;
            }
        }
        self.paces.retain(|_, pace| !pace.is_over(now.monotonic));
        asks
    }

    fn call<H: SharedData>(
        &mut self,
        host: &H,
        asks: Vec<Asked>,
        now: Now,
        counts: &mut Counts,
        send: impl FnOnce(&[u8]) -> Result<u32, HostError>,
    ) {
        counts.increment(Counter::FleetCalls);
        let call = LeaseCall { gateway: self.gateway.clone(), asks: asks.iter().map(Asked::ask).collect() };
        match send(&serde_json::to_vec(&call).unwrap_or_default()) {
            Ok(number) => self.calls.push(Call { number, asked: now, asks }),
            Err(error) => {
                let failure = Failure::new(Kind::Refused, format!("not sent: {error}"));
                self.failed(&failure, now.monotonic, counts);
                tell_again(host, &asks, now.monotonic);
            }
        }
    }

    /// Puts what was lent into the pools.
    fn granted<H: SharedData>(&mut self, host: &H, call: &Call, answer: &LeaseAnswer, now: Monotonic) {
        let lease_ns = u64::from(answer.lease_ms).saturating_mul(NANOS_PER_MILLI);
        let term = Term::new(call.asked, lease_ns);
        let mut grants: Vec<(&Asked, &Grant)> =
            call.asks.iter().zip(&answer.grants).filter(|(ask, _)| ask.want > 0).collect();
        grants.sort_by_key(|(ask, _)| bucket_of(ask.account));
        for of_bucket in grants.chunk_by(|(a, _), (b, _)| bucket_of(a.account) == bucket_of(b.account)) {
            let Some((first, _)) = of_bucket.first() else { continue };
            // Where this fails the tokens are nobody's, and end with their lease.
            let _ = lending::update(host, bucket_of(first.account), now, |pools| {
                for (ask, grant) in of_bucket {
                    if let Some(entry) = pools.get(ask.account) {
                        take_in(entry, ask, grant, term, now);
                    }
                }
                (true, ())
            });
            if let Some(due) = self.due.get_mut(usize::from(bucket_of(first.account))) {
                *due = 0;
            }
            for (ask, grant) in of_bucket {
                let wait_ns = grant.retry_after_ms.saturating_mul(NANOS_PER_MILLI);
                if let Some(pace) = self.paces.get_mut(&ask.account).filter(|_| grant.tokens == 0) {
                    pace.refused(now, wait_ns);
                }
            }
        }
    }

    /// The control plane is back: what calls before that would still say is no news. Their tokens, if any come, end with their lease.
    fn abandon_late<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        let is_late = |call: &Call| now.saturating_sub(call.asked.monotonic) >= LATE_NS;
        let (late, others): (Vec<Call>, Vec<Call>) =
            std::mem::take(&mut self.calls).into_iter().partition(is_late);
        self.calls = others;
        for call in late {
            tell_again(host, &call.asks, now);
        }
    }

    /// Calls that are late, and those that were lost.
    fn give_up<H: SharedData>(&mut self, host: &H, now: Monotonic, counts: &mut Counts) {
        let age = |call: &Call| now.saturating_sub(call.asked.monotonic);
        if self.lending.works && self.calls.iter().any(|call| age(call) >= LATE_NS) {
            self.stop("no answer in time");
        }
        let (lost, others): (Vec<Call>, Vec<Call>) =
            std::mem::take(&mut self.calls).into_iter().partition(|call| age(call) >= LOST_NS);
        self.calls = others;
        if !lost.is_empty() {
            self.failed(&Failure::new(Kind::Lost, "never answered"), now, counts);
        }
        for call in lost {
            tell_again(host, &call.asks, now);
        }
    }

    fn failed(&mut self, failure: &Failure, now: Monotonic, counts: &mut Counts) {
        counts.increment(Counter::FleetFailures);
        self.is_second_try = false;
        self.stop(&failure.why);
        let pause = PAUSE_NS.checked_shl(self.failures.min(8)).unwrap_or(MOST_PAUSE_AFTER_FAILURES_NS);
        let pause = match failure.kind {
            Kind::NoSuchPath => NO_SUCH_PATH_NS,
            _ => pause.min(MOST_PAUSE_AFTER_FAILURES_NS),
        };
        self.failures = self.failures.saturating_add(1);
        let jitter = random_u64().checked_rem(PAUSE_NS).unwrap_or(0);
        self.asks_again_at = now.saturating_add(pause).saturating_add(jitter);
    }

    /// Nothing is lent until an answer comes.
    fn stop(&mut self, why: &str) {
        if self.lending.works {
            log::warn!("flamegate: tokens of fleet limits cannot be lent: {why}");
            self.lending.works = false;
            self.is_said = false;
        }
    }

    /// Tells the workers how lending goes, when it is news or was said too long ago.
    fn say<H: SharedData>(&mut self, host: &H, now: Monotonic) {
        if self.is_said && now.saturating_sub(self.lending.at) < BEAT_NS {
            return;
        }
        let said = Lending { at: now, ..self.lending };
        if said.write(host).is_ok() {
            if !self.is_said {
                waiters::wake_all(host);
            }
            (self.lending, self.is_said) = (said, true);
        }
    }
}

/// Most asks of one bucket.
const MOST_PER_BUCKET: usize = 2 * crate::limit::pools::MAX_ENTRIES;

/// No answer comes to these: what was admitted alone is told again. If they have arrived all the same it is debited twice, which admits less;
/// a report of tokens that came twice would admit more.
fn tell_again<H: SharedData>(host: &H, asks: &[Asked], now: Monotonic) {
    for ask in asks.iter().filter(|ask| ask.want > 0 || ask.alone > 0) {
        // Where this fails a second passes before anybody is asked again, and what was admitted alone is not told.
        let _ = lending::update(host, bucket_of(ask.account), now, |pools| {
            let Some(entry) = pools.get(ask.account) else { return (false, ()) };
            if ask.want > 0 {
                entry.demand.asked_at = 0;
            }
            if ask.alone > 0 {
                let quota = entry.account.quota;
                entry.demand.alone = quota.charge(entry.demand.alone, now, u64::from(ask.alone));
            }
            (true, ())
        });
    }
}

#[cfg(test)]
mod tests;
