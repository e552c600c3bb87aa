//! Faults around the control plane: a full disk, a read-only disk, a locked database, and two control planes behind one name. The disk is a
//! small tmpfs in a mount namespace of the program's own, so it really is full or read-only and goes with the program.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::gateway::Gateway;
use common::program::{PROGRAM, Program, command, failed};
use common::{ADMIN, Control, PATIENCE, SYNC};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

const CREATE: [&str; 8] =
    ["keys", "create", "--workspace", "demo", "--name", "Production App", "--environment", "live"];

/// A control plane whose database lies on a disk of 2 MiB that only it sees.
struct OnSmallDisk {
    program: Program,
    mount: PathBuf,
    _folder: tempfile::TempDir,
}

impl OnSmallDisk {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path().join("disk");
        fs::create_dir(&mount).unwrap();
        let script = format!("mount -t tmpfs -o size=2m tmpfs '{}' && exec \"$@\"", mount.display());
        let starter = starter(&script);
        let database = mount.join("control.db");
        let program = Program::serve_by(&starter, &database, &[("FLAMEGATE_LOG", "warn")]);
        program.cli(&["workspaces", "create", "--name", "Demo"]);
        Self { program, mount, _folder: folder }
    }

    /// The disk as its program sees it.
    fn path(&self) -> PathBuf {
        let mount = self.mount.strip_prefix("/").unwrap();
        Path::new("/proc").join(self.program.pid().to_string()).join("root").join(mount)
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let mut file = fs::File::create(self.path().join("filler")).unwrap();
        let full = (0..1_000).find_map(|_| std::io::Write::write_all(&mut file, &[0; 4096]).err());
        assert_eq!(full.expect("a full disk").kind(), std::io::ErrorKind::StorageFull);
    }

    async fn status(&self, path: &str) -> u16 {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.get(format!("{}{path}", self.program.url)).bearer_auth(SYNC);
        request.send().await.unwrap().status().as_u16()
    }

    /// Writes fail and say so, gateways go on, and nothing that was acknowledged is lost.
    async fn refuses_writes_and_serves_gateways(&self, known: &str) {
        let output = command(&self.program.url, &CREATE).output().unwrap();
        assert!(failed(&output, 1).contains("INTERNAL"), "{output:?}");
        let output = command(&self.program.url, &["keys", "revoke", known]).output().unwrap();
        assert!(
            failed(&output, 1).contains("INTERNAL"),
            "a revocation that is not durable is not acknowledged"
        );
        assert_eq!(self.status("/healthz").await, 200);
        assert_eq!(self.status("/sync/v1/changes?gateway=gw-1").await, 200, "gateways go on");
        assert_eq!(self.program.cli(&["keys", "get", known])["status"], "active");
    }

    /// Writing works again by itself.
    async fn recovers(self, known: &str) {
        let ready = async {
            while self.status("/readyz").await != 200 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(common::PATIENCE, ready).await.expect("ready again");
        self.program.cli(&CREATE);
        // No matter what the exit code says of the gateway that has asked once and is gone.
        command(&self.program.url, &["keys", "revoke", known]).output().unwrap();
        assert_eq!(self.program.cli(&["keys", "get", known])["status"], "revoked");
        self.program.signal("-TERM");
        let (code, log) = self.program.end();
        assert_eq!(code, Some(0));
        assert!(log.contains("database or disk is full"), "{log}");
    }
}

/// A shell in a mount namespace of its own; without root, in a user namespace, too.
fn starter(script: &str) -> Vec<&str> {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let user: &[&str] = if is_root { &[] } else { &["--map-root-user"] };
    [&["unshare", "--mount"], user, &["sh", "-c", script, "sh"]].concat()
}

/// Somebody else holds the database's write lock, as a shell that was left open in a transaction: a change is refused within
/// seconds and never hangs, gateways go on, and afterwards everything works.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_refuses_changes_in_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("control.db");
    let program = Program::serve(&database);
    program.cli(&["workspaces", "create", "--name", "Demo"]);
    let known = program.cli(&CREATE)["id"].as_str().unwrap().to_owned();
    let mut other = SqliteConnectOptions::new().filename(&database).connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let url = program.url.clone();
    let change = tokio::task::spawn_blocking(move || command(&url, &CREATE).output().unwrap());
    let output = tokio::time::timeout(PATIENCE, change).await.expect("an answer in bounded time").unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("INTERNAL") || text.contains("UNAVAILABLE"), "{output:?}");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let poll = http.get(format!("{}/sync/v1/changes?gateway=gw-1", program.url)).bearer_auth(SYNC);
    assert_eq!(poll.send().await.unwrap().status().as_u16(), 200, "gateways go on");
    assert_eq!(program.cli(&["keys", "get", &known])["status"], "active");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    program.cli(&CREATE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_changes_and_recovers() {
    let disk = OnSmallDisk::start();
    let known = disk.program.cli(&CREATE)["id"].as_str().unwrap().to_owned();
    disk.fill();
    // What is left in the write-ahead log's last page may still take some.
    for _ in 0..2_000 {
        if !command(&disk.program.url, &CREATE).output().unwrap().status.success() {
            break;
        }
    }
    disk.refuses_writes_and_serves_gateways(&known).await;
    fs::remove_file(disk.path().join("filler")).unwrap();
    disk.recovers(&known).await;
}

#[test]
fn on_a_read_only_disk_it_does_not_start_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().to_str().unwrap();
    let script =
        format!("mount -t tmpfs -o size=2m tmpfs '{mount}' && mount -o remount,ro '{mount}' && exec \"$@\"");
    let mut line = starter(&script);
    let database = folder.path().join("control.db");
    line.extend([
        PROGRAM,
        "serve",
        "--init",
        "--listen",
        "127.0.0.1:0",
        "--database",
        database.to_str().unwrap(),
    ]);
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).env("FLAMEGATE_ADMIN_TOKEN", ADMIN).env("FLAMEGATE_SYNC_TOKEN", SYNC);
    let error = failed(&command.output().unwrap(), 1);
    assert!(error.contains("control.db") && error.contains("Read-only file system"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_control_planes_behind_one_name_show_on_both() {
    let (one, other) = (Control::with_workspace().await, Control::with_workspace().await);
    let (ours, theirs) = (one.create_key_id().await, other.create_key_id().await);
    let mut gateway = Gateway::new(&one, "gw-1");
    gateway.catch_up(&one).await;
    for round in 1..=3 {
        // The name leads to the other one now, and then back.
        gateway.reconnect(&other);
        gateway.catch_up(&other).await;
        assert_eq!(gateway.ids(), [theirs.as_str()], "never a mixture of both");
        gateway.reconnect(&one);
        gateway.catch_up(&one).await;
        assert_eq!(gateway.ids(), [ours.as_str()]);
        for control in [&one, &other] {
            let text = control.http.get(control.url("/metrics")).send().await.unwrap().text().await.unwrap();
            let line = format!("flamegate_control_foreign_epochs_total {round}");
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }
}
