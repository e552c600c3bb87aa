//! A gateway that never gives up: it polls control planes in turn, and leaves out one that has just failed unless there is no other, as
//! Envoy does for the filter; it keeps its table when nobody answers, and asks again after a time that grows and varies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flamegate::contract::record::KeyRecord;
use tokio::task::JoinHandle;

use super::gateway::Gateway;

/// What has happened to it so far.
#[derive(Clone, Default)]
pub struct Seen {
    /// Its table after the last complete poll.
    pub table: BTreeMap<String, KeyRecord>,
    pub revision: u64,
    /// Whole tables that it was sent.
    pub resets: u32,
    /// Databases that it has followed.
    pub epochs: BTreeSet<String>,
    pub polls: u32,
    pub failed: u32,
    /// What went wrong last.
    pub last_error: String,
    /// Keys that were gone from its table once, and came back.
    pub risen: BTreeSet<String>,
    gone: BTreeSet<String>,
}

/// The running gateway; it ends with this value.
pub struct Follower {
    pub name: String,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// The filter's `retry_min_ms` and `retry_max_ms`, shorter than its defaults.
const RETRY: (u64, u64) = (50, 400);
/// How long one that has failed is left out.
const OUT: Duration = Duration::from_secs(3);

impl Follower {
    /// Follows those at these addresses, with polls of 5 s.
    pub fn start(http: &reqwest::Client, name: &str, bases: &[String]) -> Self {
        let mut gateway = Gateway::at(http.clone(), bases[0].clone(), name);
        gateway.query.wait = 5;
        gateway.patience = Duration::from_secs(10);
        let seen = Arc::<Mutex<Seen>>::default();
        let (shared, bases) = (Arc::clone(&seen), bases.to_vec());
        let task = tokio::spawn(async move {
            let mut pause = RETRY.0;
            let mut out: Vec<Option<Instant>> = vec![None; bases.len()];
            for turn in 0.. {
                let order = (turn..turn + bases.len()).map(|turn| turn % bases.len());
                let is_in = |at: &usize| out[*at].is_none_or(|since| since.elapsed() > OUT);
                let at = order.clone().find(is_in).unwrap_or(turn % bases.len());
                gateway.move_to(&bases[at]);
                let result = gateway.poll().await;
                let failed = result.is_err();
                out[at] = failed.then(Instant::now);
                shared.lock().unwrap().note(&gateway, result);
                if failed {
                    gateway.query.cursor = None;
                    let jitter = flamegate::host::random_u64() % (pause / 2);
                    tokio::time::sleep(Duration::from_millis(pause / 2 + jitter)).await;
                    pause = (pause * 2).min(RETRY.1);
                } else {
                    pause = RETRY.0;
                }
            }
        });
        Self { name: name.to_owned(), seen, task }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Whether it lets a key of this id pass.
    pub fn has(&self, id: &str) -> bool {
        self.seen.lock().unwrap().table.values().any(|record| record.id == id)
    }
}

impl Seen {
    fn note(&mut self, gateway: &Gateway, result: reqwest::Result<()>) {
        self.polls += 1;
        if let Err(error) = result {
            self.failed += 1;
            self.last_error = format!("{error:?}");
            return;
        }
        let ids = |table: &BTreeMap<String, KeyRecord>| -> BTreeSet<String> {
            table.values().map(|record| record.id.clone()).collect()
        };
        let (before, now) = (ids(&self.table), ids(&gateway.table));
        self.risen.extend(self.gone.intersection(&now).cloned());
        self.gone.extend(before.difference(&now).cloned());
        self.table.clone_from(&gateway.table);
        self.resets = gateway.resets;
        self.revision = gateway.query.after;
        self.epochs.extend(gateway.query.epoch.clone());
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}
