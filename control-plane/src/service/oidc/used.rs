//! Tickets that were brought back: each is good for one answer. Kept in this process for as long as a ticket is good, so with several
//! control planes each takes a ticket once; a code is the provider's to take once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// The tickets.
#[derive(Default)]
pub(super) struct Used(Mutex<BTreeSet<(i64, [u8; 16])>>);

/// Most of them. A stranger may bring one every few seconds; when there are more, those go that end first.
const MOST: usize = 10_000;

impl Used {
    /// Uses up the ticket with this state, which is good until then; false when it is used up already.
    pub fn take(&self, state: &str, until: i64, now: i64) -> bool {
        let hash = Sha256::digest(state);
        let mut name = [0; 16];
        name.iter_mut().zip(hash).for_each(|(byte, of)| *byte = of);
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while used.first().is_some_and(|(until, _)| *until <= now || used.len() > MOST) {
            used.pop_first();
        }
        used.insert((until, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_used_once_and_forgotten_when_it_is_over() {
        let used = Used::default();
        assert!(used.take("a", 600, 0) && used.take("b", 600, 0));
        assert!(!used.take("a", 600, 0) && !used.take("a", 600, 599));
        used.take("c", 1_300, 700);
        assert_eq!(used.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn who_brings_many_takes_no_more_memory() {
        let used = Used::default();
        for number in 0..2 * i64::try_from(MOST).unwrap() {
            assert!(used.take(&number.to_string(), 600 + number / 100, 0));
        }
        assert!(used.0.lock().unwrap().len() <= MOST + 1);
        assert!(!used.take("19999", 600 + 199, 0), "the youngest are known");
    }
}
