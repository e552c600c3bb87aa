//! How a key is replaced: for how long the old one still works, and when the new one ends.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::draft::check_expiry;
use super::end::End;
use crate::domain::error::{Error, Problems};
use crate::domain::limits::seconds;

/// How a key is replaced.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RotateDraft {
    /// How long the old key still works, in seconds; 0 ends it at once. At most 90 days. This or `grace` must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<i64>,
    /// The same as text: `90s`, `30m`, `24h`, `7d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<String>,
    /// When the new key stops working: RFC 3339 text or Unix seconds; `null` for never. When it is not given, it ends when the old
    /// one was to end, unless that is within an hour or the grace: then it must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Value>,
}

/// A key that ends this soon is not replaced by one that does, unless somebody says so.
const NEAR: SignedDuration = SignedDuration::from_hours(1);

const NOT_SAID: &str = "is required, this or grace: how long the old key still works; 0 ends it at once";

/// Longest grace: 90 days in seconds.
const MAX_GRACE_SECONDS: i64 = 90 * 86_400;

impl RotateDraft {
    /// The end that somebody wants: `Some(None)` for none.
    pub(crate) fn end(&self, now: Timestamp) -> Result<Option<Option<End>>, Error> {
        let mut problems = Problems::default();
        let end = self.expires_at.as_ref().map(|value| check_expiry(Some(value), now, &mut problems));
        problems.check()?;
        Ok(end)
    }

    pub(crate) fn check(&self) -> Result<SignedDuration, Error> {
        let (path, given) = match (self.grace_seconds, &self.grace) {
            // Nobody is to lose a key in use by what they have not said.
            (None, None) => return Err(Error::invalid("grace_seconds", NOT_SAID)),
            (Some(_), Some(_)) => {
                return Err(Error::invalid("grace", "give grace or grace_seconds, not both"));
            }
            (Some(number), None) => ("grace_seconds", Some(number)),
            (None, Some(text)) => ("grace", seconds(text)),
        };
        match given {
            None => Err(Error::invalid(path, "must be a time such as 90s, 30m, 24h or 7d")),
            Some(0..=MAX_GRACE_SECONDS) => Ok(SignedDuration::from_secs(given.unwrap_or_default())),
            Some(_) => Err(Error::invalid(path, format!("0 to {MAX_GRACE_SECONDS} seconds"))),
        }
    }
}

/// The end, unless it is so near that nobody can have meant it for a new key.
pub(crate) fn not_near(
    end: Option<End>,
    now: Timestamp,
    grace: SignedDuration,
) -> Result<Option<End>, Error> {
    match end {
        Some(end) if End::after(now, grace.max(NEAR)).is_none_or(|near| end <= near) => {
            let problem =
                format!("is needed, or the new key would end at {end} with the old one; null is never");
            Err(Error::invalid("expires_at", problem))
        }
        end => Ok(end),
    }
}
