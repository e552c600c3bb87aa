//! Where the session library keeps sessions: our database, under the hash of the id.

use std::fmt;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error as StoreError, Result as StoreResult};

use crate::domain::error::Error;
use crate::domain::sessions::{StoredSession, WHO};
use crate::service::clock::Clock;
use crate::store::Store;

/// The sessions of a database.
#[derive(Clone)]
pub(super) struct Sessions {
    pub store: Store,
    pub clock: Clock,
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        // 128 random bits do not meet; the loop is for the library's contract.
        loop {
            let row = row(record)?;
            let written =
                self.store.write(move |tx| Box::pin(async move { tx.insert_session(&row).await })).await;
            if written.map_err(|error| backend(&error))?.value {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        let row = row(record)?;
        let write = self.store.write(move |tx| Box::pin(async move { tx.update_session(&row).await }));
        write.await.map(|_| ()).map_err(|error| backend(&error))
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        let now = self.clock.now();
        let found = async { self.store.read().await?.find_session(hash(id), now).await };
        let Some(row) = found.await.map_err(|error| backend(&error))? else { return Ok(None) };
        let data = serde_json::from_str(&row.data).map_err(|error| StoreError::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(row.expires_at)
            .map_err(|error| StoreError::Decode(error.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        let id = hash(id);
        let write = self.store.write(move |tx| Box::pin(tx.delete_session(id)));
        write.await.map(|_| ()).map_err(|error| backend(&error))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

fn row(record: &Record) -> StoreResult<StoredSession> {
    let data = serde_json::to_string(&record.data).map_err(|error| StoreError::Encode(error.to_string()))?;
    let user_id = record.data.get(WHO).and_then(|who| who.get("user")).and_then(|user| user.as_str());
    Ok(StoredSession {
        id_hash: hash(&record.id),
        user_id: user_id.map(str::to_owned),
        data,
        expires_at: record.expiry_date.unix_timestamp(),
    })
}

/// The id is random, so a plain hash is enough.
pub(super) fn hash(id: &Id) -> [u8; 32] {
    Sha256::digest(id.0.to_le_bytes()).into()
}

fn backend(error: &Error) -> StoreError {
    StoreError::Backend(format!("{error}: {:?}", std::error::Error::source(error)))
}
