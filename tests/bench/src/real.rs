//! The real control plane with many keys: imports them, then serves them.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use flamegate::contract::leases::{LEASES_PATH, LeaseCall};
use flamegate::contract::record::Limit;
use serde_json::json;

use crate::{
    client::{Client, get},
    control::TOKEN,
    keys::Key,
    process::{Process, artifact, free_port},
};

/// A control plane that is not running.
#[derive(Clone)]
pub struct Real {
    /// Where it listens when it runs.
    pub port: u16,
    /// What else is in its environment.
    pub environment: Vec<(&'static str, String)>,
    program: PathBuf,
    /// A file, or the address of a database of PostgreSQL.
    database: String,
}

/// The admin token of every run.
pub const ADMIN_TOKEN: &str = "admin-token-of-the-bench";
const START: Duration = Duration::from_secs(60);

/// A control plane on this database.
pub fn at(database: String) -> Result<Real> {
    let program = artifact("dist/flamegate-control", "make build")?;
    Ok(Real { port: free_port(), environment: Vec::new(), program, database })
}

/// One whose new database, of SQLite, has `keys` keys.
pub fn prepare(folder: &Path, keys: u32) -> Result<Real> {
    let real = at(folder.join("flamegate.db").display().to_string())?;
    real.fill(folder, keys)?;
    Ok(real)
}

impl Real {
    /// Another one on the same database.
    pub fn another(&self) -> Self {
        Self { port: free_port(), ..self.clone() }
    }

    /// Imports `keys` keys with `flamegate-control keys import`.
    pub fn fill(&self, folder: &Path, keys: u32) -> Result<()> {
        let file = folder.join("keys.jsonl");
        let keys_of = (0..keys).map(Key::ordinary);
        write_keys(&file, keys_of.map(|key| (key, key.record().limits)))?;
        let server = self.start(folder)?;
        let rate = f64::from(keys) / self.import(&file)?.as_secs_f64();
        drop(server);
        println!("imported {keys} keys, {rate:.0} a second");
        Ok(())
    }

    /// The same with the keys of a file, for a new workspace called `bench`, while it runs; how long that took.
    pub fn import(&self, file: &Path) -> Result<Duration> {
        self.call(&[
            "workspaces",
            "create",
            "--name",
            "bench",
            "--slug",
            "bench",
            "--max-active-keys",
            "none",
        ])?;
        let started = Instant::now();
        self.call(&["keys", "import", "--file", &file.display().to_string()])?;
        Ok(started.elapsed())
    }

    /// Starts it and waits until it lends tokens of fleet limits. Keys that are made after that are known to have used nothing.
    pub fn start_lending(&self, folder: &Path) -> Result<Process> {
        let mut process = self.start(folder)?;
        let call = serde_json::to_string(&LeaseCall { gateway: "bench".to_owned(), asks: Vec::new() })?;
        let request = format!(
            "POST {LEASES_PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{call}",
            call.len()
        );
        let lends =
            || Client::connect(self.port).is_ok_and(|mut it| it.expect(request.as_bytes(), 200).is_ok());
        process.wait_until("tokens are lent", START, lends)?;
        Ok(process)
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self, folder: &Path) -> Result<Process> {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut environment = vec![
            ("FLAMEGATE_ADMIN_TOKEN", ADMIN_TOKEN),
            ("FLAMEGATE_SYNC_TOKEN", TOKEN),
            ("FLAMEGATE_LISTEN", &listen),
            ("FLAMEGATE_DATABASE", &self.database),
        ];
        environment.extend(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        let line = [self.program.display().to_string(), "serve".to_owned(), "--init".to_owned()];
        let mut process =
            Process::start(&format!("control-plane-{}", self.port), folder, &line, &environment)?;
        process.wait_until("the control plane is ready", START, || get(self.port, "/readyz").is_ok())?;
        Ok(process)
    }

    fn call(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("FLAMEGATE_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("FLAMEGATE_CONTROL_URL", format!("http://127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .output()
            .context("flamegate-control")?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// Writes keys with their limits to a file, as [`Real::import`] takes them.
pub fn write_keys(path: &Path, keys: impl Iterator<Item = (Key, Vec<Limit>)>) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (key, limits) in keys {
        let hash = key.hash().to_hex();
        let line = json!({"hash": hash, "workspace": "bench", "name": "bench", "environment": "live",
                          "limits": limits});
        writeln!(file, "{line}")?;
    }
    file.flush()?;
    Ok(())
}
