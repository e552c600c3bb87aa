//! A private PostgreSQL cluster, and what can happen to it: stopped, killed, frozen, read-only, out of space, out of connections.
//!
//! Root runs it as the user `postgres`, since PostgreSQL refuses root; anybody else as themselves. It does not sync to the disk unless it
//! is asked to ([`Postgres::start_with`] with `fsync = on`): what a process has written survives the process, only not the machine.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    eventually,
    folder::{DataFolder, run},
    process::{Process, free_port},
    sql::psql,
};

/// The role that owns the databases of [`Postgres::new_database`], and logs in with [`PASSWORD`].
pub const ROLE: &str = "flamegate";
/// Its password. Everything listens on loopback and lives for a test.
pub const PASSWORD: &str = "secret-of-the-tests";

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

/// Connections that do nothing; dropping them closes them.
pub struct Connections(Vec<(Child, ChildStdin)>);

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings of `postgresql.conf`, such as `("max_connections", "20")`.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut cluster = Self::prepare();
        run(as_user(user()).arg("sh").arg("-c").arg(cluster.making()).current_dir("/"));
        cluster.configure(settings);
        cluster.start_again();
        cluster.make_role();
        cluster
    }

    /// A cluster whose tables lie on a disk of 80 MiB that only it sees and that can be filled. Its write-ahead log lies elsewhere, as
    /// many keep it. It takes root and cannot be started again.
    pub fn on_small_disk() -> Self {
        assert!(user().is_some(), "a small disk is mounted by root only");
        let mut cluster = Self::prepare();
        cluster.small_disk = true;
        let (data, making) = (cluster.data(), cluster.making());
        let (owner, serving) = (cluster.owner(), cluster.serving().join(" "));
        fs::create_dir(&data).expect("a folder");
        let disk = format!(
            "mount -t tmpfs -o size=80m,mode=0700,uid={0},gid={1} tmpfs {2}",
            owner.0,
            owner.1,
            data.display()
        );
        let own = "setpriv --pdeathsig KILL --reuid postgres --regid postgres --init-groups --";
        let script = format!("{disk} && {own} sh -c '{making}' && exec {own} {serving}");
        let process = Process::start("postgres", Path::new("/usr/bin/unshare"), &cluster.folder, |command| {
            command.args(["--mount", "sh", "-c", &script]).current_dir("/");
        });
        cluster.process = Some(process);
        cluster.wait_until_ready();
        cluster.make_role();
        cluster
    }

    pub(crate) fn prepare() -> Self {
        Self { process: None, folder: DataFolder::new(user()), port: free_port(), small_disk: false }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// User and group by number.
    fn owner(&self) -> (u32, u32) {
        let owner = fs::metadata(self.folder.join("lock")).expect("the folder").uid();
        let group = run(Command::new("id").args(["-g", &owner.to_string()]));
        (owner, group.trim().parse().expect("a group's number"))
    }

    /// The line that makes a cluster: passwords over TCP, none over the socket, which only its owner reaches.
    fn making(&self) -> String {
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
    fn serving(&self) -> Vec<String> {
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

    fn make_role(&self) {
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
            let left = children.iter().find(|id| Path::new("/proc").join(id).exists());
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

    /// Fills the small disk to the last byte.
    pub fn fill_disk(&self) {
        let mut file =
            fs::File::options().create(true).append(true).open(self.filler()).expect("the small disk");
        let full = (0..100_000).find_map(|_| file.write_all(&[0; 4096]).err());
        assert_eq!(full.expect("a full disk").kind(), std::io::ErrorKind::StorageFull);
    }

    /// Makes room again.
    pub fn free_disk(&self) {
        fs::remove_file(self.filler()).expect("a filled disk");
    }

    /// As its own processes see the disk.
    fn filler(&self) -> PathBuf {
        let id = self.process.as_ref().expect("a started cluster").id().to_string();
        let data = self.data();
        Path::new("/proc")
            .join(id)
            .join("root")
            .join(data.strip_prefix("/").expect("an absolute path"))
            .join("filler")
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

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Children first noticed as children; a frozen one hears only this.
            let mut all = children(process.id());
            all.push(process.id().to_string());
            signal("KILL", &all);
            process.wait();
        }
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

/// Whom root runs the engines as that refuse root.
pub(crate) fn user() -> Option<&'static str> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    is_root.then_some("postgres")
}

fn as_user(user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.arg("--");
    command
}

/// A program of the newest PostgreSQL that Debian's packages have installed.
pub(crate) fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin").join(name).exists())
        .max_by_key(|path| version(path));
    newest.map(|path| path.join("bin").join(name)).unwrap_or_else(|| {
        panic!("no PostgreSQL below /usr/lib/postgresql has {name}: run tests/engines/setup.sh first")
    })
}

/// The ids of a process's children.
pub(crate) fn children(parent: u32) -> Vec<String> {
    let parent = parent.to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_child = |id: &str| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name in brackets: state and parent.
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(&parent)
    };
    processes
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.parse::<u32>().is_ok() && is_child(name))
        .collect()
}

fn signal(name: &str, ids: &[String]) {
    // One that has ended meanwhile is no fault.
    drop(Command::new("kill").args(["-s", name]).args(ids).stderr(Stdio::null()).status());
}
