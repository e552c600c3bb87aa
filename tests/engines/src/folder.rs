//! Where an engine keeps its data: a folder with a short path (a socket's path has room for 107 bytes), of the user that the engine runs
//! as. It goes with its owner. One whose owner was killed goes, with the processes in it, when the next one is made.

use std::{
    env, fs,
    fs::File,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

const PREFIX: &str = "flamegate-engine-";

/// A folder for one engine.
pub struct DataFolder {
    path: PathBuf,
    /// Locked as long as the owner lives.
    _lock: File,
}

impl DataFolder {
    /// Makes one that `user` owns (`None`: who runs the test) and nobody else can read.
    pub fn new(user: Option<&str>) -> Self {
        sweep();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        // What another process of this id has left, locked or not.
        drop(fs::remove_dir_all(&path));
        let made = path.with_extension("new");
        drop(fs::remove_dir_all(&made));
        fs::create_dir(&made).expect("a folder for an engine");
        let lock = File::create(made.join("lock")).expect("a lock");
        lock.lock().expect("a lock");
        run(Command::new("chmod").arg("0700").arg(&made));
        if let Some(user) = user {
            run(Command::new("chown").args(["-R", user]).arg(&made));
        }
        // Seen by others only when it is locked.
        fs::rename(&made, &path).expect("a folder for an engine");
        Self { path, _lock: lock }
    }
}

impl Deref for DataFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if thread::panicking() {
            for log in logs(&self.path) {
                eprintln!("the end of {}:\n{}", log.display(), tail(&log));
            }
        }
        clear(&self.path);
    }
}

/// Runs a program that must succeed; what it has written.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Removes the folders of owners that were killed.
fn sweep() {
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && !name.ends_with(".new"));
        let lock = ours.then(|| File::open(entry.path().join("lock")).ok()).flatten();
        if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
            clear(&entry.path());
        }
    }
}

/// Ends what works in the folder, and removes it: the lock last, since a folder without one is nobody's.
fn clear(folder: &Path) {
    // What is being killed may still write.
    for _ in 0..100 {
        end_processes_in(folder);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name() != "lock") {
            let path = entry.path();
            drop(if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
        }
        if fs::read_dir(folder).map_or(0, Iterator::count) <= 1 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    drop(fs::remove_dir_all(folder));
}

/// Kills what works in the folder, as PostgreSQL's processes do: a stopped one would outlive its postmaster.
fn end_processes_in(folder: &Path) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let inside = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if let (true, Ok(id)) = (inside, entry.file_name().to_string_lossy().parse::<u32>()) {
            drop(Command::new("kill").args(["-s", "KILL", &id.to_string()]).output());
        }
    }
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
        .collect()
}

fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
