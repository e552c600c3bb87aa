//! The gateway's part of a fleet limit, as pure transitions: tokens that the control plane has lent to this process for one account, and
//! what it will be told of them. The rule of the book that lends them is the control plane's; what a holder owes it is all here:
//!
//! - A token is used before its lease ends ([`Term`]), keeps that end wherever it moves, and is nobody's afterwards.
//! - *Spent* means admitted. What a worker holds is lent, and so is what a worker that died held.
//! - What is reported leaves the pool when it is taken to be sent ([`Pool::take_reports`]), so it is sent once or never.
//!
//! Each transition only loses tokens or keeps their number: whoever carries out all of them in any order, or stops at any time, never
//! has more than was granted.

use crate::host::{Monotonic, Now};

/// Until when a token may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Term {
    /// The first moment at which it may not, on the monotonic clock.
    pub end: Monotonic,
    /// How far the wall clock was ahead of the monotonic one when it was asked for. When it is more than `SLEPT_NS` further ahead, the
    /// machine slept: the monotonic clock stood still, and the lease ended meanwhile.
    pub ahead: u64,
}

/// Tokens of one grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lent {
    /// How many.
    pub tokens: u32,
    /// The book's generation that lent them.
    pub generation: u64,
    /// Until when they may be used.
    pub term: Term,
}

/// What is told of one generation's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// Whose tokens.
    pub generation: u64,
    /// Admitted with them.
    pub spent: u32,
    /// Not used, and not going to be.
    pub returned: u32,
}

/// Tokens lent to this process for one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pool {
    /// The older first. Without tokens a place is free.
    pub(super) lent: [Lent; 2],
    /// The one that was told of first is the first. The book knows two generations, so two places are enough.
    pub(super) reports: [Report; 2],
}

/// A holder's clock may be slow: it stops this part of a lease before its end, in percent.
const ENDS_EARLY_PERCENT: u64 = 5;
/// A wall clock that ran ahead of the monotonic one by more than this has seen the machine sleep, in nanoseconds.
const SLEPT_NS: u64 = 1_000_000_000;

impl Term {
    /// Of a lease of so many nanoseconds that was asked for at `asked`.
    pub fn new(asked: Now, lease_ns: u64) -> Self {
        let early = lease_ns.saturating_mul(ENDS_EARLY_PERCENT) / 100;
        Self {
            end: asked.monotonic.saturating_add(lease_ns.saturating_sub(early)),
            ahead: asked.wall.saturating_sub(asked.monotonic),
        }
    }

    /// True from its end on; `margin_ns` earlier for who does not look again before.
    pub const fn is_over(self, now: Now, margin_ns: u64) -> bool {
        let ahead = now.wall.saturating_sub(now.monotonic);
        now.monotonic.saturating_add(margin_ns) >= self.end || ahead.saturating_sub(self.ahead) > SLEPT_NS
    }

    fn sooner(self, other: Self) -> Self {
        Self { end: self.end.min(other.end), ahead: self.ahead.min(other.ahead) }
    }
}

impl Pool {
    /// Tokens that are here.
    pub fn tokens(&self) -> u32 {
        self.lent.iter().fold(0, |sum, lent| sum.saturating_add(lent.tokens))
    }

    /// True when nothing is here and nothing is to be told.
    pub fn is_empty(&self) -> bool {
        self.tokens() == 0 && self.reports.iter().all(Report::is_empty)
    }

    /// Takes tokens in: a grant, or what a worker had and did not use. When there are more ends than places, those that end first go back: added to
    /// others, few of them would let many end sooner.
    pub fn put(&mut self, new: Lent) {
        if new.tokens == 0 {
            return;
        }
        let is_free = |lent: &&mut Lent| lent.tokens == 0;
        let is_same = |lent: &&mut Lent| lent.generation == new.generation && lent.term == new.term;
        if let Some(same) = self.lent.iter_mut().find(is_same) {
            same.tokens = same.tokens.saturating_add(new.tokens);
        } else if let Some(free) = self.lent.iter_mut().find(is_free) {
            *free = new;
        } else {
            self.replace_first(new);
        }
        self.lent.sort_by_key(|lent| (lent.tokens == 0, lent.term.end));
    }

    /// Takes `need` tokens out that are used at once, or up to `most`; nothing when there are fewer, and none that end within `margin_ns`. They
    /// are of one generation and one end, those that end first where these are enough. Two ends of one generation become the sooner where
    /// neither has enough.
    pub fn take(&mut self, need: u32, most: u32, now: Now, margin_ns: u64) -> Option<Lent> {
        let is_here = |lent: &Lent| lent.tokens > 0 && !lent.term.is_over(now, margin_ns);
        if let Some(lent) = self.lent.iter_mut().find(|lent| lent.tokens >= need && is_here(lent)) {
            let tokens = most.max(need).min(lent.tokens);
            lent.tokens = lent.tokens.saturating_sub(tokens);
            return Some(Lent { tokens, ..*lent });
        }
        let [first, second] = &mut self.lent;
        let together = first.tokens.saturating_add(second.tokens);
        let is_one = first.generation == second.generation && is_here(first) && is_here(second);
        if !is_one || together < need {
            return None;
        }
        let term = first.term.sooner(second.term);
        let tokens = most.clamp(need, together);
        let taken = Lent { tokens, generation: first.generation, term };
        second.tokens = together.saturating_sub(tokens);
        *first = Lent::default();
        self.lent.sort_by_key(|lent| (lent.tokens == 0, lent.term.end));
        Some(taken)
    }

    /// Notes that so many tokens of a generation were used.
    pub fn spent(&mut self, generation: u64, tokens: u32) {
        self.report(generation, tokens, 0);
    }

    /// Gives back all that is here but `keep` tokens, and whatever nobody may use any more but the book still counts: what ends within
    /// `margin_ns`. What has ended is dropped; the book has done the same.
    pub fn let_go(&mut self, keep: u32, now: Now, margin_ns: u64) {
        let mut keep = keep;
        // The newer ones are kept: they can be used longer.
        for index in [1, 0] {
            let Some(lent) = self.lent.get_mut(index) else { continue };
            let kept = if lent.term.is_over(now, margin_ns) { 0 } else { keep.min(lent.tokens) };
            let gone = Lent { tokens: lent.tokens.saturating_sub(kept), ..*lent };
            lent.tokens = kept;
            keep = keep.saturating_sub(kept);
            if !gone.term.is_over(now, 0) {
                self.report(gone.generation, 0, gone.tokens);
            }
        }
    }

    /// What is to be told. It is not here any more: it is sent once, or lost.
    pub fn take_reports(&mut self) -> impl Iterator<Item = Report> + use<> {
        std::mem::take(&mut self.reports).into_iter().filter(|report| !report.is_empty())
    }

    /// What is to be told.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(|report| !report.is_empty())
    }

    /// Of three ends the first goes back.
    fn replace_first(&mut self, new: Lent) {
        let [first, _] = &mut self.lent;
        let gone = if first.term.end < new.term.end { std::mem::replace(first, new) } else { new };
        self.report(gone.generation, 0, gone.tokens);
    }

    fn report(&mut self, generation: u64, spent: u32, returned: u32) {
        if spent == 0 && returned == 0 {
            return;
        }
        // Generations have no order here. The one that was first told of makes room: the book knows two.
        if self.reports.iter().all(|report| report.generation != generation || report.is_empty()) {
            let [older, newer] = &mut self.reports;
            if !newer.is_empty() {
                *older = *newer;
            }
            *newer = Report { generation, spent: 0, returned: 0 };
        }
        if let Some(report) = self.reports.iter_mut().rev().find(|report| report.generation == generation) {
            report.spent = report.spent.saturating_add(spent);
            report.returned = report.returned.saturating_add(returned);
        }
    }
}

impl Report {
    /// True when it says nothing.
    pub const fn is_empty(&self) -> bool {
        self.spent == 0 && self.returned == 0
    }
}

#[cfg(test)]
mod tests;
