//! The tokens of one kind that are good now, as hashes in memory: a request reads no database for them. What is theirs is read anew after
//! each change, here or by another control plane.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use tokio::sync::{Mutex, watch};
use tokio::time;

use crate::domain::error::Error;
use crate::domain::tokens::Digest;

/// The list, with what each token stands for. Clones share it.
#[derive(Clone)]
pub(super) struct Good<T> {
    entries: Arc<RwLock<Vec<(T, Digest)>>>,
    reloading: Arc<Mutex<()>>,
}

/// Pause after a failure to read them.
const AGAIN: Duration = Duration::from_millis(250);

impl<T: Clone + Send + Sync> Good<T> {
    /// None yet.
    pub fn new() -> Self {
        Self { entries: Arc::default(), reloading: Arc::default() }
    }

    /// What the token of this digest stands for. Which of them it is does not show in the time.
    pub fn find(&self, digest: &Digest) -> Option<T> {
        let good = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        // No early exit, and no branch on what is equal.
        let mut place = 0u64;
        for (number, (_, hash)) in (1u64..).zip(good.iter()) {
            place.conditional_assign(&number, hash.ct_eq(digest));
        }
        let found = usize::try_from(place).ok().and_then(|place| good.get(place.checked_sub(1)?));
        found.map(|(what, _)| what.clone())
    }

    /// Whether there is one.
    pub fn any(&self, is_meant: impl Fn(&T) -> bool) -> bool {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).iter().any(|(what, _)| is_meant(what))
    }

    /// Replaces the list by what is `read`, and returns the one before. Requests wait for nothing: under their lock the list is only
    /// replaced.
    pub async fn reload(
        &self,
        read: impl Future<Output = Result<Vec<(T, Digest)>, Error>>,
    ) -> Result<Vec<(T, Digest)>, Error> {
        // One after the other, or a list that was read before a revocation could replace the one read after it.
        let _one = self.reloading.lock().await;
        let good = read.await?;
        Ok(std::mem::replace(&mut *self.entries.write().unwrap_or_else(PoisonError::into_inner), good))
    }
}

/// Whoever has tokens in memory.
#[async_trait]
pub(super) trait Reload: Sync {
    /// Whose they are, for the log.
    const WHOSE: &str;

    /// Reads them again.
    async fn reload(&self) -> Result<(), Error>;
}

/// Has tokens read again with each of these changes, which another control plane has made, until the server goes down.
pub(super) async fn follow<R: Reload>(
    whose: &R,
    mut changes: watch::Receiver<u64>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        while let Err(error) = whose.reload().await {
            tracing::error!(%error, "{} tokens were changed, and cannot be read", R::WHOSE);
            time::sleep(AGAIN).await;
        }
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}
