//! What clients saw of each key, and what the control plane may have counted of it: everything that was answered, less what a process that
//! died had not handed on, and at most what was asked.

use std::{
    collections::{BTreeMap, VecDeque},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Requests by key.
#[derive(Default)]
pub struct Ledger {
    keys: BTreeMap<String, Seen>,
    /// Admitted requests of the last seconds, for what a worker may take with it.
    recent: VecDeque<(Instant, String)>,
}

/// What was seen of a key.
#[derive(Clone, Debug, Default)]
struct Seen {
    admitted: u64,
    limited: u64,
    refused: u64,
    /// Those of them that may have been admitted: an open request ends when its key does.
    ended: u64,
    /// No answer, or a 503: they may have been counted, or not.
    unknown: u64,
    /// Admitted or limited ones that may be lost.
    lost: u64,
}

/// A worker's VM takes its last second with it; the rest is for machines on which a second is long.
const OF_A_WORKER: Duration = Duration::from_secs(5);
/// Gateways post every ten seconds, and up to a minute later after failures.
const PATIENCE: Duration = Duration::from_secs(150);

impl Ledger {
    /// What came of one request; `None` for no answer. `was_good`: its key may have been when it began.
    pub fn note(&mut self, id: &str, status: Option<u16>, was_good: bool) {
        let now = Instant::now();
        let seen = self.keys.entry(id.to_owned()).or_default();
        match status {
            Some(200) => seen.admitted += 1,
            Some(429) => seen.limited += 1,
            Some(401) => {
                seen.refused += 1;
                seen.ended += u64::from(was_good);
            }
            _ => seen.unknown += 1,
        }
        if matches!(status, Some(200 | 429)) {
            self.recent.push_back((now, id.to_owned()));
        }
        while self.recent.front().is_some_and(|(at, _)| now - *at > OF_A_WORKER) {
            self.recent.pop_front();
        }
    }

    /// Workers died: of what they answered in their last second nothing may be known.
    pub fn workers_died(&mut self) {
        let now = Instant::now();
        for (_, id) in self.recent.drain(..).filter(|(at, _)| now - *at <= OF_A_WORKER) {
            if let Some(seen) = self.keys.get_mut(&id) {
                seen.lost += 1;
            }
        }
    }

    /// A gateway died: what is not `counted` by now may be lost.
    pub fn gateway_died(&mut self, mut counted: impl FnMut(&str) -> Option<Value>) {
        for (id, seen) in &mut self.keys {
            let Some(totals) = counted(id) else { continue };
            let counted = of(&totals, "admitted") + of(&totals, "rate_limited");
            seen.lost = seen.lost.max((seen.admitted + seen.limited).saturating_sub(counted));
        }
        self.recent.clear();
    }

    /// Waits until the control plane has counted what it must have. Panics when it never does, or has counted more than there was.
    pub fn assert_counted(&self, mut counted: impl FnMut(&str) -> Option<Value>) {
        let begin = Instant::now();
        let mut left: Vec<_> = self.keys.iter().filter(|(id, _)| id.starts_with("key_")).collect();
        let sum = |count: fn(&Seen) -> u64| left.iter().map(|(_, seen)| count(seen)).sum::<u64>();
        println!(
            "usage of {} keys: {} admitted, {} limited, {} without an answer, at most {} lost",
            left.len(),
            sum(|seen| seen.admitted),
            sum(|seen| seen.limited),
            sum(|seen| seen.unknown),
            sum(|seen| seen.lost)
        );
        loop {
            let mut last = String::new();
            left.retain(|(id, seen)| {
                let Some(totals) = counted(id) else { return true };
                assert!(seen.may_be(&totals), "{id}: {seen:?}, but more was counted: {totals}");
                if seen.is_all(&totals) {
                    return false;
                }
                last = format!("{id}: {seen:?}, counted: {totals}");
                true
            });
            if left.is_empty() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{} keys are not counted, such as {last}", left.len());
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Seen {
    /// No outcome has more than was asked for.
    fn may_be(&self, totals: &Value) -> bool {
        let refused = of(totals, "expired") + of(totals, "revoked") + of(totals, "environment");
        of(totals, "admitted") <= self.admitted + self.unknown + self.ended
            && of(totals, "rate_limited") <= self.limited + self.unknown
            && refused <= self.refused + self.unknown
    }

    /// Nothing is missing but what may be lost.
    fn is_all(&self, totals: &Value) -> bool {
        of(totals, "admitted") + of(totals, "rate_limited") + self.lost >= self.admitted + self.limited
    }
}

fn of(totals: &Value, outcome: &str) -> u64 {
    totals[outcome].as_u64().unwrap_or_default()
}
