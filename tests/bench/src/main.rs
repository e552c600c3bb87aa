//! Measurements of the built artifact. `make bench` runs all of them and writes `docs/PERFORMANCE.md`; README.md beside
//! this folder says what is measured and how.

#![allow(dead_code, unused)]
mod authz;
mod callgrind;
mod client;
mod control;
mod envoy;
mod haproxy;
mod instructions;
mod keys;
mod load;
mod measure;
mod process;
mod results;
mod rows;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    instructions::{FULL, Instructions, Plan},
    results::Results,
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
        /// Only rows whose name contains this
        #[arg(long, default_value = "")]
        only: String,
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
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Authz { port, keys, grpc } => authz::serve(port, keys, grpc),
        Command::Instructions { only, keys, requests, runs, save } => {
            let plan = Plan { only, keys, effort: instructions::effort(requests, runs), save };
            let mut results = Results::load()?;
            Instructions::new(&plan, &mut results)?.run()
        }
    }
}
