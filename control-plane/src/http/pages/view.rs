//! What pages are made of: moments and parts of lists. Everything that templates show is escaped by them.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use super::assets;
use super::colours::Colours;
use crate::domain::error::Error;
use crate::domain::keys::End;
use crate::domain::lists::MOST_COUNTED;

/// Where stylesheet, script and icon are, and in which colours the reader wants them.
#[derive(Clone, Copy)]
pub(super) struct Assets {
    pub style: &'static str,
    pub script: &'static str,
    pub icon: &'static str,
    pub colours: Colours,
}

/// A moment: in UTC for everyone, in the reader's zone by the script, exact on hover.
#[derive(Template, Clone)]
#[template(
    source = r#"<time datetime="{{ exact }}" title="{{ exact }}"{% if !form.is_empty() %} data-form="{{ form }}"{% endif %}>{{ text }}</time>"#,
    ext = "html"
)]
pub(super) struct Moment {
    exact: String,
    text: String,
    /// How the script shows it: `ago`, `used`, `ends` (in how many hours, and when), `clock`, `date`, `day`, or in full.
    form: &'static str,
}

/// Which part of a list a page shows.
pub(super) struct Pager {
    /// How many there are altogether, in words.
    pub total: String,
    pub first: u64,
    pub last: u64,
    /// Query of the page before.
    pub previous: Option<String>,
    /// Query of the page after.
    pub next: Option<String>,
    /// Pages by their numbers, where somebody has counted; a gap is `None`.
    pub pages: Vec<Option<PageLink>>,
}

/// A page of a list by its number.
pub(super) struct PageLink {
    pub number: u64,
    pub query: String,
    /// True for the one that is shown.
    pub here: bool,
}

impl Assets {
    pub fn new() -> Self {
        let colours = Colours::chosen();
        Self { style: &assets::STYLE.path, script: &assets::SCRIPT.path, icon: &assets::ICON.path, colours }
    }
}

impl Moment {
    /// A date and time.
    pub fn new(moment: Timestamp) -> Self {
        let text = moment.strftime("%-d %b %Y, %H:%M UTC").to_string();
        Self { exact: moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), text, form: "" }
    }

    /// A date and time to the second, for what is to be put in order.
    pub fn seconds(moment: Timestamp) -> Self {
        let text = moment.strftime("%-d %b %Y, %H:%M:%S UTC").to_string();
        Self { form: "second", text, ..Self::new(moment) }
    }

    /// The same, and the script says how long ago.
    pub fn ago(moment: Timestamp) -> Self {
        Self { form: "ago", ..Self::new(moment) }
    }

    /// When something was last used: `now`, minutes or hours while that is near, then the day. As of the page; the script goes on.
    pub fn used(moment: Timestamp, now: Timestamp) -> Self {
        let whole = Self::new(moment);
        let minutes = now.duration_since(moment).as_mins();
        let text = match minutes {
            // A use is known to the minute, and some seconds late.
            ..=1 => "now".to_owned(),
            2..=119 => format!("{minutes} min ago"),
            120..=2_879 => format!("{} h ago", minutes / 60),
            _ => moment.strftime("%-d %b %Y").to_string(),
        };
        Self { exact: whole.exact, text, form: "used" }
    }

    /// On an axis: the time of day.
    pub fn clock(moment: Timestamp) -> Self {
        Self { form: "clock", text: moment.strftime("%H:%M").to_string(), ..Self::new(moment) }
    }

    /// On an axis: day and month. Whole days are days in UTC, wherever the reader is.
    pub fn date(moment: Timestamp) -> Self {
        Self { form: "date", text: moment.strftime("%-d %b").to_string(), ..Self::new(moment) }
    }

    /// Only the day.
    pub fn day(moment: Timestamp) -> Self {
        Self { form: "day", text: moment.strftime("%-d %b %Y").to_string(), ..Self::new(moment) }
    }

    /// An end: the day, or the exact time when it is near.
    pub fn end(end: End, now: Timestamp) -> Self {
        let moment = Timestamp::from_second(end.second()).ok();
        let near =
            |moment: &Timestamp| *moment > now && moment.duration_since(now) < SignedDuration::from_hours(48);
        moment
            .filter(near)
            .map_or_else(|| Self::last_day(end), |moment| Self { form: "ends", ..Self::new(moment) })
    }

    /// An end with the moment and, by the script, in how long: for a sentence that carries a deadline.
    pub fn deadline(end: End, now: Timestamp) -> Self {
        let moment = Timestamp::from_second(end.second()).ok().filter(|moment| *moment > now);
        moment.map_or_else(|| Self::at(end), |moment| Self { form: "deadline", ..Self::new(moment) })
    }

    /// The moment at which something ends or ended; of the last day, which the library has not, only the day.
    pub fn at(end: End) -> Self {
        Timestamp::from_second(end.second()).map_or_else(|_| Self::last_day(end), Self::new)
    }

    #[cfg(test)]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn last_day(end: End) -> Self {
        // The day of the last second at which it is good: an end at midnight is that of the day before.
        let last = End::from_second(end.second() - 1).unwrap_or(end).civil();
        let (exact, text) = (format!("{last}.000Z"), last.strftime("%-d %b %Y").to_string());
        Self { exact, text, form: "day" }
    }
}

impl Pager {
    /// Page `page` (the first is 1) with `shown` entries, behind which there are `more` or not. `total` is how many there are
    /// altogether, where somebody has counted; `query` is the rest of the list's query.
    pub fn new(page: u32, size: u32, (shown, more): (usize, bool), total: Option<u64>, query: &str) -> Self {
        let before = u64::from(page - 1) * u64::from(size);
        let last = before + shown as u64;
        let link = |page: u64| {
            let rest = if query.is_empty() { String::new() } else { format!("{query}&") };
            format!("?{rest}page={page}")
        };
        let known = if more { total.filter(|total| *total <= MOST_COUNTED.into()) } else { Some(last) };
        let here = u64::from(page);
        let numbers = known.map(|total| numbers(here, total.div_ceil(u64::from(size)))).unwrap_or_default();
        let page = |number: u64| PageLink { number, query: link(number), here: number == here };
        Self {
            total: known.map_or_else(|| "many".to_owned(), |total| total.to_string()),
            first: if shown > 0 { before + 1 } else { 0 },
            last: if shown > 0 { last } else { 0 },
            previous: (here > 1).then(|| link(here - 1)),
            next: more.then(|| link(here + 1)),
            pages: numbers.into_iter().map(|number| number.map(page)).collect(),
        }
    }
}

/// The numbers of pages worth a link: the first, the last, and those around this one. None, when there is only one.
fn numbers(here: u64, last: u64) -> Vec<Option<u64>> {
    if last < 2 {
        return Vec::new();
    }
    let near = here.saturating_sub(1).max(1)..=(here + 1).min(last);
    let mut shown: Vec<u64> = [1].into_iter().chain(near).chain([last]).collect();
    shown.sort_unstable();
    shown.dedup();
    let mut numbers = Vec::new();
    let mut before = 0;
    for number in shown {
        match number - before {
            // The one page that is left out takes as much room as the gap.
            2 => numbers.push(Some(number - 1)),
            gap if gap > 2 => numbers.push(None),
            _ => {}
        }
        numbers.push(Some(number));
        before = number;
    }
    numbers
}

/// A number that was counted up to [`MOST_COUNTED`].
pub(super) fn counted(number: u64) -> String {
    if number > MOST_COUNTED.into() { format!("over {MOST_COUNTED}") } else { number.to_string() }
}

/// `1,204`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 key`, `1,204 keys`.
pub(super) fn how_many(number: u64, one: &str) -> String {
    let more = if number == 1 { "" } else { "s" };
    format!("{} {one}{more}", grouped(number))
}

/// A page as an answer.
pub(super) fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => Error::internal(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_list() {
        let pager = Pager::new(2, 50, (50, true), Some(120), "status=all");
        assert_eq!((pager.first, pager.last, pager.total.as_str()), (51, 100, "120"));
        assert_eq!(pager.previous.as_deref(), Some("?status=all&page=1"));
        assert_eq!(pager.next.as_deref(), Some("?status=all&page=3"));
        let last = Pager::new(3, 50, (20, false), None, "");
        assert_eq!((last.first, last.last, last.total.as_str(), last.next), (101, 120, "120", None));
        assert_eq!(Pager::new(1, 50, (50, true), None, "").total, "many", "nobody has counted");
        assert_eq!(Pager::new(1, 50, (50, true), Some(10_001), "").total, "many");
        for (here, last, expected) in [
            (1, 1, &[][..]),
            (1, 2, &[1, 2]),
            (1, 11, &[1, 2, 0, 11]),
            (4, 11, &[1, 2, 3, 4, 5, 0, 11]),
            (6, 11, &[1, 0, 5, 6, 7, 0, 11]),
            (11, 11, &[1, 0, 10, 11]),
        ] {
            let found: Vec<_> = numbers(here, last).into_iter().map(Option::unwrap_or_default).collect();
            assert_eq!(found, expected, "{here} of {last}");
        }
        let empty = Pager::new(1, 50, (0, false), None, "");
        assert_eq!((empty.first, empty.last, empty.previous, empty.next), (0, 0, None, None));
    }
}
