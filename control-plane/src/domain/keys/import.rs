//! Keys that exist elsewhere, by hash, before they are stored.

use jiff::Timestamp;
use serde_json::Value;

use super::draft::{KeyDraft, Wanted};
use super::restrict::RestrictDraft;
use super::secret;
use crate::contract::KeyHash;
use crate::domain::error::Problems;
use crate::domain::limits::LimitDraft;

/// Most keys in one batch.
pub const MAX_BATCH: usize = 1_000;

/// An existing key, by its hash.
#[derive(Clone, Debug, Default)]
pub struct ImportDraft {
    /// SHA-256 of the whole key, prefix included, as 64 hexadecimal digits.
    pub hash: Option<String>,
    /// Id or slug of the workspace.
    pub workspace: Option<String>,
    /// Descriptive name, 1 to 100 characters.
    pub name: Option<String>,
    /// `live` or `test`, as in the key's prefix.
    pub environment: Option<String>,
    /// For people: the prefix, `…`, and at most four characters, for example `sk_live_…a1B2`; `…` when it is not given, since a
    /// hash says nothing of its key.
    pub key_hint: Option<String>,
    /// When the key stops working: RFC 3339 text or Unix seconds.
    pub expires_at: Option<Value>,
    /// Own limits; when it is not given, the key follows its workspace's default.
    pub limits: Option<Vec<LimitDraft>>,
    /// What it may be used for; everything, when it is not given.
    pub restrict: Option<RestrictDraft>,
    /// Its plan.
    pub plan: Option<String>,
    /// In shadow from the first request on.
    pub shadow: bool,
}

/// What became of one key of a batch.
#[derive(Clone, Debug)]
pub enum Imported {
    /// It is stored, under this id.
    Created(String),
    /// It was there already, under this id; nothing was changed.
    Known(String),
    /// It breaks these rules and is not stored.
    Refused(Problems),
}

/// A draft that keeps all rules.
pub(crate) struct Ready {
    pub(crate) hash: KeyHash,
    pub(crate) hint: String,
    pub(crate) shadow: bool,
    pub(crate) wanted: Wanted,
}

impl Imported {
    /// The id of the key that there is.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Created(id) | Self::Known(id) => Some(id),
            Self::Refused(_) => None,
        }
    }
}

impl ImportDraft {
    pub(crate) fn check(self, now: Timestamp) -> Result<Ready, Problems> {
        let mut problems = Problems::default();
        match self.check_into(now, &mut problems) {
            Some(ready) if problems.is_empty() => Ok(ready),
            _ => Err(problems),
        }
    }

    fn check_into(self, now: Timestamp, problems: &mut Problems) -> Option<Ready> {
        let hash = self.hash.as_deref().and_then(KeyHash::from_hex);
        if hash.is_none() {
            problems.add("hash", "must be 64 hexadecimal digits");
        }
        let draft = KeyDraft {
            workspace: self.workspace,
            name: self.name,
            environment: self.environment,
            expires_at: self.expires_at,
            limits: self.limits,
            restrict: self.restrict,
            plan: self.plan,
            note: None,
        };
        let wanted = draft.check_into(now, problems)?;
        // A hash says nothing of its key, not even that the prefix is ours.
        let hint = self.key_hint.unwrap_or_else(|| secret::UNKNOWN_HINT.to_owned());
        if hint != secret::UNKNOWN_HINT && !secret::is_hint(wanted.environment, &hint) {
            problems
                .add("key_hint", "must be the prefix, … and at most four characters, such as sk_live_…a1B2");
        }
        Some(Ready { hash: hash?, hint, shadow: self.shadow, wanted })
    }
}
