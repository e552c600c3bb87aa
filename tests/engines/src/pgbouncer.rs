//! PgBouncer in front of a PostgreSQL, in transaction mode: a session of the client's has another session of the server's for each
//! transaction, so nothing that belongs to a session (prepared statements, LISTEN, advisory session locks) survives.

use std::{fs, path::Path};

use crate::{
    eventually,
    folder::DataFolder,
    postgres::{PASSWORD, ROLE},
    process::{Process, free_port},
    programs::user,
};

/// A running pooler. Dropping it ends it.
pub struct PgBouncer {
    process: Process,
    folder: DataFolder,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl PgBouncer {
    /// Starts one for all databases of the PostgreSQL at `target`, a port, with at most `pool_size` server sessions per database.
    pub fn start(target: u16, pool_size: u32) -> Self {
        let folder = DataFolder::new(user());
        let port = free_port();
        let (settings, users) = (folder.join("pgbouncer.ini"), folder.join("users.txt"));
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = {pool_size}\nmax_client_conn = 500\n\
             server_login_retry = 1\nignore_startup_parameters = extra_float_digits\n",
            users.display()
        );
        fs::write(&settings, text).expect("the pooler's settings");
        fs::write(&users, format!("\"{ROLE}\" \"{PASSWORD}\"\n")).expect("the pooler's users");
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists());
        let program = program.expect("no PgBouncer: run tests/engines/setup.sh first");
        let mut process = Process::start_as("pgbouncer", user(), Path::new(program), &folder, |command| {
            command.arg(&settings).current_dir(&*folder);
        });
        eventually("PgBouncer listens", || {
            process.assert_alive();
            std::net::TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
        });
        Self { process, folder, port }
    }

    /// The address of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
