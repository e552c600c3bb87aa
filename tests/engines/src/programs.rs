//! The programs of the machine that the engines are made of, the user they run as, and their processes.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::folder::run;

/// Whom root runs the engines as that refuse root.
pub(crate) fn user() -> Option<&'static str> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    is_root.then_some("postgres")
}

/// The group of a user, both by number.
pub(crate) fn group_of(user: u32) -> u32 {
    let group = run(Command::new("id").args(["-g", &user.to_string()]));
    group.trim().parse().expect("a group's number")
}

/// The begin of a command line that changes to that user.
pub(crate) fn as_user() -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user() {
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
    processes
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            name.parse::<u32>().is_ok() && state_and_parent(name).is_some_and(|(_, its)| its == parent)
        })
        .collect()
}

/// Whether a process runs or could: one that nobody has waited for yet does not.
pub(crate) fn is_alive(id: &str) -> bool {
    state_and_parent(id).is_some_and(|(state, _)| state != "Z")
}

fn state_and_parent(id: &str) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // They come after the name, which stands in brackets.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}

/// Sends a signal, by its name, to those that are still there.
pub(crate) fn signal(name: &str, ids: &[String]) {
    drop(Command::new("kill").args(["-s", name]).args(ids).stderr(Stdio::null()).status());
}

/// `psql` over a socket: values only, the first error ends it.
pub(crate) fn psql(socket_folder: &Path, port: u16, role: &str, database: &str) -> Command {
    let mut command = Command::new(binary("psql"));
    command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]);
    command.arg("-h").arg(socket_folder).args(["-p", &port.to_string(), "-U", role, "-d", database]);
    command.env_remove("PGOPTIONS").env_remove("PGSERVICE").env("LC_ALL", "C.UTF-8");
    command
}
