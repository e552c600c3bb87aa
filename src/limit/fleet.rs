//! One worker's part of the fleet's limits: tokens that it has taken from the pools of its process ([`super::lending`]) and spends without
//! a host call, and what it has to tell of them.
//!
//! **Ends.** A token is not used when its lease may be over. To read a clock for every request costs too much, so tokens that end within
//! [`MARGIN_NS`] are dropped whenever the clocks are read, on every tick, and between two readings they are used only while the wall
//! clock, which every fourth request asks, is less than that ahead. It is the wall clock that also shows that the machine slept. A
//! thread that stood still for longer than the margin, between a tick and a request, may use three tokens before it sees that.
//!
//! **All or none.** A token that was taken for a request that another limit refuses stays in the lease for the next one.

use std::collections::HashMap;

use super::bucket::Unavailable;
use super::lending::{self, Lending, bucket_of};
use super::pool::Lent;
use super::pools::{Entry, Pools};
use super::remaining::Remaining;
use super::slot::{Account, AccountHasher, MAX_LEASE, Slot};
use super::terms::Terms;
use crate::host::{Clock, Monotonic, Now, SharedData, WallClock};

/// The fleet's limits of one worker.
#[derive(Debug, Default)]
pub struct Fleet {
    leases: HashMap<Account, Lease, AccountHasher>,
    /// Requests that are decided before the wall clock is asked again.
    unchecked: u8,
    /// The wall clock when the leases were last looked through.
    seen: WallClock,
    /// How lending goes, and when that was read.
    lending: Option<(Lending, Monotonic)>,
    alone: u64,
}

/// How an account stands with the worker.
#[derive(Debug, Default)]
struct Lease {
    /// Tokens to be used.
    lent: Lent,
    /// How many `lent` were taken at once, and when.
    granted: u32,
    granted_at: Monotonic,
    /// Admitted with `lent`'s generation and not told yet.
    spent: u32,
    /// While nothing can be lent the gateway's own limiter decides; so many it has admitted that were not told yet.
    is_alone: bool,
    alone: u32,
    /// Refused: the pool is not asked before this moment, and a request is admitted so much later.
    ask_at: Monotonic,
    wait_ns: u64,
    /// What the fleet had left.
    left: u32,
    used_at: Monotonic,
}

/// Whether tokens may be taken or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Take some; where there are none, ask for one for a request that comes.
    Take,
    /// The same for a request that has asked before.
    TakeAgain,
    /// Learn how long to wait, take nothing.
    Look,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is a token (or could be, for [`Ask::Look`]).
    Token,
    /// There is none for so long, in nanoseconds.
    Refused(u64),
    /// The control plane is asked for one.
    Awaited,
    /// Nothing can be lent: the gateway's own limiter decides.
    Alone,
}

/// Tokens that end within this time are not used any more, in nanoseconds: so late a thread may be.
pub const MARGIN_NS: u64 = 150_000_000;
/// How long unused tokens stay with a worker, in nanoseconds.
const HOLD_NS: u64 = 100_000_000;
/// How long a refusal is believed without a look at the pool, in nanoseconds: tokens may have come by then.
const BELIEVED_NS: u64 = 20_000_000;
/// How old what is known of lending may be, in nanoseconds.
const KNOWN_NS: u64 = 50_000_000;
/// What a limit that refuses while nothing can be lent tells its clients to wait, in nanoseconds.
const ALONE_WAIT_NS: u64 = 1_000_000_000;
/// An account that is not used for so long is forgotten, in nanoseconds.
const STAYS_NS: u64 = 1_000_000_000;
/// A worker takes at most this part of a pool.
const SHARE: u32 = 4;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Requests between two looks at the wall clock.
const UNCHECKED: u8 = 3;
/// Most accounts that a worker remembers; a request of one beyond them is refused like one that nothing can be lent for.
const MAX_LEASES: usize = 4_096;
/// Most leases settled per tick: each costs about as much as two or three requests.
const MAX_SETTLED_PER_TICK: usize = 32;

impl Fleet {
    /// Makes sure that no token is used that has ended.
    #[inline]
    pub fn check<H: Clock>(&mut self, host: &H) {
        if let Some(unchecked) = self.unchecked.checked_sub(1) {
            self.unchecked = unchecked;
        } else {
            self.check_clock(host);
        }
    }

    fn check_clock<H: Clock>(&mut self, host: &H) {
        let since = host.wall().checked_sub(self.seen);
        if since.is_none_or(|since| since >= MARGIN_NS) {
            self.drop_ended(host.now());
        }
        self.unchecked = UNCHECKED;
    }

    /// Uses one token of the account; false when there is none. `alone` is asked while nothing can be lent.
    #[inline]
    pub fn spend(&mut self, slot: &Slot, alone: impl FnOnce() -> bool) -> bool {
        match self.leases.get_mut(&slot.account) {
            Some(lease) if lease.is_alone => {
                let admitted = alone();
                lease.alone = lease.alone.saturating_add(u32::from(admitted));
                admitted
            }
            Some(lease) => lease.spend(),
            None => false,
        }
    }

    /// Undoes [`Self::spend`]. True when it was the gateway's own limiter that had admitted it.
    pub fn unspend(&mut self, slot: &Slot) -> bool {
        let Some(lease) = self.leases.get_mut(&slot.account) else { return false };
        if lease.is_alone {
            lease.alone = lease.alone.saturating_sub(1);
        } else {
            lease.lent.tokens = lease.lent.tokens.saturating_add(1);
            lease.spent = lease.spent.saturating_sub(1);
        }
        lease.is_alone
    }

    /// Gets a token into the account's lease.
    pub fn refill<H: SharedData>(&mut self, host: &H, slot: &Slot, now: Now, ask: Ask) -> Answer {
        let Some(terms) = &slot.fleet else { return Answer::Alone };
        let lending = self.lending(host, now.monotonic);
        if self.leases.len() >= MAX_LEASES && !self.leases.contains_key(&slot.account) {
            return Answer::Refused(ALONE_WAIT_NS);
        }
        let lease = self.leases.entry(slot.account).or_default();
        lease.used_at = now.monotonic;
        if lease.lent.tokens > 0 {
            return Answer::Token;
        }
        let Some(lending) = lending.filter(|lending| lending.is_alive(now.monotonic)) else {
            return lease.alone(slot);
        };
        lease.is_alone = false;
        if lease.ask_at > now.monotonic {
            return Answer::Refused(lease.wait_ns.max(lease.ask_at.saturating_sub(now.monotonic)));
        }
        lease.refill(host, slot, terms, now, ask, lending)
    }

    /// Tells what was used, puts back what is not, and forgets who is at rest. To be called once per tick; bounded work.
    pub fn tick<H: SharedData + Clock>(&mut self, host: &H) {
        if self.leases.is_empty() {
            return;
        }
        let now = host.now();
        self.drop_ended(now);
        self.unchecked = UNCHECKED;
        self.lending = None;
        let lends = self.lending(host, now.monotonic).is_some_and(|lending| lending.is_alive(now.monotonic));
        if lends {
            self.leases.values_mut().for_each(|lease| lease.is_alone = false);
        }
        let due = self.leases.iter_mut().filter(|(_, lease)| lease.is_due(now.monotonic));
        for (account, lease) in due.take(MAX_SETTLED_PER_TICK) {
            let alone = lease.alone;
            // After a failure the rest would fail too; the next tick tries again.
            if lease.settle(host, *account, now).is_err() {
                break;
            }
            self.alone = self.alone.saturating_add(u64::from(alone));
        }
        self.leases.retain(|_, lease| !lease.is_at_rest(now.monotonic));
    }

    /// Tells and puts back everything: this worker goes. What cannot be put back ends with its lease.
    pub fn leave<H: SharedData + Clock>(&mut self, host: &H) {
        let now = host.now();
        for (account, lease) in &mut self.leases {
            lease.granted_at = 0;
            let _ = lease.settle(host, *account, now);
        }
    }

    /// How many answers the sync has had, as far as this worker knows; looks for news.
    pub fn answers<H: SharedData>(&mut self, host: &H, now: Monotonic) -> (bool, u64) {
        self.lending = None;
        self.lending(host, now).map_or((false, 0), |lending| (lending.is_alive(now), lending.answers))
    }

    /// What is left of a limit; `None` for one that the worker does not know, or that the gateway's own limiter decides.
    pub fn remaining(&self, slot: &Slot) -> Option<Remaining> {
        let lease = self.leases.get(&slot.account).filter(|lease| !lease.is_alone)?;
        let quota = slot.account.quota;
        let tokens = u64::from(lease.left).saturating_add(u64::from(lease.lent.tokens)).min(quota.burst());
        let missing = quota.burst().saturating_sub(tokens).saturating_mul(quota.emission_ns());
        let wait_ns = if tokens == 0 { lease.wait_ns.max(quota.emission_ns()) } else { missing };
        Some(Remaining { tokens, reset_seconds: wait_ns.div_ceil(NANOS_PER_SECOND) })
    }

    /// Requests that the gateway's own limiter admitted since the last call, because nothing could be lent.
    pub fn take_alone(&mut self) -> u64 {
        std::mem::take(&mut self.alone)
    }

    /// Tokens that this worker holds.
    pub fn tokens(&self) -> u64 {
        self.leases.values().fold(0, |sum, lease| sum.saturating_add(u64::from(lease.lent.tokens)))
    }

    fn lending<H: SharedData>(&mut self, host: &H, now: Monotonic) -> Option<Lending> {
        if self.lending.is_none_or(|(_, at)| now.saturating_sub(at) >= KNOWN_NS) {
            let read = Lending::read(host).ok().flatten();
            self.lending = Some((read.unwrap_or_default(), now));
        }
        self.lending.map(|(lending, _)| lending)
    }

    fn drop_ended(&mut self, now: Now) {
        for lease in self.leases.values_mut().filter(|lease| lease.lent.term.is_over(now, MARGIN_NS)) {
            lease.lent.tokens = 0;
        }
        self.seen = now.wall;
    }
}

/// What was found in a pool.
enum Found {
    Tokens { lent: Lent, left: u32, low: bool },
    None { wait_ns: u64, left: u32 },
    Awaited,
    NoRoom,
}

impl Lease {
    fn spend(&mut self) -> bool {
        let Some(rest) = self.lent.tokens.checked_sub(1) else { return false };
        self.lent.tokens = rest;
        self.spent = self.spent.saturating_add(1);
        true
    }

    const fn alone(&mut self, slot: &Slot) -> Answer {
        if slot.refuses_alone() {
            return Answer::Refused(ALONE_WAIT_NS);
        }
        self.is_alone = true;
        Answer::Alone
    }

    fn refill<H: SharedData>(
        &mut self,
        host: &H,
        slot: &Slot,
        terms: &Terms,
        now: Now,
        ask: Ask,
        lending: Lending,
    ) -> Answer {
        let bucket = bucket_of(slot.account);
        let found = lending::update(host, bucket, now.monotonic, |pools| {
            let Some(entry) = pools.get_or_add(slot.account, terms, now.monotonic) else {
                return (false, Found::NoRoom);
            };
            let told = self.tell(entry, now.monotonic);
            let (changed, found) = find(entry, self.wanted(now.monotonic), now, ask);
            (told || changed, found)
        });
        let Ok(found) = found else { return self.alone(slot) };
        (self.spent, self.alone) = (0, 0);
        match found {
            Found::Tokens { lent, left, low } => {
                self.left = left;
                if ask != Ask::Look {
                    (self.lent, self.granted, self.granted_at) = (lent, lent.tokens, now.monotonic);
                }
                if low {
                    wake(host, bucket, lending);
                }
                Answer::Token
            }
            Found::None { wait_ns, left } => {
                (self.left, self.wait_ns) = (left, wait_ns);
                self.ask_at = now.monotonic.saturating_add(wait_ns.min(BELIEVED_NS));
                Answer::Refused(wait_ns)
            }
            Found::Awaited => {
                wake(host, bucket, lending);
                Answer::Awaited
            }
            Found::NoRoom => self.alone(slot),
        }
    }

    /// Tells an entry what was admitted since it was told last. True when there was something to tell.
    fn tell(&self, entry: &mut Entry, now: Monotonic) -> bool {
        if self.spent > 0 {
            entry.pool.spent(self.lent.generation, self.spent);
        }
        if self.alone > 0 {
            let quota = entry.account.quota;
            entry.demand.alone = quota.charge(entry.demand.alone, now, u64::from(self.alone));
        }
        self.spent > 0 || self.alone > 0
    }

    /// Tells what was used and puts back what was not. On failure everything stays as it was.
    fn settle<H: SharedData>(&mut self, host: &H, account: Account, now: Now) -> Result<(), Unavailable> {
        let is_idle = now.monotonic.saturating_sub(self.granted_at) >= HOLD_NS;
        let back = if is_idle { self.lent } else { Lent::default() };
        lending::update(host, bucket_of(account), now.monotonic, |pools: &mut Pools| {
            // Of an entry that is not there any more the book knows nothing, either.
            let Some(entry) = pools.get(account) else { return (false, ()) };
            let told = self.tell(entry, now.monotonic);
            entry.pool.put(back);
            (told || back.tokens > 0, ())
        })?;
        (self.spent, self.alone) = (0, 0);
        if is_idle {
            self.granted = self.granted.saturating_sub(self.lent.tokens);
            self.lent.tokens = 0;
        }
        Ok(())
    }

    fn is_due(&self, now: Monotonic) -> bool {
        let is_idle = self.lent.tokens > 0 && now.saturating_sub(self.granted_at) >= HOLD_NS;
        self.spent > 0 || self.alone > 0 || is_idle
    }

    const fn is_at_rest(&self, now: Monotonic) -> bool {
        let holds = self.lent.tokens > 0 || self.spent > 0 || self.alone > 0;
        !holds && self.ask_at <= now && now.saturating_sub(self.used_at) >= STAYS_NS
    }

    /// Size of the next lease: double after one that was used up within [`HOLD_NS`].
    const fn wanted(&self, now: Monotonic) -> u32 {
        match self.granted {
            0 => 1,
            granted if now.saturating_sub(self.granted_at) < HOLD_NS => granted.saturating_mul(2),
            granted => granted,
        }
    }
}

/// Looks into an entry: tokens, a refusal that stands, or a wish for a token. `true` when the entry is another one now.
fn find(entry: &mut Entry, wanted: u32, now: Now, ask: Ask) -> (bool, Found) {
    let demand = entry.demand;
    let most = wanted.min(entry.pool.tokens() / SHARE).clamp(1, MAX_LEASE);
    if ask == Ask::Look {
        let lent = entry.pool.clone().take(1, now, MARGIN_NS);
        let wait_ns = demand.refused_until.saturating_sub(now.monotonic);
        let found = if lent.tokens > 0 || wait_ns == 0 {
            Found::Tokens { lent, left: demand.left, low: false }
        } else {
            Found::None { wait_ns, left: demand.left }
        };
        return (false, found);
    }
    let lent = entry.pool.take(most, now, MARGIN_NS);
    let is_asked = entry.is_asked(now.monotonic);
    if lent.tokens > 0 {
        let low = entry.pool.tokens() < demand.low && !is_asked;
        return (true, Found::Tokens { lent, left: demand.left, low });
    }
    if demand.ask_again_at > now.monotonic {
        let wait_ns = demand.refused_until.max(demand.ask_again_at).saturating_sub(now.monotonic);
        return (false, Found::None { wait_ns, left: demand.left });
    }
    // Who has asked before asks again only when nobody is asking any more.
    let asks = ask == Ask::Take || (demand.want == 0 && !is_asked);
    entry.demand.want = demand.want.saturating_add(u32::from(asks));
    (asks, Found::Awaited)
}

/// Tells the sync that there is something to do. When that fails, its own rounds will find it.
fn wake<H: SharedData>(host: &H, bucket: u8, lending: Lending) {
    if lending::call(host, bucket) == Ok(true)
        && let Some(queue) = lending.queue.checked_sub(1)
    {
        host.wake(queue);
    }
}
