//! How long a poll may be held on this way to the control plane. What stands between (a balancer, a NAT) may cut a poll before the
//! control plane answers it. When nothing changes no answer would ever come then, and nothing would confirm the table.
//!
//! So a poll that was cut makes the next ones shorter at once, and answers make them longer again, slowly. How long the cut one
//! lived is remembered: up to just below that it grows soon, beyond it only after many answers.

/// How much longer than its hold time a poll may take before it counts as lost, in seconds.
pub const POLL_GRACE_SECONDS: u32 = 5;

/// What is asked for as `wait`, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The configured wait: never longer.
    most: u32,
    wait: u32,
    /// How long the last poll lived that was cut; `most` and more when that is forgotten.
    cut_at: u32,
    /// Answers since `wait` or `cut_at` last changed.
    answers: u32,
}

/// The shortest wait: below it polls would not be held but come one after the other.
const FLOOR_SECONDS: u32 = 1;
/// A poll that failed sooner was refused, not cut, in nanoseconds.
pub const REFUSED_NS: u64 = 500_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// So many answers in a row, and a longer wait is tried.
const ANSWERS_TO_GROW: u32 = 8;
/// So many just below a length that was cut, and that is tried once more: the balancer may have another setting now.
const ANSWERS_TO_FORGET: u32 = 64;

impl Patience {
    /// Nothing was cut yet.
    pub const fn new(most: u32) -> Self {
        Self { most, wait: most, cut_at: u32::MAX, answers: 0 }
    }

    /// How long the next poll may be held, in seconds.
    pub const fn wait(&self) -> u32 {
        self.wait
    }

    /// A poll failed after this time.
    pub fn cut(&mut self, after_ns: u64) {
        if after_ns < REFUSED_NS {
            return;
        }
        let seconds = u32::try_from(after_ns / NANOS_PER_SECOND).unwrap_or(u32::MAX);
        // Of one that was given up nobody knows when it was lost. The host's timers may be some milliseconds early.
        let given_up =
            u64::from(self.wait.saturating_add(POLL_GRACE_SECONDS)).saturating_mul(NANOS_PER_SECOND);
        let is_silent = after_ns >= given_up.saturating_sub(REFUSED_NS);
        self.cut_at = seconds.min(self.wait);
        let shorter = if is_silent { self.cut_at / 4 } else { self.cut_at / 2 };
        self.wait = shorter.max(FLOOR_SECONDS);
        self.answers = 0;
    }

    /// A poll was held to its end and answered.
    pub fn answered(&mut self) {
        if self.wait >= self.most {
            return;
        }
        self.answers = self.answers.saturating_add(1);
        let top = self.most.min(self.cut_at.saturating_sub(1)).max(FLOOR_SECONDS);
        let longer = self.wait.saturating_add((self.wait / 2).max(1));
        if self.wait < top && self.answers >= ANSWERS_TO_GROW {
            self.wait = longer.min(top);
            self.answers = 0;
        } else if self.answers >= ANSWERS_TO_FORGET {
            self.cut_at = u32::MAX;
            self.wait = longer.min(self.most);
            self.answers = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(cuts: &[u64]) -> Patience {
        let mut patience = Patience::new(25);
        for seconds in cuts {
            patience.cut(seconds * NANOS_PER_SECOND);
        }
        patience
    }

    #[test]
    fn a_cut_poll_makes_the_next_ones_live_half_as_long_as_it_did() {
        assert_eq!(after(&[]).wait(), 25);
        assert_eq!(after(&[10]).wait(), 5);
        assert_eq!(after(&[24]).wait(), 12);
        assert_eq!(after(&[10, 4]).wait(), 2);
        assert_eq!(after(&[3, 1, 1, 1]).wait(), FLOOR_SECONDS);
        assert_eq!(after(&[0, 0]).wait(), 25, "refused at once is not cut");
        // Given up by the gateway: it may have been lost at once.
        assert_eq!(after(&[30]).wait(), 6);
        let mut early = Patience::new(25);
        early.cut(30 * NANOS_PER_SECOND - 5_000_000);
        assert_eq!(early.wait(), 6);
        for _ in 0..9 {
            early.cut(30 * NANOS_PER_SECOND);
        }
        assert_eq!(early.wait(), FLOOR_SECONDS);
    }

    #[test]
    fn answers_make_it_longer_up_to_what_was_cut_and_later_beyond_it() {
        let mut patience = after(&[10]);
        let mut waits = vec![patience.wait()];
        for _ in 0..400 {
            patience.answered();
            if waits.last() != Some(&patience.wait()) {
                waits.push(patience.wait());
            }
        }
        assert_eq!(waits, [5, 7, 9, 13, 19, 25]);
        // A balancer that still cuts at ten seconds is met once in that many answers.
        let mut patience = after(&[10]);
        let mut polls = 0;
        while patience.wait() < 10 {
            patience.answered();
            polls += 1;
        }
        assert_eq!(polls, 2 * ANSWERS_TO_GROW + ANSWERS_TO_FORGET);
    }

    #[test]
    fn it_never_asks_for_more_than_is_configured() {
        let mut patience = Patience::new(1);
        for _ in 0..3 {
            patience.cut(NANOS_PER_SECOND);
            (0..200).for_each(|_| patience.answered());
            assert_eq!(patience.wait(), 1);
        }
    }
}
