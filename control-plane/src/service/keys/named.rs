//! No name holds a key: what is too short to be known by its length is looked up by its hash, in the transaction that stores the name.

use crate::domain::error::Error;
use crate::domain::keys::paste;
use crate::store::View;

/// Fails when the name holds a key of any workspace, whatever the key's state.
pub(super) async fn refuse_key_in(name: &str, tx: &mut View) -> Result<(), Error> {
    let hashes = paste::hashes(name);
    if hashes.is_empty() || tx.keys_of_hashes(&hashes).await?.is_empty() {
        return Ok(());
    }
    Err(Error::invalid("name", paste::IN_NAME))
}
