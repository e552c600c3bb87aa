//! Reading a JSON object field by field while collecting every mistake: wrong types, values out of bounds, and, at the
//! end, the fields that nobody asked for. A value that is wrong is replaced by its default so that reading goes on.

use std::fmt;
use std::num::NonZeroU32;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::contract::key::Environment;
use crate::contract::record::{KeyRecord, Limit, MAX_REQUESTS, MAX_WINDOW_SECONDS, Scope};
use crate::contract::restrict::Restrict;

use super::mistakes::Mistakes;

/// One JSON object being read.
pub struct Fields<'v, 'm> {
    object: &'v Map<String, Value>,
    path: String,
    known: Vec<&'static str>,
    mistakes: &'m mut Mistakes,
}

impl<'v, 'm> Fields<'v, 'm> {
    /// Starts reading `value`, which has to be an object.
    pub fn new(value: &'v Value, path: &str, mistakes: &'m mut Mistakes) -> Option<Self> {
        let Some(object) = value.as_object() else {
            mistakes.add(path, format!("an object, not {}", kind(value)));
            return None;
        };
        Some(Self { object, path: path.to_owned(), known: Vec::new(), mistakes })
    }

    /// Where mistakes go.
    pub fn mistakes(&mut self) -> &mut Mistakes {
        self.mistakes
    }

    /// Notes a mistake in a field of this object.
    pub fn mistake(&mut self, name: &str, problem: &str) {
        let path = self.at(name);
        self.mistakes.add(&path, problem);
    }

    /// True when the field is there, whatever it holds.
    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Refuses each of `names` that is there.
    pub fn refuse_all(&mut self, names: &[&str], problem: &str) {
        for name in names.iter().filter(|name| self.object.contains_key(**name)) {
            self.mistake(name, problem);
        }
    }

    /// A text, or the default.
    pub fn text(&mut self, name: &'static str, default: &str) -> String {
        match self.value(name) {
            None => default.to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                self.wrong_type(name, "a text", other);
                default.to_owned()
            }
        }
    }

    /// A text that must be there.
    pub fn required_text(&mut self, name: &'static str) -> Option<String> {
        if !self.has(name) {
            self.known.push(name);
            self.mistake(name, "is required");
            return None;
        }
        match self.value(name) {
            Some(Value::String(text)) => Some(text.clone()),
            other => {
                self.wrong_type(name, "a text", other.unwrap_or(&Value::Null));
                None
            }
        }
    }

    /// True or false, or the default.
    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self.value(name) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.wrong_type(name, "true or false", other);
                default
            }
        }
    }

    /// A whole number from 1 to `most` that must be there.
    pub fn required_number(&mut self, name: &'static str, most: u32) -> Option<NonZeroU32> {
        if !self.has(name) {
            self.known.push(name);
            self.mistake(name, "is required");
            return None;
        }
        u32::try_from(self.number(name, 1, 1, u64::from(most))).ok().and_then(NonZeroU32::new)
    }

    /// A whole number from `least` to `most`, or the default. `20.0` is one: some hosts carry numbers as doubles.
    pub fn number(&mut self, name: &'static str, default: u64, least: u64, most: u64) -> u64 {
        let Some(value) = self.value(name) else { return default };
        match whole(value) {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                self.wrong_type(name, &format!("a whole number from {least} to {most}"), value);
                default
            }
        }
    }

    /// One of a few words, or the default.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)], default: T) -> T {
        let Some(value) = self.value(name) else { return default };
        let found = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        match found {
            Some((_, choice)) => *choice,
            None => {
                let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                self.wrong_type(name, &format!("one of {}", words.join(", ")), value);
                default
            }
        }
    }

    /// A list of texts; `None` when the field is not there.
    pub fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.has(name).then(|| {
            self.list(name, |value, path, mistakes| match value {
                Value::String(text) => Some(text.clone()),
                other => {
                    mistakes.add(path, format!("a text, not {}", kind(other)));
                    None
                }
            })
        })
    }

    /// A list, read element by element; empty when the field is not there.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&'v Value, &str, &mut Mistakes) -> Option<T>,
    ) -> Vec<T> {
        match self.value(name) {
            None => Vec::new(),
            Some(Value::Array(values)) => {
                let path = self.at(name);
                let element = |(index, value)| read(value, &format!("{path}[{index}]"), self.mistakes);
                values.iter().enumerate().filter_map(element).collect()
            }
            Some(other) => {
                self.wrong_type(name, "a list", other);
                Vec::new()
            }
        }
    }

    /// A field that is read by another function, with its path.
    pub fn child(&mut self, name: &'static str) -> Option<(&'v Value, String)> {
        let path = self.at(name);
        self.value(name).map(|value| (value, path))
    }

    /// The fields of a key record in this object, read one by one so that every mistake has its path and no value is
    /// repeated: somebody may have put a key into the wrong field.
    pub fn record(&mut self) -> Option<KeyRecord> {
        let id = self.required_text("id");
        let workspace = self.required_text("workspace");
        let environments = [("live", Some(Environment::Live)), ("test", Some(Environment::Test))];
        let environment = if self.has("environment") {
            self.choice("environment", &environments, None)
        } else {
            self.required_text("environment").and(None)
        };
        let expires_at = match self.value("expires_at") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let seconds = whole(value);
                if seconds.is_none() {
                    self.wrong_type("expires_at", "Unix seconds or null", value);
                }
                seconds
            }
        };
        let limits = self.list("limits", read_limit);
        let restrict = self.child("restrict");
        let restrict = restrict.and_then(|(value, path)| read_restrict(value, &path, self.mistakes));
        let shadow = self.flag("shadow", false);
        let is_complete = id.is_some() && workspace.is_some() && environment.is_some();
        // What is missing is reported already; a stand-in for it lets the rest be checked at the same time.
        let text = |text: Option<String>| text.unwrap_or_else(|| "missing".to_owned());
        let environment = environment.unwrap_or(Environment::Live);
        let known = KeyRecord::new(text(id), text(workspace), environment);
        let record = KeyRecord { expires_at, limits, restrict, shadow, ..known };
        for (path, problem) in record.problems() {
            self.mistake(&path, &problem);
        }
        is_complete.then_some(record)
    }

    /// Refuses every field that was not read.
    pub fn finish(self) {
        for name in self.object.keys().filter(|name| !self.known.contains(&name.as_str())) {
            self.mistakes.add(&join(&self.path, name), "unknown field");
        }
    }

    fn value(&mut self, name: &'static str) -> Option<&'v Value> {
        self.known.push(name);
        self.object.get(name)
    }

    fn wrong_type(&mut self, name: &str, wanted: &str, found: &Value) {
        self.mistake(name, &format!("{wanted}, not {}", kind(found)));
    }

    fn at(&self, name: &str) -> String {
        join(&self.path, name)
    }
}

fn read_restrict(value: &Value, path: &str, mistakes: &mut Mistakes) -> Option<Restrict> {
    let mut fields = Fields::new(value, path, mistakes)?;
    let methods = fields.texts("methods").unwrap_or_default();
    let paths = fields.texts("paths").unwrap_or_default();
    let addresses = fields.texts("addresses").unwrap_or_default();
    for (name, list) in [("methods", &methods), ("paths", &paths), ("addresses", &addresses)] {
        if fields.has(name) && list.is_empty() {
            fields.mistake(name, "at least one, or leave it out for all");
        }
    }
    fields.finish();
    Some(Restrict { methods, paths, addresses })
}

fn read_limit(value: &Value, path: &str, mistakes: &mut Mistakes) -> Option<Limit> {
    let mut fields = Fields::new(value, path, mistakes)?;
    let name = fields.text("name", "default");
    let scope = fields.choice("scope", &[("key", Scope::Key), ("workspace", Scope::Workspace)], Scope::Key);
    let requests = fields.required_number("requests", MAX_REQUESTS);
    let window_seconds = fields.required_number("window_seconds", MAX_WINDOW_SECONDS);
    let burst = if fields.has("burst") { fields.required_number("burst", MAX_REQUESTS) } else { None };
    fields.finish();
    Some(Limit { name, scope, burst, ..Limit::per(requests?, window_seconds?) })
}

/// Parses JSON and refuses objects that name a field twice: which of the two counts would be a guess.
pub fn parse_json(json: &[u8]) -> Result<Value, String> {
    if json.is_empty() {
        return Err("is empty; a JSON object is needed".to_owned());
    }
    let strict: Strict = serde_json::from_slice(json).map_err(|error| format!("not valid JSON: {error}"))?;
    Ok(strict.0)
}

/// A JSON value without duplicate fields.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = access.next_element()? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = access.next_entry::<String, Strict>()? {
            if object.contains_key(&name) {
                return Err(serde::de::Error::custom(format!("field \"{name}\" stands twice")));
            }
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

fn whole(value: &Value) -> Option<u64> {
    let exact = |double: f64| {
        (double.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&double)).then_some(double)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to 2^53"
    )]
    value.as_u64().or_else(|| value.as_f64().and_then(exact).map(|double| double as u64))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "this number",
        Value::String(_) => "this text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
