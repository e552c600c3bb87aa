//! What one worker knows of one account of the fleet's: tokens that it has taken from its process's pool, what it has to tell of them, and
//! for how long it was refused.

use super::bucket::Unavailable;
use super::gcra::Quota;
use super::lending::{self, Lending, bucket_of};
use super::pool::Lent;
use super::pools::{Entry, Pools};
use super::slot::{Account, MAX_LEASE, Slot};
use super::terms::Terms;
use crate::host::{Monotonic, Now, SharedData};

/// How the account stands with the worker.
#[derive(Debug, Default)]
pub struct Lease {
    /// Tokens to be used.
    pub(super) lent: Lent,
    /// They end so soon that they are used right after a look at the clocks alone.
    pub(super) is_near_end: bool,
    /// How many `lent` were taken at once, and when.
    pub(super) granted: u32,
    pub(super) granted_at: Monotonic,
    /// Admitted with `lent`'s generation and not told yet; and when it was told last.
    pub(super) spent: u32,
    pub(super) told_at: Monotonic,
    /// While nothing can be lent the gateway's own limiter decides; so many it has admitted that were not told yet.
    pub(super) is_alone: bool,
    pub(super) alone: u32,
    /// Refused: the pool is not asked before this moment for so many tokens or more, and there is a token so much later.
    pub(super) ask_at: Monotonic,
    pub(super) refused: u32,
    pub(super) wait_ns: u64,
    /// What the fleet had left; and whether it is refused while others hold tokens.
    pub(super) left: u32,
    pub(super) is_held_elsewhere: bool,
    pub(super) used_at: Monotonic,
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
/// Tokens that end within this time of the last look at the clocks are not used without another one, in nanoseconds. Those of a limit in steady
/// use are younger than that when they are used.
pub const NEAR_NS: u64 = 450_000_000;
/// How long unused tokens stay with a worker, in nanoseconds.
const HOLD_NS: u64 = 100_000_000;
/// What was admitted is told within this time, in nanoseconds, and an eighth of what the burst lasts for: half of the time between two calls of the
/// sync, which goes by it. Who asks the pool tells it at once.
const TELL_NS: u64 = 50_000_000;
/// How long a refusal is believed without a look at the pool, in nanoseconds: tokens may have come by then.
const BELIEVED_NS: u64 = 20_000_000;
/// An account that is not used for so long is forgotten, in nanoseconds.
const STAYS_NS: u64 = 1_000_000_000;
/// A worker takes at most this part of a pool.
const SHARE: u32 = 4;
/// What a limit that refuses while nothing can be lent tells its clients to wait, in nanoseconds.
pub const ALONE_WAIT_NS: u64 = 1_000_000_000;

/// What was found in a pool.
enum Found {
    Tokens { lent: Lent, left: u32, low: bool },
    None { wait_ns: u64, left: u32, is_held_elsewhere: bool },
    Awaited { takes_own: bool },
    NoRoom,
}

/// What a request needs of an account.
struct Need {
    tokens: u32,
    /// Size of the lease that the worker takes with it.
    wanted: u32,
    /// What the worker has of it, which is not enough.
    own: Lent,
}

impl Lease {
    /// Uses so many tokens; false when there are fewer that may be used without a look at the clocks.
    #[inline]
    pub fn spend(&mut self, need: u32) -> bool {
        !self.is_near_end && self.spend_now(need)
    }

    /// Uses so many tokens right after such a look; false when there are fewer.
    #[inline]
    pub fn spend_now(&mut self, need: u32) -> bool {
        let Some(rest) = self.lent.tokens.checked_sub(need) else { return false };
        self.lent.tokens = rest;
        self.spent = self.spent.saturating_add(need);
        true
    }

    /// The clocks were looked at: tokens that have ended, or will within [`MARGIN_NS`], are not used any more.
    pub fn look(&mut self, now: Now) {
        if self.lent.term.is_over(now, MARGIN_NS) {
            self.lent.tokens = 0;
        }
        self.is_near_end = self.lent.term.is_over(now, NEAR_NS);
    }

    /// A request that needs so many tokens is refused while an earlier refusal of as many or fewer stands: how long it waits.
    pub fn standing(&self, slot: &Slot, need: u32, now: Monotonic) -> Option<u64> {
        let stands = self.ask_at > now && need >= self.refused;
        stands.then(|| self.wait_for(slot, need).max(self.ask_at.saturating_sub(now)))
    }

    /// How long a request waits that needs so many tokens, in nanoseconds.
    const fn wait_for(&self, slot: &Slot, need: u32) -> u64 {
        let others = (need as u64).saturating_sub(1);
        self.wait_ns.saturating_add(slot.account.quota.emission_ns().saturating_mul(others))
    }

    /// Nothing can be lent.
    pub const fn alone(&mut self, slot: &Slot) -> Answer {
        self.is_held_elsewhere = false;
        if slot.refuses_alone() {
            return Answer::Refused(ALONE_WAIT_NS);
        }
        self.is_alone = true;
        Answer::Alone
    }

    /// The same, with a place in the pools for what is admitted meanwhile: it is told when lending works again. Where there is no room it is not.
    pub fn go_alone<H: SharedData>(
        &mut self,
        host: &H,
        (slot, terms): (&Slot, &Terms),
        now: Monotonic,
    ) -> Answer {
        let answer = self.alone(slot);
        if answer == Answer::Alone {
            let bucket = bucket_of(slot.account);
            let added = lending::update(host, bucket, now, |pools| {
                let added = pools.get_or_add(slot.account, terms, now).is_some();
                (added, added)
            });
            if added == Ok(true) {
                // The sync looks at a bucket that was empty when somebody says that it is not.
                let _ = lending::call(host, bucket);
            }
        }
        answer
    }

    /// Asks the pool for the tokens that a request needs.
    pub fn refill<H: SharedData>(
        &mut self,
        host: &H,
        (slot, terms): (&Slot, &Terms),
        now: Now,
        (ask, need): (Ask, u32),
        lending: Lending,
    ) -> Answer {
        let bucket = bucket_of(slot.account);
        let found = lending::update(host, bucket, now.monotonic, |pools| {
            let Some(entry) = pools.get_or_add(slot.account, terms, now.monotonic) else {
                return (false, Found::NoRoom);
            };
            let told = self.tell(entry, now.monotonic);
            let need = Need { tokens: need, wanted: self.wanted(now.monotonic), own: self.lent };
            let (changed, found) = find(entry, need, now, ask);
            (told || changed, found)
        });
        let Ok(found) = found else { return self.alone(slot) };
        self.told(now.monotonic);
        match found {
            Found::Tokens { lent, left, low } => {
                self.left = left;
                if ask != Ask::Look {
                    (self.lent, self.granted, self.granted_at) = (lent, lent.tokens, now.monotonic);
                    self.is_near_end = lent.term.is_over(now, NEAR_NS);
                }
                if low {
                    wake(host, bucket, lending);
                }
                Answer::Token
            }
            Found::None { wait_ns, left, is_held_elsewhere } => {
                (self.left, self.wait_ns, self.is_held_elsewhere) = (left, wait_ns, is_held_elsewhere);
                self.ask_at = now.monotonic.saturating_add(wait_ns.min(BELIEVED_NS));
                self.refused = need;
                Answer::Refused(self.wait_for(slot, need))
            }
            Found::Awaited { takes_own } => {
                if takes_own {
                    self.lent.tokens = 0;
                }
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

    /// It was told.
    const fn told(&mut self, now: Monotonic) {
        if self.spent > 0 || self.alone > 0 {
            (self.spent, self.alone, self.told_at) = (0, 0, now);
        }
    }

    /// Tells what was used and puts back what was not. On failure everything stays as it was.
    pub fn settle<H: SharedData>(&mut self, host: &H, account: Account, now: Now) -> Result<(), Unavailable> {
        let is_idle = now.monotonic.saturating_sub(self.granted_at) >= HOLD_NS;
        let back = if is_idle { self.lent } else { Lent::default() };
        lending::update(host, bucket_of(account), now.monotonic, |pools: &mut Pools| {
            // Of an entry that is not there any more the book knows nothing, either.
            let Some(entry) = pools.get(account) else { return (false, ()) };
            let told = self.tell(entry, now.monotonic);
            entry.pool.put(back);
            (told || back.tokens > 0, ())
        })?;
        self.told(now.monotonic);
        if is_idle {
            self.granted = self.granted.saturating_sub(self.lent.tokens);
            self.lent.tokens = 0;
        }
        Ok(())
    }

    /// True when there is something to tell or to put back.
    pub fn is_due(&self, quota: Quota, now: Monotonic) -> bool {
        let is_idle = self.lent.tokens > 0 && now.saturating_sub(self.granted_at) >= HOLD_NS;
        let tell_ns = TELL_NS.min(quota.capacity_ns() / 8);
        let is_untold = (self.spent > 0 || self.alone > 0) && now.saturating_sub(self.told_at) >= tell_ns;
        is_untold || is_idle
    }

    /// True when it holds nothing and nobody came for a while.
    pub const fn is_at_rest(&self, now: Monotonic) -> bool {
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
fn find(entry: &mut Entry, need: Need, now: Now, ask: Ask) -> (bool, Found) {
    let demand = entry.demand;
    let (left, is_held_elsewhere) = (demand.left, demand.held_elsewhere > 0);
    let mut pool = entry.pool.clone();
    pool.put(need.own);
    let most = need.wanted.min(pool.tokens() / SHARE).clamp(1, MAX_LEASE);
    let lent = pool.take(need.tokens, most, now, MARGIN_NS);
    if ask == Ask::Look {
        let wait_ns = demand.refused_until.saturating_sub(now.monotonic);
        let found = if lent.is_some() || wait_ns == 0 {
            Found::Tokens { lent: Lent::default(), left, low: false }
        } else {
            Found::None { wait_ns, left, is_held_elsewhere }
        };
        return (false, found);
    }
    let is_asked = entry.is_asked(now.monotonic);
    if let Some(lent) = lent {
        entry.pool = pool;
        let low = entry.pool.tokens() < demand.low && !is_asked;
        if low {
            // Said once; the sync sets it anew when it has looked.
            entry.demand.low = 0;
        }
        return (true, Found::Tokens { lent, left, low });
    }
    if demand.ask_again_at > now.monotonic {
        let wait_ns = demand.refused_until.max(demand.ask_again_at).saturating_sub(now.monotonic);
        return (false, Found::None { wait_ns, left, is_held_elsewhere });
    }
    // Who has asked before asks again only when nobody is asking any more.
    let asks = ask == Ask::Take || (demand.want == 0 && !is_asked);
    if asks {
        entry.demand.want = demand.want.saturating_add(need.tokens);
    }
    // Tokens that are too few go back and are lent anew with the others: those of a request are told together, so they are of one grant.
    let takes_own = asks && need.tokens > 1;
    if takes_own {
        pool.let_go(0, now, MARGIN_NS);
        entry.pool = pool;
    }
    (asks, Found::Awaited { takes_own })
}

/// Tells the sync that there is something to do. When that fails, its own rounds will find it.
fn wake<H: SharedData>(host: &H, bucket: u8, lending: Lending) {
    if lending::call(host, bucket) == Ok(true)
        && let Some(queue) = lending.queue.checked_sub(1)
    {
        host.wake(queue);
    }
}
