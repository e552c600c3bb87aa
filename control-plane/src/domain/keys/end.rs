//! When a key ends: whole Unix seconds, as gateways count them, up to the last second of the year 9999, which many people write
//! for "never". (The library's timestamps end a day before that.)

use std::fmt;

use jiff::civil::{Date, DateTime, date};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The first second at which a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End(i64);

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;
const DAY: i64 = 86_400;

const FORM: &str = "must be RFC 3339 text or Unix seconds";
const TOO_LATE: &str = "must not be after 9999-12-31T23:59:59Z; Unix time is in seconds";

impl End {
    /// The last one that there is.
    pub const LAST: Self = Self(LAST);

    /// From Unix seconds; `None` after the year 9999, and before the year 0.
    pub fn from_second(second: i64) -> Option<Self> {
        (second <= LAST && EPOCH.checked_add(SignedDuration::from_secs(second)).is_ok())
            .then_some(Self(second))
    }

    /// In Unix seconds.
    pub const fn second(self) -> i64 {
        self.0
    }

    /// Not before `time` has passed: a part of a second counts as a whole one.
    pub fn after(now: Timestamp, time: SignedDuration) -> Option<Self> {
        let end = now.checked_add(time).ok()?;
        Self::from_second(end.as_second().checked_add(i64::from(end.subsec_nanosecond() > 0))?)
    }

    /// True from this second on.
    pub fn is_over(self, now: Timestamp) -> bool {
        self.0 <= now.as_second()
    }

    /// Date and time in UTC.
    pub fn civil(self) -> DateTime {
        EPOCH.checked_add(SignedDuration::from_secs(self.0)).unwrap_or(DateTime::MAX)
    }

    /// RFC 3339 text or Unix seconds; parts of a second are cut off. The error is what it must be.
    pub(crate) fn read(value: &Value) -> Result<Self, &'static str> {
        let second = match value {
            Value::String(text) => from_rfc3339(text).ok_or(FORM)?,
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(second), _) => second,
                // Unsigned ones that fit into no i64, and fractions.
                (None, Some(second)) if second.abs() <= LAST as f64 => second as i64,
                (None, Some(second)) if second > 0.0 => return Err(TOO_LATE),
                _ => return Err(FORM),
            },
            _ => return Err(FORM),
        };
        if second > LAST { Err(TOO_LATE) } else { Ok(Self(second)) }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", self.civil())
    }
}

/// Unix seconds of `date-time` in RFC 3339, section 5.6: `T` and `Z` in either case, or a space for the `T`. A leap second is that
/// after 23:59:59 UTC; it has no Unix time of its own, and stands for the second after it.
fn from_rfc3339(text: &str) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [year, month, day] = fields(day, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => rest,
    };
    let offset = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), ..] => {
            let [hours, minutes] = fields(zone.get(1..)?, ':', [2, 2])?;
            let offset = hours * 3_600 + minutes * 60;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if *sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let midnight = date.at(0, 0, 0, 0).duration_since(EPOCH).as_secs();
    let moment = midnight + hour * 3_600 + minute * 60 + second - offset;
    (second < 60 || moment.rem_euclid(DAY) == 0).then_some(moment)
}

/// Numbers of these many digits with something between them.
fn fields<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<String, &'static str> {
        End::read(&value).map(|end| end.to_string())
    }

    #[test]
    fn the_calendar_has_its_ends() {
        let last = "9999-12-31T23:59:59Z";
        for value in
            [json!(last), json!("9999-12-31T23:59:59.999Z"), json!(LAST), json!("9999-12-31T22:59:59-01:00")]
        {
            assert_eq!(read(value).as_deref(), Ok(last));
        }
        assert_eq!(End::LAST.to_string(), last);
        assert_eq!(read(json!("0000-01-01T00:00:00Z")).as_deref(), Ok("0000-01-01T00:00:00Z"));
        for value in [
            json!("9999-12-31T23:59:59-00:01"),
            json!(LAST + 1),
            json!(1_893_456_000_000_i64),
            json!(u64::MAX),
            json!(1e30),
        ] {
            assert_eq!(read(value), Err(TOO_LATE));
        }
        assert!(End::from_second(LAST).is_some() && End::from_second(LAST + 1).is_none());
        assert!(
            End::from_second(i64::MIN).is_none() && End::after(Timestamp::MAX, SignedDuration::MAX).is_none()
        );
    }

    #[test]
    fn every_form_of_rfc_3339_is_read_and_no_other() {
        let moment = "2040-02-29T12:00:00Z";
        for text in [
            "2040-02-29T12:00:00Z",
            "2040-02-29t12:00:00z",
            "2040-02-29 12:00:00Z",
            "2040-02-29T12:00:00.9Z",
            "2040-02-29T12:00:00.123456789012z",
            "2040-02-29T12:00:00+00:00",
            "2040-02-29T12:00:00-00:00",
            "2040-02-29T14:30:00+02:30",
            "2040-02-28T12:01:00-23:59",
        ] {
            assert_eq!(read(json!(text)).as_deref(), Ok(moment), "{text}");
        }
        assert_eq!(read(json!(2_214_129_600.75)).as_deref(), Ok(moment));
        for text in [
            "2041-02-29T12:00:00Z",
            "2040-13-01T12:00:00Z",
            "2040-00-01T12:00:00Z",
            "2040-01-00T12:00:00Z",
            "2040-02-29T24:00:00Z",
            "2040-02-29T12:60:00Z",
            "2040-02-29T12:00:61Z",
            "2040-02-29T12:00:00",
            "2040-02-29T12:00Z",
            "2040-02-29",
            "20400229T120000Z",
            "2040-02-29T12:00:00.Z",
            "2040-02-29T12:00:00,5Z",
            "2040-02-29T12:00:00+0200",
            "2040-02-29T12:00:00+02",
            "2040-02-29T12:00:00+24:00",
            "2040-02-29T12:00:00+02:60",
            "2040-02-29T12:00:00Z[UTC]",
            " 2040-02-29T12:00:00Z",
            "2040-02-29T12:00:00Z ",
            "+2040-02-29T12:00:00Z",
            "10000-01-01T00:00:00Z",
            "-001-01-01T00:00:00Z",
            "2040-2-29T12:00:00Z",
            "2040-02-29T12:00:00\u{2212}01:00",
            "2214129600",
            "tomorrow",
            "",
        ] {
            assert_eq!(read(json!(text)), Err(FORM), "{text}");
        }
        for value in [json!(true), json!([]), json!({})] {
            assert_eq!(read(value), Err(FORM));
        }
    }

    #[test]
    fn a_leap_second_is_where_one_can_be() {
        for text in ["2040-06-30T23:59:60Z", "2040-06-30T23:59:60.5z", "2040-07-01T01:59:60+02:00"] {
            assert_eq!(read(json!(text)).as_deref(), Ok("2040-07-01T00:00:00Z"), "{text}");
        }
        for text in ["2040-06-30T12:59:60Z", "2040-06-30T23:59:60+02:00"] {
            assert_eq!(read(json!(text)), Err(FORM), "{text}");
        }
    }
}
