//! What passes in shadow in this worker, until it is handed over: requests by reason, and of each key what it would have been refused for.
//! The keys' counts are those that [`super::active`] has, so a request is counted there once and in shadow by its reason alone; where
//! nothing is in shadow, neither costs anything.
//!
//! It has a cell of its own, because a filter of before that leads the process's sync would not understand it and lose what lies behind.

use std::collections::BTreeMap;

use super::bag::{Tally, put_reason, put_shadow};
use super::cells::{SHADOW_CELL, append_to};
use crate::contract::usage::UsageOutcome;
use crate::decision::known_key::KnownKey;
use crate::host::{SharedData, Write};

/// Most bytes that wait where nobody takes them; more are forgotten. It is what the keys of one hand-over take at most.
const MOST_WAITING: usize = 524_288;

#[derive(Debug, Default)]
pub struct Shadow {
    /// True where everything passes.
    everything: bool,
    reasons: BTreeMap<&'static str, u64>,
    /// Entries on their way.
    waiting: Vec<u8>,
}

impl Shadow {
    /// Of a worker in whose configuration everything passes, or single keys do.
    pub fn new(everything: bool) -> Self {
        Self { everything, ..Self::default() }
    }

    /// Counts a request that would have been refused for this reason.
    pub fn count(&mut self, reason: &'static str) {
        let count = self.reasons.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// Takes what a key's requests of this minute would have been refused for, of the counts that it has.
    pub fn take(&mut self, key: &KnownKey, minute: u32, counts: &Tally) {
        let record = key.record();
        if !self.everything && !record.shadow {
            return;
        }
        let mut passed = Tally::default();
        for (outcome, count) in UsageOutcome::ALL.into_iter().zip(counts) {
            let passes = match outcome {
                UsageOutcome::Admitted => false,
                UsageOutcome::RateLimited | UsageOutcome::Forbidden => true,
                // A key in shadow is good for no longer.
                UsageOutcome::Expired | UsageOutcome::Environment => self.everything,
            };
            if let Some(sum) = passed.get_mut(outcome as usize).filter(|_| passes) {
                *sum = *count;
            }
        }
        if passed.iter().any(|count| *count > 0) && self.waiting.len() < MOST_WAITING {
            put_shadow(&mut self.waiting, &record.id, minute, &passed);
        }
    }

    /// Hands over what there is, requests by reason as of this minute. What cannot be handed over waits.
    pub fn hand_over<H: SharedData>(&mut self, host: &H, minute: u32) {
        for (reason, count) in std::mem::take(&mut self.reasons) {
            if self.waiting.len() < MOST_WAITING {
                put_reason(&mut self.waiting, reason, minute, count);
            }
        }
        if !self.waiting.is_empty() && append_to(host, SHADOW_CELL, &self.waiting) == Ok(Write::Stored) {
            self.waiting = Vec::new();
        }
    }
}
