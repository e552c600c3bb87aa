//! A stored key, and one to be stored. The key itself is in neither; nobody has it but its owner.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::end::End;
use super::restrict;
use crate::contract::{Environment, KeyHash, Limit, Restrict};
use crate::domain::audit::Target;
use crate::domain::limits;

/// A stored key. The key itself is not in here; nobody has it but its owner.
#[derive(Clone, Debug)]
pub struct Key {
    /// Row number: order of creation.
    pub seq: i64,
    /// Public name, `key_…`.
    pub id: String,
    /// Id of its workspace.
    pub workspace: String,
    /// The workspace's row.
    pub workspace_seq: i64,
    /// Slug of its workspace.
    pub workspace_slug: String,
    /// Live or test.
    pub environment: Environment,
    /// Descriptive name for people.
    pub name: String,
    /// What its owners say of it.
    pub note: Option<String>,
    /// `sk_live_…a1B2`.
    pub hint: String,
    /// Own limits; `None` when it follows the workspace's default.
    pub own_limits: Option<Vec<Limit>>,
    /// What the gateways enforce: own or default limits within the workspace's bounds.
    pub limits: Vec<Limit>,
    /// What it may be used for; `None` for everything.
    pub restrict: Option<Restrict>,
    /// Its plan, whose limits and restrictions apply as well.
    pub plan: Option<String>,
    /// The workspace's plan.
    pub workspace_plan: Option<String>,
    /// What its limits or restrictions would refuse is counted and passes.
    pub shadow: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as shown to people; `None` for keys older than the audit log.
    pub created_by: Option<String>,
    /// First moment at which it is refused.
    pub expires_at: Option<End>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key that it replaced.
    pub rotated_from: Option<String>,
    /// The key that replaces it.
    pub rotated_to: Option<String>,
    /// Last change of what gateways see; `None` once its removal has left the log.
    pub revision: Option<u64>,
    /// When it was used.
    pub uses: Uses,
}

/// When a key was used, in whole minutes, as far as gateways have said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// When it was last used; `None` for never, or before anybody counted.
    pub last_used_at: Option<Timestamp>,
    /// Id of the gateway.
    pub last_used_by: Option<String>,
    /// When somebody last came with it although it had ended.
    pub last_refused_at: Option<Timestamp>,
    /// Id of the gateway.
    pub last_refused_by: Option<String>,
}

/// What a key is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Accepted.
    Active,
    /// Refused because someone said so.
    Revoked,
    /// Refused because its time is over.
    Expired,
}

/// A key to be stored.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// `key_…`.
    pub id: String,
    /// SHA-256 of the key.
    pub hash: KeyHash,
    /// The workspace's row.
    pub workspace_seq: i64,
    /// Live or test.
    pub environment: Environment,
    /// For people.
    pub name: String,
    /// For people.
    pub hint: String,
    /// Own limits; `None` follows the workspace.
    pub limits: Option<Vec<Limit>>,
    /// What it may be used for; `None` for everything.
    pub restrict: Option<Restrict>,
    /// Its plan.
    pub plan: Option<String>,
    /// What its limits or restrictions would refuse is counted and passes.
    pub shadow: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, for people.
    pub created_by: String,
    /// First moment at which it is refused.
    pub expires_at: Option<End>,
    /// The key that it replaces.
    pub rotated_from: Option<String>,
}

impl Key {
    /// The key as what something is done to.
    pub(crate) fn as_target(&self) -> Target<'_> {
        Target { workspace_seq: Some(self.workspace_seq), id: Some(&self.id), name: &self.name }
    }

    /// What the audit log tells of it.
    pub(crate) fn audited(&self) -> Value {
        let limits: Vec<_> = self.own_limits.iter().flatten().map(limits::to_text).collect();
        let mut details = json!({
            "key": self.hint,
            "environment": self.environment.as_str(),
            "expires_at": self.expires_at.map(|time| time.to_string()),
            "limits": self.own_limits.as_ref().map(|_| limits),
            "restrictions": self.restrict.as_ref().map(restrict::in_words),
            "plan": self.plan,
        });
        if self.shadow {
            details["shadow"] = json!(true);
        }
        details
    }

    /// Whether a gateway of protocol 1 is told that it is gone, as [`crate::contract::KeyRecord::needs`] says of its record.
    pub(crate) const fn needs_protocol_2(&self) -> bool {
        self.restrict.is_some() || self.plan.is_some() || self.workspace_plan.is_some() || self.shadow
    }

    /// Its state at a moment.
    pub fn status(&self, now: Timestamp) -> Status {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => Status::Revoked,
            (None, Some(end)) if end.is_over(now) => Status::Expired,
            (None, _) => Status::Active,
        }
    }
}

impl Status {
    /// Name in JSON, queries and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}
