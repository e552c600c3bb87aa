//! Requests for keys before they are checked. Every broken rule is reported at once, with the path of its field.

use flamegate::api_key::Environment;
use flamegate::record::Limit;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, SchemaFormat};

use crate::error::{Error, Problems};
use crate::limits::{self, LimitDraft};

/// A key to be made.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateKey)]
pub struct KeyDraft {
    /// Id or slug of the workspace.
    #[schema(required, value_type = String, example = "demo")]
    pub workspace: Option<String>,
    /// Descriptive name, 1 to 100 characters.
    #[schema(required, value_type = String, min_length = 1, max_length = 100, example = "Production App")]
    pub name: Option<String>,
    /// `live` or `test`.
    #[schema(required, value_type = String, pattern = "^(live|test)$", example = "live")]
    pub environment: Option<String>,
    /// When the key stops working: RFC 3339 text or Unix seconds. Never, when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = expiry_schema)]
    pub expires_at: Option<Value>,
    /// Own limits; `[]` for none. When it is not given, the key follows its workspace's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<LimitDraft>>,
}

/// Changes of a key; what is not given stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateKey)]
pub struct KeyPatch {
    /// Another descriptive name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// Another expiry: RFC 3339 text or Unix seconds; `null` for never.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = expiry_schema)]
    pub expires_at: Option<Value>,
    /// Other limits; `null` to follow the workspace's default again.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<LimitDraft>>)]
    pub limits: Option<Option<Vec<LimitDraft>>>,
}

/// A [`KeyDraft`] that keeps all rules.
pub(super) struct Wanted {
    pub workspace: String,
    pub name: String,
    pub environment: Environment,
    pub expires_at: Option<Timestamp>,
    pub limits: Option<Vec<Limit>>,
}

/// A [`KeyPatch`] that keeps all rules.
pub(super) struct Changes {
    pub name: Option<String>,
    pub expires_at: Option<Option<Timestamp>>,
    pub limits: Option<Option<Vec<Limit>>>,
}

/// Longest name, in characters.
const MAX_NAME_CHARS: usize = 100;

impl KeyDraft {
    pub(super) fn check(self, now: Timestamp) -> Result<Wanted, Error> {
        let mut problems = Problems::default();
        let wanted = self.check_into(now, &mut problems);
        problems.check()?;
        wanted.ok_or_else(|| Error::internal("a draft without problems is not complete"))
    }

    /// The same for a draft among others. `None` only together with a problem.
    pub(super) fn check_into(self, now: Timestamp, problems: &mut Problems) -> Option<Wanted> {
        let workspace = required("workspace", self.workspace, problems);
        let name = required("name", self.name, problems).and_then(|name| check_name("name", &name, problems));
        let environment = required("environment", self.environment, problems)
            .and_then(|text| check_environment("environment", &text, problems));
        let expires_at = check_expiry(self.expires_at.as_ref(), now, problems);
        let limits = self.limits.map(|drafts| limits::check(&drafts, "limits", problems));
        Some(Wanted { workspace: workspace?, name: name?, environment: environment?, expires_at, limits })
    }
}

impl KeyPatch {
    pub(super) fn check(self, now: Timestamp) -> Result<Changes, Error> {
        let mut problems = Problems::default();
        let name = self.name.and_then(|name| check_name("name", &name, &mut problems));
        let expires_at = self.expires_at.map(|value| check_expiry(Some(&value), now, &mut problems));
        let limits =
            self.limits.map(|drafts| drafts.map(|drafts| limits::check(&drafts, "limits", &mut problems)));
        problems.check()?;
        Ok(Changes { name, expires_at, limits })
    }
}

/// How [`check_expiry`]'s input looks in the OpenAPI document.
pub(super) fn expiry_schema() -> Schema {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).description(Some("Unix seconds"));
    let nothing = ObjectBuilder::new().schema_type(Type::Null);
    let either = OneOfBuilder::new().item(text).item(seconds).item(nothing);
    either
        .description(Some("When the key stops working: RFC 3339 text or Unix seconds; null for never"))
        .into()
}

pub(super) fn required<T>(path: &str, value: Option<T>, problems: &mut Problems) -> Option<T> {
    if value.is_none() {
        problems.add(path, "is required");
    }
    value
}

/// A name for people: trimmed, 1 to 100 characters, none of them a control character.
pub(crate) fn check_name(path: &str, name: &str, problems: &mut Problems) -> Option<String> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        problems.add(path, format!("1 to {MAX_NAME_CHARS} characters, no control characters"));
        return None;
    }
    Some(name.to_owned())
}

/// `live` or `test`.
pub(super) fn check_environment(path: &str, text: &str, problems: &mut Problems) -> Option<Environment> {
    match text {
        "live" => Some(Environment::Live),
        "test" => Some(Environment::Test),
        _ => {
            problems.add(path, "must be live or test");
            None
        }
    }
}

/// RFC 3339 text or Unix seconds, in the future. Part seconds are cut off: gateways count whole ones.
fn check_expiry(value: Option<&Value>, now: Timestamp, problems: &mut Problems) -> Option<Timestamp> {
    let timestamp = match value {
        None | Some(Value::Null) => return None,
        Some(Value::String(text)) => text.parse::<Timestamp>().ok(),
        Some(Value::Number(number)) => {
            number.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok())
        }
        Some(_) => None,
    };
    let Some(whole) = timestamp.and_then(|t| Timestamp::from_second(t.as_second()).ok()) else {
        problems.add("expires_at", "must be RFC 3339 text or Unix seconds");
        return None;
    };
    if whole <= now {
        problems.add("expires_at", "must be in the future");
    }
    Some(whole)
}

/// Tells `null` (`Some(null)`) from a field that is not there (`None`).
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
