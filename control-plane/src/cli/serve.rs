//! `serve`: runs the control plane until SIGTERM or SIGINT.

use std::io::Write as _;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use super::CliError;
use crate::clock::Clock;
use crate::config::{Config, ServeArgs};
use crate::server::Server;
use crate::tokens::TokenBook;

pub(super) fn run(args: &ServeArgs) -> Result<(), CliError> {
    let variable = |name: &str| std::env::var(name).ok();
    let config = Config::load(args, &variable).map_err(|errors| CliError::Usage(errors.to_string()))?;
    start_log(variable("FLAMEGATE_LOG").as_deref(), variable("FLAMEGATE_LOG_FORMAT").as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(serve(args.clone(), config))
}

async fn serve(args: ServeArgs, config: Config) -> Result<(), CliError> {
    // Before anything is listened to, so that a signal during the start is not missed.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let database = config.database.clone();
    let server = Server::start(config, Clock::default()).await.map_err(failed)?;
    let (address, head) = (server.address, server.app.store.head());
    tracing::info!(%address, database = %database.display(), epoch = head.epoch, revision = head.revision, "serving");
    // For whoever started us on port 0. A closed standard output is no reason to stop.
    let _ = writeln!(std::io::stdout(), "listening on http://{address}");
    loop {
        tokio::select! {
            biased;
            _ = hangup.recv() => read_tokens_again(&args, &server.app.tokens),
            _ = terminate.recv() => break tracing::info!("SIGTERM: going down"),
            _ = interrupt.recv() => break tracing::info!("SIGINT: going down"),
        }
    }
    server.stop().await;
    tracing::info!("down");
    Ok(())
}

/// The token files may have changed. A mistake changes nothing: the tokens that were good stay good.
fn read_tokens_again(args: &ServeArgs, tokens: &TokenBook) {
    match Config::load(args, &|name| std::env::var(name).ok()) {
        Ok(config) => {
            tokens.replace(config.admin_tokens, config.sync_tokens);
            tracing::info!("SIGHUP: the tokens were read again");
        }
        Err(error) => tracing::error!(%error, "SIGHUP: the tokens stay as they were"),
    }
}

fn start_log(filter: Option<&str>, format: Option<&str>) -> Result<(), CliError> {
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
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Other(error.to_string())
}
