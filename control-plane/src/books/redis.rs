//! Books in Redis (7 or later) or Valkey, for all control planes and through their restarts: one key for each limit, one function for each
//! step (`flamegate_1.lua`), all steps of a call in one round trip.
//!
//! Nothing is sent twice: an answer that did not come is lost, and tokens with it. The engine's clock is the books' clock; when it leaps
//! ahead of ours by more than a second between two answers, that is a new history. So is another process of the engine (`run_id`), and a
//! replica in its place. What the engine is (that it does not evict, waits for its replicas, is no replica) is looked at whenever a connection
//! is made, and every second while it is used.

mod checks;
mod connection;
mod way;

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex as Turn;

use self::connection::{Connected, Failure};
use super::history::{History, Rows};
use super::seam::{Away, Books, Entry, Stepped};
use crate::config::limit_store::LimitStore;
use crate::domain::lending::Lent;

/// The engine.
pub struct Redis {
    address: LimitStore,
    /// The connection; whoever makes one holds it, so that there is one attempt at a time.
    turn: Turn<()>,
    state: Mutex<State>,
    rows: NewestRows,
}

/// Asks the database for its newest rows.
type NewestRows = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Rows> + Send>> + Send + Sync>;

#[derive(Default)]
struct State {
    connected: Option<Connected>,
    /// When the last attempt failed, and why.
    failed: Option<(Instant, Away)>,
}

/// Who comes so soon after an attempt that failed gets the same answer.
const NEXT_ATTEMPT: Duration = Duration::from_millis(250);

impl Redis {
    /// Nothing is asked yet. `rows` are those of the database, for a history that begins.
    pub fn new<F>(address: LimitStore, rows: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Rows> + Send + 'static,
    {
        let rows: NewestRows = Box::new(move || Box::pin(rows()));
        Self { address, turn: Turn::new(()), state: Mutex::default(), rows }
    }

    /// Why the engine may not be used, if that can be told now: for the start, where somebody looks.
    pub async fn check(&self) -> Result<(), String> {
        match self.connected().await {
            Ok(_) => Ok(()),
            Err(Away::Silent) => Ok(()),
            Err(Away::Engine(why)) => Err(why),
        }
    }

    /// The connection that there is, or a new one.
    async fn connected(&self) -> Result<Connected, Away> {
        if let Some(known) = self.known() {
            return known;
        }
        let _turn = self.turn.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        let made = connection::open(&self.address, (self.rows)().await).await;
        let mut state = self.state();
        match made {
            Ok(connected) => {
                tracing::info!(engine = %self.address, "connected to the engine of fleet limits");
                *state = State { connected: Some(connected.clone()), failed: None };
                Ok(connected)
            }
            Err(why) => {
                let away = Away::Engine(format!("{}: {why}", self.address));
                state.failed = Some((Instant::now(), away.clone()));
                Err(away)
            }
        }
    }

    /// What need not be asked.
    fn known(&self) -> Option<Result<Connected, Away>> {
        let state = self.state();
        if let Some(connected) = &state.connected {
            return Some(Ok(connected.clone()));
        }
        let failed = state.failed.as_ref().filter(|(at, _)| at.elapsed() < NEXT_ATTEMPT);
        failed.map(|(_, away)| Err(away.clone()))
    }

    /// Lets go of a connection that failed, unless there is another one already.
    fn failed(&self, connected: &Connected, failure: Failure) -> Away {
        let mut state = self.state();
        if failure.is_final && state.connected.as_ref().is_some_and(|present| present.is_same(connected)) {
            state.connected = None;
        }
        Away::Engine(format!("{}: {}", self.address, failure.why))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, function: &str, entries: &[Entry]) -> Result<Stepped, Away> {
        let mut connected = self.connected().await?;
        let history = connected.history;
        connected.look_again().await.map_err(|failure| self.failed(&connected, failure))?;
        let answers =
            connected.run(function, entries).await.map_err(|failure| self.failed(&connected, failure))?;
        if answers.iter().any(|answer| answer.is_silent()) {
            return Err(Away::Silent);
        }
        if let Some(last) = answers.last() {
            // What was lent just now by a clock that leapt is lost: nobody is told of it.
            if connected.has_leapt(last.now) {
                let failure = match connected.begin_anew((self.rows)().await).await {
                    Ok(()) => Failure::new("its clock has leapt: a new history begins"),
                    Err(failure) => failure,
                };
                tracing::error!(engine = %self.address, "the clock of the engine of fleet limits has leapt ahead: a new history begins");
                return Err(self.failed(&connected, failure));
            }
        }
        let lent: Vec<Lent> = answers.into_iter().map(|answer| history.tell(answer.lent)).collect();
        Ok(Stepped { history, lent })
    }
}

#[async_trait]
impl Books for Redis {
    async fn step(&self, entries: &[Entry]) -> Result<Stepped, Away> {
        self.run("flamegate_1_step", entries).await
    }

    async fn look(&self, entries: &[Entry]) -> Result<Vec<Lent>, Away> {
        let Stepped { lent, .. } = self.run("flamegate_1_look", entries).await?;
        Ok(lent)
    }

    async fn history(&self) -> Result<History, Away> {
        let connected = self.connected().await?;
        if connected.opens_later() { Err(Away::Silent) } else { Ok(connected.history) }
    }

    fn close(&self) -> Option<Vec<u8>> {
        None
    }
}
