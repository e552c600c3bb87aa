//! Who holds how many tokens, as far as this control plane has lent them: for people, and for a gateway that counts refusals while others hold
//! some. The bound rests on the book alone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::lending::{Lent, Step};

/// Tokens that are out, by book and gateway.
#[derive(Default)]
pub(super) struct Holders(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    held: HashMap<String, HashMap<String, Held>>,
    entries: usize,
}

/// What a gateway holds of one limit.
#[derive(Clone, Copy, Default)]
struct Held {
    generation: u64,
    now: u64,
    before: u64,
}

/// Most gateways that are remembered, each limit's counted by itself.
const MOST: usize = 100_000;

impl Holders {
    /// Notes what came of a step of a gateway; what it holds after that.
    pub fn note(&self, subject: &str, gateway: &str, step: &Step, lent: &Lent) -> u64 {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lent.tokens == 0 && step.spent == 0 && step.returned == 0 {
            let held = inner.held.get(subject).and_then(|of_subject| of_subject.get(gateway)).copied();
            return held.map_or(0, |held| held.at(lent.generation));
        }
        if inner.entries >= MOST {
            inner.sweep(lent.generation);
        }
        if inner.entries >= MOST && inner.held.get(subject).is_none_or(|of| !of.contains_key(gateway)) {
            return lent.tokens;
        }
        let of_subject = inner.held.entry(subject.to_owned()).or_default();
        let before = of_subject.len();
        let held = of_subject.entry(gateway.to_owned()).or_default();
        held.move_to(lent.generation);
        let told = step.spent.saturating_add(step.returned);
        if step.generation == held.generation {
            held.now = held.now.saturating_sub(told);
        } else if step.generation.checked_add(1) == Some(held.generation) {
            held.before = held.before.saturating_sub(told);
        }
        held.now += lent.tokens;
        let holds = held.now + held.before;
        let added = of_subject.len() - before;
        inner.entries += added;
        holds
    }

    /// Gateways that hold tokens of a limit, those with most first. `generation` is the book's.
    pub fn of(&self, subject: &str, generation: u64) -> Vec<(String, u64)> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = inner.held.get(subject).into_iter().flatten();
        let mut held: Vec<_> = held
            .map(|(gateway, held)| (gateway.clone(), held.at(generation)))
            .filter(|(_, tokens)| *tokens > 0)
            .collect();
        held.sort_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
        held
    }
}

impl Inner {
    fn sweep(&mut self, generation: u64) {
        for of_subject in self.held.values_mut() {
            of_subject.retain(|_, held| {
                held.generation.saturating_add(1) >= generation && held.generation <= generation
            });
        }
        self.held.retain(|_, of_subject| !of_subject.is_empty());
        self.entries = self.held.values().map(HashMap::len).sum();
    }
}

impl Held {
    /// What is held in a generation, if nobody says anything.
    fn at(mut self, generation: u64) -> u64 {
        self.move_to(generation);
        self.now + self.before
    }

    fn move_to(&mut self, generation: u64) {
        if generation == self.generation {
            return;
        }
        self.before = if self.generation.checked_add(1) == Some(generation) { self.now } else { 0 };
        (self.now, self.generation) = (0, generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_held_until_they_are_told_of_or_end() {
        let holders = Holders::default();
        let lent = |tokens, generation| Lent { tokens, generation, ..Lent::default() };
        let told = |spent, generation| Step { spent, generation, ..Step::default() };
        assert_eq!(holders.note("s", "a", &Step::default(), &lent(5, 10)), 5);
        assert_eq!(holders.note("s", "b", &Step::default(), &lent(7, 10)), 7);
        assert_eq!(holders.of("s", 10), [("b".to_owned(), 7), ("a".to_owned(), 5)]);
        assert_eq!(holders.note("s", "b", &told(4, 10), &lent(0, 11)), 3);
        // Who is lent nothing and tells nothing holds what it held, and in the end nothing.
        assert_eq!([11, 12].map(|now| holders.note("s", "b", &Step::default(), &lent(0, now))), [3, 0]);
        assert_eq!(holders.note("t", "b", &Step::default(), &lent(0, 11)), 0);
        assert_eq!(holders.of("s", 11), [("a".to_owned(), 5), ("b".to_owned(), 3)]);
        assert!(holders.of("s", 12).is_empty() && holders.of("t", 10).is_empty());
    }
}
