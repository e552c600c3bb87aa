//! The details of an audit entry as people read them: `limits default=100/60s → default=50/60s · grace 3600 s`. Entries of every
//! version are read, because none is ever rewritten.

use serde_json::{Map, Value};

/// Most entries of a list that are written out.
const MOST: usize = 3;

/// What is known, in the order of the entry; old and new value of what was changed. Whether a member was new to this control plane is
/// not said: it would tell that they are in another workspace.
pub(crate) fn details_text(details: &Value) -> String {
    let Some(fields) = details.as_object() else { return String::new() };
    let before = fields.get("before");
    let old = before.and_then(Value::as_object);
    let line = |(name, value): (&String, &Value)| match name.as_str() {
        "new" => None,
        "before" => before.and_then(Value::as_str).map(|text| format!("before {text}")),
        name => field(name, value, old.and_then(|old| old.get(name))),
    };
    fields.iter().filter_map(line).collect::<Vec<_>>().join(" · ")
}

/// One field, with the value that it had before.
fn field(name: &str, value: &Value, before: Option<&Value>) -> Option<String> {
    let words = match name {
        "grace_seconds" => "grace, seconds".to_owned(),
        _ => name.replace('_', " "),
    };
    match (before, value) {
        (Some(before), _) => Some(format!("{words} {} → {}", text(name, before), text(name, value))),
        (None, Value::Null | Value::Bool(false)) => None,
        (None, Value::Bool(true)) => Some(words),
        (None, value) => Some(format!("{words} {}", text(name, value))),
    }
}

/// A value of a field.
pub(crate) fn text(name: &str, value: &Value) -> String {
    match value {
        Value::Null => match name {
            "expires_at" | "new_expires_at" => "never",
            "limits" => "the workspace's",
            _ => "none",
        }
        .to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => list(values),
        other => other.to_string(),
    }
}

fn list(values: &[Value]) -> String {
    let shown =
        values.iter().take(MOST + 1).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
    let mut shown: Vec<_> = shown.collect();
    if values.len() > MOST + 1 {
        shown.truncate(MOST);
        return format!("{} and {} more", shown.join(", "), values.len() - MOST);
    }
    shown.join(", ")
}

/// What differs between two states of a thing, as it was before: the field `before` of an entry.
pub(crate) fn changed_from(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else { return Value::Null };
    let differs = |(name, value): &(&String, &Value)| new.get(*name) != Some(*value);
    let changed = old.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(changed.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_shows_what_was_and_what_is() {
        let (before, mut after) = (
            json!({"limits": null, "expires_at": null, "environment": "live", "max_active_keys": 5}),
            json!({"limits": ["default=1/1s"], "expires_at": "2040-01-01T00:00:00Z", "environment": "live",
                "max_active_keys": null}),
        );
        after["before"] = changed_from(&before, &after);
        assert_eq!(after["before"], json!({"limits": null, "expires_at": null, "max_active_keys": 5}));
        let text = details_text(&after);
        for part in [
            "limits the workspace's → default=1/1s",
            "expires at never → 2040-01-01T00:00:00Z",
            "max active keys 5 → none",
            "environment live",
        ] {
            assert!(text.split(" · ").any(|found| found == part), "{part}: {text}");
        }
    }

    #[test]
    fn entries_of_every_version_are_read_and_long_lists_are_short() {
        let text = details_text(&json!({"before": "Old name", "key": "sk_live_…a1B2", "new": true}));
        assert_eq!(text, "before Old name · key sk_live_…a1B2");
        assert_eq!(details_text(&json!({"ids": ["a", "b"]})), "ids a, b");
        assert_eq!(details_text(&json!({"ids": ["a", "b", "c", "d"]})), "ids a, b, c, d");
        assert_eq!(details_text(&json!({"ids": ["a", "b", "c", "d", "e"]})), "ids a, b, c and 2 more");
        for nothing in [json!({}), json!(null), json!({"operator": false, "limits": null})] {
            assert_eq!(details_text(&nothing), "");
        }
    }
}
