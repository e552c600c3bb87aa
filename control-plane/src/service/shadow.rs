//! What would have been refused, for whoever is about to enforce.

use super::clock::Clock;
use super::gateways::Gateways;
use crate::domain::error::Error;
use crate::domain::keys::{Key, KeyFilter, Status};
use crate::domain::shadow::{GatewayShadow, KeySum, MOST_LOOKED_AT, Mode, since};
use crate::domain::usage::{Minute, minute_of};
use crate::store::{Store, View};

/// The service. Clones share it.
#[derive(Clone)]
pub struct Shadow {
    store: Store,
    clock: Clock,
    gateways: Gateways,
}

/// What has passed in shadow, without the keys.
pub struct ShadowReport {
    /// First minute of the time that it tells of.
    pub from: Minute,
    /// Each gateway.
    pub gateways: Vec<GatewayShadow>,
    /// How many keys would have been refused, of the rows that were looked at.
    pub keys: u64,
    /// How many active keys are in shadow; one more than are counted when there are more.
    pub keys_in_shadow: u64,
}

/// A part of the keys of which something has passed.
pub struct ShadowedKeys {
    /// The latest first.
    pub keys: Vec<(Key, KeySum)>,
    /// How many there are, of the rows that were looked at.
    pub total: u64,
}

impl ShadowReport {
    /// How many connected gateways are in shadow, and how many do not say.
    pub fn connected(&self) -> (usize, usize) {
        let count =
            |mode| self.gateways.iter().filter(|gateway| gateway.connected && gateway.mode == mode).count();
        (count(Mode::Shadow), count(Mode::Silent))
    }
}

impl Shadow {
    /// The service over a database and what is known of gateways.
    pub const fn new(store: Store, clock: Clock, gateways: Gateways) -> Self {
        Self { store, clock, gateways }
    }

    /// The same service, reading by the readers of another store.
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// What has passed within so many days, today included.
    pub async fn report(&self, days: u32) -> Result<ShadowReport, Error> {
        let now = self.clock.now();
        let from = since(days, minute_of(now));
        let mut view = self.store.read().await?;
        let reasons = view.shadowed_reasons(from, MOST_LOOKED_AT).await?;
        let (_, keys) = view.shadowed_keys(from, MOST_LOOKED_AT, 0, 0).await?;
        let in_shadow = KeyFilter { shadow: true, status: Some(Status::Active), ..KeyFilter::default() };
        let keys_in_shadow = view.count_keys(&in_shadow, now).await?;
        Ok(ShadowReport {
            from,
            gateways: GatewayShadow::all(self.gateways.list(), reasons),
            keys,
            keys_in_shadow,
        })
    }

    /// Keys of which something has passed within so many days, the latest first, behind the first `offset`.
    pub async fn keys(&self, days: u32, offset: u32, limit: u32) -> Result<ShadowedKeys, Error> {
        let from = since(days, minute_of(self.clock.now()));
        let mut view = self.store.read().await?;
        let (sums, total) = view.shadowed_keys(from, MOST_LOOKED_AT, offset, limit).await?;
        Ok(ShadowedKeys { keys: with_keys(&mut *view, sums).await?, total })
    }
}

async fn with_keys(view: &mut View, sums: Vec<KeySum>) -> Result<Vec<(Key, KeySum)>, Error> {
    let ids: Vec<_> = sums.iter().map(|sum| sum.id.clone()).collect();
    let mut keys = view.keys_of_ids(&ids).await?;
    let of = |sum: KeySum| {
        let place = keys.iter().position(|key| key.id == sum.id)?;
        Some((keys.swap_remove(place), sum))
    };
    Ok(sums.into_iter().filter_map(of).collect())
}
