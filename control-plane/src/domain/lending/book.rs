//! The book of one fleet limit: how full the bucket is, and how many tokens are out. Pure: integers in, integers out; time is a number of
//! microseconds of whoever keeps the book, which never goes back (`last`).
//!
//! The rule is strict: over any interval of length L the whole fleet admits at most `burst + L / T` requests, T being the time between
//! two. It holds because *what is lent still counts*: before anything else the bucket is at least as full as the tokens that are out.
//! Spent tokens stay in the bucket and drain like any request; returned ones leave it; what is lost ends with its lease, without credit.
//! So every fault leans to admitting less. `tests/lending` looks at every state of small numbers, and at three rules that look right.
//!
//! Leases end by *generations*: time in pieces of a lease's length. What was lent in one piece is out until the end of the next, and a
//! report names the generation of what it is of; that of a generation that has ended is ignored. `redis/flamegate_1.lua` is the same
//! rule for Redis, and is held to this one step by step.

use std::num::NonZeroU64;

use crate::contract::Limit;

/// Length of a lease, and of a generation, in microseconds.
pub const LEASE_US: u64 = crate::contract::leases::LEASE_MS as u64 * 1_000;

/// A limit's numbers as the book counts by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// T: time between two requests in the long run, in microseconds, rounded up.
    pub emission_us: NonZeroU64,
    /// Tokens in a bucket at rest.
    pub burst: u64,
    /// As of which revision of the log they were read. Those of an older one never take the place of these.
    pub revision: u64,
}

/// The state of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Book {
    /// When the bucket is empty again.
    pub tat: u64,
    /// Tokens lent in this generation that nobody has told the fate of.
    pub lent_now: u64,
    /// The same of the generation before.
    pub lent_before: u64,
    /// The generation: `last / LEASE_US`.
    pub generation: u64,
    /// The time of the last step.
    pub last: u64,
    /// T of the numbers in use.
    pub emission_us: u64,
    /// The burst in use.
    pub burst: u64,
    /// The revision of both.
    pub revision: u64,
}

/// What is asked of a book at once: a report, then a wish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Step {
    /// Tokens wanted.
    pub want: u64,
    /// The generation that the next two are of.
    pub generation: u64,
    /// Tokens on which requests were admitted.
    pub spent: u64,
    /// Tokens that will not be used.
    pub returned: u64,
    /// Requests that were admitted without tokens, while there was no book.
    pub alone: u64,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    /// Tokens.
    pub tokens: u64,
    /// Of this generation.
    pub generation: u64,
    /// What could be lent after that.
    pub left: u64,
    /// Tokens that are out after that, all holders together.
    pub out: u64,
    /// When there will be a token, in microseconds; 0 when some were lent or none was wanted.
    pub wait_us: u64,
}

impl Numbers {
    /// Of a limit, as of a revision.
    pub fn of(limit: &Limit, revision: u64) -> Self {
        let window_us = u64::from(limit.window_seconds.get()) * 1_000_000;
        let emission_us = window_us.div_ceil(u64::from(limit.requests.get()));
        Self {
            emission_us: NonZeroU64::new(emission_us).unwrap_or(NonZeroU64::MIN),
            burst: u64::from(limit.burst().get()),
            revision,
        }
    }

    /// How long a full bucket takes to be empty, in microseconds.
    pub const fn full_us(&self) -> u64 {
        self.burst.saturating_mul(self.emission_us.get())
    }
}

impl Book {
    /// A bucket at rest.
    pub const fn at_rest(now: u64, numbers: Numbers) -> Self {
        Self {
            tat: 0,
            lent_now: 0,
            lent_before: 0,
            generation: now / LEASE_US,
            last: now,
            emission_us: numbers.emission_us.get(),
            burst: numbers.burst,
            revision: numbers.revision,
        }
    }

    /// One step at engine time `now`, on the book that is there or on a new one. `since` is when the present history began to lend:
    /// what was lent before it nobody knows, so the bucket was full then. `None` for a limit that is younger than its history.
    pub fn step(
        found: Option<Self>,
        now: u64,
        since: Option<u64>,
        numbers: Numbers,
        step: Step,
    ) -> (Self, Lent) {
        let mut book = found.unwrap_or_else(|| Self::at_rest(now, numbers));
        let now = now.max(book.last);
        book.last = now;
        book.rotate(now);
        book.renumber(now, numbers);
        book.clamp(now);
        if let Some(since) = since {
            book.tat = book.tat.max(since.saturating_add(book.full_us()));
        }
        book.settle(step.generation, step.spent, step.returned);
        book.debit(now, step.alone);
        let lent = book.lend(now, step.want);
        (book, lent)
    }

    /// When the book says nothing any more that one at rest does not: it may be forgotten then.
    pub fn rests_at(&self) -> u64 {
        // What is out then counts once more when its generation ends.
        let end = |generations: u64, lent: u64| {
            let end = (self.generation + generations) * LEASE_US;
            end.saturating_add(lent.saturating_mul(self.emission_us))
        };
        self.tat.max(end(1, self.lent())).max(end(2, self.lent_now))
    }

    /// Tokens that are out.
    pub const fn lent(&self) -> u64 {
        self.lent_now + self.lent_before
    }

    /// What could be lent at `now`, and what is out, if nobody says anything.
    pub fn look(mut self, now: u64) -> Lent {
        let now = now.max(self.last);
        self.rotate(now);
        self.clamp(now);
        self.lend(now, 0)
    }

    /// The bucket is at least as full as what is out.
    fn clamp(&mut self, at: u64) {
        self.tat = self.tat.max(at.saturating_add(self.lent().saturating_mul(self.emission_us)));
    }

    /// A generation ends: what was out until now counts up to this moment, then the older one's is forgotten without credit. After two
    /// there is nothing out.
    fn rotate(&mut self, now: u64) {
        let target = now / LEASE_US;
        for _ in 0..2 {
            if self.generation >= target {
                return;
            }
            self.generation += 1;
            self.clamp(self.generation * LEASE_US);
            (self.lent_before, self.lent_now) = (self.lent_now, 0);
        }
        self.generation = target;
    }

    /// Newer numbers: what was used stays used, counted in whole requests, at most a full bucket.
    fn renumber(&mut self, now: u64, numbers: Numbers) {
        if numbers.revision <= self.revision {
            return;
        }
        let is_other = (self.emission_us, self.burst) != (numbers.emission_us.get(), numbers.burst);
        if is_other && self.tat > now {
            let used = (self.tat - now).div_ceil(self.emission_us).min(numbers.burst);
            self.tat = now.saturating_add(used.saturating_mul(numbers.emission_us.get()));
        }
        (self.emission_us, self.burst, self.revision) =
            (numbers.emission_us.get(), numbers.burst, numbers.revision);
    }

    /// A report. Of tokens that are not out it says nothing.
    fn settle(&mut self, generation: u64, spent: u64, returned: u64) {
        let lent = if generation == self.generation {
            &mut self.lent_now
        } else if generation.checked_add(1) == Some(self.generation) {
            &mut self.lent_before
        } else {
            return;
        };
        *lent -= spent.min(*lent);
        let returned = returned.min(*lent);
        *lent -= returned;
        self.tat = self.tat.saturating_sub(returned.saturating_mul(self.emission_us));
    }

    /// What was admitted without tokens fills the bucket, and no more than that.
    fn debit(&mut self, now: u64, alone: u64) {
        let debited =
            self.tat.max(now).saturating_add(alone.min(self.burst).saturating_mul(self.emission_us));
        let full = now.saturating_add(self.full_us());
        self.tat = self.tat.max(debited.min(full));
    }

    fn lend(&mut self, now: u64, want: u64) -> Lent {
        self.tat = self.tat.max(now);
        let room = now.saturating_add(self.full_us()).saturating_sub(self.tat);
        let most = room / self.emission_us;
        let tokens = want.min(most);
        self.tat += tokens * self.emission_us;
        self.lent_now += tokens;
        let wait_us = if want > 0 && tokens == 0 { self.wait_us(now) } else { 0 };
        Lent { tokens, generation: self.generation, left: most - tokens, out: self.lent(), wait_us }
    }

    /// Until there is room for one.
    fn wait_us(&self, now: u64) -> u64 {
        let one_more = self.tat.saturating_add(self.emission_us);
        one_more.saturating_sub(now.saturating_add(self.full_us()))
    }

    const fn full_us(&self) -> u64 {
        self.burst.saturating_mul(self.emission_us)
    }
}

#[cfg(test)]
mod tests;
