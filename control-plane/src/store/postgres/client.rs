//! Whoever uses a connection: begins transactions when something is asked, waits no longer than is allowed, and gives the connection back
//! when no transaction is open on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, Row as _};
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::connections::{Connections, Place};
use super::mode::{GRACE, Mode, ONE_MOMENT};
use super::server;
use crate::domain::error::Error;
use crate::store::seam::engine::Lent;
use crate::store::seam::tx::{View, Work};
use crate::store::sql::errors::{CHANGED, OCCUPIED, SLOW};
use crate::store::sql::statement::{Dialect, Sql, Statement};

/// Codes that say that what this connection knows of its statements is not true any more: a plan that a migration has made another one, a
/// name that a pooler has mixed up.
const STALE: [&str; 3] = ["0A000", "26000", "42P05"];
/// How long giving back may take.
const END: Duration = Duration::from_secs(2);

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No transaction is open.
    Closed,
    /// One is open.
    Open,
    /// One is open that sees one moment.
    Moment,
    /// The same, and what was to be seen of it has been seen.
    PastMoment,
    /// Nobody knows: an answer is missing.
    Unknown,
}

/// A place, and the connection in it.
pub(in crate::store) struct Client {
    place: Arc<Place>,
    connection: Option<PgConnection>,
    mode: Mode,
    state: State,
    until: Instant,
    /// Whether something was asked in the open transaction.
    has_asked: bool,
}

impl Client {
    /// Takes a place. The client's time begins when it has one.
    pub(super) async fn new(connections: &Arc<Connections>, mode: Mode) -> Result<Self, Error> {
        let place = connections.place(mode.patience_for_a_place()).await?;
        let until = Instant::now() + mode.longest() + GRACE;
        let (connection, state) = (None, State::Closed);
        Ok(Self { place: Arc::new(place), connection, mode, state, until, has_asked: false })
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.start(self.mode.begin(""), State::Open).await
    }

    /// Ends the transaction by these statements. An error after a commit means that nobody knows whether it was done.
    pub(in crate::store) async fn end(mut self, sql: &str) -> Result<(), Error> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        server::run(&mut connection, sql, self.mode.patience()).await?;
        self.place.keep(connection);
        Ok(())
    }

    async fn start(&mut self, begin: String, state: State) -> Result<(), Error> {
        self.state = State::Unknown;
        // A connection from before a restart of the server is found out here, where asking again is harmless.
        let connection = match self.connection.take().or_else(|| self.place.used()) {
            None => self.try_to_start(self.place.new_one().await?, &begin).await?,
            Some(used) => match self.try_to_start(used, &begin).await {
                // The server answers, and others have the lock: a new connection waits for them as well.
                Err(Error::Unavailable(what)) if [OCCUPIED, SLOW].contains(&what) => {
                    return Err(Error::Unavailable(what));
                }
                Ok(connection) => connection,
                Err(_) => {
                    self.place.forget_used();
                    self.try_to_start(self.place.new_one().await?, &begin).await?
                }
            },
        };
        (self.connection, self.state, self.has_asked) = (Some(connection), state, false);
        Ok(())
    }

    /// What this connection knows of its statements is of before a migration, and so is what the others know that are kept. On a new one the
    /// transaction begins again, where nothing came before in it that this could lose or contradict: `asked` says so.
    async fn begin_anew(&mut self, asked: (State, bool)) -> Result<(), Error> {
        let (state, has_asked) = asked;
        let is_the_same = match state {
            State::Open => !has_asked || matches!(self.mode, Mode::Read(_)),
            State::Moment => !has_asked,
            State::Closed | State::PastMoment | State::Unknown => false,
        };
        if !is_the_same {
            return Err(Error::Unavailable(CHANGED));
        }
        self.connection = None;
        self.place.forget_used();
        let level = if state == State::Moment { ONE_MOMENT } else { "" };
        self.start(self.mode.begin(level), state).await
    }

    async fn try_to_start(&self, mut connection: PgConnection, begin: &str) -> Result<PgConnection, Error> {
        let rows = server::run(&mut connection, begin, self.mode.patience()).await?;
        // What a standby knows is of a moment ago, and what it is told is lost.
        let is_standby = rows.last().is_none_or(|row| row.try_get("standby").unwrap_or(true));
        if is_standby {
            Err(Error::Unavailable("the database takes no changes: it is a standby"))
        } else {
            Ok(connection)
        }
    }

    /// Sees to it that a transaction is open. Returns where the connection stands and the connection; until it is told what came of it
    /// ([`Self::heard`]), nobody knows: a caller who is gone before the answer comes leaves it so.
    async fn ask(&mut self) -> Result<(State, Instant, &mut PgConnection), Error> {
        match self.state {
            State::Open | State::Moment => {}
            State::Closed => self.begin().await?,
            State::PastMoment => self.start(format!("COMMIT; {}", self.mode.begin("")), State::Open).await?,
            State::Unknown => return Err(Error::Unavailable("the database cannot be reached")),
        }
        let state = std::mem::replace(&mut self.state, State::Unknown);
        self.has_asked = true;
        let connection = self.connection.as_mut().ok_or_else(|| Error::internal("no connection is open"))?;
        Ok((state, self.until, connection))
    }

    /// Where the connection will stand once it is asked.
    const fn state_to_ask_in(&self) -> State {
        match self.state {
            State::Closed | State::PastMoment => State::Open,
            state @ (State::Open | State::Moment | State::Unknown) => state,
        }
    }

    async fn try_rows(&mut self, statement: Statement) -> Result<Vec<PgRow>, Error> {
        let query = statement.without_nul().bound::<Postgres>().persistent(self.place.names_statements());
        let (state, until, connection) = self.ask().await?;
        let answer = timeout_at(until, query.fetch_all(connection)).await;
        self.heard(state, answer)
    }

    async fn try_run(&mut self, statement: Statement) -> Result<u64, Error> {
        let query = statement.without_nul().bound::<Postgres>().persistent(self.place.names_statements());
        let (state, until, connection) = self.ask().await?;
        let answer = timeout_at(until, query.execute(connection)).await;
        Ok(self.heard(state, answer)?.rows_affected())
    }

    fn heard<T>(
        &mut self,
        state: State,
        answer: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, Error> {
        let answer = answer.map_err(|_| server::late("it did not answer"))?;
        let is_known = match &answer {
            Ok(_) => true,
            Err(sqlx::Error::Database(cause)) => !cause.code().is_some_and(|code| STALE.contains(&&*code)),
            Err(_) => false,
        };
        if is_known {
            self.state = state;
        }
        Ok(answer?)
    }
}

#[async_trait]
impl Sql for Client {
    type Row = PgRow;
    const DIALECT: Dialect = Dialect::Postgres;

    async fn rows(&mut self, statement: Statement) -> Result<Vec<PgRow>, Error> {
        let asked = (self.state_to_ask_in(), self.has_asked);
        match self.try_rows(statement.clone()).await {
            Err(Error::Unavailable(CHANGED)) => {
                self.begin_anew(asked).await?;
                self.try_rows(statement).await
            }
            done => done,
        }
    }

    async fn run(&mut self, statement: Statement) -> Result<u64, Error> {
        let asked = (self.state_to_ask_in(), self.has_asked);
        match self.try_run(statement.clone()).await {
            Err(Error::Unavailable(CHANGED)) => {
                self.begin_anew(asked).await?;
                self.try_run(statement).await
            }
            done => done,
        }
    }

    async fn at_one_moment<T, F>(&mut self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Self) -> Work<'c, T> + Send + 'static,
    {
        if !matches!(self.mode, Mode::Read(_)) {
            // Nobody else writes meanwhile.
            return work(self).await;
        }
        let end = if self.state == State::Closed { "" } else { "COMMIT; " };
        self.start(format!("{end}{}", self.mode.begin(ONE_MOMENT)), State::Moment).await?;
        let found = work(self).await?;
        self.state = State::PastMoment;
        Ok(found)
    }
}

impl Lent for Client {
    fn view(&self) -> &View {
        self
    }

    fn view_mut(&mut self) -> &mut View {
        self
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|_| self.state != State::Unknown) else {
            return;
        };
        let place = Arc::clone(&self.place);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if server::run(&mut connection, "ROLLBACK", END).await.is_ok() {
                    place.keep(connection);
                }
            });
        }
    }
}
