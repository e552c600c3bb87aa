//! Attempts count for all control planes on one database: each adds what it has seen, at most once in [`BETWEEN`], and hears how busy
//! those subjects are with the attempts at all of them. So whoever goes from one to the next gains what comes within that time, and a
//! stranger causes no more writes than that. While the database does not answer, each counts for itself.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

use super::attempts::{State, Throttle, Untold};
use super::subject::Subject;
use crate::domain::throttles::Attempts;
use crate::store::Store;

/// Least time between two writes.
const BETWEEN: Duration = Duration::from_millis(100);

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
        let untold = self.inner.lock().untold.as_mut().map(std::mem::take).unwrap_or_default();
        let attempts = untold.into_iter().map(|(subject, Untold { anew, more_ms })| Attempts {
            subject: subject.name(),
            anew,
            more_ms,
        });
        attempts.collect()
    }

    /// How busy subjects are with the attempts at all control planes; what came here meanwhile is not in it. Nor is what could not be
    /// told, so of two counts the greater one is kept.
    fn hear(&self, busy: &[(String, Duration)]) {
        let now = self.inner.clock.instant();
        // Not under the lock, which every sign-in takes.
        let busy: Vec<_> =
            busy.iter().filter_map(|(name, busy)| Some((Subject::named(name)?, *busy))).collect();
        let mut state = self.inner.lock();
        let State { rests, untold: Some(untold) } = &mut *state else { return };
        for (subject, busy) in busy {
            // Who was forgiven meanwhile is not in the map.
            let Some(ours) = rests.get_mut(&subject) else { continue };
            let Untold { anew, more_ms } = untold.get(&subject).copied().unwrap_or_default();
            if anew {
                continue;
            }
            let more = Duration::from_millis(more_ms.unsigned_abs());
            let rest = now + busy;
            let rest = if more_ms < 0 { rest.checked_sub(more).unwrap_or(now) } else { rest + more };
            *ours = rest.max(*ours);
        }
    }
}

impl Subject {
    /// Its name in the database.
    fn name(self) -> String {
        let (kind, of) = match self {
            Self::Account(of) => ("account", of),
            Self::Pair(of) => ("pair", of),
            Self::Device(of) => ("device", of),
            Self::Devices(of) => ("devices", of),
            Self::Address(of) => ("address", of),
            Self::Network(of) => ("network", of),
            Self::Failed(of) => ("failed", of),
            Self::Welcome(of) => ("welcome", of),
            Self::Tokens(of) => ("tokens", of),
            Self::Codes(of) => ("codes", of),
        };
        format!("{kind}:{of:032x}")
    }

    /// The one with this name.
    fn named(name: &str) -> Option<Self> {
        let (kind, of) = name.split_once(':')?;
        let of = u128::from_str_radix(of, 16).ok()?;
        Some(match kind {
            "account" => Self::Account(of),
            "pair" => Self::Pair(of),
            "device" => Self::Device(of),
            "devices" => Self::Devices(of),
            "address" => Self::Address(of),
            "network" => Self::Network(of),
            "failed" => Self::Failed(of),
            "welcome" => Self::Welcome(of),
            "tokens" => Self::Tokens(of),
            "codes" => Self::Codes(of),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::attempts::{Attempt, MOST_UNTOLD};
    use super::*;
    use crate::service::clock::Clock;

    fn shared() -> Throttle {
        let throttle = Throttle::new(Clock::default());
        throttle.inner.lock().untold = Some(std::collections::HashMap::new());
        throttle
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        for of in [0, 7, u128::MAX] {
            for subject in [
                Subject::Account(of),
                Subject::Pair(of),
                Subject::Device(of),
                Subject::Devices(of),
                Subject::Address(of),
                Subject::Network(of),
                Subject::Failed(of),
                Subject::Welcome(of),
                Subject::Tokens(of),
                Subject::Codes(of),
            ] {
                assert_eq!(Subject::named(&subject.name()), Some(subject));
            }
        }
        assert_eq!(Subject::named("other:7").or(Subject::named("account")), None);
    }

    #[test]
    fn while_nothing_can_be_told_memory_is_bounded() {
        let throttle = shared();
        for number in 0..u32::try_from(2 * MOST_UNTOLD).unwrap() {
            throttle.wrong_token(Some(IpAddr::from(number.to_be_bytes())));
        }
        assert_eq!(throttle.inner.lock().untold.as_ref().unwrap().len(), MOST_UNTOLD);
        assert_eq!(throttle.untold().len(), MOST_UNTOLD);
        assert!(throttle.untold().is_empty());
    }

    #[test]
    fn what_could_not_be_told_still_counts_here() {
        let throttle = shared();
        for _ in 0..8 {
            throttle.admit(Attempt::of_stranger("ada@example.com", None), 1).unwrap();
        }
        // These were lost with the database; of the account it knows one attempt.
        let names: Vec<_> = throttle.untold().into_iter().map(|one| one.subject).collect();
        let busy: Vec<_> = names.into_iter().map(|name| (name, Duration::from_secs(30))).collect();
        throttle.hear(&busy);
        throttle.admit(Attempt::of_stranger("ada@example.com", None), 1).unwrap_err();
        let more: Vec<_> = busy.into_iter().map(|(name, _)| (name, Duration::from_secs(600))).collect();
        throttle.hear(&more);
        let wait = throttle.admit(Attempt::of_stranger("ada@example.com", None), 1).unwrap_err();
        assert!(wait > Duration::from_secs(300), "others have counted more: {wait:?}");
    }
}
