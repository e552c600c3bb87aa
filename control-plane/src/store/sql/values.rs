//! What stands in columns, and what it means.

use jiff::Timestamp;

use super::columns::Columns;
use crate::contract::{Environment, KeyHash, Limit, Restrict};
use crate::domain::bounds;
use crate::domain::error::Error;
use crate::domain::keys::End;

/// What gateways enforce for own or default limits, beside the workspace's columns of the row.
pub fn enforced(row: &impl Columns, base: Vec<Limit>) -> Result<Vec<Limit>, Error> {
    let ceiling = ceiling(row.maybe_text("ceiling")?)?;
    Ok(bounds::compose(base, ceiling.as_ref(), &limits(row.text("workspace_limits")?)?))
}

pub fn ceiling(json: Option<String>) -> Result<Option<Limit>, Error> {
    json.map(|json| serde_json::from_str(&json).map_err(Error::internal)).transpose()
}

pub fn hash(bytes: Vec<u8>) -> Result<KeyHash, Error> {
    bytes.try_into().map(KeyHash).map_err(|_| Error::internal("a stored hash is not 32 bytes long"))
}

pub fn environment(text: String) -> Result<Environment, Error> {
    match text.as_str() {
        "live" => Ok(Environment::Live),
        "test" => Ok(Environment::Test),
        _ => Err(Error::internal("a stored environment is not live or test")),
    }
}

pub fn limits(json: String) -> Result<Vec<Limit>, Error> {
    // Most workspaces have none.
    if json == "[]" { Ok(Vec::new()) } else { serde_json::from_str(&json).map_err(Error::internal) }
}

pub fn limits_json(limits: &[Limit]) -> Result<String, Error> {
    serde_json::to_string(limits).map_err(Error::internal)
}

/// The column `restrictions` of a key's row.
pub fn restrictions(row: &impl Columns) -> Result<Option<Restrict>, Error> {
    let json = row.maybe_text("restrictions")?;
    json.map(|json| serde_json::from_str(&json).map_err(Error::internal)).transpose()
}

pub fn restrict_json(restrict: &Restrict) -> Result<String, Error> {
    serde_json::to_string(restrict).map_err(Error::internal)
}

pub fn timestamp(milliseconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(milliseconds).map_err(Error::internal)
}

pub fn end(second: i64) -> Result<End, Error> {
    End::from_second(second).ok_or_else(|| Error::internal("a stored end is in no year that there is"))
}

pub fn unsigned(value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(Error::internal)
}

pub fn signed(value: u64) -> Result<i64, Error> {
    i64::try_from(value).map_err(Error::internal)
}
