//! Child programs: their logs, and that none of them outlives the tests.

use std::{
    fs::{self, File},
    net::TcpListener,
    ops::Deref,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::eventually;

/// A started program. Dropping it ends it.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// A program to start, and where to send the child.
type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Starts all children. The kernel ends a child when the *thread* that started it ends, and a test's thread ends with
/// its test, while some programs are shared by a whole test binary. This thread ends with the process.
static STARTER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, incoming) = mpsc::channel::<Order>();
    thread::spawn(move || {
        for (mut command, answer) in incoming {
            drop(answer.send(command.spawn()));
        }
    });
    orders
});

impl Process {
    /// Starts `program`, with its output appended to `<folder>/<name>.log`.
    pub fn start(
        name: &'static str,
        program: &Path,
        folder: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        assert!(program.exists(), "{} is not there: run `make build` first", program.display());
        Self::start_as(name, None, program, folder, prepare)
    }

    /// The same as another user, which takes root.
    pub fn start_as(
        name: &'static str,
        user: Option<&str>,
        program: &Path,
        folder: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).expect("log file");
        // Without a signal at our own death, a test that is killed would leave its programs running.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command.arg("--").arg(program);
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("log file")).stderr(output);
        prepare(&mut command);
        let (answer, child) = mpsc::channel();
        STARTER.send((command, answer)).expect("the starting thread");
        let child =
            child.recv().expect("the starting thread").expect("setpriv, of Debian's package util-linux");
        Self { name, child, log }
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Panics with the end of its log when it has ended.
    pub fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().expect("child") {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            panic!("{} has ended ({status}); {}:\n{}", self.name, self.log.display(), tail.join("\n"));
        }
    }

    /// True when it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("child").is_some()
    }

    /// Asks it to stop and waits until it has; the exit status, and how long that took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        self.signal("TERM");
        (self.wait(), started.elapsed())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended by itself; its exit status.
    pub fn wait(&mut self) -> ExitStatus {
        eventually(&format!("{} ends (its log: {})", self.name, self.log.display()), || {
            self.child.try_wait().expect("child").ok_or_else(|| "it runs".to_owned())
        })
    }

    /// Its resident memory in bytes (`VmRSS`).
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Sends a signal by its name.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &id]).stderr(Stdio::null()).status();
        drop(status);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The repository's top folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("repository")
}

/// A port on loopback that nobody listens on. From below the range that Linux gives to outgoing connections, or one of
/// those could take it before its program does. Other tests of this machine do not get it as long as this process runs: two
/// Envoys may listen on one port, and each would get some of the other's connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    loop {
        let step = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + step % 10_000).expect("below 30,000");
        let name = SocketAddr::from_abstract_name(format!("flamegate-test-port-{port}")).expect("a name");
        let Ok(claim) = UnixListener::bind_addr(&name) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            CLAIMS.lock().expect("claims").push(claim);
            return port;
        }
    }
}

/// A new folder for the logs, databases and configurations of one test. It goes with the test, unless the test fails:
/// then it stays and is named.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one under `target/e2e`.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = root().join("target/e2e").join(format!("{name}-{}-{number}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).expect("folder for logs");
        Self(folder)
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("logs of the failed test: {}", self.0.display());
        } else {
            drop(fs::remove_dir_all(&self.0));
        }
    }
}
