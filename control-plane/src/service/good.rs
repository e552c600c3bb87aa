//! The tokens of one kind that are good now, as hashes in memory: a request reads no database for them. What is theirs is read anew after
//! each change, here or by another control plane.

use std::collections::HashSet;
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
    list: Arc<RwLock<List<T>>>,
    reloading: Arc<Mutex<()>>,
}

struct List<T> {
    entries: Vec<(T, Digest)>,
    /// Ended here since they were read last: a list that was read before their end does not bring them back.
    ended: HashSet<Digest>,
}

/// Pause after a failure to read them.
const AGAIN: Duration = Duration::from_millis(250);
/// How long whoever has changed one waits until it is read.
const LONGEST: Duration = Duration::from_secs(1);

impl<T: Clone + Send + Sync> Good<T> {
    /// None yet.
    pub fn new() -> Self {
        let list = List { entries: Vec::new(), ended: HashSet::new() };
        Self { list: Arc::new(RwLock::new(list)), reloading: Arc::default() }
    }

    /// What the token of this digest stands for. Which of them it is does not show in the time.
    pub fn find(&self, digest: &Digest) -> Option<T> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        let good = &list.entries;
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
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.entries.iter().any(|(what, _)| is_meant(what))
    }

    /// Takes out what is ended, and returns it. What the database has committed needs no reading, which may fail.
    pub fn end(&self, is_meant: impl Fn(&T) -> bool) -> Vec<(T, Digest)> {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let (ended, good) =
            std::mem::take(&mut list.entries).into_iter().partition(|(what, _)| is_meant(what));
        list.entries = good;
        let ended: Vec<(T, Digest)> = ended;
        list.ended.extend(ended.iter().map(|(_, digest)| *digest));
        ended
    }

    /// Replaces the list by what is `read`, and returns the one before. Requests wait for nothing: under their lock the list is only
    /// replaced.
    pub async fn reload(
        &self,
        read: impl Future<Output = Result<Vec<(T, Digest)>, Error>>,
    ) -> Result<Vec<(T, Digest)>, Error> {
        // One after the other, or a list that was read before a revocation could replace the one read after it.
        let _one = self.reloading.lock().await;
        let mut good = read.await?;
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.ended.retain(|ended| good.iter().any(|(_, digest)| digest == ended));
        good.retain(|(_, digest)| !list.ended.contains(digest));
        Ok(std::mem::replace(&mut list.entries, good))
    }
}

/// Whoever has tokens in memory.
#[async_trait]
pub(super) trait Reload: Clone + Send + Sync + 'static {
    /// Whose they are, for the log.
    const WHOSE: &str;

    /// Reads them again.
    async fn reload(&self) -> Result<(), Error>;
}

/// Has tokens read again, now or as soon as they can be read; waits for that, but not for long.
pub(super) async fn reload_surely<R: Reload>(whose: &R) {
    let whose = whose.clone();
    let _ = time::timeout(LONGEST, tokio::spawn(async move { reload_at_last(&whose).await })).await;
}

async fn reload_at_last<R: Reload>(whose: &R) {
    while let Err(error) = whose.reload().await {
        tracing::error!(%error, "{} tokens were changed, and cannot be read", R::WHOSE);
        time::sleep(AGAIN).await;
    }
}

/// Has tokens read again with each of these changes, which another control plane has made, until the server goes down.
pub(super) async fn follow<R: Reload>(
    whose: &R,
    mut changes: watch::Receiver<u64>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        reload_at_last(whose).await;
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}
