//! What would have been refused and has passed in shadow, as people read it before they enforce: which keys, which reasons, at which
//! gateways; and which gateways do not say.

use std::collections::BTreeMap;

use super::gateways::GatewayView;
use super::usage::{KeyShadow, Minute, ReasonShadow, Step};

/// A key of which something has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySum {
    /// Its id.
    pub id: String,
    /// For what it would have been refused, and when last.
    pub shadow: KeyShadow,
    /// First minute of the first day (UTC) on which something has passed, of those that are asked for.
    pub since: Minute,
}

/// A reason for which something has passed at a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonSum {
    /// Id of the gateway.
    pub gateway: String,
    /// `<verdict>.<reason>`, as the gateway's counters have it.
    pub reason: String,
    /// How often, and when last.
    pub shadow: ReasonShadow,
    /// First minute of the first day (UTC) on which something has passed, of those that are asked for.
    pub since: Minute,
}

/// Whether a gateway refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A filter of it is in shadow.
    Shadow,
    /// It does not say: its filter is older than these reports, so what would be refused there is not known.
    Silent,
    /// It refuses; only keys in shadow pass.
    Enforces,
    /// It has not polled for longer than gateways are remembered.
    Gone,
}

/// A gateway, and what has passed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayShadow {
    /// Its id.
    pub id: String,
    /// Whether it refuses.
    pub mode: Mode,
    /// Whether it is connected.
    pub connected: bool,
    /// The most frequent one first.
    pub reasons: Vec<ReasonSum>,
}

/// Most rows of a day and a key, or of a day, a gateway and a reason, that are looked at, the newest days first.
pub const MOST_LOOKED_AT: u32 = super::lists::MOST_COUNTED;
/// Longest time that can be asked for, in days; today is one.
pub const MOST_DAYS: u32 = 31;

impl Mode {
    /// Name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Silent => "silent",
            Self::Enforces => "enforces",
            Self::Gone => "gone",
        }
    }
}

impl GatewayShadow {
    /// Those that are known, and those of which there is something, with trouble first: what is in shadow, what does not say, what has
    /// passed.
    pub fn all(known: Vec<GatewayView>, sums: Vec<ReasonSum>) -> Vec<Self> {
        let mut reasons: BTreeMap<String, Vec<ReasonSum>> = BTreeMap::new();
        for sum in sums {
            reasons.entry(sum.gateway.clone()).or_default().push(sum);
        }
        let mut all: Vec<_> = known
            .into_iter()
            .map(|view| Self {
                mode: match view.shadow {
                    Some(true) => Mode::Shadow,
                    Some(false) => Mode::Enforces,
                    None => Mode::Silent,
                },
                connected: view.connected,
                reasons: reasons.remove(&view.id).unwrap_or_default(),
                id: view.id,
            })
            .collect();
        all.extend(reasons.into_iter().map(|(id, reasons)| Self {
            id,
            mode: Mode::Gone,
            connected: false,
            reasons,
        }));
        all.sort_by(|one, other| {
            let order = |it: &Self| (!it.connected, it.mode, it.reasons.is_empty());
            order(one).cmp(&order(other)).then_with(|| one.id.cmp(&other.id))
        });
        all
    }
}

/// First minute of the first of so many days, today included.
pub fn since(days: u32, now: Minute) -> Minute {
    Step::Day.start(now) - (Minute::from(days) - 1) * Step::Day.minutes()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::contract::Protocol;

    fn view(id: &str, shadow: Option<bool>) -> GatewayView {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        GatewayView {
            id: id.to_owned(),
            credential: "shared".to_owned(),
            has_session: true,
            version: None,
            connected: true,
            stale: false,
            workers: Some(3),
            accepts: Protocol::Two,
            shadow,
            other_database: false,
            leaving: false,
            acknowledged: Some(1),
            acknowledged_at: None,
            first_seen: now,
            last_seen: now,
        }
    }

    fn sum(gateway: &str, reason: &str) -> ReasonSum {
        let shadow = ReasonShadow { requests: 1, last: 0 };
        ReasonSum { gateway: gateway.to_owned(), reason: reason.to_owned(), shadow, since: 0 }
    }

    #[test]
    fn gateways_in_shadow_come_first_then_those_that_do_not_say_and_those_that_are_gone_last() {
        let known = vec![
            view("shared/c", Some(false)),
            view("shared/d", Some(false)),
            view("shared/b", None),
            view("shared/a", Some(true)),
        ];
        let sums = vec![
            sum("shared/a", "x.y"),
            sum("shared/a", "x.z"),
            sum("shared/d", "x.y"),
            sum("shared/gone", "x.y"),
        ];
        let all = GatewayShadow::all(known, sums);
        let told: Vec<_> =
            all.iter().map(|gateway| (gateway.id.as_str(), gateway.mode, gateway.reasons.len())).collect();
        assert_eq!(
            told,
            [
                ("shared/a", Mode::Shadow, 2),
                ("shared/b", Mode::Silent, 0),
                ("shared/d", Mode::Enforces, 1),
                ("shared/c", Mode::Enforces, 0),
                ("shared/gone", Mode::Gone, 1),
            ]
        );
    }

    #[test]
    fn a_day_is_today() {
        let now = 29_000_000;
        assert_eq!(since(1, now), Step::Day.start(now));
        assert_eq!(since(MOST_DAYS, now), Step::Day.start(now) - 30 * 1_440);
    }
}
