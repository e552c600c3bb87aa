//! What would have been refused and has passed in shadow, as rows to be added: of each key by day, and of each gateway by day and reason.
//! A request whose key is not known is in the second kind only, so strangers make no rows of their own.

use std::collections::BTreeMap;

use super::period::Step;
use super::said::{MOST_REQUESTS, minute};
use super::tally::Minute;
use crate::contract::reasons::known_reason;
use crate::contract::usage::{Shadowed, UsageOutcome};

/// How long they are kept, in minutes.
pub const SHADOW_KEPT: Minute = 31 * 1_440;
/// Gateways of one credential that are told apart on a day; the others are one, [`OTHER_GATEWAYS`]. Whoever has a credential can make
/// names up.
pub const MOST_GATEWAYS_A_DAY: u32 = 256;
/// Behind the credential's name.
pub const OTHER_GATEWAYS: &str = "~others";

/// What a key's requests would have been refused for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyShadow {
    /// Over a limit.
    pub rate_limited: u64,
    /// Outside of its restrictions.
    pub forbidden: u64,
    /// After its end.
    pub expired: u64,
    /// Where its environment is not accepted.
    pub environment: u64,
    /// The last minute in which there was one.
    pub last: Minute,
}

/// Requests with one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReasonShadow {
    /// How many.
    pub requests: u64,
    /// The last minute in which there was one.
    pub last: Minute,
}

/// Rows to be added, in the order of their keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ShadowRows {
    /// By day and key.
    pub keys: BTreeMap<(Minute, i64), KeyShadow>,
    /// By day, id of the gateway, and reason.
    pub reasons: BTreeMap<(Minute, String, &'static str), ReasonShadow>,
}

impl KeyShadow {
    /// All of them.
    pub fn total(&self) -> u64 {
        [self.rate_limited, self.forbidden, self.expired, self.environment]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl ShadowRows {
    /// Adds what a gateway says, as of the minute `now`; `row_of` finds the row of a key by its id. What is nobody's is left out.
    pub fn take(
        &mut self,
        gateway: &str,
        said: &Shadowed,
        row_of: impl Fn(&str) -> Option<i64>,
        now: Minute,
    ) {
        let is_kept = |minute: &Minute| *minute > now - SHADOW_KEPT;
        for count in &said.keys {
            let Some(key_seq) = row_of(&count.key_id) else { continue };
            let Some(minute) = minute(count.minute, now).filter(is_kept) else { continue };
            let sum = self.keys.entry((Step::Day.start(minute), key_seq)).or_default();
            sum.last = sum.last.max(minute);
            let of_outcome = match count.outcome {
                // Nobody would have refused it; the contract lets none through.
                UsageOutcome::Admitted => continue,
                UsageOutcome::RateLimited => &mut sum.rate_limited,
                UsageOutcome::Forbidden => &mut sum.forbidden,
                UsageOutcome::Expired => &mut sum.expired,
                UsageOutcome::Environment => &mut sum.environment,
            };
            *of_outcome = of_outcome.saturating_add(count.requests.min(MOST_REQUESTS));
        }
        for count in &said.reasons {
            let Some(minute) = minute(count.minute, now).filter(is_kept) else { continue };
            let key = (Step::Day.start(minute), gateway.to_owned(), known_reason(&count.reason));
            let sum = self.reasons.entry(key).or_default();
            sum.requests = sum.requests.saturating_add(count.requests.min(MOST_REQUESTS));
            sum.last = sum.last.max(minute);
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.keys.len() + self.reasons.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Minute = 29_000_000;

    fn rows(said: serde_json::Value) -> ShadowRows {
        let said = serde_json::from_value(said).unwrap();
        let mut rows = ShadowRows::default();
        rows.take("eu/a", &said, |id| (id == "key_1").then_some(1), NOW);
        rows
    }

    #[test]
    fn days_have_sums_and_the_last_minute_and_keys_that_nobody_has_make_no_row() {
        let key = |id: &str, outcome: &str, minute: Minute| json!({"key_id": id, "outcome": outcome, "minute": minute, "requests": 2});
        let reason =
            |reason: &str, minute: Minute| json!({"reason": reason, "minute": minute, "requests": 5});
        let day = Step::Day.start(NOW);
        let rows = rows(json!({
            "keys": [key("key_1", "rate_limited", NOW), key("key_1", "rate_limited", NOW - 1), key("key_1", "expired", NOW - 2),
                key("key_1", "forbidden", NOW - SHADOW_KEPT), key("key_none", "forbidden", NOW)],
            "reasons": [reason("unauthorized.missing", NOW + 9), reason("unauthorized.missing", NOW - 1),
                reason("made.up.1", NOW), reason("made.up.2", NOW), reason("forbidden.path", NOW - SHADOW_KEPT)],
        }));
        let wanted = KeyShadow { rate_limited: 4, expired: 2, last: NOW, ..KeyShadow::default() };
        assert_eq!((&rows.keys, wanted.total()), (&[((day, 1), wanted)].into(), 6));
        let of = |reason| ((day, "eu/a".to_owned(), reason), ReasonShadow { requests: 10, last: NOW });
        assert_eq!(rows.reasons, [of("unauthorized.missing"), of("other")].into());
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn absurd_numbers_are_brought_into_bounds() {
        let rows = rows(
            json!({"reasons": [{"reason": "rate_limited.key", "minute": u64::MAX, "requests": u64::MAX}]}),
        );
        let told: Vec<_> = rows.reasons.into_values().collect();
        assert_eq!(told, [ReasonShadow { requests: MOST_REQUESTS, last: NOW }]);
    }
}
