//! Migrations come as pairs, and both of a pair lead to the same schema: tables, columns, what may be NULL, keys, indexes, references.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};

use crate::fixtures::{Database, SERVER, postgres, sqlite};

#[test]
fn migrations_come_as_pairs() {
    let names = |engine: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        let names =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_have_the_same_schema() {
    let (file, server) = (sqlite().await, postgres().await);
    let (on_file, on_server) = (schema_of_file(&file).await, schema_on_server(&server));
    let only =
        |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&on_file, &on_server), Vec::<String>::new(), "on SQLite alone");
    assert_eq!(only(&on_server, &on_file), Vec::<String>::new(), "on PostgreSQL alone");
    assert!(on_file.len() > 80, "everything is looked at: {}", on_file.len());
}

async fn schema_of_file(database: &Database) -> BTreeSet<String> {
    let path = database.at.file().unwrap();
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> '_sqlx_migrations'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    let mut lines = BTreeSet::new();
    for table in tables {
        let columns = "SELECT name || ' ' || CASE type WHEN 'INTEGER' THEN 'number' WHEN 'BLOB' THEN 'bytes' ELSE lower(type) END
                || CASE WHEN \"notnull\" OR pk > 0 THEN ' not null' ELSE '' END
                || CASE WHEN dflt_value IS NULL THEN '' ELSE ' default ' || replace(dflt_value, '''', '') END
            FROM pragma_table_info($1)";
        let key = "SELECT 'key ' || group_concat(name, ',') FROM (SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk)";
        let references = "SELECT 'reference ' || \"from\" || ' ' || \"table\" || ' ' || \"to\" FROM pragma_foreign_key_list($1)";
        let indexes = "SELECT CASE WHEN \"unique\" THEN 'unique ' ELSE 'index ' END
                || (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(l.name) ORDER BY seqno))
                || CASE WHEN partial THEN ' partial' ELSE '' END
            FROM pragma_index_list($1) l WHERE origin <> 'pk'";
        for sql in [columns, key, references, indexes] {
            lines.extend(told(&mut connection, &table, sql).await);
        }
    }
    lines
}

async fn told(connection: &mut SqliteConnection, table: &str, sql: &'static str) -> Vec<String> {
    let rows = sqlx::query(sql).bind(table).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| format!("{table}: {}", row.get::<String, _>(0))).collect()
}

fn schema_on_server(database: &Database) -> BTreeSet<String> {
    let of_tables =
        "c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> '_sqlx_migrations'";
    let columns_of = |array: &str, relation: &str| {
        format!(
            "(SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM unnest({array}) WITH ORDINALITY k(number, place)
              JOIN pg_attribute a ON a.attrelid = {relation} AND a.attnum = k.number)"
        )
    };
    let columns = format!(
        "SELECT c.relname || ': ' || a.attname || ' ' || CASE format_type(a.atttypid, NULL)
             WHEN 'bigint' THEN 'number' WHEN 'bytea' THEN 'bytes' ELSE format_type(a.atttypid, NULL) END
             || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
             || COALESCE(' default ' || trim(both '''' from split_part(pg_get_expr(d.adbin, d.adrelid), '::', 1)), '')
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE {of_tables}"
    );
    let keys = format!(
        "SELECT c.relname || ': key ' || {} FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary WHERE {of_tables}",
        columns_of("i.indkey::smallint[]", "c.oid")
    );
    let references = format!(
        "SELECT c.relname || ': reference ' || {} || ' ' || r.confrelid::regclass || ' ' || {}
         FROM pg_class c JOIN pg_constraint r ON r.conrelid = c.oid AND r.contype = 'f' WHERE {of_tables}",
        columns_of("r.conkey", "c.oid"),
        columns_of("r.confkey", "r.confrelid")
    );
    let indexes = format!(
        "SELECT c.relname || ': ' || CASE WHEN i.indisunique THEN 'unique ' ELSE 'index ' END || {}
             || CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END
         FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND NOT i.indisprimary WHERE {of_tables}",
        columns_of("i.indkey::smallint[]", "c.oid")
    );
    let name = database.name();
    let all = [columns, keys, references, indexes].map(|sql| SERVER.sql(name, &sql));
    all.iter().flat_map(|lines| lines.lines()).map(str::to_owned).collect()
}
