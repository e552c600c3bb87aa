//! One connection to the engine, and what is said on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult};
use sha2::{Digest as _, Sha256};

use super::checks::{Info, Known};
use super::way::{connect, found_by_sentinels};
use crate::books::history::{History, Rows};
use crate::books::seam::Entry;
use crate::config::limit_store::LimitStore;
use crate::domain::lending::Lent;
use crate::domain::lending::book::LEASE_US;

/// An engine that may be used. Clones share the connection.
#[derive(Clone)]
pub(super) struct Connected {
    connection: MultiplexedConnection,
    pub history: History,
    name: Arc<str>,
    /// What the engine's clock said last, when that was asked, and when it was answered.
    clock: Arc<Mutex<(u64, Instant, Instant)>>,
    /// When it was last looked at what the engine is.
    looked_at: Arc<Mutex<Instant>>,
}

/// Why something did not work.
pub(super) struct Failure {
    pub why: String,
    /// The connection is not to be used again.
    pub is_final: bool,
}

/// One answer.
pub(super) struct Answer {
    pub now: u64,
    pub lent: Lent,
    silent: bool,
}

const LIBRARY: &str = include_str!("flamegate_1.lua");
const HISTORY_KEY: &str = "flamegate:history";
/// What Redis has for `min-replicas-max-lag` when nobody says anything.
const DEFAULT_LAG_SECONDS: u64 = 10;
/// An engine that has lost its replicas takes writes for longer than `min-replicas-max-lag`: it counts in whole seconds, and looks once a
/// second (`refreshGoodSlavesCount` of `replicationCron`, Redis 7.0 and Valkey 9).
const LAG_SECONDS_MORE: u64 = 2;
/// What an engine is may change while it runs (`CONFIG SET`, a replica that is added): while it is used it is asked so often.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// The engine's clock may be ahead of ours by so much between two answers.
const LEAP_US: u64 = 1_000_000;

/// Connects, looks whether the engine may be used, and which history goes on.
pub(super) async fn open(address: &LimitStore, rows: Rows) -> Result<Connected, String> {
    // Once for the process; another part may have done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let text = |error: RedisError| error.to_string();
    let (host, port) = match address.master() {
        None => address.hosts().first().cloned().ok_or("no host")?,
        Some(master) => found_by_sentinels(address, master).await?,
    };
    let mut connection = connect(address, &host, port, true).await.map_err(text)?;
    let asked = Instant::now();
    let known = look(&mut connection).await.map_err(|failure| failure.why)?;
    let pause_us = pause_us(&mut connection, &known).await;
    let (history, now) = begin(&mut connection, &known.name, pause_us, 0, rows).await.map_err(text)?;
    Ok(Connected {
        connection,
        history,
        name: Arc::from(known.name),
        clock: Arc::new(Mutex::new((now, asked, Instant::now()))),
        looked_at: Arc::new(Mutex::new(asked)),
    })
}

impl Connected {
    /// Whether it is the same connection.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.clock, &other.clock)
    }

    /// Whether the history surely has not opened yet.
    pub fn opens_later(&self) -> bool {
        let (engine, _, answered) = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        engine.saturating_add(micros(answered.elapsed())) < self.history.opens_at
    }

    /// Looks again, when that is due, whether the engine may be used and its history goes on.
    pub async fn look_again(&mut self) -> Result<(), Failure> {
        {
            let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            if looked_at.elapsed() < LOOKS_EVERY {
                return Ok(());
            }
            // Whoever comes meanwhile does not ask, too.
            *looked_at = Instant::now();
        }
        let known = look(&mut self.connection).await?;
        if known.name == *self.name {
            Ok(())
        } else {
            Err(Failure::new("its history is over: a new one begins"))
        }
    }

    /// Runs one function for each entry, all in one round trip.
    pub async fn run(&mut self, function: &str, entries: &[Entry]) -> Result<Vec<Answer>, Failure> {
        if entries.is_empty() {
            // A gateway that asks for nothing wants to know whether the engine answers.
            redis::cmd("TIME").query_async::<(u64, u64)>(&mut self.connection).await?;
            return Ok(Vec::new());
        }
        match self.send(function, entries, true).await {
            Err(error) if is_unknown_function(&error) => {
                load(&mut self.connection).await?;
                // Another control plane may have loaded it while ours were on their way: no report is told twice.
                Ok(self.send(function, entries, false).await?)
            }
            sent => Ok(sent?),
        }
    }

    async fn send(&mut self, function: &str, entries: &[Entry], reports: bool) -> RedisResult<Vec<Answer>> {
        let mut pipe = redis::pipe();
        for entry in entries {
            let young = entry.young_in == Some(self.history.mark);
            let step = self.history.own(entry.step, self.history.opens_at);
            let is_ours = step.spent + step.returned > 0 && reports;
            let (numbers, told) = (&entry.numbers, |number: u64| if reports { number } else { 0 });
            pipe.cmd("FCALL").arg(function).arg(1).arg(format!("flamegate:{}", entry.subject));
            pipe.arg(numbers.emission_us.get()).arg(numbers.burst).arg(numbers.revision);
            pipe.arg(self.history.opens_at).arg(u8::from(young)).arg(step.want);
            match i64::try_from(step.generation).ok().filter(|_| is_ours) {
                Some(generation) => pipe.arg(generation),
                None => pipe.arg(-1),
            };
            pipe.arg(told(step.spent)).arg(told(step.returned)).arg(told(step.alone));
        }
        let asked = Instant::now();
        let answers: Vec<RedisResult<Vec<i64>>> =
            pipe.ignore_errors().query_async(&mut self.connection).await?;
        let answers =
            answers.into_iter().map(|answer| Answer::read(&answer?)).collect::<RedisResult<Vec<_>>>()?;
        if let Some(last) = answers.last().filter(|last| !self.has_leapt(last.now)) {
            *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = (last.now, asked, Instant::now());
        }
        Ok(answers)
    }

    /// Whether the engine's clock is further than it can be by ours.
    pub fn has_leapt(&self, now: u64) -> bool {
        let (engine, asked, _) = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        now > engine.saturating_add(micros(asked.elapsed())).saturating_add(LEAP_US)
    }

    /// Says that the history is over.
    pub async fn begin_anew(&mut self, rows: Rows) -> Result<(), Failure> {
        let known = look(&mut self.connection).await?;
        let pause_us = pause_us(&mut self.connection, &known).await;
        begin(&mut self.connection, &known.name, pause_us, self.history.opens_at, rows).await?;
        Ok(())
    }
}

impl Answer {
    fn read(numbers: &[i64]) -> RedisResult<Self> {
        let &[now, tokens, generation, left, out, wait_us] = numbers else {
            return Err((ErrorKind::UnexpectedReturnType, "not six numbers").into());
        };
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        let [left, out, wait_us, generation] = [left, out, wait_us, generation].map(number);
        let lent = Lent { tokens: number(tokens), generation, left, out, wait_us };
        Ok(Self { now: number(now), lent, silent: tokens < 0 })
    }

    /// The history has not opened yet.
    pub const fn is_silent(&self) -> bool {
        self.silent
    }
}

impl Failure {
    /// After which another connection is made.
    pub fn new(why: &str) -> Self {
        Self { why: why.to_owned(), is_final: true }
    }
}

impl From<RedisError> for Failure {
    /// Whatever it was, the next one looks at the engine anew: it may be a replica by now, or have no memory.
    fn from(error: RedisError) -> Self {
        Self { why: error.to_string(), is_final: true }
    }
}

/// What the engine says that it is; an error when it may not be used.
async fn look(connection: &mut MultiplexedConnection) -> Result<Known, Failure> {
    let info: String = redis::cmd("INFO").query_async(connection).await?;
    Info::parse(&info).judge().map_err(|why| Failure::new(&why))
}

/// How long nothing is lent when a history begins: until every lease of before has ended, and as long before that as an engine whose place
/// this one has taken may have gone on alone. Who may not ask for how long that is, is told the default.
async fn pause_us(connection: &mut MultiplexedConnection, known: &Known) -> u64 {
    if !known.fails_over {
        return LEASE_US;
    }
    let ask = redis::cmd("CONFIG").arg("GET").arg("min-replicas-max-lag").to_owned();
    let answer: RedisResult<Vec<String>> = ask.query_async(connection).await;
    let said = answer.ok().and_then(|answer| answer.get(1)?.parse().ok());
    let seconds = said.unwrap_or(DEFAULT_LAG_SECONDS).saturating_add(LAG_SECONDS_MORE);
    seconds.saturating_mul(1_000_000).saturating_add(LEASE_US)
}

/// Which history goes on, and the engine's time.
async fn begin(
    connection: &mut MultiplexedConnection,
    name: &str,
    pause_us: u64,
    over: u64,
    rows: Rows,
) -> RedisResult<(History, u64)> {
    let mut call = redis::cmd("FCALL");
    call.arg("flamegate_1_begin").arg(1).arg(HISTORY_KEY).arg(name).arg(pause_us).arg(over);
    call.arg(rows.keys).arg(rows.workspaces);
    let answer = match call.query_async(connection).await {
        Err(error) if is_unknown_function(&error) => {
            load(connection).await?;
            call.query_async(connection).await
        }
        answer => answer,
    };
    let (opens_at, now, keys, workspaces) = answer?;
    Ok((History { mark: mark(name, opens_at), opens_at, rows: Rows { keys, workspaces } }, now))
}

async fn load(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    redis::cmd("FUNCTION")
        .arg("LOAD")
        .arg("REPLACE")
        .arg(LIBRARY)
        .query_async::<String>(connection)
        .await
        .map(drop)
}

fn is_unknown_function(error: &RedisError) -> bool {
    error.to_string().contains("Function not found")
}

fn mark(name: &str, opens_at: u64) -> u32 {
    let digest: [u8; 32] = Sha256::digest(format!("{name} {opens_at}")).into();
    let [a, b, c, d, ..] = digest;
    u32::from_be_bytes([a, b, c, d])
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
