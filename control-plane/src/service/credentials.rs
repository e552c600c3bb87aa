//! Credentials of gateways: tokens `fgw_…` with a name, made and revoked by operators. The name is the first part of the ids
//! of the gateways that use it, so a stolen one can speak for nobody else's.
//!
//! The good ones are in memory, as hashes: a poll reads no database for it. The tokens of the environment are one
//! credential more, which cannot be revoked here: [`SHARED`].

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use tokio::sync::{Mutex, watch};
use tokio::time;

use super::clock::Clock;
use super::gateways::Gateways;
use super::token_book::TokenBook;
use crate::domain::audit::{Action, Actor};
use crate::domain::credentials::{Credential, GatewayToken, ID_PART, SHARED, StoredCredential, is_id_part};
use crate::domain::error::Error;
use crate::domain::names::twins::{Letters, refuse_twin};
use crate::domain::random;
use crate::store::{Purpose, Store};

/// The service. Clones share it.
#[derive(Clone)]
pub struct Credentials {
    store: Store,
    clock: Clock,
    gateways: Gateways,
    doors: Arc<dyn Doors>,
    good: Arc<RwLock<Vec<Good>>>,
    reloading: Arc<Mutex<()>>,
}

/// What a credential has opened elsewhere, such as connections.
pub trait Doors: Send + Sync {
    /// The credential is good no more.
    fn shut(&self, credential: &Credential);
}

/// For who has none.
impl Doors for () {
    fn shut(&self, _: &Credential) {}
}

struct Good {
    credential: Credential,
    hash: [u8; 32],
}

/// Pause after a failure to read them.
const AGAIN: Duration = Duration::from_millis(250);

impl Credentials {
    /// The service, with the good credentials of the database.
    pub async fn load(
        store: Store,
        clock: Clock,
        gateways: Gateways,
        doors: Arc<dyn Doors>,
    ) -> Result<Self, Error> {
        let this = Self { store, clock, gateways, doors, good: Arc::default(), reloading: Arc::default() };
        this.reload().await?;
        Ok(this)
    }

    /// Which credential this token is. Which of them it is does not show in the time.
    pub fn identify(&self, presented: &[u8], tokens: &TokenBook) -> Result<Credential, Error> {
        let hash: [u8; 32] = Sha256::digest(presented).into();
        let good = self.good.read().unwrap_or_else(PoisonError::into_inner);
        // No early exit, and no branch on what is equal.
        let mut place = 0u64;
        for (number, entry) in (1u64..).zip(good.iter()) {
            place.conditional_assign(&number, entry.hash.ct_eq(&hash));
        }
        let found = usize::try_from(place).ok().and_then(|place| good.get(place.checked_sub(1)?));
        match found {
            Some(entry) => Ok(entry.credential.clone()),
            None => tokens.check_sync(presented).map(|()| Credential::shared()),
        }
    }

    /// Whether this credential is still good. The shared tokens are judged when they are shown.
    pub fn is_good(&self, credential: &Credential) -> bool {
        let good = self.good.read().unwrap_or_else(PoisonError::into_inner);
        credential.is_shared() || good.iter().any(|entry| entry.credential == *credential)
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
    pub async fn add(&self, name: &str, by: Actor) -> Result<(StoredCredential, GatewayToken), Error> {
        if !is_id_part(name) {
            return Err(Error::invalid("name", ID_PART));
        }
        if name == SHARED {
            return Err(Error::invalid("name", "'shared' is the name of the tokens in FLAMEGATE_SYNC_TOKEN"));
        }
        let (token, now) = (GatewayToken::generate()?, self.clock.now());
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
        self.reload().await?;
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
        self.reload().await?;
        Ok(row)
    }

    /// Reads them again whenever another control plane has changed some, until the server goes down.
    pub async fn follow(self, mut shutdown: watch::Receiver<bool>) {
        let mut changes = self.store.watch_credentials();
        loop {
            while let Err(error) = self.reload().await {
                tracing::error!(%error, "gateways' credentials were changed, and cannot be read");
                time::sleep(AGAIN).await;
            }
            tokio::select! {
                _ = shutdown.wait_for(|down| *down) => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Polls wait for nothing: under their lock the list is only replaced.
    async fn reload(&self) -> Result<(), Error> {
        // One after the other, or a list that was read before a revocation could replace the one read after it.
        let _one = self.reloading.lock().await;
        let rows = self.store.reading_for(Purpose::Sync).read().await?.good_credentials().await?;
        let good = rows.into_iter().map(|(name, hash)| Good { credential: Credential::named(&name), hash });
        let good = good.collect();
        let before = std::mem::replace(&mut *self.good.write().unwrap_or_else(PoisonError::into_inner), good);
        // After the list is replaced: a poll that comes in between is refused by one or ended by the other.
        for ended in before.iter().filter(|entry| !self.is_good(&entry.credential)) {
            self.gateways.end(&ended.credential);
            self.doors.shut(&ended.credential);
        }
        Ok(())
    }
}
