//! Rows of `signing_keys`.

use async_trait::async_trait;

use super::columns::Columns as _;
use super::statement::{Sql, Statement};
use crate::domain::error::Error;
use crate::store::seam::signing::{ReadSigningKeys, WriteSigningKeys};

#[async_trait]
impl<S: Sql> ReadSigningKeys for S {
    async fn find_signing_key(&mut self, name: &str) -> Result<Option<[u8; 32]>, Error> {
        let find = Statement::new("SELECT value FROM signing_keys WHERE name = $1").bind(name);
        let Some(row) = self.row(find).await? else { return Ok(None) };
        let key = row.bytes("value")?.try_into();
        key.map(Some).map_err(|_| Error::internal("a signing key is not 32 bytes"))
    }
}

#[async_trait]
impl<S: Sql> WriteSigningKeys for S {
    async fn insert_signing_key(&mut self, name: &str, key: [u8; 32]) -> Result<(), Error> {
        let insert = "INSERT INTO signing_keys (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        self.run(Statement::new(insert).bind(name).bind(key.as_slice())).await.map(drop)
    }
}
