//! Rows of `gateways` as replicas write them for each other, and find them.
//!
//! What is written comes as one JSON list, so a statement is the same for one gateway and for a thousand.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::columns::Columns;
use super::dialect::{duration, millis, sql};
use super::statement::{Dialect, Sql, Statement};
use super::values::{signed, timestamp, unsigned};
use crate::contract::Protocol;
use crate::domain::error::Error;
use crate::domain::replicas::{Line, MOST_SEEN_AT_ONCE, Publication, SharedGateway};

/// The columns of a gateway's row, and each one's value of a line `v.value`; `$2` is the keeper, `$3` its count.
const COLUMNS: [(&str, &str); 19] = [
    ("id", "v.value ->> 'id'"),
    ("session", "SESSION"),
    ("version", "v.value ->> 'version'"),
    ("connected", "CAST(v.value ->> 'connected' AS BIGINT)"),
    ("first_seen", "CAST(v.value ->> 'first_seen' AS BIGINT)"),
    ("last_seen", "CAST(v.value ->> 'last_seen' AS BIGINT)"),
    ("keeper", "$2"),
    ("beat", "$3"),
    ("has_table", "CAST(v.value ->> 'has_table' AS BIGINT)"),
    ("acknowledged", "CAST(v.value ->> 'acknowledged' AS BIGINT)"),
    ("acknowledged_at", "NOW_MS - CAST(v.value ->> 'acknowledged_ago' AS BIGINT)"),
    ("expected_until", "NOW_MS + CAST(v.value ->> 'expected_for' AS BIGINT)"),
    ("stale", "CAST(v.value ->> 'stale' AS BIGINT)"),
    ("workers", "CAST(v.value ->> 'workers' AS BIGINT)"),
    ("accepts", "CAST(v.value ->> 'accepts' AS BIGINT)"),
    ("shadow", "CAST(v.value ->> 'shadow' AS BIGINT)"),
    ("other_database", "CAST(v.value ->> 'other_database' AS BIGINT)"),
    ("leaving_until", "NOW_MS + CAST(v.value ->> 'leaving_for' AS BIGINT)"),
    ("forgotten", "CAST(v.value ->> 'forgotten' AS BIGINT)"),
];

/// An id is one process's: another session under it is another gateway.
const SAME: &str = "(gateways.forgotten = 1 OR gateways.session IS NULL OR gateways.session = ";

/// Writes the lines that may be written; their ids.
pub async fn write<S: Sql>(tx: &mut S, said: &Publication) -> Result<HashSet<String>, Error> {
    let beat = signed(said.beat)?;
    if S::DIALECT == Dialect::Postgres {
        let ids: Vec<_> = said.gateways.iter().map(|line| line.gateway.id.as_str()).collect();
        let sql = "SELECT id FROM gateways WHERE id IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) ORDER BY id FOR UPDATE";
        tx.rows(Statement::new(sql).bind(json!(ids).to_string())).await?;
    }
    let mut written = HashSet::new();
    let is = |line: &Line| (line.vanishes, line.takes);
    // Who was forgotten may be back: that is the newer one.
    for (what, sql) in
        [((true, false), vanishes::<S>()), ((false, false), keeps::<S>()), ((false, true), takes::<S>())]
    {
        let lines: Vec<_> = said.gateways.iter().filter(|line| is(line) == what).map(as_json).collect();
        if !lines.is_empty() {
            let mut statement = Statement::new(sql).bind(Json::from(lines).to_string());
            if what != (true, false) {
                statement = statement.bind(&said.replica).bind(beat);
            }
            for row in tx.rows(statement).await? {
                written.insert(row.text("id")?);
            }
        }
    }
    Ok(written)
}

/// Writes lines whoever keeps the gateway.
fn takes<S: Sql>() -> String {
    let names = COLUMNS.map(|(name, _)| name).join(", ");
    let values = COLUMNS.map(|(_, value)| value).join(", ");
    let set = COLUMNS.map(|(name, _)| format!("{name} = excluded.{name}")).join(", ");
    sql::<S>(&format!(
        "INSERT INTO gateways ({names}) SELECT {values} FROM LINES WHERE true ORDER BY v.value ->> 'id' \
         ON CONFLICT (id) DO UPDATE SET {set} WHERE {SAME}excluded.session) RETURNING id"
    ))
}

/// Writes lines of gateways that are still kept by whom the line says.
fn keeps<S: Sql>() -> String {
    let values = COLUMNS.map(|(name, value)| format!("{value} AS new_{name}")).join(", ");
    let set = COLUMNS.map(|(name, _)| format!("{name} = n.new_{name}")).join(", ");
    sql::<S>(&format!(
        "UPDATE gateways SET {set} FROM (SELECT {values}, v.value ->> 'keeper' AS kept_by FROM LINES) AS n \
         WHERE gateways.id = n.new_id AND COALESCE(gateways.keeper, '') = n.kept_by AND {SAME}n.new_session) RETURNING id"
    ))
}

/// Removes rows of gateways that are still kept by whom the line says, and have got no table since.
fn vanishes<S: Sql>() -> String {
    sql::<S>(
        "DELETE FROM gateways WHERE id IN (SELECT v.value ->> 'id' FROM LINES) AND EXISTS (SELECT 1 FROM LINES \
         WHERE gateways.id = v.value ->> 'id' AND COALESCE(gateways.keeper, '') = v.value ->> 'keeper' \
         AND gateways.has_table <= CAST(v.value ->> 'has_table' AS BIGINT)) RETURNING id",
    )
}

fn as_json(line: &Line) -> Json {
    let gateway = &line.gateway;
    let session =
        gateway.session.map(|session| session.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    json!({
        "id": gateway.id, "session": session, "version": gateway.version, "keeper": gateway.keeper.as_deref().unwrap_or_default(),
        "connected": i64::from(!gateway.expected_for.is_zero() && !gateway.forgotten),
        "first_seen": gateway.first_seen.as_millisecond(), "last_seen": gateway.last_seen.as_millisecond(),
        "has_table": i64::from(gateway.has_table), "acknowledged": gateway.acknowledged,
        "acknowledged_ago": millis(gateway.acknowledged_ago), "expected_for": millis(gateway.expected_for),
        "stale": i64::from(gateway.stale), "workers": gateway.workers,
        "accepts": gateway.accepts.accepts().unwrap_or(1), "shadow": gateway.shadow.map(i64::from), "other_database": i64::from(gateway.other_database),
        "leaving_for": millis(gateway.leaving_for), "forgotten": i64::from(gateway.forgotten),
    })
}

/// Whoever looks from the beginning knows nobody, so has nobody to forget; and however many names somebody has invented, a start needs
/// bounded memory and time.
pub async fn from_the_beginning<S: Sql>(one: &mut S, me: &str) -> Result<Vec<SharedGateway>, Error> {
    let mut rows = rows_of_others::<S>(me);
    rows.push(" AND g.forgotten = 0 ORDER BY g.has_table DESC, g.last_seen DESC LIMIT ");
    rows.push_bind(MOST_SEEN_AT_ONCE);
    one.rows(rows).await?.iter().map(gateway).collect()
}

/// Each column by its name: a migration of the next release adds some while this one reads.
pub fn rows_of_others<S: Sql>(me: &str) -> Statement {
    let names = COLUMNS.map(|(name, _)| format!("g.{name}")).join(", ");
    let mut rows = Statement::new(sql::<S>(&format!(
        "SELECT {names}, NOW_MS AS now FROM gateways g WHERE COALESCE(g.keeper, '') <> "
    )));
    rows.push_bind(me);
    rows
}

pub fn gateway(row: &impl Columns) -> Result<SharedGateway, Error> {
    let now = row.number("now")?;
    let left = |column| Ok::<_, Error>(duration(row.number(column)?.saturating_sub(now)));
    let workers = row.maybe_number("workers")?.map(u32::try_from).transpose().map_err(Error::internal)?;
    let accepts = u32::try_from(row.number("accepts")?).map_err(Error::internal)?;
    let accepts = Protocol::from_accepts(accepts);
    Ok(SharedGateway {
        id: row.text("id")?,
        session: row.maybe_bytes("session")?.and_then(|session| session.try_into().ok()),
        version: row.maybe_text("version")?,
        keeper: row.maybe_text("keeper")?,
        beat: unsigned(row.number("beat")?)?,
        has_table: row.flag("has_table")?,
        acknowledged: row.maybe_number("acknowledged")?.map(unsigned).transpose()?,
        acknowledged_ago: duration(now.saturating_sub(row.number("acknowledged_at")?)),
        expected_for: left("expected_until")?,
        stale: row.flag("stale")?,
        workers,
        accepts,
        shadow: row.maybe_number("shadow")?.map(|shadow| shadow != 0),
        other_database: row.flag("other_database")?,
        leaving_for: left("leaving_until")?,
        forgotten: row.flag("forgotten")?,
        first_seen: timestamp(row.number("first_seen")?)?,
        last_seen: timestamp(row.number("last_seen")?)?,
    })
}
