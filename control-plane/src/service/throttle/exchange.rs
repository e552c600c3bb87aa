//! Attempts count for all control planes on one database: each adds what it has seen, at most once in [`BETWEEN`], and hears how busy
//! those subjects are with the attempts at all of them. So whoever goes from one to the next gains what comes within that time, and a
//! stranger causes no more writes than that. While the database does not answer, each counts for itself.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

use super::attempts::{State, Subject, Throttle, Untold, make_room};
use crate::domain::throttles::Attempts;
use crate::store::Store;

/// Least time between two writes.
const BETWEEN: Duration = Duration::from_millis(100);
/// Most subjects that wait to be told; beyond that strangers have only this control plane's count.
const MOST_UNTOLD: usize = 1_000;

/// Tells and hears until the server goes down.
pub async fn exchange(throttles: Vec<Throttle>, store: Store, mut shutdown: watch::Receiver<bool>) {
    let mut timer = time::interval(BETWEEN);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
        let untold: Vec<_> = throttles.iter().flat_map(Throttle::untold).collect();
        if untold.is_empty() {
            continue;
        }
        let attempts = untold.clone();
        let told = store.note(move |tx| Box::pin(async move { tx.add_attempts(&attempts).await })).await;
        match &told {
            Ok(busy) => throttles.iter().for_each(|throttle| throttle.hear(busy)),
            Err(error) if !failing => {
                tracing::warn!(%error, "attempts to sign in count for this control plane only, until the database answers");
            }
            Err(_) => {}
        }
        failing = told.is_err();
    }
}

impl Throttle {
    /// What the others have not heard; what cannot be told now is not told any more.
    fn untold(&self) -> Vec<Attempts> {
        let mut state = self.inner.lock();
        let Some(untold) = &mut state.untold else { return Vec::new() };
        let attempts = std::mem::take(untold).into_iter().take(MOST_UNTOLD);
        let attempts = attempts.map(|(subject, Untold { anew, more_ms })| Attempts {
            subject: subject.name(),
            anew,
            more_ms,
        });
        attempts.collect()
    }

    /// How busy subjects are with the attempts at all control planes; what came here meanwhile is not in it.
    fn hear(&self, busy: &[(String, Duration)]) {
        let now = self.inner.clock.instant();
        let mut state = self.inner.lock();
        let State { rests, untold: Some(untold) } = &mut *state else { return };
        let ours: HashMap<String, Subject> = rests.keys().map(|subject| (subject.name(), *subject)).collect();
        for (name, busy) in busy {
            // Who was forgiven meanwhile is not in the map.
            let Some(subject) = ours.get(name) else { continue };
            let Untold { anew, more_ms } = untold.get(subject).copied().unwrap_or_default();
            if anew {
                continue;
            }
            let more = Duration::from_millis(more_ms.unsigned_abs());
            let rest = now + *busy;
            let rest = if more_ms < 0 { rest.checked_sub(more).unwrap_or(now) } else { rest + more };
            make_room(rests, now);
            rests.insert(*subject, rest);
        }
    }
}

impl Subject {
    /// Its name in the database.
    fn name(self) -> String {
        let (kind, of) = match self {
            Self::Account(of) => ("account", of),
            Self::Address(of) => ("address", of),
            Self::Network(of) => ("network", of),
            Self::Failed(of) => ("failed", of),
            Self::Welcome(of) => ("welcome", of),
            Self::Tokens(of) => ("tokens", of),
        };
        format!("{kind}:{of:032x}")
    }
}
