//! What a row may add to a request: one list for the report's goals and for what `bench-check` bounds.
//!
//! Who builds something that costs more on the request path names it here, with what it may cost; nothing else raises a bound.

use super::USUAL_KEYS;

/// What a row may add.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The row.
    pub row: &'static str,
    /// The size of its table.
    pub keys: u32,
    /// What was asked for.
    pub asked: f64,
    /// What came after that and may cost something, and how much.
    pub since: &'static [(&'static str, f64)],
    /// What was reached on a calm machine without any of that, where the host's floor stands above the goal.
    pub reached: Option<f64>,
    /// Counted on a busy machine, the same build shows so much more. `None`: `bench-check` does not measure the row.
    pub busy: Option<f64>,
}

/// Counting what keys are used for (docs/adr/0039-usage.md), bare and with headers.
const USAGE_BARE: &[(&str, f64)] = &[("usage", 250.0)];
const USAGE: &[(&str, f64)] = &[("usage", 300.0)];

/// All of them. What the floor is made of is in docs/PERFORMANCE.md ("Where they go").
pub const GOALS: [Goal; 9] = [
    Goal {
        row: "bare-hot",
        keys: USUAL_KEYS,
        asked: 20_500.0,
        since: USAGE_BARE,
        reached: None,
        busy: Some(150.0),
    },
    Goal {
        row: "headers-hot",
        keys: USUAL_KEYS,
        asked: 39_500.0,
        since: USAGE,
        reached: Some(40_000.0),
        busy: Some(300.0),
    },
    Goal {
        row: "headers-forged-all",
        keys: USUAL_KEYS,
        asked: 40_000.0,
        since: USAGE,
        reached: None,
        busy: None,
    },
    Goal {
        row: "shipped-hot",
        keys: USUAL_KEYS,
        asked: 38_000.0,
        since: USAGE,
        reached: Some(38_850.0),
        busy: Some(350.0),
    },
    Goal {
        row: "missing",
        keys: USUAL_KEYS,
        asked: 26_000.0,
        since: &[],
        reached: Some(31_000.0),
        busy: None,
    },
    Goal {
        row: "random",
        keys: USUAL_KEYS,
        asked: 33_000.0,
        since: USAGE,
        reached: Some(37_400.0),
        busy: Some(400.0),
    },
    // Each looks at the clock.
    Goal {
        row: "used-up",
        keys: USUAL_KEYS,
        asked: 33_500.0,
        since: USAGE,
        reached: Some(38_700.0),
        busy: Some(900.0),
    },
    Goal {
        row: "ratelimit-hot",
        keys: USUAL_KEYS,
        asked: 37_000.0,
        since: USAGE,
        // Below what was asked for, and it shall stay there.
        reached: Some(32_200.0),
        busy: Some(400.0),
    },
    Goal {
        row: "bare-scattered",
        keys: 1_000_000,
        asked: 50_000.0,
        since: USAGE_BARE,
        reached: None,
        busy: None,
    },
];

/// Rows that are held against another one: what the first may add beyond the second.
pub const BESIDE: [(&str, &str, f64); 5] = [
    ("fleet-limit-hot", "gateway-limit-hot", 500.0),
    ("bare-restricted", "bare-hot", 800.0),
    ("header-hot", "stripped-hot", 200.0),
    ("shipped-header-hot", "shipped-hot", 200.0),
    ("route-hot", "bare-hot", 3_000.0),
];

impl Goal {
    /// What came since, together.
    pub fn since(&self) -> f64 {
        self.since.iter().map(|(_, instructions)| instructions).sum()
    }

    /// What the row adds at most where it is counted again, on whatever machine; `None` where it is not.
    pub fn bound(&self) -> Option<f64> {
        self.busy.map(|busy| self.reached.unwrap_or(self.asked) + self.since() + busy)
    }
}
