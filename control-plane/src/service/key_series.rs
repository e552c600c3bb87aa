//! Series of single keys for Prometheus, where somebody has asked for them: a series is kept for ever, and keys are many, so there is a most.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounterVec, Opts, Registry};

use crate::contract::usage::OTHER_KEYS;
use crate::domain::usage::Tally;

/// Requests by key. Clones share it.
#[derive(Clone)]
pub struct KeySeries {
    requests: IntCounterVec,
    most: usize,
    known: Arc<Mutex<HashSet<String>>>,
}

impl KeySeries {
    /// Series of at most so many keys; `None` where there are to be none.
    pub fn new(most: usize, registry: &Registry) -> prometheus::Result<Option<Self>> {
        if most == 0 {
            return Ok(None);
        }
        let help = "Requests by API key and outcome, as the gateways have posted them to this control plane since its start: add those of all \
                    control planes up.";
        let requests = IntCounterVec::new(Opts::new("key_requests_total", help), &["key_id", "outcome"])?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Some(Self { requests, most, known: Arc::default() }))
    }

    /// Counts requests of a key: the first `most` keys have series of their own, what is beyond them counts as that of `other`.
    pub fn count(&self, id: &str, tally: &Tally) {
        let id = if self.is_told(id) { id } else { OTHER_KEYS };
        for (outcome, requests) in Tally::OUTCOMES.into_iter().zip(tally.outcomes()) {
            if requests > 0 {
                self.requests.with_label_values(&[id, outcome]).inc_by(requests);
            }
        }
    }

    fn is_told(&self, id: &str) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(id) || known.len() < self.most && known.insert(id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_most_is_one_series() {
        let registry = Registry::new();
        assert!(KeySeries::new(0, &registry).unwrap().is_none());
        let series = KeySeries::new(2, &registry).unwrap().unwrap();
        let tally = |admitted| Tally { admitted, ..Tally::default() };
        for round in 1..=2 {
            (0..1_000).for_each(|key| series.count(&format!("key_{key}"), &tally(round)));
        }
        let of = |id| series.requests.with_label_values(&[id, "admitted"]).get();
        assert_eq!((of("key_0"), of("key_1"), of(OTHER_KEYS)), (3, 3, 998 * 3));
        assert_eq!(registry.gather()[0].get_metric().len(), 3, "an outcome that never was has no series");
    }
}
