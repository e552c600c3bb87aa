//! `flamegate-bench fleet`: what several control planes on one PostgreSQL cost and give, beside one on SQLite in the same run: how long a
//! revocation takes to be refused and to be known of, what that costs, how many keys are made a second, and what the death of one
//! control plane is to its gateways.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use flamegate_engines::Postgres;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    client::{Client, get},
    envoy::{ENVIRONMENT, Flamegate, Setup},
    gateways::{self, call, create_key, revoke},
    measure::keys_in,
    probe::Waits,
    process::{Process, new_folder},
    real::{self, Real},
};

/// Where control planes keep what they know, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    replicas: usize,
    /// `None`: SQLite; whether they are told of changes or only look for them.
    postgres: Option<bool>,
}

const KINDS: [Kind; 4] = [
    Kind { name: "one, SQLite", replicas: 1, postgres: None },
    Kind { name: "two, PostgreSQL", replicas: 2, postgres: Some(true) },
    Kind { name: "two, PostgreSQL, polling alone", replicas: 2, postgres: Some(false) },
    Kind { name: "four, PostgreSQL", replicas: 4, postgres: Some(true) },
];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Simulated gateways.
    pub gateways: usize,
    /// Revocations of which they learn.
    pub revocations: usize,
    /// Keys that are made and revoked under the eyes of one Envoy.
    pub rounds: usize,
}

/// What was seen of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// How many control planes, on what.
    pub what: String,
    /// From the call that revokes to the last worker's refusal, in milliseconds.
    pub refused: Waits,
    /// From the call to its answer, which says that all gateways enforce it.
    pub receipt: Waits,
    /// Many gateways.
    pub crowd: gateways::Outcome,
    /// Transactions that wrote, per revocation, the gateways' acknowledgements included; unknown on SQLite.
    pub writes: Option<f64>,
    /// Keys made a second, by eight clients.
    pub creates_per_second: f64,
    /// From a control plane's death to the knowledge of a revocation made right after it at another one; only where there is another.
    pub after_death: Option<Waits>,
}

const KEYS: u32 = 1_000;
const PATIENCE: Duration = Duration::from_secs(30);
/// Who makes keys at once, and how many each makes.
const CLIENTS: usize = 8;
const CREATES: usize = 50;

/// Measures all kinds, one after the other, and prints what was seen.
pub fn run(plan: Plan) -> Result<Vec<Row>> {
    KINDS
        .into_iter()
        .map(|kind| {
            let row = one(kind, plan).with_context(|| kind.name)?;
            row.print();
            Ok(row)
        })
        .collect()
}

/// Control planes that run.
struct Fleet {
    reals: Vec<Real>,
    servers: Vec<Process>,
    /// The cluster and the database's name.
    postgres: Option<(Postgres, String)>,
}

impl Fleet {
    fn start(kind: Kind, folder: &Path) -> Result<Self> {
        let postgres = kind.postgres.map(|_| {
            let cluster = Postgres::start_with(&[("max_connections", "200"), ("shared_buffers", "64MB")]);
            let database = cluster.new_database();
            (cluster, database)
        });
        let mut first = match &postgres {
            None => real::at(folder.join("flamegate.db").display().to_string())?,
            Some((cluster, database)) => real::at(cluster.url(database))?,
        };
        first
            .environment
            .extend((kind.postgres == Some(false)).then(|| ("FLAMEGATE_DATABASE_DIRECT", "none".to_owned())));
        first.fill(folder, KEYS)?;
        let mut reals = vec![first];
        while reals.len() < kind.replicas {
            reals.push(reals[0].another());
        }
        let servers = reals.iter().map(|real| real.start(folder)).collect::<Result<_>>()?;
        let fleet = Self { reals, servers, postgres };
        if fleet.postgres.is_some() {
            fleet.wait_until_alone()?;
        }
        Ok(fleet)
    }

    /// Until whoever filled the database counts as gone: a control plane that was killed keeps receipts open for some seconds.
    fn wait_until_alone(&self) -> Result<()> {
        let started = Instant::now();
        // The one that began last has seen all others.
        let last = self.real(self.reals.len() - 1);
        loop {
            let answer = call(last, "GET", "/v1/replicas", None)?;
            let all = answer["data"].as_array().context("replicas")?;
            if all.iter().filter(|replica| replica["answers"] == true).count() == self.reals.len() {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "others serve the database: {answer}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Transactions that have written so far: the next number that one would get.
    fn writes(&self) -> Option<f64> {
        let (cluster, database) = self.postgres.as_ref()?;
        cluster.sql(database, "SELECT pg_snapshot_xmax(pg_current_snapshot())").parse().ok()
    }

    fn real(&self, number: usize) -> &Real {
        &self.reals[number % self.reals.len()]
    }
}

fn one(kind: Kind, plan: Plan) -> Result<Row> {
    let folder = new_folder("fleet")?;
    let mut fleet = Fleet::start(kind, &folder)?;
    let (refused, receipt) = watch_one_gateway(&fleet, &folder, plan.rounds)?;
    let creates_per_second = make_keys(&fleet)?;
    let last = create_key(fleet.real(1))?;
    let before = fleet.writes();
    let reals: Vec<&Real> = fleet.reals.iter().collect();
    let (crowd, mut gateways) = gateways::measure(&reals, &fleet.servers, plan.gateways, plan.revocations)?;
    // What gathering them writes is little beside what they acknowledge, and is counted with it.
    let writes = fleet.writes().zip(before).map(|(after, before)| (after - before) / plan.revocations as f64);
    let after_death = if kind.replicas > 1 {
        let survivor = fleet.reals[1].clone();
        let dead = fleet.servers.remove(0);
        let waits = gateways.learn(|| {
            drop(dead);
            revoke(&survivor, &last)
        })?;
        Waits::new(waits)
    } else {
        None
    };
    drop(gateways);
    Ok(Row {
        what: kind.name.to_owned(),
        refused: Waits::new(refused).context("no rounds")?,
        receipt: Waits::new(receipt).context("no rounds")?,
        crowd,
        writes,
        creates_per_second,
        after_death,
    })
}

/// One Envoy with two workers: keys are made at one control plane and revoked at the next. Milliseconds until both workers refuse, and
/// until the answer says so.
fn watch_one_gateway(fleet: &Fleet, folder: &Path, rounds: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let ports: Vec<u16> = fleet.reals.iter().map(|real| real.port).collect();
    let setup = Setup { workers: 2, ..Setup::flamegate_with(Flamegate::Shipped, &ports, 20)? };
    let (line, gateway) = setup.write("envoy", folder)?;
    let mut envoy = Process::start("envoy", folder, &line, ENVIRONMENT)?;
    envoy.wait_until("the table is there", PATIENCE, || {
        get(gateway.admin, "/ready").is_ok() && keys_in(gateway.admin) == usize::try_from(KEYS).ok()
    })?;
    // Connections are dealt out to workers; with eight of them nobody is left out but once in a hundred runs.
    let mut clients = (0..8).map(|_| Client::connect(gateway.gateway)).collect::<Result<Vec<_>>>()?;
    let (mut refused, mut receipts) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let body = json!({"workspace": "bench", "name": "bench", "environment": "live"});
        let made = call(fleet.real(round), "POST", "/v1/api-keys", Some(&body))?;
        let text = |name: &str| made["data"][name].as_str().map(str::to_owned).context("a key");
        let (id, key) = (text("id")?, text("key")?);
        let request =
            format!("GET /v1/agents HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n");
        until(&mut clients, request.as_bytes(), 200)?;
        let real = fleet.real(round + 1).clone();
        let started = Instant::now();
        let revoking = thread::spawn(move || -> Result<Duration> {
            let answer = call(&real, "POST", &format!("/v1/api-keys/{id}/revoke?wait=10s"), None)?;
            let number = |name: &str| answer["data"][name].as_u64();
            ensure!(
                number("enforced") == Some(1) && number("gateways") == Some(1),
                "not confirmed: {answer}"
            );
            Ok(started.elapsed())
        });
        until(&mut clients, request.as_bytes(), 401)?;
        refused.push(started.elapsed().as_secs_f64() * 1e3);
        let took = revoking.join().map_err(|_| anyhow::anyhow!("the revocation panicked"))??;
        receipts.push(took.as_secs_f64() * 1e3);
    }
    Ok((refused, receipts))
}

/// Asks by all connections until each is answered with this status.
fn until(clients: &mut [Client], request: &[u8], status: u16) -> Result<()> {
    let started = Instant::now();
    for client in clients {
        while client.send(request)?.status != status {
            ensure!(started.elapsed() < PATIENCE, "never {status}");
            thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(())
}

/// Makes keys at all control planes at once; how many a second.
fn make_keys(fleet: &Fleet) -> Result<f64> {
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let real = fleet.real(number).clone();
            thread::spawn(move || (0..CREATES).try_for_each(|_| create_key(&real).map(drop)))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    Ok((CLIENTS * CREATES) as f64 / started.elapsed().as_secs_f64())
}

impl Row {
    fn print(&self) {
        println!("{}", self.what);
        println!("  refused            {}", self.refused);
        println!("  receipt            {}", self.receipt);
        self.crowd.print();
        if let Some(writes) = self.writes {
            println!("  writes             {writes:.1} transactions per revocation");
        }
        println!("  creates            {:.0} a second", self.creates_per_second);
        if let Some(waits) = &self.after_death {
            println!("  after a death      {waits}");
        }
    }
}
