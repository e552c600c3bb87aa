//! Credentials of gateways: tokens `fgw_…` with a name, made and revoked by operators. The name is the first part of the ids
//! of the gateways that use it, so a stolen one can speak for nobody else's.
//!
//! The good ones are in memory, as hashes: a poll reads no database for it. The tokens of the environment are one
//! credential more, which cannot be revoked here: [`SHARED`].

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::watch;

use super::clock::Clock;
use super::gateways::Gateways;
use super::good::{Good, Reload, follow, reload_surely};
use super::token_book::TokenBook;
use crate::domain::audit::{Action, Actor};
use crate::domain::credentials::{
    Credential, ID_PART, NewToken, SHARED, StoredCredential, TokenOf, is_id_part,
};
use crate::domain::error::Error;
use crate::domain::names::twins::{Letters, refuse_twin};
use crate::domain::random;
use crate::domain::tokens::{Digest, digest};
use crate::store::{Purpose, Store};

/// The service. Clones share it.
#[derive(Clone)]
pub struct Credentials {
    store: Store,
    clock: Clock,
    gateways: Gateways,
    doors: Arc<dyn Doors>,
    good: Good<Credential>,
}

/// What a credential has opened elsewhere, such as connections.
pub trait Doors: Send + Sync {
    /// The gateways' credential is good no more.
    fn shut(&self, credential: &Credential);

    /// The operators' token of this digest is good no more.
    fn shut_operators(&self, token: &Digest);
}

/// For who has none.
impl Doors for () {
    fn shut(&self, _: &Credential) {}

    fn shut_operators(&self, _: &Digest) {}
}

impl Credentials {
    /// The service, with the good credentials of the database.
    pub async fn load(
        store: Store,
        clock: Clock,
        gateways: Gateways,
        doors: Arc<dyn Doors>,
    ) -> Result<Self, Error> {
        let this = Self { store, clock, gateways, doors, good: Good::new() };
        this.reload().await?;
        Ok(this)
    }

    /// Which credential this token is. Which of them it is does not show in the time.
    pub fn identify(&self, presented: &[u8], tokens: &TokenBook) -> Result<Credential, Error> {
        match self.good.find(&digest(presented)) {
            Some(credential) => Ok(credential),
            None => tokens.check_sync(presented).map(|()| Credential::shared()),
        }
    }

    /// Whether this credential is still good. The shared tokens are judged when they are shown.
    pub fn is_good(&self, credential: &Credential) -> bool {
        credential.is_shared() || self.good.any(|good| good == credential)
    }

    /// The same as an answer.
    pub fn check(&self, credential: &Credential) -> Result<(), Error> {
        if self.is_good(credential) { Ok(()) } else { Err(Error::Unauthorized) }
    }

    /// The same service, reading by other readers.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// All of them, revoked ones too, in order of their names.
    pub async fn list(&self) -> Result<Vec<StoredCredential>, Error> {
        self.store.read().await?.list_credentials().await
    }

    /// Makes one. The token is shown to the caller and kept as a hash.
    pub async fn add(&self, name: &str, by: Actor) -> Result<(StoredCredential, NewToken), Error> {
        if !is_id_part(name) {
            return Err(Error::invalid("name", ID_PART));
        }
        if name == SHARED {
            return Err(Error::invalid("name", "'shared' is the name of the tokens in FLAMEGATE_SYNC_TOKEN"));
        }
        let (token, now) = (NewToken::generate(TokenOf::Gateways)?, self.clock.now());
        let hash = token.hash();
        let row = StoredCredential {
            id: random::id("gwc_")?,
            name: name.to_owned(),
            created_at: now,
            created_by: by.name.clone(),
            revoked_at: None,
        };
        let there = self.list().await?.into_iter().map(|there| (there.id, there.name));
        let shared = (SHARED.to_owned(), SHARED.to_owned());
        refuse_twin(name, there.chain([shared]), Letters::All)?;
        let made = row.clone();
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                if let Some(taken) = tx.find_credential(&row.name).await? {
                    let how = if taken.revoked_at.is_some() { "was used before" } else { "is taken" };
                    let message = format!("the name {how}: gateways are known by it");
                    return Err(Error::Conflict { message, id: Some(taken.id) });
                }
                tx.insert_credential(&row, &hash).await?;
                by.did(tx, now, Action::GatewayCredentialAdded, row.as_target(), json!({})).await
            })
        });
        write.await?;
        reload_surely(self).await;
        Ok((made, token))
    }

    /// Ends one for good: polls that are held under it are answered at once, with 401. Again, it changes nothing.
    pub async fn revoke(&self, name: &str, by: Actor) -> Result<StoredCredential, Error> {
        let (this, name) = (self.clone(), name.to_owned());
        // To its end, even when whoever asked has hung up: a list that still had it would let it in until a restart.
        tokio::spawn(async move { this.revoke_and_end(name, by).await }).await.map_err(Error::internal)?
    }

    async fn revoke_and_end(&self, asked: String, by: Actor) -> Result<StoredCredential, Error> {
        let now = self.clock.now();
        let write = self.store.write(move |tx| {
            Box::pin(async move {
                let missing = Error::NotFound("gateway credential");
                let row = tx.find_credential(&asked).await?.ok_or(missing)?;
                if row.revoked_at.is_some() {
                    return Ok(row);
                }
                tx.revoke_credential(&row.name, now).await?;
                by.did(tx, now, Action::GatewayCredentialRevoked, row.as_target(), json!({})).await?;
                Ok(StoredCredential { revoked_at: Some(now), ..row })
            })
        });
        let row = write.await?.value;
        let ended = self.good.end(|good| good.name() == row.name);
        self.shut(ended);
        // A list that was read while it was made, and is on its way, may still have it.
        reload_surely(self).await;
        Ok(row)
    }

    /// Reads them again whenever another control plane has changed some, until the server goes down.
    pub async fn follow(self, shutdown: watch::Receiver<bool>) {
        follow(&self, self.store.watch_credentials(), shutdown).await;
    }
}

impl Credentials {
    fn shut(&self, ended: Vec<(Credential, Digest)>) {
        for (credential, _) in ended {
            self.gateways.end(&credential);
            self.doors.shut(&credential);
        }
    }
}

#[async_trait]
impl Reload for Credentials {
    const WHOSE: &str = "gateways'";

    async fn reload(&self) -> Result<(), Error> {
        let store = self.store.reading_for(Purpose::Sync);
        let before = self.good.reload(async {
            let rows = store.read().await?.good_credentials().await?;
            Ok(rows.into_iter().map(|(name, hash)| (Credential::named(&name), hash)).collect())
        });
        // After the list is replaced: a poll that comes in between is refused by one or ended by the other.
        let mut ended = before.await?;
        ended.retain(|(credential, _)| !self.is_good(credential));
        self.shut(ended);
        Ok(())
    }
}
