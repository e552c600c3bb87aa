//! The server's configuration: flags and environment in, checked values out, every mistake reported at once.
//!
//! Tokens come from the environment or from files (a flag would show in the process list) and are kept as digests.

pub mod database;
pub(crate) mod environment;
pub mod limit_store;
pub mod oidc;
mod pages;
mod reader;
pub(crate) mod secret_file;
mod times;
pub mod tls;
mod token_lists;
pub(crate) mod urls;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use self::database::DatabaseAddress;
use self::limit_store::LimitStore;
use self::oidc::OidcConfig;
pub use self::pages::{PagesArgs, PagesConfig};
use self::reader::Reader;
pub use self::reader::Source;
use self::times::IDLE_TIMES;
use self::tls::{TlsArgs, TlsFiles};
use crate::contract::Limit;
use crate::domain::bounds::CEILING;
use crate::domain::limits;
use crate::domain::tokens::Tokens;
use crate::domain::workspaces::Defaults;

/// Everything that the server needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the database is.
    pub database: DatabaseAddress,
    /// Who keeps the books of fleet limits for several control planes.
    pub limit_store: Option<LimitStore>,
    /// Make the database where there is none, and let it replace the tables of gateways that have another's.
    pub init: bool,
    /// Who may use `/v1`.
    pub admin_tokens: Tokens,
    /// Who may use `/sync/v1`.
    pub sync_tokens: Tokens,
    /// Who may use `/metrics`; whoever reaches it when there are none.
    pub metrics_tokens: Tokens,
    /// Where `/metrics` is when it has a listener of its own.
    pub metrics_listen: Option<SocketAddr>,
    /// How many keys have series of their own in `/metrics`.
    pub metrics_per_key: usize,
    /// How fast each admin token may be used; `None` is as fast as it goes.
    pub admin_limit: Option<Limit>,
    /// How fast one person may change things in the pages; `None` is as fast as it goes.
    pub person_limit: Option<Limit>,
    /// Limits of a new workspace that names none.
    pub default_limits: Vec<Limit>,
    /// Most active keys of a new workspace that names no number; `None` for as many as one likes.
    pub default_max_active_keys: Option<u32>,
    /// How many removals stay in the revision log.
    pub removals_kept: u32,
    /// Most connections at once.
    pub max_connections: usize,
    /// How people reach the pages, and what is known of them.
    pub pages: PagesConfig,
    /// Who says who people are, beside passwords or instead of them.
    pub oidc: Option<OidcConfig>,
    /// How long a client may take to send its headers.
    pub header_timeout: Duration,
    /// How long a connection may be idle between an answer and the next request.
    pub idle_timeout: Duration,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// TLS of its own, on every listener; plain HTTP when there is none.
    pub tls: Option<TlsFiles>,
    /// How often those files are looked at.
    pub tls_look: Duration,
    /// How late the answer to a wrong token comes when an address has sent too many.
    pub guess_pause: Duration,
    /// How long the page of a revocation waits for gateways.
    pub receipt_wait: Duration,
    /// How long a shutdown takes requests from whoever could not know of it.
    pub shutdown_drain: Duration,
    /// How long it then waits for requests in progress.
    pub shutdown_grace: Duration,
    /// What is no mistake, but somebody should know it.
    pub warnings: Vec<String>,
}

/// Flags of `serve`. What is not given comes from the environment, then from the defaults.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Address to listen on [env: FLAMEGATE_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Address of a listener for /metrics, which is then not on the other one; /healthz and /readyz are on both
    /// [env: FLAMEGATE_METRICS_LISTEN] [default: none]
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics_listen: Option<String>,
    /// TLS of its own.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// How many keys have series of their own in /metrics, or "none"; the others are counted together
    /// [env: FLAMEGATE_METRICS_PER_KEY] [default: none]
    #[arg(long, value_name = "NUMBER")]
    pub metrics_per_key: Option<String>,
    /// SQLite file, or postgres://USER@HOST/DATABASE [env: FLAMEGATE_DATABASE] [default: flamegate.db]
    #[arg(long, value_name = "FILE|URL")]
    pub database: Option<String>,
    /// Make a new database where there is none, in which no key works yet, and replace with it the tables that gateways
    /// have from another one. For one start, not for good
    #[arg(long)]
    pub init: bool,
    /// Limits of new workspaces, comma-separated, or "none" [env: FLAMEGATE_DEFAULT_LIMITS] [default: 100/60s+20]
    #[arg(long, value_name = "LIMITS")]
    pub default_limits: Option<String>,
    /// Active keys of new workspaces, or "none" [env: FLAMEGATE_DEFAULT_MAX_ACTIVE_KEYS] [default: 1000]
    #[arg(long, value_name = "NUMBER")]
    pub default_max_active_keys: Option<String>,
    /// Changes by one person in the pages, or "none" [env: FLAMEGATE_PERSON_LIMIT] [default: 60/60s+30]
    #[arg(long, value_name = "LIMIT")]
    pub person_limit: Option<String>,
    /// Requests with one admin token, or "none" [env: FLAMEGATE_ADMIN_LIMIT] [default: 1000/1s+2000]
    #[arg(long, value_name = "LIMIT")]
    pub admin_limit: Option<String>,
    /// Removed keys kept in the revision log; gateways further behind fetch the whole table
    /// [env: FLAMEGATE_REMOVALS_KEPT] [default: 50000]
    #[arg(long, value_name = "NUMBER")]
    pub removals_kept: Option<String>,
    /// Most connections at once [env: FLAMEGATE_MAX_CONNECTIONS] [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    pub max_connections: Option<String>,
    /// A connection is closed when no request comes for this long; longer than a balancer before it keeps its own
    /// [env: FLAMEGATE_IDLE_TIMEOUT] [default: 75s]
    #[arg(long, value_name = "TIME")]
    pub idle_timeout: Option<String>,
    /// How people reach the pages.
    #[command(flatten)]
    pub pages: PagesArgs,
}

/// Every mistake in the configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<String>);

pub(crate) const ADMIN_TOKEN: &str = "FLAMEGATE_ADMIN_TOKEN";
const SYNC_TOKEN: &str = "FLAMEGATE_SYNC_TOKEN";
const METRICS_TOKEN: &str = "FLAMEGATE_METRICS_TOKEN";
/// Each has up to six series.
const MOST_KEYS_WITH_SERIES: usize = 10_000;

impl Config {
    /// Checks flags and environment.
    pub fn load(args: &ServeArgs, source: Source<'_>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader { source, errors: Vec::new(), warnings: Vec::new() };
        let listen = reader.setting("listen", "FLAMEGATE_LISTEN", &args.listen, "127.0.0.1:8080");
        let metrics_listen = reader.metrics_listen(&args.metrics_listen);
        let tls = reader.tls(&args.tls);
        if tls.is_none() {
            reader.warn_of_plain(
                "FLAMEGATE_LISTEN",
                listen,
                "tokens and sessions, and change keys on the way",
            );
        }
        let metrics_per_key = reader.metrics_per_key(&args.metrics_per_key);
        let database = reader.database(&args.database);
        let limit_store = reader.limit_store();
        let removals_kept =
            reader.setting("removals-kept", "FLAMEGATE_REMOVALS_KEPT", &args.removals_kept, "50000");
        let max_connections =
            reader.setting("max-connections", "FLAMEGATE_MAX_CONNECTIONS", &args.max_connections, "10000");
        let idle_timeout =
            reader.time("idle-timeout", "FLAMEGATE_IDLE_TIMEOUT", &args.idle_timeout, "75s", &IDLE_TIMES);
        let default_limits = reader.default_limits(&args.default_limits);
        let default_max_active_keys = reader.max_active_keys(&args.default_max_active_keys);
        let admin_limit =
            reader.one_limit("admin-limit", "FLAMEGATE_ADMIN_LIMIT", &args.admin_limit, "1000/1s+2000");
        let person_limit =
            reader.one_limit("person-limit", "FLAMEGATE_PERSON_LIMIT", &args.person_limit, "60/60s+30");
        let pages = reader.pages(&args.pages, tls.is_some());
        let oidc = reader.oidc(pages.as_ref().and_then(|pages| pages.public_origin.as_deref()));
        let admin_tokens = reader.tokens(ADMIN_TOKEN);
        let sync_tokens = reader.tokens(SYNC_TOKEN);
        let metrics_tokens = reader.tokens_if_any(METRICS_TOKEN);
        if tls.is_none() && !metrics_tokens.is_empty() {
            reader.warn_of_plain("FLAMEGATE_METRICS_LISTEN", metrics_listen, "the token for metrics");
        }
        for (one, tokens, other, others) in [
            (ADMIN_TOKEN, &admin_tokens, SYNC_TOKEN, &sync_tokens),
            (ADMIN_TOKEN, &admin_tokens, METRICS_TOKEN, &metrics_tokens),
            (SYNC_TOKEN, &sync_tokens, METRICS_TOKEN, &metrics_tokens),
        ] {
            if tokens.overlaps(others) {
                reader.errors.push(format!("{one} and {other} must differ"));
            }
        }
        let places = max_connections.zip(idle_timeout);
        let config = listen.zip(database).zip(removals_kept).zip(places).zip(pages);
        match config {
            Some(((((listen, database), removals_kept), (max_connections, idle_timeout)), pages))
                if reader.errors.is_empty() =>
            {
                Ok(Self {
                    listen,
                    database,
                    limit_store,
                    init: args.init,
                    admin_tokens,
                    sync_tokens,
                    metrics_tokens,
                    metrics_listen,
                    metrics_per_key,
                    admin_limit,
                    person_limit,
                    default_limits,
                    default_max_active_keys,
                    removals_kept,
                    max_connections,
                    pages,
                    oidc,
                    header_timeout: Duration::from_secs(15),
                    idle_timeout,
                    body_timeout: Duration::from_secs(10),
                    write_timeout: Duration::from_secs(20),
                    tls,
                    tls_look: Duration::from_secs(2),
                    guess_pause: Duration::from_secs(1),
                    receipt_wait: Duration::from_secs(5),
                    shutdown_drain: Duration::from_millis(250),
                    shutdown_grace: Duration::from_secs(5),
                    warnings: reader.warnings,
                })
            }
            _ => Err(ConfigErrors(reader.errors)),
        }
    }

    /// What a new workspace gets that names nothing else.
    pub fn workspace_defaults(&self) -> Defaults {
        Defaults { limits: self.default_limits.clone(), max_active_keys: self.default_max_active_keys }
    }
}

impl Reader<'_> {
    /// `None` when there is none.
    fn metrics_listen(&mut self, given: &Option<String>) -> Option<SocketAddr> {
        let (name, text) = self.text("metrics-listen", "FLAMEGATE_METRICS_LISTEN", given, "");
        let address = text.parse().ok();
        if address.is_none() && !text.is_empty() {
            self.errors.push(format!("{name}: '{text}' is not valid (an example is 127.0.0.1:9090)"));
        }
        address
    }

    /// A number, or `none`, which is 0.
    fn metrics_per_key(&mut self, given: &Option<String>) -> usize {
        let (name, text) = self.text("metrics-per-key", "FLAMEGATE_METRICS_PER_KEY", given, "none");
        let number = if text == "none" { Some(0) } else { text.parse().ok() };
        let number = number.filter(|number| *number <= MOST_KEYS_WITH_SERIES);
        if number.is_none() {
            self.errors.push(format!("{name}: '{text}' is no number up to {MOST_KEYS_WITH_SERIES}, or none"));
        }
        number.unwrap_or_default()
    }

    fn default_limits(&mut self, given: &Option<String>) -> Vec<Limit> {
        let default = limits::product_default();
        let default: Vec<_> = default.iter().map(limits::to_text).collect();
        let limits = self.limits("default-limits", "FLAMEGATE_DEFAULT_LIMITS", given, &default.join(","));
        if limits.iter().any(|limit| limit.name == CEILING) {
            self.errors.push(format!("FLAMEGATE_DEFAULT_LIMITS: no limit may be named {CEILING}"));
        }
        limits
    }

    /// A number, or `none`.
    fn max_active_keys(&mut self, given: &Option<String>) -> Option<u32> {
        let (flag, variable) = ("default-max-active-keys", "FLAMEGATE_DEFAULT_MAX_ACTIVE_KEYS");
        if self.text(flag, variable, given, "1000").1 == "none" {
            return None;
        }
        self.setting(flag, variable, given, "1000")
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not valid:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

#[cfg(test)]
mod tests;
