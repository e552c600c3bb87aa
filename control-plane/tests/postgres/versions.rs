//! Two versions of the program, one release apart, on one schema: on either engine.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::common::program::{Program, failed, succeeded};
use crate::{SERVER, does_not_serve, fill, name, new_database, serve, tool};

/// A migration of a later release.
fn later(version: u32, what: &str) -> String {
    format!(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         SELECT {version}, '{what}', installed_on, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1"
    )
}

#[test]
fn what_the_next_release_adds_is_no_obstacle_and_what_it_takes_away_is() {
    let url = new_database();
    let program = serve(&url);
    fill(&program);
    // The next release's program migrates while this one serves.
    SERVER
        .sql(name(&url), &format!("{}; ALTER TABLE api_keys ADD COLUMN scopes TEXT", later(9998, "scopes")));
    program.cli(&["keys", "create", "--workspace", "demo", "--name", "Three", "--environment", "live"]);
    drop(program);
    let program = serve(&url);
    program.cli(&["keys", "create", "--workspace", "demo", "--name", "Four", "--environment", "live"]);
    drop(program);
    succeeded(&tool(&["check"], &url));
    SERVER.sql(name(&url), &later(9999, "contract scopes"));
    let told = does_not_serve(&url);
    assert!(
        told.contains("schema 9999 is of a later release, which has taken away what this one needs"),
        "{told}"
    );
    assert!(failed(&tool(&["check"], &url), 1).contains("9999"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_next_release_is_served_and_one_after_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("control.db");
    let at = file.to_str().unwrap();
    fill(&Program::serve(&file));
    let apply = async |sql: String| {
        let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    };
    apply(later(9998, "scopes")).await;
    let program = Program::serve(&file);
    program.cli(&["keys", "create", "--workspace", "demo", "--name", "Three", "--environment", "live"]);
    drop(program);
    apply(later(9999, "contract scopes")).await;
    assert!(does_not_serve(at).contains("schema 9999 is of a later release"));
}

#[test]
fn a_migration_that_makes_another_type_of_a_column_is_met_by_no_request() {
    let url = new_database();
    let program = serve(&url);
    let id = fill(&program);
    // Twice: from then on the connections know the statements by name.
    for to in ["varchar(300)", "text"] {
        for _ in 0..3 {
            program.cli(&["keys", "list", "--workspace", "demo"]);
            program.cli(&["keys", "update", &id, "--name", "Another name"]);
        }
        SERVER.sql(name(&url), &format!("ALTER TABLE api_keys ALTER COLUMN name TYPE {to} COLLATE \"C\""));
        program.cli(&["keys", "list", "--workspace", "demo"]);
        program.cli(&["keys", "update", &id, "--name", &format!("After {to}")]);
    }
    assert!(program.log().contains("the database's schema was changed a moment ago"), "{}", program.log());
}
