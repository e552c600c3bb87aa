//! One connection to the engine, and what is said on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, RedisResult,
};
use sha2::{Digest as _, Sha256};

use super::checks::{Info, Known};
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
    pause_us: u64,
    /// What the engine's clock said last, when that was asked, and when it was answered.
    clock: Arc<Mutex<(u64, Instant, Instant)>>,
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
/// Gateways wait for a cold limit, and a token is good for a second.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);
/// What Redis has for `min-replicas-max-lag` when nobody says anything.
const DEFAULT_LAG_SECONDS: u64 = 10;
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
    let info: String = redis::cmd("INFO").query_async(&mut connection).await.map_err(text)?;
    let Known { name, has_replicas } = Info::parse(&info).judge()?;
    let lag_us = if has_replicas { lag_seconds(&mut connection).await * 1_000_000 } else { 0 };
    let (name, pause_us) = (Arc::from(name), LEASE_US + lag_us);
    let (history, now) = begin(&mut connection, &name, pause_us, 0, rows).await.map_err(text)?;
    Ok(Connected {
        connection,
        history,
        name,
        pause_us,
        clock: Arc::new(Mutex::new((now, asked, Instant::now()))),
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

    /// Runs one function for each entry, all in one round trip.
    pub async fn run(&mut self, function: &str, entries: &[Entry]) -> Result<Vec<Answer>, Failure> {
        if entries.is_empty() {
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
        begin(&mut self.connection, &self.name, self.pause_us, self.history.opens_at, rows).await?;
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

/// Asks the sentinels, one after the other, where the engine is.
async fn found_by_sentinels(address: &LimitStore, master: &str) -> Result<(String, u16), String> {
    let mut last = "no sentinel".to_owned();
    for (host, port) in address.hosts() {
        let asked = async {
            let mut sentinel = connect(address, host, *port, false).await?;
            let ask = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).to_owned();
            ask.query_async::<Option<(String, u16)>>(&mut sentinel).await
        };
        match asked.await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => last = format!("the sentinel {host}:{port} knows no '{master}'"),
            Err(error) => last = format!("the sentinel {host}:{port}: {error}"),
        }
    }
    Err(last)
}

async fn connect(
    address: &LimitStore,
    host: &str,
    port: u16,
    is_engine: bool,
) -> RedisResult<MultiplexedConnection> {
    let to = if address.is_tls() {
        ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.to_owned(), port)
    };
    let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    if is_engine {
        settings = settings.set_db(address.database());
        if let Some(user) = address.user() {
            settings = settings.set_username(user);
        }
        if let Some(password) = address.password() {
            settings = settings.set_password(password);
        }
    }
    let client = Client::open(to.into_connection_info()?.set_redis_settings(settings))?;
    let times = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTS_WITHIN))
        .set_response_timeout(Some(ANSWERS_WITHIN));
    client.get_multiplexed_async_connection_with_config(&times).await
}

/// For how long the engine may go on without its replicas. Who may not ask is told the default.
async fn lag_seconds(connection: &mut MultiplexedConnection) -> u64 {
    let ask = redis::cmd("CONFIG").arg("GET").arg("min-replicas-max-lag").to_owned();
    let answer: RedisResult<Vec<String>> = ask.query_async(connection).await;
    let said = answer.ok().and_then(|answer| answer.get(1)?.parse().ok());
    said.unwrap_or(DEFAULT_LAG_SECONDS)
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
