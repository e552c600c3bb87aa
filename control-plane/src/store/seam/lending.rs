//! Books of fleet limits that an orderly stop has left.

use async_trait::async_trait;

use crate::domain::error::Error;

/// Writing.
#[async_trait]
pub trait WriteLending: Send {
    /// Keeps them for the next start.
    async fn save_books(&mut self, saved: &[u8]) -> Result<(), Error>;

    /// Takes them out: whoever goes on from them does so once. After a crash there are none.
    async fn take_books(&mut self) -> Result<Option<Vec<u8>>, Error>;
}
