//! Where a control plane of a test keeps its data: a file, or with `FLAMEGATE_TEST_DATABASE=postgres` a database of a server that all
//! tests of a program share. A test names a file in either case; on the server a database stands for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use flamegate_engines::Postgres;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

/// Which engine; the same for all tests of a program.
static ON_SERVER: LazyLock<bool> =
    LazyLock::new(|| match std::env::var("FLAMEGATE_TEST_DATABASE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("FLAMEGATE_TEST_DATABASE: {other}"),
    });
static SERVER: LazyLock<Postgres> = LazyLock::new(Postgres::start);
static NAMES: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Mutex::default);

/// The address that a control plane is told.
pub fn address(file: &Path) -> String {
    on_server(file).map_or_else(|| file.to_str().unwrap().to_owned(), |name| SERVER.url(&name))
}

/// The database that stands for a file.
fn on_server(file: &Path) -> Option<String> {
    let new = |_: &PathBuf| SERVER.new_database();
    ON_SERVER.then(|| {
        let mut names = NAMES.lock().unwrap();
        names.entry(file.to_owned()).or_insert_with_key(new).clone()
    })
}

/// Runs a statement that no function of the store is for, as somebody who may do everything; what it answers, or why not.
pub async fn run(file: &Path, sql: &str) -> Result<Option<i64>, String> {
    if let Some(name) = on_server(file) {
        return SERVER.ask(&name, sql).map(|answer| answer.parse().ok());
    }
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let row = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_optional(&mut connection).await;
    row.map_err(|error| error.to_string())
}

/// Everything that is kept, as bytes, each with the name of where it is.
pub fn contents(file: &Path) -> Vec<(String, Vec<u8>)> {
    if let Some(name) = on_server(file) {
        let tables = SERVER.sql(&name, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
        let rows = |table: &str| SERVER.sql(&name, &format!("SELECT t::text FROM {table} t")).into_bytes();
        return tables.lines().map(|table| (table.to_owned(), rows(table))).collect();
    }
    let files = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

/// Whether databases are on a server.
pub fn is_on_server() -> bool {
    *ON_SERVER
}
