//! What is asked of the control plane for one account, and told of it; and what its answer changes. Pure: an entry of a pool in, an entry out.

use std::collections::HashMap;

use crate::contract::leases::{Ask, Grant};
use crate::host::{Monotonic, Now};
use crate::limit::fleet_lease::MARGIN_NS;
use crate::limit::pool::{Lent, Report, Term};
use crate::limit::pools::Entry;
use crate::limit::{Account, AccountHasher, Terms};

use super::pace::{MOST_PAUSE_NS, Pace};

/// The accounts that are in use.
pub type Paces = HashMap<Account, Pace, AccountHasher>;

/// Tokens that nobody took for so long go back, in nanoseconds.
const IDLE_NS: u64 = 200_000_000;
/// An account that nobody uses is looked at so often, in nanoseconds: for what workers tell late.
const SLOW_ROUND_NS: u64 = 1_000_000_000;
/// A pool that is used up and will be asked for soon refuses until then, and so much longer: the answer is on its way.
const GRACE_NS: u64 = 30_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// One ask of a call, in its order.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whose.
    pub account: Account,
    /// The same for the control plane.
    pub terms: Terms,
    /// Tokens.
    pub want: u32,
    /// What became of others.
    pub report: Report,
    /// Admitted by the gateway's own limiter.
    pub alone: u32,
}

/// What becomes of an account when its bucket is looked at.
pub struct Plan {
    /// Whose.
    pub account: Account,
    /// What is used of it.
    pub pace: Pace,
    /// What is asked and told.
    pub asks: Vec<Asked>,
    /// Tokens that stay.
    pub tokens: u32,
    /// Whether the entry is another one now.
    pub changed: bool,
    /// When it is to be looked at again.
    pub next: Monotonic,
}

/// Plans an account, and takes out of it what will be told.
pub fn plan(entry: &mut Entry, paces: &Paces, trip_ns: u64, now: Now) -> Plan {
    let Entry { account, demand, .. } = &*entry;
    let (account, quota, waits) = (*account, account.quota, demand.want > 0);
    let mut pace = paces.get(&account).copied().unwrap_or_else(|| Pace::new(now.monotonic));
    if entry.is_asked(now.monotonic) || !pace.is_due(now.monotonic, waits) {
        let next = pace.next(waits);
        let tokens = entry.pool.tokens();
        return Plan { account, pace, asks: Vec::new(), tokens, changed: false, next };
    }
    let was = entry.clone();
    let spent = entry.pool.reports().fold(0_u32, |sum, report| sum.saturating_add(report.spent));
    pace.used(spent, now.monotonic);
    let is_idle = now.monotonic.saturating_sub(entry.demand.used_at) >= IDLE_NS;
    let target = if is_idle { 0 } else { pace.target(quota, trip_ns) };
    entry.pool.let_go(if is_idle { 0 } else { u32::MAX }, now, MARGIN_NS);
    let missing = target.saturating_sub(entry.pool.tokens());
    let want = u64::from(missing.saturating_add(entry.demand.want)).min(quota.burst());
    let want = u32::try_from(want).unwrap_or(u32::MAX);
    let alone = quota.requests(quota.backlog_ns(entry.demand.alone, now.monotonic));
    let asks = asks(entry, want, u32::try_from(alone).unwrap_or(u32::MAX));
    entry.demand.low = target / 2;
    if !asks.is_empty() {
        (entry.demand.want, entry.demand.alone) = (0, 0);
        entry.demand.asked_at = if want > 0 { now.monotonic } else { 0 };
        pace.asked(quota, now.monotonic);
    }
    let at_rest = entry.pool.is_empty() && is_idle && asks.is_empty();
    let next = if at_rest { now.monotonic.saturating_add(SLOW_ROUND_NS) } else { pace.next(false) };
    Plan { account, pace, asks, tokens: entry.pool.tokens(), changed: *entry != was, next }
}

/// One ask for each generation that there is something to tell of, and at least one when tokens are wanted.
fn asks(entry: &mut Entry, want: u32, alone: u32) -> Vec<Asked> {
    let (account, terms) = (entry.account, entry.terms.clone());
    let mut reports: Vec<Report> = entry.pool.take_reports().collect();
    if reports.is_empty() && (want > 0 || alone > 0) {
        reports.push(Report::default());
    }
    // The wish comes last, and finds what the reports give back.
    let last = reports.len().saturating_sub(1);
    let asks = reports.into_iter().enumerate().map(|(index, report)| {
        let (want, alone) = if index == last { (want, alone) } else { (0, 0) };
        Asked { account, terms: terms.clone(), want, report, alone }
    });
    asks.collect()
}

/// An answer for one account.
pub fn take_in(entry: &mut Entry, ask: &Asked, grant: &Grant, term: Term, now: Monotonic) {
    entry.pool.put(Lent { tokens: grant.tokens.min(ask.want), generation: grant.generation, term });
    let quota = entry.account.quota;
    let demand = &mut entry.demand;
    (demand.asked_at, demand.left, demand.held_elsewhere) = (0, grant.left, grant.held_elsewhere);
    // Who waits for it takes it soon.
    demand.used_at = now;
    if grant.tokens >= ask.want {
        (demand.refused_until, demand.ask_again_at) = (0, 0);
        return;
    }
    // Those that wait and get none are refused: there is no more.
    let wait_ns = grant.retry_after_ms.saturating_mul(NANOS_PER_MILLI).max(quota.emission_ns());
    let pause = wait_ns.max(Pace::period_ns(quota).saturating_add(GRACE_NS)).min(MOST_PAUSE_NS);
    demand.refused_until = now.saturating_add(wait_ns);
    demand.ask_again_at = now.saturating_add(pause);
}

/// When a bucket with these accounts is looked at again; one that is empty when somebody says that it is not.
pub fn next_look(plans: &[Plan], now: Monotonic) -> Monotonic {
    let next = plans.iter().map(|plan| plan.next).min();
    next.map_or(Monotonic::MAX, |next| next.max(now.saturating_add(1)))
}

impl Asked {
    /// As the control plane reads it.
    pub fn ask(&self) -> Ask {
        Ask {
            owner: self.terms.owner.clone(),
            scope: self.terms.scope,
            name: self.terms.name.clone(),
            want: self.want,
            spent: self.report.spent,
            returned: self.report.returned,
            generation: self.report.generation,
            alone: self.alone,
        }
    }
}
