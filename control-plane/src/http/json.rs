//! JSON bodies, strictly: an object is written as an object, nothing is given twice, and every mistake has the path of its
//! field and words for people. What came is never repeated: someone may have sent a key.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use super::error::Failure;
use crate::domain::error::Error;

/// Reads a body. What is not JSON is a bad request; what breaks a rule is told with its path.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let Once(value) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        if error.inner().classify() == Category::Data {
            return Error::invalid(path(error.path(), None), "is given more than once").into();
        }
        not_json(error.inner())
    })?;
    reader.end().map_err(|error| not_json(&error))?;
    serde_path_to_error::deserialize(Strict(&value)).map_err(|error| {
        let at = error.path().clone();
        let Refusal { field, text } = error.into_inner();
        Error::invalid(path(&at, field), text).into()
    })
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::BadRequest(format!("the body is not JSON (line {} column {})", error.line(), error.column()))
}

/// Such as `limits[0].requests`; of the whole body, `body`.
fn path(at: &serde_path_to_error::Path, field: Option<&str>) -> String {
    let parts = [Some(at.to_string()), field.map(str::to_owned)].into_iter().flatten();
    let parts: Vec<_> =
        parts.map(|part| part.trim_matches('.').to_owned()).filter(|p| !p.is_empty()).collect();
    if parts.is_empty() { "body".to_owned() } else { parts.join(".") }
}

/// Any JSON in which no object has a name twice.
struct Once(Value);

struct OnceVisitor;

/// Fails where the second value of a name is, so that the path has the name.
struct GivenAgain;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor).map(Self)
    }
}

impl<'de> DeserializeSeed<'de> for GivenAgain {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(de::Error::custom("given again"))
    }
}

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Once(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if fields.contains_key(&name) {
                object.next_value_seed(GivenAgain)?;
            }
            let Once(value) = object.next_value()?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

/// A value that is read as what it is. serde takes a list for a struct otherwise, field by field.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Value);

impl<'de> IntoDeserializer<'de, Refusal> for Strict<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., value) => visitor.visit_f64(value.unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(values) => SeqDeserializer::new(values.iter().map(Strict)).deserialize_any(visitor),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), Strict(value)));
                MapDeserializer::new(fields).deserialize_any(visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        if !self.0.is_object() {
            return Err(de::Error::custom("must be an object"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(de::Error::custom("must be text")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// A broken rule, in words for people.
#[derive(Debug)]
struct Refusal {
    /// The field below the path, when it is not in the path.
    field: Option<&'static str>,
    text: String,
}

impl Refusal {
    fn new(text: impl Into<String>) -> Self {
        Self { field: None, text: text.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(text: T) -> Self {
        // Texts of our own begin so. A type that has its own words may have put what came into them.
        let text = text.to_string();
        Self::new(if text.starts_with("must be ") { text.as_str() } else { "is not valid" })
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}", in_words(&expected.to_string())))
    }

    fn invalid_value(came: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        match came {
            Unexpected::Signed(number) if number < 0 && expected.starts_with('u') => {
                Self::new("must be at least 0")
            }
            Unexpected::Signed(_) | Unexpected::Unsigned(_) => Self::new("is too large"),
            _ => Self::new(format!("must be {}", in_words(&expected))),
        }
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("must be {}", known.join(" or ")))
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::new("is not a known field")
    }

    fn missing_field(field: &'static str) -> Self {
        Self { field: Some(field), text: "is required".to_owned() }
    }
}

/// What serde calls a type, as people call it.
fn in_words(expected: &str) -> &'static str {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" | "a character" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        _ => "of another kind",
    }
}

/// Tells `null` (`Some(null)`) from a field that is not there (`None`).
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
