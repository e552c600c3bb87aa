//! Copies everything from one database into another one, of whatever engines, and compares both afterwards, row by row. What there is to
//! copy the source's catalogue says, so a new table is copied, too. Both sides are in a transaction; nothing of a copy that fails is left.

use super::columns::Columns;
use super::statement::{Dialect, Sql, Statement, Value};
use crate::domain::error::Error;

/// Rows in one statement.
const AT_ONCE: i64 = 500;
/// Tables with rows in a new database; the source's take their place.
const OF_A_NEW_ONE: [&str; 4] = ["revision_tags", "revision_log", "idle_keys_log", "signing_keys"];
/// What is of no other database: which migrations were applied, who serves now, and what its next start goes on from.
const NOT_COPIED: [&str; 3] = ["_sqlx_migrations", "replicas", "saved_books"];

/// What was copied: rows, by table.
pub type Copied = Vec<(String, u64)>;

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is something in the target.
    #[error("the target is not empty: there are rows in {0}")]
    NotEmpty(String),
    /// The copy is another one than what was copied.
    #[error("the copy differs from its source in {0}: nothing was kept")]
    Differs(String),
    /// A database failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A table.
struct Table {
    name: String,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    kind: Kind,
    /// Its place in the primary key, from 1.
    key: Option<i64>,
}

#[derive(Clone, Copy)]
enum Kind {
    Number,
    Text,
    Bytes,
}

/// Copies and compares. The caller commits the target, or not.
pub async fn copy(from: &mut impl Sql, to: &mut impl Sql) -> Result<Copied, CopyError> {
    let tables = tables(from).await?;
    for Table { name, .. } in tables.iter().rev() {
        if OF_A_NEW_ONE.contains(&name.as_str()) {
            to.run(Statement::new(format!("DELETE FROM {name}"))).await?;
        } else if to.number(Statement::new(format!("SELECT count(*) AS n FROM {name}"))).await? > 0 {
            return Err(CopyError::NotEmpty(name.clone()));
        }
    }
    let mut copied = Copied::new();
    for table in &tables {
        let (mut rows, mut last) = (0, None);
        loop {
            let page = page(from, table, last.as_deref()).await?;
            let Some(newest) = page.last() else { break };
            (rows, last) = (rows + page.len() as u64, Some(table.key_of(newest)));
            insert(to, table, &page).await?;
        }
        table.go_on_counting(to).await?;
        copied.push((table.name.clone(), rows));
    }
    for table in &tables {
        compare(from, to, table).await?;
    }
    Ok(copied)
}

async fn compare(from: &mut impl Sql, to: &mut impl Sql, table: &Table) -> Result<(), CopyError> {
    let mut last = None;
    loop {
        let (expected, found) =
            (page(from, table, last.as_deref()).await?, page(to, table, last.as_deref()).await?);
        if expected != found {
            return Err(CopyError::Differs(table.name.clone()));
        }
        let Some(newest) = expected.last() else { return Ok(()) };
        last = Some(table.key_of(newest));
    }
}

/// Rows from behind a key, in its order, which is one of bytes on every engine.
async fn page(sql: &mut impl Sql, table: &Table, behind: Option<&[Value]>) -> Result<Vec<Vec<Value>>, Error> {
    let key = table.key().map(|column| column.name.clone()).collect::<Vec<_>>().join(", ");
    let columns: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut select = Statement::new(format!("SELECT {} FROM {}", columns.join(", "), table.name));
    if let Some(behind) = behind {
        select.push(&format!(" WHERE ({key}) > (")).push_list(behind.iter().cloned()).push(")");
    }
    select.push(&format!(" ORDER BY {key} LIMIT ")).push_bind(AT_ONCE);
    let rows = sql.rows(select).await?;
    rows.iter().map(|row| table.columns.iter().map(|column| column.value(row)).collect()).collect()
}

async fn insert(sql: &mut impl Sql, table: &Table, rows: &[Vec<Value>]) -> Result<(), Error> {
    let columns: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut insert = Statement::new(format!("INSERT INTO {} ({}) VALUES ", table.name, columns.join(", ")));
    for (place, row) in rows.iter().enumerate() {
        insert.push(if place == 0 { "(" } else { ", (" }).push_list(row.iter().cloned()).push(")");
    }
    sql.run(insert).await.map(drop)
}

/// Every table that is ours, each behind those that it refers to.
async fn tables<S: Sql>(sql: &mut S) -> Result<Vec<Table>, Error> {
    let (names, columns, references) = match S::DIALECT {
        Dialect::Sqlite => (
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name",
            "SELECT name, type, pk AS key FROM pragma_table_info($1) ORDER BY cid",
            "SELECT DISTINCT \"table\" AS name FROM pragma_foreign_key_list($1)",
        ),
        Dialect::Postgres => (
            "SELECT relname::text AS name FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
             ORDER BY relname",
            "SELECT a.attname::text AS name, format_type(a.atttypid, NULL) AS type,
                 COALESCE(array_position(i.indkey::smallint[], a.attnum) + 1, 0)::bigint AS key
             FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
             WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            "SELECT DISTINCT confrelid::regclass::text AS name FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'f'",
        ),
    };
    let mut left = Vec::new();
    for row in sql.rows(Statement::new(names)).await? {
        let name = row.text("name")?;
        if NOT_COPIED.contains(&name.as_str()) {
            continue;
        }
        let found = sql.rows(Statement::new(columns).bind(&name)).await?;
        let columns = found.iter().map(Column::of).collect::<Result<_, _>>()?;
        let found = sql.rows(Statement::new(references).bind(&name)).await?;
        let refers_to = found.iter().map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
        left.push((Table { name, columns }, refers_to));
    }
    let mut ordered: Vec<Table> = Vec::new();
    while !left.is_empty() {
        let is_there = |name: &String| ordered.iter().any(|table| table.name == *name);
        let next = left.iter().position(|(_, refers_to)| refers_to.iter().all(is_there));
        let next = next.ok_or_else(|| Error::internal("tables refer to each other in a circle"))?;
        ordered.push(left.remove(next).0);
    }
    Ok(ordered)
}

impl Table {
    fn key(&self) -> impl Iterator<Item = &Column> {
        let mut key: Vec<_> = self.columns.iter().filter(|column| column.key.is_some()).collect();
        key.sort_by_key(|column| column.key);
        key.into_iter()
    }

    fn key_of(&self, row: &[Value]) -> Vec<Value> {
        let value = |column: &Column| {
            let found = self.columns.iter().zip(row).find(|(other, _)| other.name == column.name);
            found.map(|(_, value)| value.clone())
        };
        self.key().filter_map(value).collect()
    }

    /// The next row gets the number behind the last one. SQLite sees to that itself.
    async fn go_on_counting<S: Sql>(&self, sql: &mut S) -> Result<(), Error> {
        if S::DIALECT != Dialect::Postgres || !self.columns.iter().any(|column| column.name == "seq") {
            return Ok(());
        }
        let name = &self.name;
        let set = format!(
            "SELECT setval(pg_get_serial_sequence('{name}', 'seq'), COALESCE(max(seq), 0) + 1, false) AS n FROM {name}"
        );
        sql.number(Statement::new(set)).await.map(drop)
    }
}

impl Column {
    fn of(row: &impl Columns) -> Result<Self, Error> {
        let kind = match row.text("type")?.to_ascii_uppercase().as_str() {
            "INTEGER" | "BIGINT" => Kind::Number,
            "TEXT" => Kind::Text,
            "BLOB" | "BYTEA" => Kind::Bytes,
            other => return Err(Error::internal(format!("a column holds {other}, which is not copied"))),
        };
        let key = Some(row.number("key")?).filter(|place| *place > 0);
        Ok(Self { name: row.text("name")?, kind, key })
    }

    fn value(&self, row: &impl Columns) -> Result<Value, Error> {
        Ok(match self.kind {
            Kind::Number => row.maybe_number(&self.name)?.into(),
            Kind::Text => row.maybe_text(&self.name)?.into(),
            Kind::Bytes => row.maybe_bytes(&self.name)?.into(),
        })
    }
}
