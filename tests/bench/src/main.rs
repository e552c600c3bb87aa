//! Measurements of the built artifact. `make bench` runs all of them and writes `docs/PERFORMANCE.md`; README.md beside
//! this folder says what is measured and how.

mod all;
mod authz;
mod callgrind;
mod check;
mod churn;
mod client;
mod connection;
mod contention;
mod control;
mod envoy;
mod fleet;
mod gateways;
mod graph;
mod guard;
mod haproxy;
mod instructions;
mod keys;
mod keysync;
mod limiter;
mod limits;
mod load;
mod measure;
mod peers;
mod posting;
mod probe;
mod process;
mod ratios;
mod real;
mod report;
mod results;
mod rows;
mod stamp;
mod upstream;

use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    instructions::{FULL, Instructions, Plan},
    results::{FLEET, GATEWAYS, GRAPHS, LIMITER, LIMITS, Results, ratio_step, sync_step},
    stamp::Part,
};

#[derive(Parser)]
#[command(about = "Measurements of Flamegate")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Instructions per request, under callgrind
    Instructions {
        /// Only rows whose name contains one of these
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Sizes of the key table
        #[arg(long, value_delimiter = ',', default_value = "1,1000,100000,1000000")]
        keys: Vec<u32>,
        /// Requests per run
        #[arg(long, default_value_t = FULL.requests)]
        requests: u32,
        /// Runs; the median counts
        #[arg(long, default_value_t = FULL.runs)]
        runs: u32,
        /// Write the rows to tests/bench/results/results.json
        #[arg(long)]
        save: bool,
    },
    /// Where a request's instructions go, by callgrind's call graph
    Graph {
        /// Requests per run
        #[arg(long, default_value_t = FULL.requests)]
        requests: u32,
        /// Write it to tests/bench/results/results.json
        #[arg(long)]
        save: bool,
    },
    /// Throughput and latency relative to no check, from runs that take turns
    Ratios {
        /// Only rows whose name contains this
        #[arg(long, default_value = "")]
        only: String,
        /// Write them to tests/bench/results/results.json
        #[arg(long)]
        save: bool,
    },
    /// What the limiter admits compared with an ideal token bucket (a simulation)
    Limiter {
        /// Write it to tests/bench/results/results.json
        #[arg(long)]
        save: bool,
    },
    /// Compare a few instruction counts with the committed ones
    Check,
    /// A cold sync into a running Envoy: time, memory, stalls
    Keys {
        /// Keys in the table
        #[arg(long, default_value_t = 100_000)]
        keys: u32,
        /// Worker threads of Envoy
        #[arg(long, default_value_t = 2)]
        workers: u32,
        /// With dist/flamegate-control instead of a stand-in that computes the keys
        #[arg(long)]
        real: bool,
        /// Changes a second after the sync (only with the stand-in)
        #[arg(long, default_value_t = 0)]
        changes: u32,
        /// For how many seconds
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Write it to tests/bench/results/results.json
        #[arg(long)]
        save: bool,
    },
    /// Many gateways on one control plane: how long until all know of a revocation
    Gateways {
        /// How many
        #[arg(long, default_value_t = 1_000)]
        gateways: usize,
        /// Revocations, one after the other
        #[arg(long, default_value_t = 20)]
        revocations: usize,
        /// Write it to tests/bench/results/results.json
        #[arg(long)]
        save: bool,
    },
    /// Several control planes on one PostgreSQL beside one on SQLite: revocations, many gateways, creates, a death
    Fleet {
        /// Simulated gateways
        #[arg(long, default_value_t = all::SEVERAL.gateways)]
        gateways: usize,
        /// Revocations of which they learn
        #[arg(long, default_value_t = all::SEVERAL.revocations)]
        revocations: usize,
        /// Keys that are made and revoked under the eyes of one Envoy
        #[arg(long, default_value_t = all::SEVERAL.rounds)]
        rounds: usize,
        /// Write it to tests/bench/results/results.json
        #[arg(long)]
        save: bool,
    },
    /// One limit over three gateways, by Flamegate and by what else there is
    Limits {
        /// Only by ways whose name in charts contains this; not to be saved then
        #[arg(long, default_value = "", conflicts_with = "save")]
        only: String,
        /// Write it to tests/bench/results/results.json
        #[arg(long)]
        save: bool,
    },
    /// Write docs/PERFORMANCE.md from the committed results
    Report,
    /// Everything that is not there yet of this build, one after the other, and the report
    All,
    /// The server behind ext_authz, until it is killed
    #[command(hide = true)]
    Authz {
        /// Where it listens
        #[arg(long)]
        port: u16,
        /// Keys in its table
        #[arg(long)]
        keys: u32,
        /// gRPC instead of HTTP
        #[arg(long)]
        grpc: bool,
        /// It says who is calling, and that the credential goes no further
        #[arg(long)]
        safe: bool,
    },
}

fn main() -> Result<()> {
    let started = Instant::now();
    match Arguments::parse().command {
        Command::Keys { keys, workers, real, changes, seconds, save } => {
            let outcome = keysync::run(keysync::Plan { keys, workers, real, changes, seconds })?;
            keep(save, vec![sync_step(keys, real)], Part::Both, started, |results| results.put_sync(outcome))
        }
        Command::Gateways { gateways, revocations, save } => {
            let outcome = gateways::run(gateways, revocations)?;
            keep(save, vec![GATEWAYS.to_owned()], Part::Both, started, |results| {
                results.gateways = Some(outcome)
            })
        }
        Command::Fleet { gateways, revocations, rounds, save } => {
            let rows = fleet::run(fleet::Plan { gateways, revocations, rounds })?;
            keep(save, vec![FLEET.to_owned()], Part::Both, started, |results| results.fleet = rows)
        }
        Command::Limits { only, save } => {
            let outcome = limits::run(&only)?;
            keep(save, vec![LIMITS.to_owned()], Part::Limits, started, |results| {
                results.limits = Some(outcome)
            })
        }
        Command::Report => report::write(),
        Command::All => all::run(),
        Command::Ratios { only, save } => {
            let mut ratios = Vec::new();
            ratios::run(&|name| name.contains(&only), &mut |ratio| {
                ratios.push(ratio);
                Ok(())
            })?;
            let steps = ratios.iter().map(|ratio| ratio_step(&ratio.id)).collect();
            keep(save, steps, Part::Proxy, started, |results| results.put_ratios(ratios))
        }
        Command::Limiter { save } => {
            let rows = limiter::run();
            keep(save, vec![LIMITER.to_owned()], Part::Simulation, started, |results| results.limiter = rows)
        }
        Command::Graph { requests, save } => {
            let graphs = graph::run(instructions::effort(requests, 1))?;
            keep(save, vec![GRAPHS.to_owned()], Part::Proxy, started, |results| results.graphs = graphs)
        }
        Command::Check => check::run(),
        Command::Authz { port, keys, grpc, safe } => authz::serve(port, keys, grpc, safe),
        Command::Instructions { only, keys, requests, runs, save } => {
            let (effort, place) = (instructions::effort(requests, runs), Results::path()?);
            let plan = Plan {
                only,
                exact: false,
                keys,
                effort,
                save: save.then_some(place),
                resume: false,
                by_address: false,
            };
            let mut results = Results::load()?;
            if save {
                all::note_versions(&mut results)?;
            }
            Instructions::new(&plan, &mut results)?.run()
        }
    }
}

/// Changes the committed results when that is wanted, and notes of which build that is.
fn keep(
    save: bool,
    steps: Vec<String>,
    part: Part,
    started: Instant,
    change: impl FnOnce(&mut Results),
) -> Result<()> {
    if save {
        let mut results = Results::load()?;
        all::note_versions(&mut results)?;
        change(&mut results);
        let stamp = results.stamps.of(part).to_owned();
        steps.into_iter().for_each(|step| results.note(step, &stamp, started));
        results.save_to(&Results::path()?)?;
    }
    Ok(())
}
