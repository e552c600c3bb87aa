//! Gateways as they were last seen: what survives a restart.

use crate::domain::error::Error;
use crate::domain::gateways::StoredGateway;
use async_trait::async_trait;

/// Reading.
#[async_trait]
pub trait ReadGateways: Send {
    /// The `most` that were seen last.
    async fn newest_gateways(&mut self, most: usize) -> Result<Vec<StoredGateway>, Error>;
}

/// Writing.
#[async_trait]
pub trait WriteGateways: ReadGateways {
    /// Stores these gateways.
    async fn save_gateways(&mut self, gateways: &[StoredGateway]) -> Result<(), Error>;

    /// Forgets these gateways.
    async fn forget_gateways(&mut self, ids: &[String]) -> Result<(), Error>;
}
