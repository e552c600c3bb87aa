//! What of the registry outlives a restart: who had a table, whose process that was, and when it was seen.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::entry::Gateway;
use super::hello::RECONNECT;
use super::registry::MAX_GATEWAYS;
use super::service::Gateways;
use crate::domain::audit::{Action, Actor, Target};
use crate::domain::credentials::Credential;
use crate::domain::error::Error;
use crate::domain::gateways::StoredGateway;
use crate::service::clock::Clock;
use crate::store::Store;

/// How far a stored time may be behind.
const PRECISION: SignedDuration = SignedDuration::from_mins(1);
/// Most ids in one entry of the audit log; there may be 10,000 gateways.
const MOST_TOLD: usize = 1_000;
/// Most accounts and places whose attempts are remembered for all control planes.
const MOST_THROTTLED: u32 = 50_000;
/// Rows per write: a revocation waits for no more.
const ROWS_PER_WRITE: usize = 250;

impl Gateways {
    /// A registry that remembers the stored gateways. Those that were connected when they were stored are expected back.
    pub async fn load(store: &Store, clock: Clock) -> Result<Self, Error> {
        let this = Self::new(clock);
        if store.is_shared() {
            this.share(store).await?;
            return Ok(this);
        }
        let now = this.inner.clock.instant();
        // More than there may be: who was seen longest ago is who is cut off, and nobody that a receipt would miss.
        let rows = store.read().await?.newest_gateways(2 * MAX_GATEWAYS).await?;
        let mut gateways = this.inner.registry.lock();
        for row in rows {
            let Some((credential, _)) = row.id.split_once('/') else { continue };
            let expected_until = if row.connected { now + RECONNECT } else { now };
            let seen = (row.first_seen, row.last_seen);
            let mut gateway = Gateway::seen(Credential::named(credential), row.session, seen, expected_until);
            gateway.version = row.version;
            gateway.has_table = true;
            gateway.stored = true;
            gateway.saved = Some((row.connected, row.last_seen));
            gateways.insert(row.id, gateway);
        }
        drop(gateways);
        Ok(this)
    }

    /// Until somebody has acknowledged who is not stored, or not with the session that its name is tied to now. A crash before
    /// [`Self::save`] would forget that.
    pub async fn somebody_is_unsaved(&self) {
        self.inner.unsaved.notified().await;
    }

    /// Stores what changed since the last time and forgets who was gone for too long.
    /// With several replicas that is told all the time (see `exchange`), and what is left are the rows of who is gone.
    pub async fn save(&self, store: &Store) -> Result<(), Error> {
        if store.is_shared() {
            self.inner.registry.lock().forget_old(self.inner.clock.instant(), self.inner.clock.now());
            let forget = store.note(|tx| {
                Box::pin(async move {
                    tx.forget_dead_replicas().await?;
                    tx.forget_attempts(MOST_THROTTLED).await
                })
            });
            return forget.await;
        }
        let (rows, gone) = self.take_unsaved();
        let done = Self::write(store, &rows, &gone).await;
        if done.is_err() {
            // Tried again at the next round.
            let mut gateways = self.inner.registry.lock();
            gateways.gone.extend(gone);
            gateways.iter_mut().for_each(|(_, gateway)| gateway.saved = None);
        }
        done
    }

    /// Forgets all gateways of a credential that are not connected, as after a theft: who had it may have invented them. How
    /// many that were.
    pub async fn forget_cut_off(&self, credential: &str, store: &Store, by: Actor) -> Result<usize, Error> {
        let (now, time) = (self.inner.clock.instant(), self.inner.clock.now());
        let gone = self.inner.registry.lock().forget_cut_off(credential, now);
        if store.is_shared() {
            self.inner.to_exchange.notify_one();
        } else {
            Self::write(store, &[], &gone).await?;
        }
        let (name, count) = (credential.to_owned(), gone.len());
        let told: Vec<_> = gone.iter().take(MOST_TOLD).cloned().collect();
        let write = store.write(move |tx| {
            Box::pin(async move {
                let on = Target { workspace_seq: None, id: None, name: &name };
                by.did(tx, time, Action::GatewayForgotten, on, json!({ "gateways": count, "ids": told }))
                    .await
            })
        });
        write.await?;
        Ok(count)
    }

    async fn write(store: &Store, rows: &[StoredGateway], gone: &[String]) -> Result<(), Error> {
        for gone in gone.chunks(ROWS_PER_WRITE) {
            let gone = gone.to_vec();
            store.write(move |tx| Box::pin(async move { tx.forget_gateways(&gone).await })).await?;
        }
        for rows in rows.chunks(ROWS_PER_WRITE) {
            let rows = rows.to_vec();
            store.write(move |tx| Box::pin(async move { tx.save_gateways(&rows).await })).await?;
        }
        Ok(())
    }

    /// The rows to store, and the ids of those to drop. Names that never acknowledged are not stored: inventing one costs a request.
    fn take_unsaved(&self) -> (Vec<StoredGateway>, Vec<String>) {
        let (now, time) = (self.inner.clock.instant(), self.inner.clock.now());
        let mut gateways = self.inner.registry.lock();
        gateways.forget_old(now, time);
        let mut rows = Vec::new();
        for (id, gateway) in
            gateways.iter_mut().filter(|(_, gateway)| gateway.has_table && !gateway.is_leaving(now))
        {
            let connected = gateway.is_connected(now);
            if !is_outdated(gateway.saved, connected, gateway.last_seen) {
                continue;
            }
            gateway.stored = true;
            gateway.saved = Some((connected, gateway.last_seen));
            rows.push(StoredGateway {
                id: id.clone(),
                session: gateway.session,
                version: gateway.version.clone(),
                connected,
                first_seen: gateway.first_seen,
                last_seen: gateway.last_seen,
            });
        }
        (rows, std::mem::take(&mut gateways.gone))
    }
}

fn is_outdated(saved: Option<(bool, Timestamp)>, connected: bool, last_seen: Timestamp) -> bool {
    saved.is_none_or(|(was_connected, at)| {
        was_connected != connected || last_seen.duration_since(at) >= PRECISION
    })
}
