//! Times of the configuration, such as `75s` or `8h`, and within which bounds they make sense.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::Reader;
use crate::domain::limits;

/// Bounds in seconds, and in words.
pub(super) type Bounds = (RangeInclusive<i64>, &'static str);

/// Of sessions.
pub(super) const SESSION_TIMES: Bounds = (60..=365 * 86_400, "60s to 365d");
/// Of idle connections: some balancers keep theirs for ten minutes, and cannot be told otherwise.
pub(super) const IDLE_TIMES: Bounds = (1..=86_400, "1s to 1d");

impl Reader<'_> {
    /// A time within these bounds.
    pub(super) fn time(
        &mut self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
        (bounds, words): &Bounds,
    ) -> Option<Duration> {
        let (name, text) = self.text(flag, variable, given, default);
        let seconds = limits::seconds(&text).filter(|seconds| bounds.contains(seconds));
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        if seconds.is_none() {
            self.errors.push(format!("{name}: '{text}' is no time from {words} (an example is {default})"));
        }
        seconds.map(Duration::from_secs)
    }
}
