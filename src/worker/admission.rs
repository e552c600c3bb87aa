//! Whether every limit of a key has the tokens for a request, where some are counted by all gateways of the fleet together. All limits are
//! tried, then the tokens are taken of each, or of none.

use super::waiting::Waiting;
use crate::host::{Clock, Monotonic, SharedData};
use crate::limit::fleet::{Answer, Ask, Fleet};
use crate::limit::{Limiter, Refusal, Remaining, Slot};

/// Why a request has no token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A limit is used up.
    Refused(Refusal),
    /// The control plane is asked for one, and the request may wait for it until then.
    Awaited(Monotonic),
}

/// Takes one token from every limit, or none; of a request that costs more, so many (of none more than its burst). Without `waiting` no
/// request waits for one. No host call while leases last, but one look at the wall clock in eight requests, and at both clocks for tokens that
/// end soon.
pub fn admit<H: SharedData + Clock>(
    limiter: &mut Limiter,
    fleet: &mut Fleet,
    waiting: Option<&Waiting>,
    host: &H,
    (slots, cost): (&[Slot], u32),
) -> Result<(), Admission> {
    fleet.check(host);
    if spend_all::<false>(limiter, fleet, slots, cost) {
        return Ok(());
    }
    let is_again = waiting.is_some_and(Waiting::is_again);
    if let Some((refusal, awaits)) = ask(limiter, fleet, host, (slots, cost), is_again) {
        let until = waiting.filter(|_| awaits).and_then(|waiting| waiting.until(|| host.monotonic()));
        return Err(until.map_or(Admission::Refused(refusal), Admission::Awaited));
    }
    // Each has them now.
    spend_all::<true>(limiter, fleet, slots, cost);
    Ok(())
}

/// So many of each, or none. `LOOKED`: the clocks were looked at just now.
fn spend_all<const LOOKED: bool>(
    limiter: &mut Limiter,
    fleet: &mut Fleet,
    slots: &[Slot],
    cost: u32,
) -> bool {
    for (index, slot) in slots.iter().enumerate() {
        let need = slot.need(cost);
        let spent = match slot.is_fleet() {
            true if LOOKED => fleet.spend_now(slot, need, || limiter.spend(slot, need)),
            true => fleet.spend(slot, need, || limiter.spend(slot, need)),
            false => limiter.spend(slot, need),
        };
        if !spent {
            for spent in slots.iter().take(index) {
                let need = spent.need(cost);
                if !spent.is_fleet() || fleet.unspend(spent, need) {
                    limiter.unspend(spent, need);
                }
            }
            return false;
        }
    }
    true
}

/// What is left of each limit, as this worker saw it last.
pub fn remaining<'a>(
    limiter: &'a Limiter,
    fleet: &'a Fleet,
    slots: &'a [Slot],
) -> impl Iterator<Item = Remaining> + 'a {
    let lent = |slot: &Slot| if slot.is_fleet() { fleet.remaining(slot) } else { None };
    slots.iter().zip(limiter.remaining(slots)).map(move |(slot, own)| lent(slot).unwrap_or(own))
}

/// Gets the tokens into the lease of every limit, or the longest refusal and whether a token may come soon. After the first refusal nothing
/// more is taken or asked for, but the other limits are looked at, or `Retry-After` would not be true.
#[cold]
fn ask<H: SharedData + Clock>(
    limiter: &mut Limiter,
    fleet: &mut Fleet,
    host: &H,
    (slots, cost): (&[Slot], u32),
    again: bool,
) -> Option<(Refusal, bool)> {
    let now = host.now();
    limiter.make_room(host, now.monotonic);
    let takes = if again { Ask::TakeAgain } else { Ask::Take };
    let (mut refused, mut awaited): (Option<Refusal>, Option<Refusal>) = (None, None);
    // What may have to be waited for comes last: nothing is wanted for a request that is refused.
    let [lent, own] =
        [true, false].map(|fleet| slots.iter().enumerate().filter(move |(_, slot)| slot.is_fleet() == fleet));
    for (index, slot) in own.chain(lent) {
        let is_free = refused.is_none();
        let answer = if slot.is_fleet() {
            fleet.refill(host, slot, now, (if is_free { takes } else { Ask::Look }, cost))
        } else {
            Answer::Alone
        };
        let wait = match answer {
            Answer::Token => None,
            Answer::Refused(wait_ns) => Some(wait_ns),
            Answer::Awaited => {
                // Nobody knows yet; a second is the shortest that a client can be told.
                awaited = awaited.or(Some(Refusal { slot: index, retry_after_ns: 0 }));
                None
            }
            Answer::Alone => limiter.refill_for(host, slot, now.monotonic, (is_free, cost)),
        };
        let longest = refused.map_or(0, |refusal| refusal.retry_after_ns);
        if let Some(retry_after_ns) = wait.filter(|wait| *wait > longest) {
            refused = Some(Refusal { slot: index, retry_after_ns });
        }
    }
    refused.map(|refusal| (refusal, false)).or(awaited.map(|refusal| (refusal, true)))
}
