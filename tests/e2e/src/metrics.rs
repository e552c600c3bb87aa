//! Envoy's Prometheus page, read back.

use std::collections::BTreeMap;

/// Samples by their full name, labels included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the text form of Prometheus.
    pub fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The value of a sample whose name has no labels, or of the first one that has.
    pub fn value(&self, name: &str) -> Option<f64> {
        let is_it = |full: &str| full.split('{').next() == Some(name);
        self.0.iter().find(|(full, _)| is_it(full)).map(|(_, value)| *value)
    }

    /// Requests with this verdict and reason; 0 when the counter is not there yet.
    pub fn requests(&self, verdict: &str, reason: &str) -> u64 {
        let (verdict, reason) = (format!("verdict=\"{verdict}\""), format!("reason=\"{reason}\""));
        let is_it =
            |full: &str| is_request_counter(full) && full.contains(&verdict) && full.contains(&reason);
        self.sum(is_it)
    }

    /// Requests of all verdicts.
    pub fn all_requests(&self) -> u64 {
        self.sum(is_request_counter)
    }

    /// Every sample.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole and positive"
    )]
    fn sum(&self, is_it: impl Fn(&str) -> bool) -> u64 {
        self.0.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| *value as u64).sum()
    }
}

fn is_request_counter(name: &str) -> bool {
    name.starts_with("flamegate_requests_total{")
}
