//! Histories: which one a grant is of, and when it may lend.

use crate::domain::lending::{Lent, Step};

/// A time in which nothing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Its name: 32 random bits, or as good as.
    pub mark: u32,
    /// When it began to lend, by its engine's clock in microseconds. Nothing is lent before.
    pub opens_at: u64,
    /// The newest rows when it began. What came later owes nothing from before.
    pub rows: Rows,
}

/// The newest rows of keys and workspaces, as the database numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Of keys.
    pub keys: i64,
    /// Of workspaces.
    pub workspaces: i64,
}

impl Rows {
    /// Nobody is younger than that.
    pub const UNKNOWN: Self = Self { keys: i64::MAX, workspaces: i64::MAX };
}

impl History {
    /// What gateways are told of a generation: reports of another history's are nobody's.
    pub const fn told(self, generation: u64) -> u64 {
        ((self.mark as u64) << 32) | (generation & 0xffff_ffff)
    }

    /// A step as the book is asked for it: reports of grants of another history say nothing.
    pub fn own(self, step: Step, now: u64) -> Step {
        let short = step.generation & 0xffff_ffff;
        if step.generation >> 32 == u64::from(self.mark) {
            // The lower half is enough to tell two neighbours.
            let upper = (now / crate::domain::lending::book::LEASE_US) & !0xffff_ffff;
            Step { generation: upper | short, ..step }
        } else {
            Step { generation: 0, spent: 0, returned: 0, ..step }
        }
    }

    /// What gateways are told of a grant.
    pub fn tell(self, lent: Lent) -> Lent {
        Lent { generation: self.told(lent.generation), ..lent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lending::book::LEASE_US;

    #[test]
    fn a_report_is_of_its_history_or_of_none() {
        let (one, other) = (
            History { mark: 7, opens_at: 0, rows: Rows::UNKNOWN },
            History { mark: 8, opens_at: 0, rows: Rows::UNKNOWN },
        );
        let now = 1_770_000_000 * LEASE_US;
        let step = Step { generation: one.told(1_770_000_000), spent: 3, returned: 2, want: 1, alone: 4 };
        assert_eq!(one.own(step, now), Step { generation: 1_770_000_000, ..step });
        assert_eq!(other.own(step, now), Step { generation: 0, spent: 0, returned: 0, want: 1, alone: 4 });
    }
}
