//! Follows the log, so that a commit of another replica wakes the polls that this one holds. The truth is the row of `revision_log`, read
//! again and again; a notice of the server is the hint to read it now. So nothing depends on a notice: not behind a pooler, not while the
//! connection that listens is broken, and not on a server that has lost it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgRow};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::server;
use crate::domain::error::Error;
use crate::domain::log::Head;
use crate::store::seam::heads::Heads;

/// What is listened to.
pub(super) const CHANNEL: &str = "flamegate";
/// How often the row is read.
const POLL: Duration = Duration::from_millis(250);
/// How long it may take to read it.
const ANSWER: Duration = Duration::from_secs(2);
/// How often the connection that listens is looked at.
const PROBE: Duration = Duration::from_secs(10);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// The tag is that of the newest commit, which has always one.
const HEAD: &str = "SELECT epoch, revision, credentials, (SELECT tag FROM revision_tags t WHERE t.revision = l.revision) AS tag, \
    pg_is_in_recovery() AS standby FROM revision_log l";

/// Reads the row until the end of time.
pub(super) async fn poll(options: PgConnectOptions, heads: Arc<Heads>, now: Arc<Notify>) {
    let mut timer = interval(POLL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut connection, mut failing) = (None, None::<Instant>);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = now.notified() => {}
        }
        let begun = Instant::now();
        match look(&options, &mut connection).await {
            Ok((head, credentials)) => {
                heads.observe_credentials(credentials);
                if let Some(since) = failing.take() {
                    tracing::info!(after = ?since.elapsed(), "the database answers again");
                }
                if let Some(gone) = heads.observe(&head, begun) {
                    tracing::error!(
                        epoch = head.epoch,
                        revision = head.revision,
                        gone_epoch = gone.epoch,
                        gone_revision = gone.revision,
                        "the database has lost commits, or another one has taken its place: gateways that \
                        had seen them fetch the whole table"
                    );
                }
            }
            Err(error) => {
                connection = None;
                if failing.is_none() {
                    tracing::error!(%error, "the database does not answer: nothing can be changed, gateways keep what they have");
                    failing = Some(begun);
                }
                sleep(AGAIN).await;
            }
        }
    }
}

async fn look(options: &PgConnectOptions, kept: &mut Option<PgConnection>) -> Result<(Head, u64), Error> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => server::connect(options).await?,
    };
    let rows = server::run(&mut connection, HEAD, ANSWER).await?;
    let row = rows.first().ok_or_else(|| Error::internal("there is no revision log"))?;
    let credentials: i64 = row.try_get("credentials")?;
    let found = (head(row)?, u64::try_from(credentials).map_err(Error::internal)?);
    *kept = Some(connection);
    Ok(found)
}

fn head(row: &PgRow) -> Result<Head, Error> {
    if row.try_get("standby")? {
        return Err(Error::Unavailable("the database takes no changes: it is a standby"));
    }
    let (revision, tag): (i64, Option<String>) = (row.try_get("revision")?, row.try_get("tag")?);
    Ok(Head {
        epoch: row.try_get("epoch")?,
        revision: u64::try_from(revision).map_err(Error::internal)?,
        tag: tag.ok_or_else(|| Error::internal("the newest revision has no tag"))?,
    })
}

/// Listens until the end of time, and has the row read with every notice and whenever one may have been missed.
pub(super) async fn listen(options: PgConnectOptions, now: Arc<Notify>) {
    loop {
        let error = match listener(&options).await {
            Ok(listener) => listen_on(listener, &now).await,
            Err(error) => error,
        };
        tracing::warn!(%error, "no notices of the database for a moment: changes of other replicas come up to {POLL:?} later");
        sleep(AGAIN).await;
    }
}

async fn listener(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let pool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(PROBE).idle_timeout(None).max_lifetime(None);
    let mut listener = PgListener::connect_with(&pool.connect_lazy_with(options.clone())).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Returns why no notice comes any more.
async fn listen_on(mut listener: PgListener, now: &Notify) -> sqlx::Error {
    loop {
        // Whatever was committed before this listened.
        now.notify_one();
        match timeout(PROBE, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {}
            // It has connected again by itself; what was said meanwhile is lost.
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return error,
            Err(_) => match timeout(ANSWER, is_listening(&mut listener)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    return sqlx::Error::Protocol("it listens no more on this connection".to_owned());
                }
                Ok(Err(error)) => return error,
                Err(_) => return sqlx::Error::PoolTimedOut,
            },
        }
    }
}

/// False on a server that became a standby, and behind a pooler that gave our connection away.
async fn is_listening(listener: &mut PgListener) -> Result<bool, sqlx::Error> {
    let sql = "SELECT NOT pg_is_in_recovery() AND $1 IN (SELECT pg_listening_channels())";
    sqlx::query_scalar(sql).bind(CHANNEL).persistent(false).fetch_one(listener).await
}
