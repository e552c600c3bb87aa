//! The field `filter_state`: names of what is published. It was true or false once, and whoever has that gets told what to write.

use serde_json::Value;

use crate::decision::published::{NAMES, Published};

use super::mistakes::Mistakes;

/// Reads the field's value.
pub(super) fn read(value: &Value, path: &str, mistakes: &mut Mistakes) -> Published {
    let Some(names) = value.as_array() else {
        let list = "a list of names";
        mistakes.add(
            path,
            match value {
                Value::Bool(true) => format!("{list}: leave it out, or for all that true was, [\"key_id\", \"workspace_id\", \"environment\"]"),
                Value::Bool(false) => format!("{list}: what was false is []"),
                _ => format!("{list}, as [\"key_id\"]"),
            },
        );
        return Published::default();
    };
    let mut published = Published::NOTHING;
    for (index, name) in names.iter().enumerate() {
        match name.as_str().and_then(|name| published.with(name)) {
            Some(more) => published = more,
            None => {
                let known = NAMES.map(|name| format!("\"{name}\"")).join(", ");
                mistakes.add(&format!("{path}[{index}]"), format!("one of {known}"));
            }
        }
    }
    published
}
