//! The details of an audit entry in the words and times of the other pages. A change shows what changed, and nothing that stayed;
//! entries of every version are read, because none is ever rewritten. The command line has its own words: `domain::audit_text`.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::limits::limits_text;
use super::view::Moment;
use crate::domain::audit::Entry;
use crate::domain::audit_text::text;
use crate::domain::keys::End;
use crate::domain::limits::parse_list;

/// One detail: a label, and what is or what was and is.
pub(super) struct Line(pub Vec<Part>);

/// A part of a line.
pub(super) enum Part {
    Text(String),
    Time(Moment),
}

/// How a field is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it is, and what stands for nothing.
    Plain(&'static str),
    Environment,
    Time,
    Grace,
    /// Limits, and what stands for `null` and for an empty list.
    Limits(&'static str, &'static str),
}

/// What describes a thing, in the order of the pages: its field, label and kind. A change names all of it, and shows what is another.
const STATE: [(&str, &str, Kind); 13] = [
    ("name", "Name", Kind::Plain("none")),
    ("slug", "Short name", Kind::Plain("none")),
    ("role", "Role", Kind::Plain("none")),
    ("environment", "Environment", Kind::Environment),
    ("expires_at", "Expires", Kind::Time),
    ("limits", "Limit", Kind::Limits("Workspace default", "No limit of its own")),
    ("restrictions", "Restrictions", Kind::Plain("none")),
    ("plan", "Plan", Kind::Plain("none")),
    ("default_limits", "Default limit", Kind::Limits("No limit", "No limit")),
    ("ceiling", "Most for each key", Kind::Limits("No limit", "No limit")),
    ("workspace_limits", "All keys together", Kind::Limits("No limit", "No limit")),
    ("note", "Note", Kind::Plain("none")),
    ("max_active_keys", "Most active keys", Kind::Plain("any number")),
];

/// What else there may be.
const MORE: [(&str, &str, Kind); 10] = [
    ("shadow", "In shadow", Kind::Plain("no")),
    ("operator", "Operator", Kind::Plain("no")),
    ("grace_seconds", "The old key works for", Kind::Grace),
    ("new_key", "New key", Kind::Plain("none")),
    ("new_id", "New id", Kind::Plain("none")),
    ("new_expires_at", "The new key expires", Kind::Time),
    ("rotated_to", "Replaced by", Kind::Plain("none")),
    ("still_working", "Replaced keys that still work", Kind::Plain("none")),
    ("keys", "Keys", Kind::Plain("none")),
    ("ids", "Ids", Kind::Plain("none")),
];

/// What is known. Whether a member was new to this control plane is not said: it would tell that they are in another workspace.
pub(super) fn lines(entry: &Entry) -> Vec<Line> {
    let Some(fields) = entry.details.as_object() else { return Vec::new() };
    let mut fields = fields.clone();
    fields.remove("new");
    // A change says what was: of several fields as an object, of a role or a name as it is.
    let old = match fields.remove("before") {
        Some(Value::Object(old)) => Some(old),
        Some(Value::String(old)) => {
            let name = if fields.contains_key("role") { "role" } else { "name" };
            fields.entry(name).or_insert_with(|| entry.target.clone().into());
            Some(Map::from_iter([(name.to_owned(), old.into())]))
        }
        _ => None,
    };
    if let Some(old) = &old {
        fields.retain(|name, _| old.contains_key(name) || STATE.iter().all(|(state, ..)| state != name));
    }
    let key = [("key", "Key", Kind::Plain("none"))];
    let known = key.iter().chain(&STATE).chain(&MORE);
    let mut lines: Vec<_> = known
        .filter_map(|(name, label, kind)| {
            let value = fields.remove(*name)?;
            line(name, label, *kind, &value, old.as_ref().and_then(|old| old.get(*name)))
        })
        .collect();
    // What another version has written.
    lines.extend(fields.iter().filter_map(|(name, value)| {
        line(name, &label_of(name), kind_of(value), value, old.as_ref().and_then(|old| old.get(name)))
    }));
    lines
}

fn line(name: &str, label: &str, kind: Kind, value: &Value, before: Option<&Value>) -> Option<Line> {
    let mut parts = vec![Part::Text(format!("{label}: "))];
    match (before, value) {
        (Some(before), _) => {
            // Limits of another name are other limits, and have the same words.
            let alike = matches!(kind, Kind::Limits(..)) && words(kind, before) == words(kind, value);
            let part = |value| if alike { Part::Text(text(name, value)) } else { part(kind, value) };
            parts.extend([part(before), Part::Text(" → ".to_owned()), part(value)]);
        }
        (None, Value::Null | Value::Bool(false)) => return None,
        (None, Value::Bool(true)) => parts = vec![Part::Text(label.to_owned())],
        (None, Value::Array(none)) if none.is_empty() && name == "workspace_limits" => return None,
        (None, value) => parts.push(part(kind, value)),
    }
    Some(Line(parts))
}

fn part(kind: Kind, value: &Value) -> Part {
    let end = (kind == Kind::Time).then(|| End::read(value).ok()).flatten();
    end.map_or_else(|| Part::Text(words(kind, value)), |end| Part::Time(Moment::at(end)))
}

fn words(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Plain(none), Value::Null) => none.to_owned(),
        (Kind::Time, Value::Null) => "Never".to_owned(),
        (Kind::Environment, Value::String(name)) if name == "live" => "Live".to_owned(),
        (Kind::Environment, Value::String(name)) if name == "test" => "Test".to_owned(),
        (Kind::Grace, value) => value.as_u64().map_or_else(
            || text("", value),
            |seconds| match seconds {
                0 => "no longer".to_owned(),
                seconds => format!("{} more", duration_text(seconds)),
            },
        ),
        (Kind::Limits(none, _), Value::Null) => none.to_owned(),
        (Kind::Limits(_, empty), Value::Array(limits)) if limits.is_empty() => empty.to_owned(),
        (Kind::Limits(..), Value::Array(limits)) => {
            limits.iter().map(limit_words).collect::<Vec<_>>().join("; ")
        }
        (Kind::Limits(..), limit) => limit_words(limit),
        (_, value) => text("", value),
    }
}

fn limit_words(value: &Value) -> String {
    let written = text("", value);
    parse_list(&written).map_or(written, |limits| limits_text(&limits))
}

/// `24 hours`, `7 days`: as the form to rotate a key says it.
fn duration_text(seconds: u64) -> String {
    let units = [(86_400, 2, "day"), (3_600, 1, "hour"), (60, 1, "minute"), (1, 1, "second")];
    let fits =
        |(size, least, _): &(u64, u64, &str)| seconds.is_multiple_of(*size) && seconds / size >= *least;
    let (size, _, name) = units.into_iter().find(fits).unwrap_or((1, 1, "second"));
    let count = seconds / size;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// `last_seen`: `Last seen`.
fn label_of(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters.map(|letter| if letter == '_' { ' ' } else { letter })).collect()
}

fn kind_of(value: &Value) -> Kind {
    let is_time = value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok());
    if is_time { Kind::Time } else { Kind::Plain("none") }
}

#[cfg(test)]
mod tests;
