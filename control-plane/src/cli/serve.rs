//! `serve`: runs the control plane until SIGTERM or SIGINT.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{FilterExt as _, Targets};
use tracing_subscriber::prelude::*;

use super::error::CliError;
use super::log_bound::LogBound;
use crate::config::environment::Oddities;
use crate::config::{Config, ConfigErrors, ServeArgs};
use crate::http::app::BuildError;
use crate::http::server::{Server, StartError};
use crate::service::clock::Clock;
use crate::service::token_book::TokenBook;
use crate::store::OpenError;

/// How often the log says what was held back.
const REPORT: Duration = Duration::from_secs(10);
/// Files that are no connections: the database's, the log, the listeners.
const FILES_OF_ITS_OWN: usize = 128;

pub(super) fn run(args: &ServeArgs, odd: Oddities) -> Result<(), CliError> {
    let variable = |name: &str| std::env::var(name).ok();
    let mut config = load(args, odd.near_misses).map_err(|errors| CliError::Usage(errors.to_string()))?;
    let bound = LogBound::default();
    let format = variable("FLAMEGATE_LOG_FORMAT");
    start_log(variable("FLAMEGATE_LOG").as_deref(), format.as_deref(), bound.clone())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if !odd.unknown.is_empty() {
        let names = odd.unknown.join(", ");
        tracing::warn!(names, "variables of the environment that nothing reads");
    }
    config.max_connections = connections_possible(config.max_connections);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(serve(args.clone(), config, bound))
}

/// The configuration, or every mistake in it and in the names of the variables.
fn load(args: &ServeArgs, near_misses: Vec<String>) -> Result<Config, ConfigErrors> {
    let loaded = Config::load(args, &|name| std::env::var(name).ok());
    if near_misses.is_empty() {
        return loaded;
    }
    let mut errors = near_misses;
    errors.extend(loaded.err().into_iter().flat_map(|ConfigErrors(errors)| errors));
    Err(ConfigErrors(errors))
}

async fn serve(args: ServeArgs, config: Config, bound: LogBound) -> Result<(), CliError> {
    // Before anything is listened to, so that a signal during the start is not missed.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let database = config.database.clone();
    let (is_init, was_there) = (config.init, database.file().is_some_and(Path::exists));
    let server = Server::start(config, Clock::default()).await.map_err(not_started)?;
    let (address, head) = (server.address, server.app.store.head());
    if is_init && (was_there || head.revision > 0) {
        tracing::warn!(%database, "--init: a database is there already and is used; while --init is given, it \
            replaces the tables of gateways that have another database's");
    }
    tracing::info!(%address, %database, epoch = head.epoch, revision = head.revision, "serving");
    // For whoever started us on port 0. A closed standard output is no reason to stop.
    let _ = writeln!(std::io::stdout(), "listening on {}://{address}", server.scheme());
    let mut report = tokio::time::interval(REPORT);
    loop {
        tokio::select! {
            biased;
            _ = hangup.recv() => {
                read_tokens_again(&args, &server.app.tokens);
                server.read_certificates_again();
            }
            _ = terminate.recv() => break tracing::info!("SIGTERM: going down"),
            _ = interrupt.recv() => break tracing::info!("SIGINT: going down"),
            _ = report.tick() => bound.report(),
        }
    }
    server.stop().await;
    bound.report();
    tracing::info!("down");
    Ok(())
}

/// The token files may have changed. A mistake changes nothing: the tokens that were good stay good.
fn read_tokens_again(args: &ServeArgs, tokens: &TokenBook) {
    match Config::load(args, &|name| std::env::var(name).ok()) {
        Ok(config) => {
            for warning in &config.warnings {
                tracing::warn!("{warning}");
            }
            tokens.replace(config.admin_tokens, config.sync_tokens, config.metrics_tokens);
            tracing::info!("SIGHUP: the tokens were read again");
        }
        Err(error) => tracing::error!(%error, "SIGHUP: the tokens stay as they were"),
    }
}

/// Raises the number of files that may be open as far as this user may, and bounds the connections by it: one connection is one
/// file, and who takes the last one shuts out everybody.
fn connections_possible(wanted: usize) -> usize {
    let open = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(open) => usize::try_from(open).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "the number of open files cannot be asked for");
            return wanted;
        }
    };
    // Two tenths more than the number that is configured may be open (see Shares).
    let possible = open.saturating_sub(FILES_OF_ITS_OWN) / 12 * 10;
    if possible < wanted {
        tracing::warn!(
            open,
            wanted,
            possible,
            "fewer connections than configured: too few files may be open (ulimit -n)"
        );
    }
    possible.min(wanted)
}

fn start_log(filter: Option<&str>, format: Option<&str>, bound: LogBound) -> Result<(), CliError> {
    let filter: Targets = filter
        .unwrap_or("info")
        .parse()
        .map_err(|_| CliError::Usage("FLAMEGATE_LOG: not a filter such as info".to_owned()))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format.unwrap_or("text") {
        "text" => layer.boxed(),
        "json" => layer.json().boxed(),
        _ => return Err(CliError::Usage("FLAMEGATE_LOG_FORMAT: must be text or json".to_owned())),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter.and(bound))).init();
    Ok(())
}

/// Which database is a matter of configuration: starting again changes nothing.
fn not_started(error: StartError) -> CliError {
    match error {
        StartError::Tls(error) => CliError::Usage(error),
        StartError::Build(BuildError::Open(OpenError::Missing(_) | OpenError::Foreign(_))) => {
            CliError::Usage(error.to_string())
        }
        error => failed(error),
    }
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Other(error.to_string())
}
