//! A second cluster that follows a first one, and takes its place.

use std::{fs::File, io::Write as _, path::Path, process::Command};

use crate::{
    Link, Postgres, eventually,
    folder::run,
    postgres::PASSWORD,
    programs::{as_user, binary, user},
};

/// Whether a commit of the primary waits for the standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// It does: no acknowledged commit is lost when the standby takes over.
    Synchronous,
    /// It does not: commits that the standby has not received are lost.
    Asynchronous,
}

/// A cluster that follows another.
pub struct Standby {
    /// The cluster; it answers reading statements.
    pub cluster: Postgres,
    /// The way from the primary to it. Cut off, an asynchronous standby falls behind.
    pub link: Link,
}

impl Postgres {
    /// Starts a standby, and waits until it follows.
    pub fn standby(&self, replication: Replication) -> Standby {
        let link = Link::to(self.port);
        let mut cluster = Self::prepare();
        // By name, so that several standbys do not stand for each other.
        let name = format!("standby_{}", cluster.port);
        let (own, data) = (user(), cluster.data());
        let mut copy = as_user();
        let source = format!("host={} port={} user=postgres", self.socket_folder().display(), self.port);
        copy.arg(binary("pg_basebackup")).args(["-d", &source, "-X", "stream", "-c", "fast", "--no-sync"]);
        run(copy.arg("-D").arg(&data).current_dir("/"));
        self.sql(
            "postgres",
            &format!("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replicator') THEN CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{PASSWORD}'; END IF; END $$"),
        );
        let follows = format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user=replicator password={PASSWORD} application_name={name}'\n\
             wal_retrieve_retry_interval = 100ms\n\
             synchronous_standby_names = ''\n",
            link.port
        );
        append(&data.join("postgresql.auto.conf"), &follows);
        append(&data.join("standby.signal"), "");
        if let Some(user) = own {
            run(Command::new("chown").args(["-R", user]).arg(&data));
        }
        cluster.start_again();
        eventually("the standby follows", || self.following(&name, "streaming", "sync_state IS NOT NULL"));
        if replication == Replication::Synchronous {
            self.set("synchronous_standby_names", &name);
            eventually("commits wait for the standby", || {
                self.following(&name, "streaming", "sync_state = 'sync'")
            });
        }
        Standby { cluster, link }
    }

    fn following(&self, name: &str, state: &str, more: &str) -> Result<(), String> {
        let all =
            self.ask("postgres", "SELECT application_name, state, sync_state FROM pg_stat_replication")?;
        let asked = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND state = '{state}' AND {more}"
        );
        if self.ask("postgres", &asked)? == "1" { Ok(()) } else { Err(all) }
    }
}

impl Standby {
    /// Makes it the primary: from now on it takes writes, and waits for no other standby. The old primary must be stopped or cut off by the caller.
    pub fn promote(self) -> Postgres {
        self.cluster.sql("postgres", "SELECT pg_promote(true, 60)");
        eventually("the standby is the primary", || {
            let recovering = self.cluster.ask("postgres", "SELECT pg_is_in_recovery()")?;
            if recovering == "f" { Ok(()) } else { Err("still a standby".to_owned()) }
        });
        self.cluster
    }
}

fn append(path: &Path, text: &str) {
    let mut file = File::options().create(true).append(true).open(path).expect("the standby's folder");
    file.write_all(text.as_bytes()).expect("the standby's folder");
}
