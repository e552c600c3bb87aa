//! Rows of `replicas`, and of `gateways` as replicas share them.
use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::error::Error;
use crate::domain::replicas::{Publication, Published, Sight};
use crate::store::seam::replicas::{ReadReplicas, WriteReplicas};

#[async_trait]
impl ReadReplicas for SqliteConnection {
    async fn look(&mut self, _: &str, _: &HashMap<String, u64>, _: &[String]) -> Result<Sight, Error> {
        Ok(Sight::default())
    }
}

#[async_trait]
impl WriteReplicas for SqliteConnection {
    async fn publish(&mut self, _: &Publication) -> Result<Published, Error> {
        Ok(Published::Superseded)
    }
    async fn remove_replica(&mut self, _: &str) -> Result<(), Error> {
        Ok(())
    }
    async fn forget_dead_replicas(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
