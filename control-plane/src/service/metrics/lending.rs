//! What is counted of fleet limits.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

use crate::books::Away;
use crate::contract::leases::Ask;
use crate::domain::lending::Lent;

/// Lending, counted. Clones share it.
#[derive(Clone)]
pub struct LendingMetrics {
    calls: IntCounterVec,
    tokens: IntCounterVec,
    refused: IntCounterVec,
    engine: Histogram,
    lending: IntGauge,
}

/// Seconds; memory answers at once, an engine within a millisecond or two.
const BUCKETS: [f64; 9] = [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1.0];

/// Other gateways have none of a limit's tokens, or some.
const OTHERS: [&str; 2] = ["none", "hold"];

impl LendingMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counters =
            |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
        let this = Self {
            calls: counters(
                "fleet_limits_calls_total",
                "Calls of gateways for tokens of fleet limits, by result.",
                "result",
            )?,
            tokens: counters(
                "fleet_limits_tokens_total",
                "Tokens of fleet limits, by what became of them.",
                "kind",
            )?,
            refused: counters(
                "fleet_limits_refused_total",
                "Asks for tokens of fleet limits that got none, by whether other gateways held some of that limit.",
                "others",
            )?,
            engine: Histogram::with_opts(
                HistogramOpts::new("fleet_limits_engine_seconds", "Time that the engine took for a call.")
                    .buckets(BUCKETS.to_vec()),
            )?,
            lending: IntGauge::new(
                "fleet_limits_lending",
                "0 when the last call of a gateway for tokens got none because the engine is away or its history has just begun.",
            )?,
        };
        registry.register(Box::new(this.calls.clone()))?;
        registry.register(Box::new(this.tokens.clone()))?;
        registry.register(Box::new(this.refused.clone()))?;
        registry.register(Box::new(this.engine.clone()))?;
        registry.register(Box::new(this.lending.clone()))?;
        // An increase from nothing to one is none to Prometheus.
        for result in ["lent", "silent", "away"] {
            this.calls.with_label_values(&[result]);
        }
        for others in OTHERS {
            this.refused.with_label_values(&[others]);
        }
        this.lending.set(1);
        Ok(this)
    }

    /// A call that was answered.
    pub fn lent(&self, lent: &[Lent], asks: &[Ask], took: Duration) {
        self.calls.with_label_values(&["lent"]).inc();
        self.lending.set(1);
        self.engine.observe(took.as_secs_f64());
        let sum = |of: fn(&Ask) -> u32| asks.iter().map(|ask| u64::from(of(ask))).sum();
        for (kind, number) in [
            ("lent", lent.iter().map(|lent| lent.tokens).sum()),
            ("spent", sum(|ask| ask.spent)),
            ("returned", sum(|ask| ask.returned)),
            ("alone", sum(|ask| ask.alone)),
        ] {
            self.tokens.with_label_values(&[kind]).inc_by(number);
        }
    }

    /// An ask that got none, while others held some or not.
    pub fn refused(&self, others_hold: bool) {
        let [none, hold] = OTHERS;
        self.refused.with_label_values(&[if others_hold { hold } else { none }]).inc();
    }

    /// A call that got nothing.
    pub fn away(&self, away: &Away) {
        let result = match away {
            Away::Silent => "silent",
            Away::Engine(_) => "away",
        };
        self.calls.with_label_values(&[result]).inc();
        self.lending.set(0);
    }
}
