//! No query about use, and none of the list of keys, looks at every row: their plans on both engines, with a year of counts of many keys.
//!
//! `FLAMEGATE_PLANS_KEYS` and `FLAMEGATE_PLANS_DAYS` say how many keys there are, 100,000 on PostgreSQL, and on how many days of the year each
//! was used (`make usage-plans` takes 52 days, and both engines as many keys).

use async_trait::async_trait;
use flamegate_engines::Postgres as Cluster;
use jiff::SignedDuration;

mod lists;

use self::lists::{LARGE, SMALL, ago, now};
use super::columns::Columns as _;
use super::statement::{Dialect, Sql, Statement};
use crate::config::database::DatabaseAddress;
use crate::contract::KeyHash;
use crate::domain::error::Error;
use crate::domain::keys::{KeyFilter, KeyOrder, Status};
use crate::domain::usage::{
    KeyRow, KeyShadow, Lines, Minute, Period, ReasonShadow, Rows, Step, Tally, Use, minute_of,
};
use crate::store::postgres::Postgres;
use crate::store::seam::engine::Engine as _;
use crate::store::seam::keys::ReadKeys as _;
use crate::store::seam::plans::ReadPlans as _;
use crate::store::seam::receipts::ReadReceipts as _;
use crate::store::seam::tx::Work;
use crate::store::seam::usage::{ReadUsage as _, WriteUsage as _};
use crate::store::seam::usage_lines::ReadUsageLines as _;
use crate::store::sqlite::Sqlite;

const WORKSPACES: i64 = 50;
/// Most rows that one query may look at. A tenth of all keys are unused here, and who lists them newest first looks at all of those; everything
/// else looks at some hundred.
const MOST_ROWS: u64 = 12_000;
/// An index that has only the rows that are asked for.
const ONLY_THOSE: &str = " INDEX api_keys_shadow";
/// Tables of a few rows, which nobody needs an index for.
const FEW_ROWS: [&str; 4] = ["usage_log", "workspaces", "idle_keys_log", "revision_log"];

/// A connection that asks for the plan of each statement before it runs it.
struct Explained<'c, S> {
    connection: &'c mut S,
    /// Most rows that a query may look at now.
    most: u64,
    scans: Vec<String>,
}

#[async_trait]
impl<S: Sql> Sql for Explained<'_, S> {
    type Row = S::Row;
    const DIALECT: Dialect = S::DIALECT;

    async fn rows(&mut self, statement: Statement) -> Result<Vec<S::Row>, Error> {
        // Run while it is explained: how many rows it looks at is not only estimated.
        self.explain(&statement, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)").await?;
        self.connection.rows(statement).await
    }

    async fn run(&mut self, statement: Statement) -> Result<u64, Error> {
        if !statement.text().starts_with("SET ") {
            self.explain(&statement, "EXPLAIN (COSTS OFF)").await?;
        }
        self.connection.run(statement).await
    }

    async fn at_one_moment<T, F>(&mut self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Self) -> Work<'c, T> + Send + 'static,
    {
        work(self).await
    }
}

impl<S: Sql> Explained<'_, S> {
    async fn explain(&mut self, statement: &Statement, on_server: &str) -> Result<(), Error> {
        let (words, column) = match S::DIALECT {
            Dialect::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
            Dialect::Postgres => (on_server, "QUERY PLAN"),
        };
        let rows = self.connection.rows(statement.after(words)).await?;
        let lines: Vec<String> = rows.iter().map(|row| row.text(column)).collect::<Result<_, _>>()?;
        // A part that is made first, row by row, is read whole; what is in it is told by lines of its own.
        let is_part = |line: &&String| line.starts_with("CO-ROUTINE ") || line.starts_with("MATERIALIZE ");
        let parts = lines.iter().filter(is_part).count();
        let scans = lines.iter().filter(|line| scans(line)).count() > parts;
        let looked_at: u64 = lines.iter().map(|line| looked_at(line)).sum();
        if scans || looked_at > self.most {
            self.scans.push(format!("{}\n  {}", statement.text(), lines.join("\n  ")));
        }
        Ok(())
    }
}

/// Whether a line of a plan says that all rows of a table are looked at.
fn scans(line: &str) -> bool {
    let line = line.trim().trim_start_matches("->").trim();
    let table = line.strip_prefix("SCAN ").or_else(|| line.strip_prefix("Seq Scan on "));
    // SQLite calls a table by its alias: the workspaces' is `w`.
    let of_few = |table: &str| {
        let name = table.split_whitespace().next().unwrap_or_default();
        name == "w"
            || name == "CONSTANT"
            || table.contains(ONLY_THOSE)
            || table.ends_with("VALUES CLAUSE")
            || FEW_ROWS.contains(&name)
    };
    table.is_some_and(|table| !of_few(table))
}

/// How many rows a line of an analysed plan has looked at in a table.
fn looked_at(line: &str) -> u64 {
    let number = |name: &str| -> u64 {
        let number = line.split_once(name).map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
        number.flatten().and_then(|digits| digits.parse().ok()).unwrap_or_default()
    };
    // The rows of a bitmap are those of the scan above it, and those of a subquery are what is below it.
    if line.contains("Bitmap Index Scan") || line.contains("Subquery Scan") {
        0
    } else if line.contains(" Scan ") {
        number("actual rows=") * number("loops=").max(1)
    } else {
        number("Removed by Filter: ")
    }
}

fn setting(name: &str, default: i64) -> i64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Keys in all states, and a year of what they were used for. Of each hundred keys one is revoked, one has expired, one ends soon, and ten
/// were not used for half a year.
async fn fill(sql: &mut impl Sql, dialect: Dialect) {
    // SQLite's plans depend on the schema alone; PostgreSQL's on how many rows there are.
    let many = if dialect == Dialect::Sqlite { 5_000 } else { 100_000 };
    let (keys, days) = (setting("FLAMEGATE_PLANS_KEYS", many), setting("FLAMEGATE_PLANS_DAYS", 1));
    let (now, minute) = (now().as_second(), minute_of(now()));
    let (today, year) = (Step::Day.start(minute), 365 * 1_440);
    let hash = match dialect {
        Dialect::Sqlite => "randomblob(32)",
        Dialect::Postgres => "sha256(i::text::bytea)",
    };
    let numbers = |most: i64| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most})")
    };
    let workspace = format!("CASE WHEN i % 2 = 0 THEN {LARGE} ELSE 2 + i % {WORKSPACES} END");
    // So each workspace has keys in each state.
    let (state, unused) = ("i / 50 % 100", "i / 50 % 10 = 3");
    let usage = |step: i64, start: &str, condition: &str| {
        format!(
            "INSERT INTO key_usage SELECT seq, {step}, {start}, workspace_seq, seq % 1000, 1, 0, 0, 0, 0, 0, 0
             FROM api_keys JOIN n ON TRUE WHERE {condition}"
        )
    };
    let (spread, each_day) = (year / days, format!("{today} - (i - 1) * {}", year / days / 1_440 * 1_440));
    assert!(spread >= 1_440, "a year has no more days");
    let of_all = |step: i64, many: i64| {
        let numbers = numbers(many);
        format!(
            "{numbers} INSERT INTO workspace_usage SELECT seq, {step}, {today} - (i - 1) * {step}, 1, 1, 0, 0, 0, 0, 0, 0
             FROM workspaces JOIN n ON TRUE"
        )
    };
    let statements = [
        format!(
            "{} INSERT INTO workspaces (id, slug, name, default_limits, created_at)
             SELECT 'ws_' || i, 'w' || i, 'W', '[]', 0 FROM n",
            numbers(WORKSPACES + 2)
        ),
        "INSERT INTO plans (name, scope, limits, revision, created_at)
             SELECT name, CASE name WHEN 'house' THEN 'workspace' ELSE 'key' END, '[]', 1, 0
             FROM (SELECT 'gold' AS name UNION ALL SELECT 'few' UNION ALL SELECT 'house') AS n"
            .to_owned(),
        "UPDATE workspaces SET plan = 'house' WHERE seq > 2".to_owned(),
        // Half of all keys are on one plan, and few on another.
        format!(
            "{} INSERT INTO api_keys (id, hash, workspace_seq, environment, name, hint, created_at, expires_at, revoked_at, listed, revision, folded, plan)
             SELECT 'key_' || i, {hash}, {workspace}, 'live', 'Key', 'sk_live_…a1B2', {created},
                 CASE WHEN {state} = 7 THEN {now} - 60 WHEN {state} = 8 THEN {now} + 86400 * (1 + i % 40) END,
                 CASE WHEN {state} = 9 THEN {created} END, CASE WHEN {state} IN (7, 9) THEN 0 ELSE 1 END, i, 'key',
                 CASE WHEN i % 1000 = 5 THEN 'few' WHEN i % 2 = 1 THEN 'gold' END FROM n",
            numbers(keys),
            created = (now - 400 * 86_400) * 1_000,
        ),
        format!(
            "INSERT INTO key_uses (key_seq, workspace_seq, last_used_at, last_used_by, last_refused_at)
             SELECT i, workspace_seq, CASE WHEN {unused} THEN {today} - 180 * 1440 ELSE {minute} - i % 1440 END, 'eu/a',
                 CASE WHEN listed = 0 THEN {minute} - i % 20000 END FROM (SELECT seq AS i, workspace_seq, listed FROM api_keys) AS k"
        ),
                    "INSERT INTO idle_keys (key_seq, workspace_seq, since)
             SELECT key_seq, workspace_seq, last_used_at - last_used_at % 1440 FROM key_uses WHERE last_refused_at IS NULL"
            .to_owned(),
        format!(
            "INSERT INTO revocation_receipts SELECT seq, workspace_seq, {} - seq * 60000, 3, 3, 0, 20 FROM api_keys",
            now * 1_000
        ),
        "INSERT INTO key_gateways SELECT seq, 'eu/' || seq % 7, 0 FROM api_keys".to_owned(),
        format!("{} {}", numbers(days), usage(1_440, &each_day, "TRUE")),
        format!("{} {}", numbers(3), usage(60, &format!("{today} + 60 * i"), "seq % 8 = 0")),
        format!("{} {}", numbers(5), usage(1, &format!("{today} + i"), "seq % 8 = 0")),
        of_all(1_440, 365),
        of_all(60, 744),
        of_all(1, 600),
        format!("INSERT INTO usage_log (only_row, since) VALUES (1, {})", minute - year),
        format!(
            "{} INSERT INTO audit_log (at, workspace_seq, actor_kind, actor, via, action, target_id, target, details)
             SELECT i, {workspace}, 'user', 'ada', 'page', 'api_key.created', 'key_' || i, 'Key', '{{}}' FROM n",
            numbers(keys)
        ),
        "UPDATE idle_keys_log SET revision = (SELECT max(revision) FROM api_keys)".to_owned(),
        format!("INSERT INTO shadow_keys SELECT {today}, seq, 1, 0, 0, 0, {minute} - seq % 100 FROM api_keys"),
        format!(
            "INSERT INTO shadow_reasons SELECT {today} - 1440 * (seq % 20), 'eu/' || seq % 250, 'x.' || seq, 1, {minute}
             FROM api_keys"
        ),
        format!("UPDATE revision_log SET revision = {keys}"),
    ];
    for statement in statements {
        sql.run(Statement::new(statement)).await.unwrap();
    }
    if dialect == Dialect::Postgres {
        for table in [
            "api_keys",
            "audit_log",
            "key_usage",
            "workspace_usage",
            "key_uses",
            "idle_keys",
            "key_gateways",
            "revocation_receipts",
            "shadow_keys",
            "shadow_reasons",
        ] {
            sql.run(Statement::new(format!("ANALYZE {table}"))).await.unwrap();
        }
    }
}

/// What lists and notices ask for.
fn filters() -> Vec<KeyFilter> {
    let of = |filter: KeyFilter| {
        [None, Some(LARGE), Some(SMALL)].map(|workspace_seq| KeyFilter { workspace_seq, ..filter.clone() })
    };
    let all = KeyFilter::default();
    let unused = |days| KeyFilter { unused_since: Some(ago(days)), ..all.clone() };
    let refused = KeyFilter { refused_since: Some(ago(7)), ..all.clone() };
    let (ends, active) = (Some(now() + SignedDuration::from_hours(24 * 30)), Some(Status::Active));
    [
        KeyFilter { order: KeyOrder::LongestUnused, ..unused(90) },
        KeyFilter { order: KeyOrder::LatestRefused, ..refused.clone() },
        KeyFilter { order: KeyOrder::Ends, ends_before: ends, status: active, ..all.clone() },
        // Lists, which have them newest first.
        unused(90),
        refused,
    ]
    .into_iter()
    .flat_map(of)
    .collect()
}

async fn ask(sql: &mut impl Sql) {
    let (today, minute) = (Step::Day.start(minute_of(now())), minute_of(now()));
    for (step, days) in [(Step::Minute, 1), (Step::Hour, 31), (Step::Day, 400)] {
        let period = Period { step, from: today - days * 1_440, to: today + 1_440 };
        sql.usage_of_key(3, &period).await.unwrap();
        sql.usage_of_workspace(LARGE, &period).await.unwrap();
    }
    let busiest = sql.busiest_keys(LARGE, today - 30 * 1_440, today + 1_440, 20).await.unwrap();
    assert!(!busiest.is_empty());
    assert!(sql.usage_since().await.unwrap().is_some());
    assert!(!sql.gateways_of_keys(&[3, 4]).await.unwrap().is_empty());
    // Pages: the days of the keys of a list, and how fast revocations were.
    let keys: Vec<_> = (1..=50).collect();
    assert!(!sql.usage_of_keys(&keys, &Lines::period(minute)).await.unwrap().is_empty());
    assert!(sql.find_receipt(4).await.unwrap().is_some());
    assert!(!sql.newest_receipts(LARGE, ago(30), 1_000).await.unwrap().is_empty());
    for filter in filters() {
        let found = sql.list_keys(&filter, now(), 100).await.unwrap();
        assert!(!found.is_empty(), "{filter:?}");
    }
    // What gateways post, and what is done by the way.
    let ids: Vec<_> = (0..500).map(|key| format!("key_{}", key * 2)).collect();
    assert!(sql.key_rows(&ids).await.unwrap().len() > 400);
    sql.keys_of_hashes(&[KeyHash([1; 32]), KeyHash([2; 32])]).await.unwrap();
    assert!(sql.take_usage_number("eu", &[1; 32], 1, now()).await.unwrap());
    sql.add_usage(&posted(minute), now()).await.unwrap();
    let in_shadow = KeyFilter { shadow: true, status: Some(Status::Active), ..KeyFilter::default() };
    assert_eq!(sql.count_keys(&in_shadow, now()).await.unwrap(), 0);
    while sql.follow_keys(100).await.unwrap() {}
}

/// Some hundred keys, a few of which were not used on this day before.
fn posted(minute: Minute) -> Rows {
    let mut rows = Rows::default();
    for seq in (0..500).map(|key| 4 + key * 2) {
        let KeyRow { seq: key_seq, workspace_seq } = KeyRow { seq, workspace_seq: LARGE };
        let tally = Tally { admitted: 1, ..Tally::default() };
        rows.keys.insert((key_seq, workspace_seq, Step::Day, Step::Day.start(minute)), tally);
        rows.workspaces.insert((workspace_seq, Step::Day, Step::Day.start(minute)), tally);
        rows.used.insert(seq, Use { key_seq, workspace_seq, minute, gateway: "eu/a".to_owned() });
        rows.gateways.insert((seq, "eu/a".to_owned()), Step::Hour.start(minute));
        let of_key = KeyShadow { forbidden: 1, last: minute, ..KeyShadow::default() };
        rows.shadow.keys.insert((Step::Day.start(minute), seq), of_key);
        let reason = (Step::Day.start(minute), format!("us/{seq}"), "forbidden.path");
        rows.shadow.reasons.insert(reason, ReasonShadow { requests: 1, last: minute });
    }
    rows
}

async fn no_query_scans<S: Sql>(connection: &mut S) {
    fill(connection, S::DIALECT).await;
    let mut explained = Explained { connection, most: MOST_ROWS, scans: Vec::new() };
    ask(&mut explained).await;
    explained.most = lists::MOST_ROWS;
    lists::ask(&mut explained).await;
    lists::ask_plans(&mut explained).await;
    explained.plan_uses("few").await.unwrap();
    assert!(explained.scans.is_empty(), "{}", explained.scans.join("\n\n"));
    // It would have noticed.
    let all = KeyFilter { search: Some("nothing".to_owned()), ..KeyFilter::default() };
    assert!(explained.list_keys(&all, now(), 1).await.unwrap().is_empty());
    assert_eq!(explained.scans.len(), 1, "a search without a bound looks at all keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_no_query_about_use_scans() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Sqlite::open_or_make(&folder.path().join("control.db")).await.unwrap();
    let mut tx = engine.begin_copy().await.unwrap();
    no_query_scans(&mut *tx).await;
    drop(tx);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_no_query_about_use_scans() {
    let cluster = Cluster::start_with(&[("shared_buffers", "64MB"), ("jit", "off")]);
    let url = cluster.url(&cluster.new_database());
    let DatabaseAddress::Server(address) = DatabaseAddress::read(Some(&url), &|_| None).unwrap() else {
        panic!("a server")
    };
    let engine = Postgres::open_or_make(&address).await.unwrap();
    let mut client = engine.begin_copy().await.unwrap();
    no_query_scans(&mut client).await;
    drop(client);
    engine.close().await;
}
