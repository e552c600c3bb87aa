//! Child programs: every one is killed when its owner is dropped, and by the kernel when this program dies.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

/// A started program. Dropping it kills it.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command line `args`; its output goes to `<folder>/<name>.log`.
    pub fn start(name: &str, folder: &Path, args: &[String], env: &[(&str, &str)]) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // setpriv replaces itself by the program, so the child's id is the program's.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(args).envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("setpriv, of Debian's package util-linux")?;
        Ok(Self { child, log })
    }

    /// Ends it at once, whatever it is doing.
    pub fn end(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its log when it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read(&self.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            bail!("a program has ended ({status}); {}:\n{}", self.log.display(), tail.join("\n"));
        }
        Ok(())
    }

    /// Waits until `ready` says true.
    pub fn wait_until(&mut self, what: &str, most: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let started = Instant::now();
        while !ready() {
            self.check_alive()?;
            ensure!(started.elapsed() < most, "{what}: not within {most:?}; see {}", self.log.display());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Processor time that it has used, user and system, in clock ticks (`man 5 proc_pid_stat`).
    pub fn processor_time(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The second field is the program's name in brackets; after it, user time is field 12 and system time 13.
        let fields: Vec<&str> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
        Ok(ticks(11).context("user time")? + ticks(12).context("system time")?)
    }

    /// Where `/proc` has the running times of its threads whose name begins with `name`.
    pub fn threads(&self, name: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let task = entry?.path();
            if fs::read_to_string(task.join("comm"))?.starts_with(name) {
                found.push(task.join("schedstat"));
            }
        }
        ensure!(!found.is_empty(), "no thread is called {name}");
        Ok(found)
    }

    /// A size in `/proc/<id>/status`, in bytes.
    pub fn memory(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no such field")?;
        Ok(kilobytes.trim().parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The repository's top folder.
pub fn root() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?)
}

/// The filter, as `make wasm` leaves it.
pub const FILTER: &str = "dist/flamegate.wasm";

/// The filter that can add headers to responses; the other one is not called for them.
pub const FILTER_FOR_RESPONSES: &str = "dist/flamegate-response-headers.wasm";

/// The rate-limit service over limitador.
pub const SERVICE: &str = "target/bench/limits-service";

/// A file of the repository that another target makes.
pub fn artifact(path: &str, made_by: &str) -> Result<PathBuf> {
    let path = match std::env::var_os("FLAMEGATE_WASM") {
        // Another build of the filter, to compare with.
        Some(other) if path == FILTER => PathBuf::from(other),
        _ => root()?.join(path),
    };
    ensure!(path.exists(), "{} is not there: run `{made_by}`", path.display());
    Ok(path)
}

/// A new folder for the files of one run.
pub fn new_folder(name: &str) -> Result<PathBuf> {
    let folder = root()?.join("target/bench").join(format!("{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A port on loopback that nobody listens on, below the range of outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = u16::try_from(std::process::id() % 1900).unwrap_or_default();
        let port = 10_100 + (step * 5 + NEXT.fetch_add(1, Ordering::Relaxed)) % 9_800;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
