//! The key record: what a key is allowed to do. One type for the sync's JSON, the static keys of the plugin
//! configuration and the control plane; the checks here are the ones that all three rely on.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::key::Environment;
use super::protocol::Protocol;
use super::restrict::Restrict;

/// What the gateway knows of one key. Never holds the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Public name of the key, `key_…`.
    pub id: String,
    /// The workspace that the key opens, `ws_…`.
    pub workspace: String,
    /// Live or test.
    pub environment: Environment,
    /// First moment at which the key is refused, in Unix seconds; `None` for a key that does not expire.
    #[serde(default)]
    pub expires_at: Option<u64>,
    /// At most [`MAX_LIMITS`] limits; every one of them must admit a request.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// Outside of this the key is refused with 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restrict: Option<Restrict>,
    /// The key's plan, whose limits and restrictions apply as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The workspace's plan, whose limits and restrictions apply as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_plan: Option<String>,
    /// Decided and counted, but let pass: only operators set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// `requests` per `window_seconds`, and `burst` at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Name shown to clients in `RateLimit-Policy`.
    #[serde(default = "default_name")]
    pub name: String,
    /// Who shares the limit.
    #[serde(default)]
    pub scope: Scope,
    /// Requests per window, in the long run.
    pub requests: NonZeroU32,
    /// Length of the window in seconds.
    pub window_seconds: NonZeroU32,
    /// How many requests may come at once after a rest; `requests` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Which gateways count together.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reach: Reach,
    /// Of a fleet limit whose tokens cannot be had.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when_unreachable: WhenUnreachable,
}

/// Whether a limit counts for one key or for all keys of its workspace together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Each key counts for itself.
    #[default]
    Key,
    /// All keys of the workspace count together; the limits are told apart by name.
    Workspace,
}

/// Which gateways count a limit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Each gateway for itself.
    #[default]
    Gateway,
    /// All of them.
    Fleet,
}

/// What a fleet limit does while its tokens cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnreachable {
    /// Each gateway applies it for itself.
    #[default]
    Gateway,
    /// 429, so that the bound stands.
    Refuse,
}

/// Most limits in a record.
pub const MAX_LIMITS: usize = 4;
/// Most requests per window and most burst.
pub const MAX_REQUESTS: u32 = 1_000_000;
/// Longest window: 31 days, in seconds.
pub const MAX_WINDOW_SECONDS: u32 = 2_678_400;
/// Fastest limit of the whole fleet, in requests per second.
pub const MAX_FLEET_RATE: u32 = 10_000;
/// Longest id or limit name, in bytes.
pub const MAX_NAME_LEN: usize = 64;

impl KeyRecord {
    /// A key that opens its workspace without an end, a limit or a restriction.
    pub const fn new(id: String, workspace: String, environment: Environment) -> Self {
        Self {
            id,
            workspace,
            environment,
            expires_at: None,
            limits: Vec::new(),
            restrict: None,
            plan: None,
            workspace_plan: None,
            shadow: false,
        }
    }

    /// What a gateway has to understand to be shown this record. A fleet limit is understood by all: for an old gateway it is its own.
    pub const fn needs(&self) -> Protocol {
        let plain =
            self.restrict.is_none() && self.plan.is_none() && self.workspace_plan.is_none() && !self.shadow;
        if plain { Protocol::One } else { Protocol::Two }
    }

    /// What protocol 1 knows of it. Only to be shown to a gateway of protocol 1 when the record [needs](Self::needs) no more.
    pub(super) fn plain(&self) -> Self {
        let own = |limit: &Limit| Limit {
            reach: Reach::default(),
            when_unreachable: WhenUnreachable::default(),
            ..limit.clone()
        };
        Self {
            limits: self.limits.iter().map(own).collect(),
            restrict: None,
            plan: None,
            workspace_plan: None,
            shadow: false,
            ..self.clone()
        }
    }

    /// Checks what the types do not: ids that are safe in headers, and the bounds of the limits. Returns every problem
    /// as (path below the record, what is wrong).
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (path, value) in [("id", &self.id), ("workspace", &self.workspace)] {
            if !is_name(value) {
                found.push((path.to_owned(), name_rule()));
            }
        }
        for (path, plan) in [("plan", &self.plan), ("workspace_plan", &self.workspace_plan)] {
            if plan.as_deref().is_some_and(|plan| !is_name(plan)) {
                found.push((path.to_owned(), name_rule()));
            }
        }
        found.extend(self.restrict.iter().flat_map(Restrict::problems));
        if self.limits.len() > MAX_LIMITS {
            found.push(("limits".to_owned(), format!("at most {MAX_LIMITS} limits")));
        }
        for (index, limit) in self.limits.iter().enumerate() {
            found.extend(
                limit.problems().into_iter().map(|(path, why)| (format!("limits[{index}].{path}"), why)),
            );
            let same = |other: &Limit| other.name == limit.name && other.scope == limit.scope;
            if self.limits.iter().take(index).any(same) {
                found.push((
                    format!("limits[{index}].name"),
                    "two limits of one scope have this name".to_owned(),
                ));
            }
        }
        found
    }
}

impl Limit {
    /// A limit of each key for itself and each gateway for itself, with the name that is not given.
    pub fn per(requests: NonZeroU32, window_seconds: NonZeroU32) -> Self {
        Self {
            name: default_name(),
            scope: Scope::default(),
            requests,
            window_seconds,
            burst: None,
            reach: Reach::default(),
            when_unreachable: WhenUnreachable::default(),
        }
    }

    /// How many requests are admitted at once after a rest.
    pub fn burst(&self) -> NonZeroU32 {
        self.burst.unwrap_or(self.requests)
    }

    /// Every bound that this limit breaks, as (path below the limit, what is wrong).
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if !is_name(&self.name) {
            found.push(("name", name_rule()));
        }
        for (path, value, most) in [
            ("requests", self.requests, MAX_REQUESTS),
            ("window_seconds", self.window_seconds, MAX_WINDOW_SECONDS),
            ("burst", self.burst(), MAX_REQUESTS),
        ] {
            if value.get() > most {
                found.push((path, format!("at most {most}")));
            }
        }
        let fleets_most = MAX_FLEET_RATE.saturating_mul(self.window_seconds.get());
        if self.reach == Reach::Fleet && self.requests.get() > fleets_most {
            // Its tokens are lent by one engine.
            let why = format!("a fleet limit admits at most {MAX_FLEET_RATE} requests a second");
            found.push(("requests", why));
        }
        found
    }
}

/// True for 1 to [`MAX_NAME_LEN`] letters, digits, `_`, `-`, `.`: safe in a header, a log line and a structured field.
pub fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= MAX_NAME_LEN && text.bytes().all(allowed)
}

fn name_rule() -> String {
    format!("1 to {MAX_NAME_LEN} letters, digits, '_', '-' or '.'")
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn default_name() -> String {
    "default".to_owned()
}
