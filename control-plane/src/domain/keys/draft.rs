//! Requests for keys before they are checked. Every broken rule is reported at once, with the path of its field.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::end::End;
use super::paste::{IN_NAME, holds_key};
use super::restrict::RestrictDraft;
use crate::contract::{Environment, Limit, Restrict};
use crate::domain::error::{Error, Problems};
use crate::domain::limits::{self, LimitDraft};
use crate::domain::names;

/// A key to be made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KeyDraft {
    /// Id or slug of the workspace.
    pub workspace: Option<String>,
    /// Descriptive name, 1 to 100 characters.
    pub name: Option<String>,
    /// `live` or `test`.
    pub environment: Option<String>,
    /// When the key stops working: RFC 3339 text or Unix seconds, up to
    /// 9999-12-31T23:59:59Z; parts of a second are cut off. Never, when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Value>,
    /// Own limits; `[]` for none, so that only what the workspace sets applies. When it is not given, the key follows its
    /// workspace's default. One of them must be within the workspace's ceiling, which applies beside them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<LimitDraft>>,
    /// What it may be used for; everything, when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restrict: Option<RestrictDraft>,
    /// Its plan, in the place of the workspace's default limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What its owners say of it: one line, up to 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Changes of a key; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct KeyPatch {
    /// Another descriptive name.
    pub name: Option<String>,
    /// Another expiry: RFC 3339 text or Unix seconds; `null` for never.
    pub expires_at: Option<Value>,
    /// Other limits; `null` to follow the workspace's default again.
    pub limits: Option<Option<Vec<LimitDraft>>>,
    /// Other restrictions, where a list that is not given stays; `null` for none.
    pub restrict: Option<Option<RestrictDraft>>,
    /// Another plan; `null` for none.
    pub plan: Option<Option<String>>,
    /// Another note; `null` or empty for none.
    pub note: Option<Option<String>>,
}

/// A [`KeyDraft`] that keeps all rules.
pub(crate) struct Wanted {
    pub workspace: String,
    pub name: String,
    pub environment: Environment,
    pub expires_at: Option<End>,
    pub limits: Option<Vec<Limit>>,
    pub restrict: Option<Restrict>,
    pub plan: Option<String>,
    pub note: Option<String>,
}

/// A [`KeyPatch`] that keeps all rules.
pub(crate) struct Changes {
    pub name: Option<String>,
    pub expires_at: Option<Option<End>>,
    pub limits: Option<Option<Vec<Limit>>>,
    pub restrict: Option<Option<RestrictDraft>>,
    pub plan: Option<Option<String>>,
    pub note: Option<Option<String>>,
}

impl KeyDraft {
    pub(crate) fn check(self, now: Timestamp) -> Result<Wanted, Error> {
        let mut problems = Problems::default();
        let wanted = self.check_into(now, &mut problems);
        problems.check()?;
        wanted.ok_or_else(|| Error::internal("a draft without problems is not complete"))
    }

    /// The same for a draft among others. `None` only together with a problem.
    pub(crate) fn check_into(self, now: Timestamp, problems: &mut Problems) -> Option<Wanted> {
        let workspace = required("workspace", self.workspace, problems);
        let name = required("name", self.name, problems).and_then(|name| check_name(&name, problems));
        let environment = required("environment", self.environment, problems)
            .and_then(|text| check_environment("environment", &text, problems));
        let expires_at = check_expiry(self.expires_at.as_ref(), now, problems);
        let limits = self.limits.map(|drafts| limits::check(&drafts, "limits", problems));
        let restrict = self.restrict.and_then(|draft| {
            draft.check(problems);
            draft.over(None)
        });
        let note = self.note.and_then(|note| check_note(&note, problems));
        Some(Wanted {
            workspace: workspace?,
            name: name?,
            environment: environment?,
            expires_at,
            limits,
            restrict,
            plan: self.plan,
            note,
        })
    }
}

impl KeyPatch {
    pub(crate) fn check(self, now: Timestamp) -> Result<Changes, Error> {
        let mut problems = Problems::default();
        let name = self.name.and_then(|name| check_name(&name, &mut problems));
        let expires_at = self.expires_at.map(|value| check_expiry(Some(&value), now, &mut problems));
        let limits =
            self.limits.map(|drafts| drafts.map(|drafts| limits::check(&drafts, "limits", &mut problems)));
        let restrict = self.restrict;
        if let Some(Some(draft)) = &restrict {
            draft.check(&mut problems);
        }
        let note = self.note.map(|note| note.and_then(|note| check_note(&note, &mut problems)));
        problems.check()?;
        Ok(Changes { name, expires_at, limits, restrict, plan: self.plan, note })
    }
}

pub(crate) fn required<T>(path: &str, value: Option<T>, problems: &mut Problems) -> Option<T> {
    if value.is_none() {
        problems.add(path, "is required");
    }
    value
}

/// A name for people in which nobody has pasted a key: it would stand in every list and in the audit log. Short keys from elsewhere
/// are looked up where there is a database.
fn check_name(name: &str, problems: &mut Problems) -> Option<String> {
    if holds_key(name) {
        problems.add("name", IN_NAME);
        return None;
    }
    names::check("name", name, problems)
}

/// A note in which nobody has pasted a key.
fn check_note(note: &str, problems: &mut Problems) -> Option<String> {
    if holds_key(note) {
        problems.add("note", IN_NAME);
        return None;
    }
    names::check_note("note", note, problems)
}

/// `live` or `test`.
pub(crate) fn check_environment(path: &str, text: &str, problems: &mut Problems) -> Option<Environment> {
    match text {
        "live" => Some(Environment::Live),
        "test" => Some(Environment::Test),
        _ => {
            problems.add(path, "must be live or test");
            None
        }
    }
}

/// RFC 3339 text or Unix seconds, in the future.
pub(crate) fn check_expiry(value: Option<&Value>, now: Timestamp, problems: &mut Problems) -> Option<End> {
    let value = value.filter(|value| !value.is_null())?;
    match End::read(value) {
        Ok(end) if end.is_over(now) => problems.add("expires_at", "must be in the future"),
        Ok(end) => return Some(end),
        Err(problem) => problems.add("expires_at", problem),
    }
    None
}
