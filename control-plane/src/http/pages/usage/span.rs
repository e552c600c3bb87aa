//! Which time a chart shows: an hour, a day, a week or a month until now.

use jiff::Timestamp;

use crate::domain::usage::{Minute, Period, Step, minute_of, time_of};
use crate::http::pages::view::Moment;

/// A time until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http::pages) enum Span {
    Hour,
    Day,
    Week,
    Month,
}

impl Span {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// By its name in an address; a day for whatever is none.
    pub fn named(text: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|span| text == Some(span.query())).unwrap_or(Self::Day)
    }

    /// Its name in an address.
    pub const fn query(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Its name on the page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "last hour",
            Self::Day => "last 24 hours",
            Self::Week => "last 7 days",
            Self::Month => "last 30 days",
        }
    }

    /// A link's name: it stands beside the others.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Hour => "Hour",
            Self::Day => "Day",
            Self::Week => "Week",
            Self::Month => "Month",
        }
    }

    /// How long a bar's time is, in minutes.
    pub const fn minutes(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => 60,
            Self::Week => 360,
            Self::Month => 1_440,
        }
    }

    /// How many bars there are.
    const fn bars(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day => 24,
            Self::Week => 28,
            Self::Month => 30,
        }
    }

    /// The whole bars until now, in steps that are stored.
    pub fn period(self, now: Timestamp) -> Period {
        let size = self.minutes();
        let last = minute_of(now).div_euclid(size) * size;
        let step = match self {
            Self::Hour => Step::Minute,
            Self::Day | Self::Week => Step::Hour,
            Self::Month => Step::Day,
        };
        Period { step, from: last - (self.bars() - 1) * size, to: last + size }
    }

    /// The beginning of a bar in words, UTC.
    pub fn words(self, start: Minute) -> String {
        let form = if self == Self::Month { "%-d %b %Y (UTC)" } else { "%-d %b, %H:%M UTC" };
        time_of(start).map(|time| time.strftime(form).to_string()).unwrap_or_default()
    }

    /// The beginning of a bar in the table.
    pub fn moment(self, start: Minute) -> Moment {
        let time = time_of(start).unwrap_or_default();
        if self == Self::Month { Moment::date(time) } else { Moment::new(time) }
    }

    /// The beginning of a bar on the axis.
    pub fn tick(self, time: Timestamp) -> Moment {
        match self {
            Self::Hour | Self::Day => Moment::clock(time),
            Self::Week | Self::Month => Moment::date(time),
        }
    }
}
