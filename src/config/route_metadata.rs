//! What stands in a route's metadata for the filter, as it is written: read by the very function that reads it of requests' routes, so who
//! checks a configuration finds what the filter will refuse.

use serde_json::Value;

use crate::decision::headers::serialize_pairs;
use crate::decision::route_settings::{RouteSettings, Unreadable};

/// The settings of a route from its metadata `flamegate`, an object.
pub fn route_settings(metadata: &Value) -> Result<RouteSettings, Unreadable> {
    let bytes = handed_over(metadata).ok_or_else(Unreadable::of_no_kind)?;
    if metadata.is_object() { RouteSettings::read(&bytes) } else { Err(Unreadable::of_no_kind()) }
}

/// The bytes in which Envoy hands such metadata over (`serializeValue` of its Wasm extension; `tests/e2e/tests/route_settings.rs` has seen
/// it): numbers as doubles, objects and lists as it does header maps. `None` where it cannot: for what is null.
pub fn handed_over(metadata: &Value) -> Option<Vec<u8>> {
    Some(match metadata {
        Value::Null => return None,
        Value::Bool(flag) => vec![u8::from(*flag)],
        Value::Number(number) => number.as_f64()?.to_le_bytes().to_vec(),
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Array(items) => {
            let entries: Option<Vec<_>> =
                items.iter().map(|item| Some((handed_over(item)?, vec![]))).collect();
            serialize_pairs(&entries?)
        }
        Value::Object(fields) => {
            let of = |(name, value): (&String, &Value)| Some((name.as_bytes().to_vec(), handed_over(value)?));
            let fields: Option<Vec<_>> = fields.iter().map(of).collect();
            serialize_pairs(&fields?)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_of_a_request() {
        let settings = route_settings(&json!({"cost": 5, "environments": ["live"]})).unwrap();
        assert_eq!(settings.cost, 5);
        assert_eq!(route_settings(&json!({})), Ok(RouteSettings::default()));
        for (metadata, why) in [
            (json!({"costs": 5}), "unknown field \"costs\""),
            (json!({"cost": "5"}), "cost: a whole number from 0 to 1000000"),
            (json!({"cost": true}), "cost: a whole number from 0 to 1000000"),
            (json!({"cost": {"a": 1}}), "cost: a whole number from 0 to 1000000"),
            (json!({"environments": "live"}), "environments: a list of \"live\" and \"test\", at least one"),
            (
                json!({"environments": ["prod"]}),
                "environments: a list of \"live\" and \"test\", at least one",
            ),
            (json!({"cost": null}), "a value of a kind that cannot be read, as null"),
            (json!({"environments": [null]}), "a value of a kind that cannot be read, as null"),
            (json!(5), "a value of a kind that cannot be read, as null"),
        ] {
            assert_eq!(route_settings(&metadata).unwrap_err().to_string(), why, "{metadata}");
        }
    }
}
