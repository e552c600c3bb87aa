//! The command line: `serve`, and a client of the REST API for everything else.
//!
//! Results go to standard output (`--json` for scripts), notes and errors to standard error. A key's plaintext is only
//! ever written to standard output. Exit codes stand at the end of `--help`.

mod audit;
mod bounds_args;
mod check_config;
mod client;
mod database;
mod database_on_server;
mod doctor;
mod envoy_config;
mod error;
mod explain;
mod gateways;
mod import;
mod init;
mod keys;
mod limit_args;
mod limits;
mod log_bound;
mod output;
mod plans;
mod reach;
mod restrict_args;
mod serve;
mod shadow;
mod tokens;
mod users;
mod workspaces;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::client::Client;
use self::error::CliError;
use self::output::Output;
use self::reach::Authorities;
use crate::config::{ServeArgs, environment};

/// Everything that can be said on the command line.
#[derive(Parser)]
#[command(name = "flamegate-control", version, about = "The control plane of Flamegate: API keys and who enforces them",
    after_help = AFTER_HELP)]
struct Cli {
    /// Where the control plane is [env: FLAMEGATE_CONTROL_URL] [default: http://127.0.0.1:8080]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// PEM file with the authorities of the control plane's certificate, instead of those of this machine [env: FLAMEGATE_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<String>,
    /// File with the token to use, in place of the environment's; for nobody else to read
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the control plane
    Serve(Box<ServeArgs>),
    /// Make a new database, tokens and environment files
    Init(init::InitArgs),
    /// Write a whole Envoy configuration for an API that is there
    EnvoyConfig(Box<envoy_config::EnvoyConfigArgs>),
    /// Look whether the database is sound
    Check(database::DatabaseArgs),
    /// Check plugin configurations and Envoy's, without starting anything
    CheckConfig(check_config::CheckConfigArgs),
    /// Look what is wrong with tokens, control plane and gateways
    Doctor(doctor::DoctorArgs),
    /// Copy the database, also while it is in use
    Backup(database::CopyArgs),
    /// Put a copy in the database's place, while no server runs
    Restore(database::RestoreArgs),
    /// A database on a PostgreSQL server, and the way there
    #[command(subcommand)]
    Database(database_on_server::DatabaseCommand),
    /// Why a request with a key is refused: what is known of the key, and what each gateway answers
    Explain(explain::ExplainArgs),
    /// API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Limits that all gateways count together
    #[command(subcommand)]
    Limits(limits::LimitsCommand),
    /// Workspaces
    #[command(subcommand)]
    Workspaces(workspaces::WorkspacesCommand),
    /// Plans: limits and restrictions that many keys or workspaces have by one name
    #[command(subcommand)]
    Plans(plans::PlansCommand),
    /// What would have been refused and has passed in shadow, before you enforce: gateways, reasons, keys
    Shadow(shadow::ShadowArgs),
    /// Who may sign in to the pages
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Tokens of operators and scripts: for everything, or for one workspace
    #[command(subcommand)]
    Tokens(tokens::TokensCommand),
    /// Who did what, when and from where
    Audit(audit::AuditArgs),
    /// Gateways, what they enforce, and their credentials
    Gateways(gateways::GatewaysArgs),
}

const AFTER_HELP: &str = "\
Environment:
  FLAMEGATE_ADMIN_TOKEN   token for operators and scripts, also one of `tokens create`; serve takes several of its own, comma-separated
                          (the client uses the first)
  FLAMEGATE_SYNC_TOKEN    token for gateways (serve)
  FLAMEGATE_METRICS_TOKEN token for /metrics, if that is not for everybody who reaches it (serve)
  FLAMEGATE_ADMIN_TOKEN_FILE, FLAMEGATE_SYNC_TOKEN_FILE, FLAMEGATE_METRICS_TOKEN_FILE
                          instead: files with tokens, for nobody else to read; read again on SIGHUP (serve)
  FLAMEGATE_TLS_CERT, FLAMEGATE_TLS_KEY, FLAMEGATE_TLS_CLIENT_CA
                          PEM files for TLS, read again when they change (serve)
  FLAMEGATE_CA_FILE       PEM file with the authorities of the control plane's certificate (the client)
  FLAMEGATE_DATABASE_PASSWORD_FILE
                          the password of a postgres:// address that has none
  FLAMEGATE_DATABASE_DIRECT
                          where FLAMEGATE_DATABASE is a pooler that gives connections away after each transaction:
                          the server's own address, to hear of changes at once, or none
  FLAMEGATE_LIMIT_STORE   Redis or Valkey that counts limits of the whole fleet: redis://, rediss://, redis+sentinel:// (serve)
  FLAMEGATE_LIMIT_STORE_PASSWORD_FILE, FLAMEGATE_LIMIT_STORE_SENTINEL_PASSWORD_FILE
                          its password and that of its sentinels, in files
  FLAMEGATE_LIMIT_STORE_CA_FILE, FLAMEGATE_LIMIT_STORE_CERT_FILE, FLAMEGATE_LIMIT_STORE_KEY_FILE
                          PEM files for TLS to it and to its sentinels: their authorities, our certificate and its key
  FLAMEGATE_LOG           what serve logs, for example info or flamegate_control=debug [default: info]
  FLAMEGATE_LOG_FORMAT    text or json [default: text]

Exit codes:
  0 done   1 refused or failed   2 usage or configuration   3 not found   4 unauthorized
  5 control plane cannot be reached   6 done, but a gateway that may still serve has not confirmed it
  7 import: some lines were refused, the others are done";

/// Runs the program with the process's arguments.
pub fn run() -> ExitCode {
    let Cli { url, ca_file, token_file, json, command } = Cli::parse();
    let authorities = || Authorities::read(ca_file);
    let odd = environment::check_own();
    let result = match command {
        // The server tells of all mistakes together.
        command if !odd.near_misses.is_empty() && !matches!(command, Command::Serve(_)) => {
            Err(CliError::Usage(odd.near_misses.join("; ")))
        }
        Command::Serve(args) => serve::run(&args, odd),
        Command::Init(args) => block_on(init::run(Output { json }, args)),
        Command::EnvoyConfig(args) => envoy_config::run(Output { json }, *args),
        Command::Check(args) => block_on(database::check(Output { json }, args)),
        Command::CheckConfig(args) => check_config::run(Output { json }, &args),
        Command::Doctor(args) => authorities().and_then(|known| {
            block_on(doctor::run(Output { json }, (url, token_file), known.as_ref(), args))
        }),
        Command::Backup(args) => block_on(database::back_up(Output { json }, args)),
        Command::Restore(args) => block_on(database::restore(Output { json }, args)),
        Command::Database(command) => block_on(database_on_server::run(Output { json }, command)),
        command => authorities()
            .and_then(|known| Client::new((url, token_file), known.as_ref(), Output { json }))
            .and_then(|client| block_on(as_client(client, Output { json }, command))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Output { json }.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn block_on(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::Other(error.to_string()))?.block_on(work)
}

async fn as_client(client: Client, output: Output, command: Command) -> Result<(), CliError> {
    match command {
        // `run` has done these.
        Command::Serve(_) | Command::Init(_) | Command::EnvoyConfig(_) => Ok(()),
        Command::Check(_) | Command::Backup(_) | Command::Restore(_) | Command::Database(_) => Ok(()),
        Command::CheckConfig(_) | Command::Doctor(_) => Ok(()),
        Command::Explain(args) => explain::run(&client, output, args).await,
        Command::Limits(command) => limits::run(&client, output, command).await,
        Command::Keys(command) => keys::run(&client, output, command).await,
        Command::Workspaces(command) => workspaces::run(&client, output, command).await,
        Command::Plans(command) => plans::run(&client, output, command).await,
        Command::Shadow(args) => shadow::run(&client, output, args).await,
        Command::Users(command) => users::run(&client, output, command).await,
        Command::Tokens(command) => tokens::run(&client, output, command).await,
        Command::Audit(args) => audit::list(&client, output, args).await,
        Command::Gateways(args) => gateways::run(&client, output, args).await,
    }
}
