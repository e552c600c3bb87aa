//! A private PostgreSQL cluster, and what can happen to it: stopped, killed, frozen, read-only, out of space, out of connections.
//!
//! Root runs it as the user `postgres`, since PostgreSQL refuses root; anybody else as themselves. It does not sync to the disk unless it
//! is asked to ([`Postgres::start_with`] with `fsync = on`): what a process has written survives the process, only not the machine.

mod access;
mod disk;

pub use access::{Connections, PASSWORD, ROLE};

use std::{fs, io::Write as _, path::PathBuf};

use crate::{
    eventually,
    folder::{DataFolder, run},
    process::{Process, free_port},
    programs::{as_user, binary, children, is_alive, signal, user},
};

/// How a cluster is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ends all connections, writes everything, stops (SIGINT).
    Fast,
    /// Stops at once and recovers at the next start (SIGQUIT).
    Immediate,
}

/// A running cluster. Dropping it ends its processes and removes its data.
pub struct Postgres {
    pub(crate) process: Option<Process>,
    pub(crate) folder: DataFolder,
    /// Where it listens on 127.0.0.1, the same after a restart.
    pub port: u16,
    small_disk: bool,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings of `postgresql.conf`, such as `("max_connections", "20")`.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut cluster = Self::prepare();
        run(as_user().arg("sh").arg("-c").arg(cluster.making()).current_dir("/"));
        cluster.configure(settings);
        cluster.start_again();
        cluster.make_role();
        cluster
    }

    pub(crate) fn prepare() -> Self {
        Self { process: None, folder: DataFolder::new(user()), port: free_port(), small_disk: false }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The line that makes a cluster: passwords over TCP, none over the socket, which only its owner reaches.
    pub(super) fn making(&self) -> String {
        let mut line = format!(
            "{} -D {} -U postgres --no-sync --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8",
            binary("initdb").display(),
            self.data().display(),
        );
        if self.small_disk {
            line.push_str(&format!(" --waldir={}", self.folder.join("wal").display()));
        }
        line
    }

    fn configure(&self, settings: &[(&str, &str)]) {
        let mut text =
            String::from("fsync = off\nshared_buffers = 16MB\nlog_line_prefix = '%m [%p] %u@%d '\n");
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        let mut file =
            fs::File::options().append(true).open(self.data().join("postgresql.conf")).expect("a cluster");
        file.write_all(text.as_bytes()).expect("postgresql.conf");
    }

    /// The line that serves it. What a standby must not take over from its primary stands here.
    pub(super) fn serving(&self) -> Vec<String> {
        vec![
            binary("postgres").display().to_string(),
            "-D".into(),
            self.data().display().to_string(),
            format!("--port={}", self.port),
            format!("--unix_socket_directories={}", self.folder.display()),
            "--listen_addresses=127.0.0.1".into(),
        ]
    }

    /// Starts it when it does not run, and waits until it answers.
    pub fn start_again(&mut self) {
        assert!(!self.small_disk, "a cluster on a small disk is gone when it has stopped");
        let serving = self.serving();
        let program = binary("postgres");
        let process = Process::start_as("postgres", user(), &program, &self.folder, |command| {
            command.args(serving.iter().skip(1)).current_dir("/");
        });
        self.process = Some(process);
        self.wait_until_ready();
    }

    pub(crate) fn wait_until_ready(&mut self) {
        eventually("PostgreSQL answers", || {
            self.process.as_mut().expect("a started cluster").assert_alive();
            self.ask("postgres", "SELECT 1")
        });
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("postgres.log")).unwrap_or_default()).into_owned()
    }

    /// Stops it and waits until it has.
    pub fn stop(&mut self, how: Stop) {
        if let Some(mut process) = self.process.take() {
            process.signal(if how == Stop::Fast { "INT" } else { "QUIT" });
            process.wait();
        }
    }

    /// Stops and starts it.
    pub fn restart(&mut self, how: Stop) {
        self.stop(how);
        self.start_again();
    }

    /// Kills the postmaster in the middle of whatever it does, and waits until the sessions have noticed.
    pub fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        let children = children(process.id());
        drop(process);
        eventually("the sessions end with their postmaster", || {
            let left = children.iter().find(|id| is_alive(id));
            left.map_or(Ok(()), |id| Err(format!("{id} is left")))
        });
    }

    /// Stops all its processes where they stand (SIGSTOP): connections stay open, and nothing answers.
    pub fn freeze(&self) {
        let process = self.process.as_ref().expect("a started cluster");
        // First the postmaster: it makes no new ones.
        process.signal("STOP");
        signal("STOP", &children(process.id()));
    }

    /// Lets them go on (SIGCONT).
    pub fn thaw(&self) {
        let process = self.process.as_ref().expect("a started cluster");
        signal("CONT", &children(process.id()));
        process.signal("CONT");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // The children, too: a frozen one would not notice.
            let mut all = children(process.id());
            all.push(process.id().to_string());
            signal("KILL", &all);
            process.wait();
        }
    }
}
