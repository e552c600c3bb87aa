//! Limits in words: what a key has of its own, and what the workspace sets whatever was chosen for the key.

use std::slice;

use super::view::grouped;
use crate::contract::{Limit, Reach, Scope, WhenUnreachable};
use crate::domain::bounds::{Bounds, CEILING};
use crate::domain::usage::{Headroom, Over};

/// What the workspace sets for its keys, in words.
pub(super) struct BoundsText {
    /// Most that each key may do.
    pub ceiling: Option<String>,
    /// What all keys may do together.
    pub workspace: Option<String>,
}

/// The limits of a key in words: its own choice, and what holds besides.
pub(super) struct KeyLimits {
    /// Its own choice, a limit a line.
    pub lines: Vec<String>,
    pub own: String,
    /// The same in the shortest words, for a row of a list.
    pub short: String,
    pub bounds: BoundsText,
}

impl BoundsText {
    pub fn new(bounds: &Bounds) -> Self {
        let all_keys = Some(&bounds.workspace_limits).filter(|limits| !limits.is_empty());
        Self {
            ceiling: bounds.ceiling.as_ref().map(|ceiling| limits_text(slice::from_ref(ceiling))),
            workspace: all_keys.map(|limits| limits_text(limits)),
        }
    }
}

impl KeyLimits {
    /// Of what gateways enforce: [`crate::domain::bounds::compose`] has put it together, here it is taken apart.
    pub fn new(enforced: &[Limit]) -> Self {
        let mut own = Vec::new();
        let mut bounds = Bounds::default();
        for limit in enforced.iter().cloned() {
            if limit.scope == Scope::Workspace {
                bounds.workspace_limits.push(limit);
            } else if limit.name == CEILING {
                bounds.ceiling = Some(limit);
            } else {
                own.push(limit);
            }
        }
        let is_bounded = own.len() < enforced.len();
        let none = own.is_empty() && is_bounded;
        let short = if none { "No limit of its own".to_owned() } else { short_text(&own) };
        let lines: Vec<_> = own.iter().map(limit_text).collect();
        let own = if none { "No limit of its own".to_owned() } else { limits_text(&own) };
        let lines = if lines.is_empty() { vec![own.clone()] } else { lines };
        Self { lines, own, short, bounds: BoundsText::new(&bounds) }
    }
}

/// Limits in words: `100 per minute, 20 at once`. How many at once is said of each, because it is part of each.
pub(super) fn limits_text(limits: &[Limit]) -> String {
    limit_lines(limits).join("; ")
}

/// The same, a line each.
pub(super) fn limit_lines(limits: &[Limit]) -> Vec<String> {
    if limits.is_empty() { vec!["No limit".to_owned()] } else { limits.iter().map(limit_text).collect() }
}

/// `600/min · burst 60`, and how many more there are.
pub(super) fn short_text(limits: &[Limit]) -> String {
    let Some((first, rest)) = limits.split_first() else { return "No limit".to_owned() };
    let window = match first.window_seconds.get() {
        1 => "s".to_owned(),
        60 => "min".to_owned(),
        3_600 => "h".to_owned(),
        seconds => window_text(seconds),
    };
    let burst = if first.burst() == first.requests {
        String::new()
    } else {
        format!(" · burst {}", grouped(first.burst().get().into()))
    };
    let fleet = if first.reach == Reach::Fleet { " · all gateways" } else { "" };
    let more = if rest.is_empty() { String::new() } else { format!(", {} more", rest.len()) };
    format!("{}/{window}{burst}{fleet}{more}", grouped(first.requests.get().into()))
}

fn limit_text(limit: &Limit) -> String {
    let window = window_text(limit.window_seconds.get());
    let fleet = match (limit.reach, limit.when_unreachable) {
        (Reach::Gateway, _) => "",
        (Reach::Fleet, WhenUnreachable::Gateway) => ", all gateways together",
        (Reach::Fleet, WhenUnreachable::Refuse) => ", all gateways together, strictly",
    };
    format!(
        "{} per {window}, {} at once{fleet}",
        grouped(limit.requests.get().into()),
        grouped(limit.burst().get().into())
    )
}

/// The time over which use is compared with a limit.
pub(super) fn over_text(headroom: &Headroom) -> String {
    match headroom.over {
        Over::BusiestMinute => "in the busiest minute of the last hour".to_owned(),
        Over::Window => format!("in the last {}", window_text(headroom.limit.window_seconds.get())),
    }
}

pub(super) fn window_text(seconds: u32) -> String {
    for (unit, name) in [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")] {
        if seconds.is_multiple_of(unit) {
            let count = seconds / unit;
            return if count == 1 { name.to_owned() } else { format!("{count} {name}s") };
        }
    }
    format!("{seconds} seconds")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::parse_list;

    #[test]
    fn limits_read_like_sentences() {
        let limits = parse_list("12000/1h+20,other=5/90s").unwrap();
        assert_eq!(limits_text(&limits), "12,000 per hour, 20 at once; 5 per 90 seconds, 5 at once");
        let fleet = parse_list("12/1s^fleet,x=5/1s^fleet-refuse").unwrap();
        let text = "12 per second, 12 at once, all gateways together; 5 per second, 5 at once, all gateways together, strictly";
        assert_eq!(limits_text(&fleet), text);
        assert_eq!(limits_text(&[]), "No limit");
    }

    #[test]
    fn what_a_key_has_of_its_own_is_told_apart_from_what_the_workspace_sets() {
        let limits = parse_list("100/1m+20,ceiling=500/1m,shared=10/1m@workspace").unwrap();
        let KeyLimits { lines, own, short, bounds } = KeyLimits::new(&limits);
        assert_eq!((own.as_str(), short.as_str()), ("100 per minute, 20 at once", "100/min · burst 20"));
        assert_eq!(lines, [own]);
        assert_eq!(bounds.ceiling.as_deref(), Some("500 per minute, 500 at once"));
        assert_eq!(bounds.workspace.as_deref(), Some("10 per minute, 10 at once"));
        let bounded = KeyLimits::new(&limits[1..]);
        assert_eq!((bounded.own.as_str(), bounded.lines), ("No limit of its own", vec![bounded.own.clone()]));
        let free = KeyLimits::new(&[]);
        assert_eq!((free.own.as_str(), free.bounds.ceiling, free.bounds.workspace), ("No limit", None, None));
    }
}
