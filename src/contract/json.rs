//! Reading a message.

use serde::de::DeserializeOwned;

/// Reads one; the error is one line for a log. `serde_json`'s own text may quote the input, so only the place is kept.
pub fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|e| {
        format!("not a {what}: {:?} error at line {} column {}", e.classify(), e.line(), e.column())
    })
}
