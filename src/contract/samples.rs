//! Records and pages for tests: of the epoch `e_1` and the workspace `ws_1`.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::key::{Environment, KeyHash};
use super::page::{Page, Upsert, WireHash};
use super::record::KeyRecord;

/// A hash of one byte.
pub fn hash(seed: u8) -> KeyHash {
    KeyHash([seed; 32])
}

/// The record of `key_<id>`: live, for ever, without limits.
pub fn record(id: impl Display) -> KeyRecord {
    KeyRecord::new(format!("key_{id}"), "ws_1".to_owned(), Environment::Live)
}

/// A difference, with nothing more to come.
pub fn page(
    revision: u64,
    upserts: impl IntoIterator<Item = (KeyHash, KeyRecord)>,
    removals: impl IntoIterator<Item = KeyHash>,
) -> Page {
    Page {
        epoch: "e_1".to_owned(),
        revision,
        tag: None,
        more: false,
        reset: false,
        plans: BTreeMap::new(),
        upserts: upserts.into_iter().map(|(hash, record)| Upsert { hash: WireHash(hash), record }).collect(),
        removals: removals.into_iter().map(WireHash).collect(),
    }
}
