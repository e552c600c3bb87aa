//! Is a database's schema the one that its migrations make? Every table, index, trigger and view is compared with those of
//! a fresh database in memory that got the same migrations: a trigger that somebody dropped so that the audit log can be
//! rewritten, or one that somebody added, is named.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::store::sqlite::migrations::MIGRATIONS;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// What each thing in a schema is, by its kind and name. There may be more than one of a name in a file that was tampered
/// with.
type Things = BTreeMap<(String, String), Vec<String>>;

/// Type, name, table and text of a thing; what SQLite makes by itself has no text.
type Row = (String, String, String, String);

const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// The newest migration of the file. A migration that we do not know, or not in this form, is a problem.
pub(super) async fn version(connection: &mut SqliteConnection, problems: &mut Vec<String>) -> Result<i64> {
    let applied: Vec<(i64, bool, Vec<u8>)> =
        sqlx::query_as("SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await?;
    for (version, success, checksum) in &applied {
        let known = MIGRATIONS.iter().find(|known| known.version == *version);
        match known {
            Some(known) if *success && known.checksum.as_ref() == checksum.as_slice() => {}
            Some(_) => problems.push(format!("migration {version} was not applied as it is known here")),
            None => problems.push(format!("schema {version} is newer than this program")),
        }
    }
    Ok(applied.last().map_or(0, |(version, ..)| *version))
}

/// Names every difference between the schema and that of a fresh database with the same migrations.
pub(super) async fn compare(connection: &mut SqliteConnection, problems: &mut Vec<String>) -> Result<()> {
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations").fetch_all(&mut *connection).await?;
    let Some(mut fresh) = made_by(&applied).await? else { return Ok(()) };
    let (expected, found) = (things(&mut fresh).await?, things(connection).await?);
    let _ = fresh.close().await;
    for (name, sql) in &expected {
        match found.get(name) {
            None => problems.push(format!("{} {} is missing", name.0, name.1)),
            Some(other) if other != sql => problems.push(format!("{} {} was changed", name.0, name.1)),
            Some(_) => {}
        }
    }
    for name in found.keys().filter(|name| !expected.contains_key(*name)) {
        problems.push(format!("{} {} should not be there", name.0, name.1));
    }
    Ok(())
}

/// A database in memory that these migrations have made; `None` when one is not known: nobody here knows what it should be.
async fn made_by(applied: &[i64]) -> Result<Option<SqliteConnection>> {
    if applied.iter().any(|version| !MIGRATIONS.version_exists(*version)) {
        return Ok(None);
    }
    let mut fresh = SqliteConnectOptions::new().in_memory(true).connect().await?;
    for migration in MIGRATIONS.iter().filter(|migration| applied.contains(&migration.version)) {
        let sql = AssertSqlSafe(migration.sql.as_str().to_owned());
        sqlx::raw_sql(sql).execute(&mut fresh).await?;
    }
    Ok(Some(fresh))
}

/// What these migrations make, as lines that every engine has the same of.
pub(super) async fn lines_by(applied: &[i64]) -> Result<Option<BTreeSet<String>>> {
    let Some(mut fresh) = made_by(applied).await? else { return Ok(None) };
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut fresh).await?;
    let mut lines = BTreeSet::new();
    for table in tables {
        for sql in LINES {
            let found: Vec<Option<String>> =
                sqlx::query_scalar(sql).bind(&table).fetch_all(&mut fresh).await?;
            lines.extend(found.into_iter().flatten().map(|line| format!("{table}: {line}")));
        }
    }
    let _ = fresh.close().await;
    Ok(Some(lines))
}

/// Columns, key, references, indexes and the number of checks of a table.
const LINES: [&str; 5] = [
    "SELECT name || ' ' || CASE type WHEN 'INTEGER' THEN 'number' WHEN 'BLOB' THEN 'bytes' ELSE lower(type) END
        || CASE WHEN \"notnull\" OR pk > 0 THEN ' not null' ELSE '' END
        || CASE WHEN dflt_value IS NULL THEN '' ELSE ' default ' || replace(dflt_value, '''', '') END
     FROM pragma_table_info($1)",
    "SELECT 'key ' || group_concat(name, ',') FROM (SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk)",
    "SELECT 'reference ' || \"from\" || ' ' || \"table\" || ' ' || \"to\" FROM pragma_foreign_key_list($1)",
    "SELECT CASE WHEN \"unique\" THEN 'unique ' ELSE 'index ' END
        || (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(l.name) ORDER BY seqno))
        || CASE WHEN partial THEN ' partial' ELSE '' END
     FROM pragma_index_list($1) l WHERE origin <> 'pk'",
    "SELECT NULLIF((length(sql) - length(replace(sql, 'CHECK (', ''))) / length('CHECK ('), 0) || ' checks'
     FROM sqlite_schema WHERE type = 'table' AND name = $1",
];

/// What is there, but for the tables that come and go. Texts are compared byte for byte: migrations never change, so every
/// file of a schema has the same ones, and whoever reads past layout and comments can be made to read past more.
async fn things(connection: &mut SqliteConnection) -> Result<Things> {
    let rows: Vec<Row> = sqlx::query_as("SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_master")
        .fetch_all(connection)
        .await?;
    let mut things = Things::new();
    for row in rows.into_iter().filter(|row| !is_kept_by_others(row)) {
        let (kind, name, table, sql) = row;
        things.entry((kind, name)).or_default().push(format!("{table}: {sql}"));
    }
    things.values_mut().for_each(|texts| texts.sort());
    Ok(things)
}

/// The table of migrations, which SQLx makes and may make in another way one day, and the statistics of `ANALYZE`.
/// What a thing does is in its text, so a name alone says nothing: only what can be nothing else is left out.
fn is_kept_by_others((kind, name, table, sql): &Row) -> bool {
    match (kind.as_str(), table.as_str()) {
        ("table", MIGRATIONS_TABLE) => name == table && sql.starts_with("CREATE TABLE _sqlx_migrations ("),
        ("index", MIGRATIONS_TABLE) => name == "sqlite_autoindex__sqlx_migrations_1" && sql.is_empty(),
        ("table", "sqlite_stat1") => name == table && sql == "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
        ("table", "sqlite_stat4") => {
            name == table && sql == "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"
        }
        _ => false,
    }
}
