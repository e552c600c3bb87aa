//! What a database's schema is, as lines that both engines would say of the same one, and what only this engine has: triggers, and the
//! functions that they call.
//!
//! A line is `table: what`. Names of indexes and of constraints are not in it, nor is their order; what they do is.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};

use super::migrations::{self, MIGRATIONS};
use super::server;
use crate::domain::error::Error;
use crate::store::seam::maintenance::Schema;
use crate::store::sql::columns::Columns as _;

/// How long a look at the catalogue may take.
const LOOK: Duration = Duration::from_secs(60);
const TABLES: &str = "c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'";
const COLUMNS: &str = "a.attname || ' ' || CASE format_type(a.atttypid, NULL)
        WHEN 'bigint' THEN 'number' WHEN 'bytea' THEN 'bytes' ELSE format_type(a.atttypid, NULL) END
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || COALESCE(' default ' || trim(both '''' from split_part(pg_get_expr(d.adbin, d.adrelid), '::', 1)), '')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum";
const CHECKS: &str =
    "count(*) || ' checks' FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'c'";
/// What no migration says, word for word.
const TRIGGERS: &str = "SELECT 'trigger ' || t.tgname AS name, pg_get_triggerdef(t.oid, true) AS text
    FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal WHERE ";
const FUNCTIONS: &str = "SELECT 'function ' || p.proname AS name, p.prosrc AS text FROM pg_proc p
    WHERE p.pronamespace = current_schema()::regnamespace AND p.prorettype = 'trigger'::regtype
        AND EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgfoid = p.oid)";

/// The schema that the connection sees.
pub(super) async fn describe(connection: &mut PgConnection) -> Result<Schema, Error> {
    let applied = migrations::applied(connection).await?;
    let mut lines = BTreeSet::new();
    for sql in statements() {
        for row in &server::run(connection, sql, LOOK).await? {
            lines.insert(row.text("line")?);
        }
    }
    let mut unknown = Vec::new();
    for sql in [format!("{TRIGGERS}{TABLES}"), FUNCTIONS.to_owned()] {
        for row in &server::run(connection, sql, LOOK).await? {
            unknown.extend(unless_known(row)?);
        }
    }
    Ok(Schema { applied: applied.iter().map(|applied| applied.version).collect(), lines, unknown })
}

/// What answers the lines.
fn statements() -> Vec<String> {
    let columns_of = |array: &str, relation: &str| {
        format!(
            "(SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM unnest({array}) WITH ORDINALITY k(number, place)
              JOIN pg_attribute a ON a.attrelid = {relation} AND a.attnum = k.number)"
        )
    };
    let (of_key, of_index) = ("i.indkey::smallint[]", "c.oid");
    let keys = format!(
        "'key ' || {} FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary",
        columns_of(of_key, of_index)
    );
    let references = format!(
        "'reference ' || {} || ' ' || r.confrelid::regclass || ' ' || {}
         FROM pg_class c JOIN pg_constraint r ON r.conrelid = c.oid AND r.contype = 'f'",
        columns_of("r.conkey", "c.oid"),
        columns_of("r.confkey", "r.confrelid")
    );
    let indexes = format!(
        "CASE WHEN i.indisunique THEN 'unique ' ELSE 'index ' END || {}
             || CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END
         FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND NOT i.indisprimary",
        columns_of(of_key, of_index)
    );
    let line = |what: &str| format!("SELECT c.relname || ': ' || {what} WHERE {TABLES}");
    let mut all: Vec<_> = [COLUMNS, &keys, &references, &indexes].map(line).into();
    all.push(format!("{} GROUP BY c.relname", line(CHECKS)));
    all.into_iter().map(|sql| format!("SELECT line FROM ({sql}) AS lines(line)")).collect()
}

/// The name of what no migration has made.
fn unless_known(row: &PgRow) -> Result<Option<String>, Error> {
    let (name, text) = (row.text("name")?, row.text("text")?);
    let is_known = MIGRATIONS.iter().any(|migration| migration.sql.as_str().contains(&text));
    Ok((!is_known).then_some(name))
}
