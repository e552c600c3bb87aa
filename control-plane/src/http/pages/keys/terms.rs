//! For how long a key works on after it was replaced, and when the new one ends: choices with their moments, so that nobody has to
//! reckon.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::domain::error::Error;
use crate::domain::keys::{End, Key};
use crate::http::pages::fields::Fields;
use crate::http::pages::view::Moment;

/// A choice of a time.
pub(super) struct Term {
    /// What the form sends.
    pub value: String,
    pub words: String,
    /// When that is.
    pub until: Option<Moment>,
    pub chosen: bool,
    /// True when it means no more than another one.
    pub disabled: bool,
}

const DAY: i64 = 24;
/// Seconds, and the words.
const GRACES: [(i64, &str); 5] = [
    (0, "End it now: it may have leaked"),
    (3_600, "1 hour"),
    (86_400, "24 hours"),
    (604_800, "7 days"),
    (2_592_000, "30 days"),
];
const GRACE: i64 = 86_400;
/// Days, and the words.
const ENDS: [(i64, &str); 3] = [(30, "30 days"), (90, "90 days"), (365, "365 days")];
/// As long as the old one was to live.
const LIFETIME: &str = "lifetime";
/// At the old one's own end.
const OLD: &str = "old";

/// For how long the old key may work. Nobody can choose more than its own end leaves.
pub(super) fn graces_of(key: &Key, now: Timestamp, typed: &Fields) -> Vec<Term> {
    let wanted = typed.text("grace_seconds").parse().unwrap_or(GRACE);
    let after = |seconds| End::after(now, SignedDuration::from_secs(seconds));
    let mut is_over = false;
    let term = |(seconds, words): (i64, &str)| {
        let own = key.expires_at.filter(|own| after(seconds).is_none_or(|end| *own < end));
        let disabled = is_over;
        // The first that reaches beyond the key's own end stands for all of it.
        is_over |= own.is_some();
        let until = if seconds == 0 { None } else { own.or(after(seconds)).map(Moment::at) };
        let words = if own.is_some() && !disabled { "Until its own end" } else { words };
        Term { value: seconds.to_string(), words: words.to_owned(), until, chosen: false, disabled }
    };
    let mut terms: Vec<_> = GRACES.into_iter().map(term).collect();
    let chosen = terms
        .iter()
        .rposition(|term| !term.disabled && term.value.parse::<i64>().is_ok_and(|seconds| seconds <= wanted));
    if let Some(term) = chosen.and_then(|chosen| terms.get_mut(chosen)) {
        term.chosen = true;
    }
    terms
}

/// When the new key may end: as long as the old one was to live, if that had an end; otherwise never.
pub(super) fn ends_of(key: &Key, now: Timestamp, typed: &Fields) -> Vec<Term> {
    let term = |value: &str, words: String, end: Option<End>| Term {
        value: value.to_owned(),
        words,
        until: end.map(Moment::at),
        chosen: false,
        disabled: false,
    };
    let mut terms = Vec::new();
    match (lifetime(key), key.expires_at) {
        (Some(lifetime), Some(own)) => {
            let words = format!("After {}, as the old one", days_text(lifetime));
            terms.push(term(LIFETIME, words, End::after(now, lifetime)));
            if End::after(now, SignedDuration::from_hours(7 * DAY)).is_some_and(|near| own > near) {
                terms.push(term(OLD, "When the old one was to end".to_owned(), Some(own)));
            }
        }
        _ => terms.push(term("", "Never, as the old one".to_owned(), None)),
    }
    let is_there = |days: i64| lifetime(key).is_some_and(|time| time.as_hours().div_euclid(DAY) == days);
    for (days, words) in ENDS.into_iter().filter(|(days, _)| !is_there(*days)) {
        let end = End::after(now, SignedDuration::from_hours(days * DAY));
        terms.push(term(&days.to_string(), format!("After {words}"), end));
    }
    if key.expires_at.is_some() {
        terms.push(term("never", "Never".to_owned(), None));
    }
    let wanted = typed.text("expiry");
    let chosen = terms.iter().position(|term| term.value == wanted).unwrap_or_default();
    if let Some(term) = terms.get_mut(chosen) {
        term.chosen = true;
    }
    terms
}

/// The end that the form asks for: `None` for that of the old key.
pub(super) fn end_of(key: &Key, fields: &Fields, now: Timestamp) -> Result<Option<Value>, Error> {
    let after = |time| End::after(now, time).map(|end| Value::from(end.second()));
    Ok(match fields.text("expiry") {
        "" | OLD => None,
        "never" => Some(Value::Null),
        LIFETIME => lifetime(key).and_then(after),
        days => after(SignedDuration::from_hours(DAY * days_of(days)?)),
    })
}

/// A number of days from a form.
fn days_of(text: &str) -> Result<i64, Error> {
    let days = text.parse::<i64>().ok().filter(|days| (1..=3_650).contains(days));
    days.ok_or_else(|| Error::invalid("expiry", "must be 1 to 3650 days"))
}

/// The end that a form names: of a day (UTC), or a number of days from now.
pub(super) fn named_end(fields: &Fields, now: Timestamp) -> Option<End> {
    match fields.text("expiry") {
        "date" => last_day(fields.text("expiry_date")),
        days => days_of(days).ok().and_then(|days| End::after(now, SignedDuration::from_hours(DAY * days))),
    }
}

/// The end of a day (UTC): the first second that is not in it.
fn last_day(text: &str) -> Option<End> {
    let date = text.parse::<Date>().ok()?;
    let after = date.tomorrow().ok().and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    Some(after.and_then(|midnight| End::from_second(midnight.timestamp().as_second())).unwrap_or(End::LAST))
}

/// For how long a key was to live. One that was rotated has lost its own end to the grace, which says nothing of the next one.
fn lifetime(key: &Key) -> Option<SignedDuration> {
    let end = key.expires_at.filter(|_| key.rotated_to.is_none())?;
    let seconds = end.second().checked_sub(key.created_at.as_second())?;
    Some(SignedDuration::from_secs(seconds)).filter(|time| time.is_positive())
}

/// `90 days`, `1 day`, `less than a day`.
fn days_text(time: SignedDuration) -> String {
    match time.as_hours().div_euclid(DAY) {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
