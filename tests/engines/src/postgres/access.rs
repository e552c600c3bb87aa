//! How a cluster is reached: addresses, statements, settings, and connections that are held.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{Postgres, eventually, programs::psql};

/// The role that owns the databases of [`Postgres::new_database`], and logs in with [`PASSWORD`].
pub const ROLE: &str = "flamegate";
/// Its password. Everything listens on loopback and lives for a test.
pub const PASSWORD: &str = "secret-of-the-tests";

/// Connections that do nothing; dropping them closes them.
pub struct Connections(Vec<(Child, ChildStdin)>);

impl Postgres {
    pub(super) fn make_role(&self) {
        self.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN CREATEROLE PASSWORD '{PASSWORD}'"));
    }

    /// A new, empty database, owned by [`ROLE`]; its name.
    pub fn new_database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"));
        name
    }

    /// The address of a database over TCP, with role and password.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// The same for another port that leads to it: a [`crate::Link`]'s.
    pub fn url_by(&self, port: u16, database: &str) -> String {
        url(port, database)
    }

    /// The folder of its Unix socket.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// Runs statements as the superuser over the socket: what `psql -At` prints. Panics when one fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        self.ask(database, statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// The same; what went wrong as a text.
    pub fn ask(&self, database: &str, statements: &str) -> Result<String, String> {
        let output = psql(&self.folder, self.port, "postgres", database).args(["-c", statements]).output();
        let output = output.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Changes a setting while it runs.
    pub fn set(&self, name: &str, value: &str) {
        self.sql("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.sql("postgres", "SELECT pg_reload_conf()");
        eventually("the setting is in force", || {
            let now = self.ask("postgres", &format!("SHOW {name}"))?;
            if now == value { Ok(()) } else { Err(format!("{name} = {now}")) }
        });
    }

    /// All transactions of new and old sessions are read-only, as on a cluster that is being moved.
    pub fn read_only(&self, read_only: bool) {
        self.set("default_transaction_read_only", if read_only { "on" } else { "off" });
    }

    /// Takes connections as [`ROLE`] until there is none left for anybody but the superuser.
    pub fn exhaust_connections(&self, database: &str) -> Connections {
        let mut held = Vec::new();
        while let Some(one) = self.hold_connection(database) {
            held.push(one);
        }
        assert!(!held.is_empty(), "no connection was left: {}", self.log());
        Connections(held)
    }

    fn hold_connection(&self, database: &str) -> Option<(Child, ChildStdin)> {
        let mut command = psql(&self.folder, self.port, ROLE, database);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("psql");
        let mut input = child.stdin.take().expect("a pipe");
        // It may have ended already.
        drop(input.write_all(b"SELECT 'in';\n"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("psql's answer");
        if line.trim() == "in" {
            return Some((child, input));
        }
        drop(child.wait());
        None
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{database}")
}
