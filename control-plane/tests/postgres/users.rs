//! Two users: one who migrates, and one who serves and can do no more than that.

use flamegate_engines::postgres::PASSWORD;

use crate::common::program::{failed, json_of, succeeded};
use crate::{SERVER, does_not_serve, fill, name, new_database, serve, tool};

/// A user who owns nothing; the address of a database for them.
fn server_user(url: &str, user: &str) -> String {
    SERVER.sql("postgres", &format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'"));
    url.replacen("flamegate:", &format!("{user}:"), 1)
}

#[test]
fn who_serves_cannot_change_the_schema_nor_what_was_written_to_the_audit_log() {
    let owner = new_database();
    let url = server_user(&owner, "serves");
    let migrated = json_of(&tool(&["database", "migrate", "--grant-to", "serves", "--json"], &owner));
    assert_eq!(migrated["problems"].as_array().unwrap().len(), 0, "{migrated}");
    let program = serve(&url);
    fill(&program);
    drop(program);
    let refused = |user: &str, sql: &str| {
        let sql = format!("SET ROLE {user}; {sql}");
        SERVER.ask(name(&owner), &sql).unwrap_err()
    };
    for sql in [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "CREATE TABLE mine ()",
        "DROP TRIGGER audit_log_no_update ON audit_log",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "DELETE FROM _sqlx_migrations",
    ] {
        let told = refused("serves", sql);
        assert!(told.contains("permission denied") || told.contains("must be owner"), "{sql}: {told}");
    }
    for sql in ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        let told = refused("flamegate", sql);
        assert!(told.contains("the audit log is append-only"), "{sql}: {told}");
    }
    succeeded(&tool(&["check"], &url));
    SERVER.sql(name(&owner), "ALTER TABLE audit_log DISABLE TRIGGER audit_log_no_update");
    assert!(
        failed(&tool(&["check"], &url), 1)
            .contains("trigger audit_log_no_update is missing or does not fire")
    );
}

#[test]
fn who_may_not_migrate_says_so_and_serves_when_somebody_else_has() {
    let owner = new_database();
    let url = server_user(&owner, "waits");
    assert!(failed(&tool(&["init"], &url), 1).contains("run `flamegate-control database migrate`"));
    succeeded(&tool(&["database", "migrate", "--grant-to", "waits"], &owner));
    SERVER.sql(name(&owner), "DROP INDEX audit_log_target; DELETE FROM _sqlx_migrations WHERE version = 7");
    let told = does_not_serve(&url);
    assert!(told.contains("older than migration") && told.contains("database migrate"), "{told}");
    succeeded(&tool(&["database", "migrate"], &owner));
    drop(serve(&url));
    let told = failed(&tool(&["database", "migrate", "--grant-to", "flamegate"], &owner), 1);
    assert!(told.contains("another one than the one that migrates"), "{told}");
}

#[test]
fn a_database_that_cannot_be_used_is_told_without_its_password() {
    let url = new_database();
    for (url, expected) in [
        (url.replace(PASSWORD, "another-secret"), "password authentication failed"),
        (url.replace(name(&url), "nowhere"), "\"nowhere\" does not exist"),
        (url.clone(), "there is no database at postgres://flamegate@127.0.0.1"),
        (url.replace(&format!(":{}", SERVER.port), ":1"), "cannot use the database"),
    ] {
        let told = does_not_serve(&url);
        assert!(told.contains(expected), "{expected}: {told}");
        assert!(!told.contains(PASSWORD) && !told.contains("another-secret"), "{told}");
    }
    SERVER.sql(name(&url), "CREATE TABLE recipes (title TEXT)");
    assert!(does_not_serve(&url).contains("no database of flamegate-control"));
    SERVER.sql(
        "postgres",
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0 OWNER flamegate",
    );
    assert!(does_not_serve(&SERVER.url("ascii")).contains("encoding must be UTF8"));
}

#[test]
fn check_names_what_no_migration_has_made() {
    let url = new_database();
    succeeded(&tool(&["database", "migrate"], &url));
    SERVER.sql(name(&url), "CREATE INDEX mine ON api_keys (created_at, name)");
    let output = tool(&["check"], &url);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("api_keys: index created_at,name is of no migration"),
        "{told}"
    );
    SERVER.sql(
        name(&url),
        "ALTER TABLE workspaces ALTER COLUMN name DROP NOT NULL;
         ALTER TABLE api_keys DROP CONSTRAINT api_keys_hash_check;
         ALTER TABLE sessions ADD COLUMN mine TEXT;
         CREATE OR REPLACE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
         CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
         CREATE TRIGGER mine BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION mine();
         DROP INDEX audit_log_target",
    );
    let told = failed(&tool(&["check"], &url), 1);
    for line in [
        "workspaces: name text not null is missing",
        "workspaces: name text is of no migration",
        "api_keys: 6 checks is missing",
        "sessions: mine text is of no migration",
        "function audit_log_refuse is of no migration",
        "function mine is of no migration",
        "trigger mine is of no migration",
        "audit_log: index target_id,seq partial is missing",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
}
