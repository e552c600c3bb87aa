//! The server's configuration: flags and environment in, checked values out, every mistake reported at once.
//!
//! Tokens come from the environment or from files (a flag would show in the process list) and are kept as digests.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use flamegate::record::Limit;

use crate::limits;
use crate::tokens::{MIN_TOKEN_LEN, Tokens, token_list};

/// Everything that the server needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The SQLite file.
    pub database: PathBuf,
    /// Who may use `/v1`.
    pub admin_tokens: Tokens,
    /// Who may use `/sync/v1`.
    pub sync_tokens: Tokens,
    /// How fast each admin token may be used; `None` is as fast as it goes.
    pub admin_limit: Option<Limit>,
    /// Limits of a new workspace that names none.
    pub default_limits: Vec<Limit>,
    /// How many removals stay in the revision log.
    pub removals_kept: u32,
    /// Most connections at once.
    pub max_connections: usize,
    /// How people reach the pages, and what is known of them.
    pub pages: PagesConfig,
    /// How long a client may take to send its headers; also how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a shutdown waits for requests in progress.
    pub shutdown_grace: Duration,
}

/// How people reach the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagesConfig {
    /// Scheme, host and port of the pages as browsers see them; `https` makes cookies secure.
    pub public_origin: Option<String>,
    /// Where the API is, for examples in the pages.
    pub api_url: String,
    /// Believe `X-Forwarded-For` and `X-Forwarded-Proto`.
    pub trust_proxy: bool,
    /// How long a session lasts without a request.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_max: Duration,
}

/// Flags of `serve`. What is not given comes from the environment, then from the defaults.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Address to listen on [env: FLAMEGATE_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// SQLite file [env: FLAMEGATE_DATABASE] [default: flamegate.db]
    #[arg(long, value_name = "FILE")]
    pub database: Option<String>,
    /// Limits of new workspaces, comma-separated, or "none" [env: FLAMEGATE_DEFAULT_LIMITS] [default: 100/60s+20]
    #[arg(long, value_name = "LIMITS")]
    pub default_limits: Option<String>,
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
    /// Scheme and host under which browsers find the pages; https makes cookies secure [env: FLAMEGATE_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Where the API is, for the examples in the pages [env: FLAMEGATE_API_URL] [default: the product's]
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// true when every request comes through a proxy that sets X-Forwarded-For and X-Forwarded-Proto
    /// [env: FLAMEGATE_TRUST_PROXY] [default: false]
    #[arg(long, value_name = "BOOL")]
    pub trust_proxy: Option<String>,
    /// A session in the pages ends when nothing was done for this long [env: FLAMEGATE_SESSION_IDLE] [default: 8h]
    #[arg(long, value_name = "TIME")]
    pub session_idle: Option<String>,
    /// A session in the pages ends after this time [env: FLAMEGATE_SESSION_MAX] [default: 7d]
    #[arg(long, value_name = "TIME")]
    pub session_max: Option<String>,
}

/// Every mistake in the configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<String>);

/// Where settings come from: `std::env::var` in the program, a map in tests.
pub type Source<'a> = &'a dyn Fn(&str) -> Option<String>;

const DATABASE: &str = "FLAMEGATE_DATABASE";
const DEFAULT_DATABASE: &str = "flamegate.db";
const ADMIN_TOKEN: &str = "FLAMEGATE_ADMIN_TOKEN";
const SYNC_TOKEN: &str = "FLAMEGATE_SYNC_TOKEN";

impl Config {
    /// Checks flags and environment.
    pub fn load(args: &ServeArgs, source: Source<'_>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader { source, errors: Vec::new() };
        let listen = reader.setting("listen", "FLAMEGATE_LISTEN", &args.listen, "127.0.0.1:8080");
        let database = reader.setting("database", DATABASE, &args.database, DEFAULT_DATABASE);
        let removals_kept =
            reader.setting("removals-kept", "FLAMEGATE_REMOVALS_KEPT", &args.removals_kept, "50000");
        let max_connections =
            reader.setting("max-connections", "FLAMEGATE_MAX_CONNECTIONS", &args.max_connections, "10000");
        let default_limits = reader.default_limits(&args.default_limits);
        let admin_limit = reader.admin_limit(&args.admin_limit);
        let pages = reader.pages(args);
        let admin_tokens = reader.tokens(ADMIN_TOKEN);
        let sync_tokens = reader.tokens(SYNC_TOKEN);
        if admin_tokens.overlaps(&sync_tokens) {
            reader.errors.push(format!("{ADMIN_TOKEN} and {SYNC_TOKEN} must differ"));
        }
        let config = listen.zip(database).zip(removals_kept).zip(max_connections).zip(pages);
        match config {
            Some(((((listen, database), removals_kept), max_connections), pages))
                if reader.errors.is_empty() =>
            {
                Ok(Self {
                    listen,
                    database,
                    admin_tokens,
                    sync_tokens,
                    admin_limit,
                    default_limits,
                    removals_kept,
                    max_connections,
                    pages,
                    header_timeout: Duration::from_secs(15),
                    shutdown_grace: Duration::from_secs(5),
                })
            }
            _ => Err(ConfigErrors(reader.errors)),
        }
    }
}

/// The database file when no flag names it.
pub fn database(source: Source<'_>) -> PathBuf {
    source(DATABASE).map_or_else(|| PathBuf::from(DEFAULT_DATABASE), PathBuf::from)
}

struct Reader<'a> {
    source: Source<'a>,
    errors: Vec<String>,
}

impl Reader<'_> {
    /// A flag, else a variable, else the default. Notes the mistake when it cannot be read.
    fn setting<T: std::str::FromStr>(
        &mut self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
    ) -> Option<T> {
        let (name, text) = self.text(flag, variable, given, default);
        let value = if text.is_empty() { None } else { text.parse().ok() };
        if value.is_none() {
            self.errors.push(format!("{name}: '{text}' is not valid (an example is {default})"));
        }
        value
    }

    fn pages(&mut self, args: &ServeArgs) -> Option<PagesConfig> {
        let trust_proxy = self.setting("trust-proxy", "FLAMEGATE_TRUST_PROXY", &args.trust_proxy, "false");
        let session_idle = self.time("session-idle", "FLAMEGATE_SESSION_IDLE", &args.session_idle, "8h");
        let session_max = self.time("session-max", "FLAMEGATE_SESSION_MAX", &args.session_max, "7d");
        let public_origin = self.origin("public-url", "FLAMEGATE_PUBLIC_URL", &args.public_url, "");
        let api_url = self.origin("api-url", "FLAMEGATE_API_URL", &args.api_url, "https://dev.flametalk.ai");
        Some(PagesConfig {
            public_origin: public_origin?,
            api_url: api_url?.unwrap_or_default(),
            trust_proxy: trust_proxy?,
            session_idle: session_idle?,
            session_max: session_max?,
        })
    }

    /// A time of at least a minute.
    fn time(
        &mut self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
    ) -> Option<Duration> {
        let (name, text) = self.text(flag, variable, given, default);
        let seconds = limits::seconds(&text).and_then(|seconds| u64::try_from(seconds).ok());
        let seconds = seconds.filter(|seconds| (60..=365 * 86_400).contains(seconds));
        if seconds.is_none() {
            self.errors
                .push(format!("{name}: '{text}' is no time from 60s to 365d (an example is {default})"));
        }
        seconds.map(Duration::from_secs)
    }

    /// `Some(None)` when there is none.
    fn origin(
        &mut self,
        flag: &str,
        variable: &str,
        given: &Option<String>,
        default: &str,
    ) -> Option<Option<String>> {
        let (name, text) = self.text(flag, variable, given, default);
        let text = text.trim_end_matches('/');
        if text.is_empty() {
            return Some(None);
        }
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || !host.bytes().all(is_host_byte)) {
            self.errors.push(format!("{name}: '{text}' must be http or https and a host, without a path"));
            return None;
        }
        Some(Some(text.to_ascii_lowercase()))
    }

    fn default_limits(&mut self, given: &Option<String>) -> Vec<Limit> {
        let default = limits::product_default();
        let default: Vec<_> = default.iter().map(limits::to_text).collect();
        self.limits("default-limits", "FLAMEGATE_DEFAULT_LIMITS", given, &default.join(","))
    }

    fn admin_limit(&mut self, given: &Option<String>) -> Option<Limit> {
        let mut limits = self.limits("admin-limit", "FLAMEGATE_ADMIN_LIMIT", given, "1000/1s+2000");
        if limits.len() > 1 {
            self.errors.push("FLAMEGATE_ADMIN_LIMIT: must be one limit, or none".to_owned());
        }
        limits.pop()
    }

    fn limits(&mut self, flag: &str, variable: &str, given: &Option<String>, default: &str) -> Vec<Limit> {
        let (name, text) = self.text(flag, variable, given, default);
        limits::parse_list(&text).unwrap_or_else(|error| {
            self.errors.push(format!("{name}: {error}"));
            Vec::new()
        })
    }

    /// The tokens of a variable, or of the file that another variable names.
    fn tokens(&mut self, variable: &str) -> Tokens {
        let file = format!("{variable}_FILE");
        let (name, text) = match ((self.source)(variable), (self.source)(&file)) {
            (Some(_), Some(_)) => {
                self.errors.push(format!("{variable} and {file} cannot both be set"));
                return Tokens::default();
            }
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => (file, text),
                Err(error) => {
                    self.errors.push(format!("{file} cannot be read: {error}"));
                    return Tokens::default();
                }
            },
            (text, None) => (variable.to_owned(), text.unwrap_or_default()),
        };
        let tokens: Vec<_> = token_list(&text).collect();
        if tokens.is_empty() {
            self.errors.push(format!("{name} is not set"));
        }
        if tokens.iter().any(|token| token.len() < MIN_TOKEN_LEN) {
            self.errors.push(format!("{name}: a token must have at least {MIN_TOKEN_LEN} characters"));
        }
        if tokens.iter().any(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            self.errors.push(format!("{name}: a token must be visible ASCII characters"));
        }
        Tokens::new(tokens)
    }

    /// The text of a setting and the name under which it was given.
    fn text(&self, flag: &str, variable: &str, given: &Option<String>, default: &str) -> (String, String) {
        match (given, (self.source)(variable)) {
            (Some(text), _) => (format!("--{flag}"), text.clone()),
            (None, Some(text)) => (variable.to_owned(), text),
            (None, None) => (format!("--{flag}"), default.to_owned()),
        }
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)
}

impl PagesConfig {
    /// True when browsers reach the pages by TLS, as far as the configuration says.
    pub fn is_secure(&self) -> bool {
        self.public_origin.as_deref().is_some_and(|origin| origin.starts_with("https://"))
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
