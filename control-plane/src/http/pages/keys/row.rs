//! A key as the pages show it.

use askama::Template;
use jiff::{SignedDuration, Timestamp};

use crate::contract::Restrict;
use crate::domain::keys::{End, Key, Status, restrict};
use crate::http::pages::limits::KeyLimits;
use crate::http::pages::restrict_form::restriction_lines;
use crate::http::pages::view::Moment;

/// A key as the pages show it.
pub(in crate::http::pages) struct Row {
    pub id: String,
    pub name: String,
    pub environment: &'static str,
    pub hint: String,
    pub created: Moment,
    pub created_by: Option<String>,
    pub expires: Option<Moment>,
    pub revoked: Option<Moment>,
    pub last_used: Option<Moment>,
    /// True when it ends within seven days.
    pub ends_soon: bool,
    /// The key that has replaced it.
    pub rotated_to: Option<String>,
    pub limits: KeyLimits,
    pub limits_inherited: bool,
    /// Its plan.
    pub plan: Option<String>,
    /// True while it works and what its limits or restrictions would refuse passes.
    pub shadow: bool,
    /// What it may be used for, list by list; empty for everything.
    pub restrictions: Vec<(&'static str, Vec<String>)>,
    /// The same in a word, for a row of a list; empty for everything.
    pub restricted: &'static str,
    /// `active`, `ending` (rotated, still in its grace), `revoked` or `expired`.
    pub status: &'static str,
}

/// A state in words.
#[derive(Template)]
#[template(source = r#"<span class="badge {{ tone }}">{{ text }}</span>"#, ext = "html")]
pub(in crate::http::pages) struct Badge {
    tone: &'static str,
    text: &'static str,
}

impl Row {
    pub fn new(key: &Key, now: Timestamp) -> Self {
        let status = match key.status(now) {
            Status::Active if key.rotated_to.is_some() => "ending",
            status => status.as_str(),
        };
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            environment: key.environment.as_str(),
            hint: key.hint.clone(),
            created: Moment::day(key.created_at),
            created_by: key.created_by.clone(),
            expires: key.expires_at.map(|end| Moment::end(end, now)),
            revoked: key.revoked_at.map(Moment::day),
            last_used: key.uses.last_used_at.map(|at| Moment::used(at, now)),
            ends_soon: status != "revoked" && key.expires_at.is_some_and(|end| is_near(end, now)),
            rotated_to: key.rotated_to.clone(),
            limits: limits(key),
            limits_inherited: key.own_limits.is_none() && key.plan.is_none(),
            plan: key.plan.clone(),
            shadow: key.shadow && key.status(now) == Status::Active,
            restrictions: restriction_lines(key.restrict.as_ref()),
            restricted: match &key.restrict {
                None => "",
                Some(Restrict { paths, addresses, .. }) if !paths.is_empty() || !addresses.is_empty() => {
                    "Restricted"
                }
                some if restrict::is_read_only(some.as_ref()) => "Read only",
                Some(_) => "Restricted",
            },
            status,
        }
    }

    /// `Live` or `Test`.
    pub fn environment_name(&self) -> &'static str {
        if self.environment == "live" { "Live" } else { "Test" }
    }

    /// Its state, in words and a colour.
    pub fn badge(&self) -> Badge {
        let (tone, text) = match self.status {
            "active" => ("good", "Active"),
            "ending" => ("warn", "Rotated"),
            "revoked" => ("bad", "Revoked"),
            _ => ("", "Expired"),
        };
        Badge { tone, text }
    }

    /// Whether its badge says more than that it works, as most do.
    pub fn is_odd(&self) -> bool {
        self.status != "active"
    }

    /// Whether it can still be revoked.
    pub fn works(&self) -> bool {
        matches!(self.status, "active" | "ending")
    }
}

/// Its plan takes the place of the workspace's default, and has its own limits.
fn limits(key: &Key) -> KeyLimits {
    let limits = KeyLimits::new(&key.limits);
    match (&key.plan, &key.own_limits) {
        (None, _) => limits,
        (Some(plan), None) => {
            let own = "That of its plan".to_owned();
            KeyLimits { lines: vec![own.clone()], own, short: format!("Plan {plan}"), ..limits }
        }
        (Some(plan), Some(_)) => KeyLimits { short: format!("{} · plan {plan}", limits.short), ..limits },
    }
}

fn is_near(end: End, now: Timestamp) -> bool {
    !end.is_over(now) && End::after(now, SignedDuration::from_hours(7 * 24)).is_some_and(|near| end < near)
}
