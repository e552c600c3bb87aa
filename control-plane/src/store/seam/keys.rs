//! API keys.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::contract::{KeyHash, Limit, Restrict};
use crate::domain::error::Error;
use crate::domain::keys::{End, Key, KeyCounts, KeyFilter, NewKey};

/// Reading.
#[async_trait]
pub trait ReadKeys: Send {
    /// The key with this id.
    async fn find_key(&mut self, id: &str) -> Result<Option<Key>, Error>;

    /// Those of `hashes` that are stored already, with their keys.
    async fn keys_of_hashes(&mut self, hashes: &[KeyHash]) -> Result<Vec<(KeyHash, Key)>, Error>;

    /// Those of these ids that are there.
    async fn keys_of_ids(&mut self, ids: &[String]) -> Result<Vec<Key>, Error>;

    /// The highest row number of a key, and of a workspace; 0 while there is none. Those that come are above.
    async fn newest_rows(&mut self) -> Result<(i64, i64), Error>;

    /// Keys, newest first.
    async fn list_keys(&mut self, filter: &KeyFilter, now: Timestamp, limit: u32) -> Result<Vec<Key>, Error>;

    /// How many keys the filter leaves; [`crate::domain::lists::MOST_COUNTED`] and one when there are more.
    async fn count_keys(&mut self, filter: &KeyFilter, now: Timestamp) -> Result<u64, Error>;

    /// Counts keys by state.
    async fn key_counts(&mut self, now: Timestamp) -> Result<KeyCounts, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteKeys: ReadKeys {
    /// Stores new keys, each with the next revision.
    async fn insert_keys(&mut self, keys: &[NewKey]) -> Result<(), Error>;

    /// Gives the key another name; gateways do not see it, so there is no revision.
    async fn rename_key(&mut self, key: &Key, name: &str) -> Result<(), Error>;

    /// Gives the key another note, or none; gateways do not see it.
    async fn set_key_note(&mut self, seq: i64, note: Option<&str>) -> Result<(), Error>;

    /// Notes which key replaces this one.
    async fn set_rotated_to(&mut self, seq: i64, id: &str) -> Result<(), Error>;

    /// Changes when the key expires. A key that had expired and was taken off the gateways comes back.
    async fn set_key_expiry(&mut self, seq: i64, expires_at: Option<End>) -> Result<(), Error>;

    /// Changes the key's own limits; `None` follows the workspace again.
    async fn set_key_limits(&mut self, seq: i64, limits: Option<&[Limit]>) -> Result<(), Error>;

    /// Changes what the key may be used for; `None` for everything.
    async fn set_key_restrict(&mut self, seq: i64, restrict: Option<&Restrict>) -> Result<(), Error>;

    /// Puts the key in shadow, or takes it out.
    async fn set_key_shadow(&mut self, seq: i64, shadow: bool) -> Result<(), Error>;

    /// Takes the key out of the gateways' table for good.
    async fn revoke_key(&mut self, seq: i64, now: Timestamp) -> Result<(), Error>;

    /// Takes expired keys off the gateways' table or, with `listed`, puts back those that have not expired by this clock; at most
    /// `limit` at once. Returns how many there were.
    async fn list_by_clock(&mut self, listed: bool, now: Timestamp, limit: u32) -> Result<u64, Error>;
}
