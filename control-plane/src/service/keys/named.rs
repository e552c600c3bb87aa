//! No name and no note holds a key: what is too short to be known by its length is looked up by its hash, in the transaction that stores the name.

use crate::domain::error::Error;
use crate::domain::keys::paste;
use crate::store::View;

/// Fails when the text of a field holds a key of any workspace, whatever the key's state.
pub(super) async fn refuse_key_in(field: &str, text: &str, tx: &mut View) -> Result<(), Error> {
    let hashes = paste::hashes(text);
    if hashes.is_empty() || tx.keys_of_hashes(&hashes).await?.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(field, paste::IN_NAME))
}
