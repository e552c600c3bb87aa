//! Where the database is: a file, or a PostgreSQL server. Whatever prints an address leaves its password out.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use zeroize::Zeroizing;

use super::reader::{Reader, Source};
use super::secret_file;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseAddress {
    /// A file of SQLite, absolute.
    File(PathBuf),
    /// A database of a PostgreSQL server.
    Server(ServerAddress),
}

/// A database of a PostgreSQL server, and how to get there.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress {
    url: Zeroizing<String>,
    /// Without the password and the parameters.
    shown: String,
    password: Option<Zeroizing<String>>,
    direct: Direct,
    is_unverified: bool,
}

/// The way to the server itself, past a pooler that gives a connection away after each transaction.
#[derive(Clone, PartialEq, Eq)]
enum Direct {
    /// There is no such pooler.
    Same,
    /// Another address.
    Other(Zeroizing<String>),
    /// There is none.
    None,
}

pub(crate) const DATABASE: &str = "FLAMEGATE_DATABASE";
pub(crate) const PASSWORD_FILE: &str = "FLAMEGATE_DATABASE_PASSWORD_FILE";
pub(crate) const DIRECT: &str = "FLAMEGATE_DATABASE_DIRECT";
const DEFAULT_DATABASE: &str = "flamegate.db";
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// What may stand behind `?`; another parameter would be ignored, and whoever wrote it believes that it is not.
const PARAMETERS: [&str; 11] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];
const EXAMPLE: &str = "postgres://flamegate@db.example.com/flamegate?sslmode=verify-full";

impl DatabaseAddress {
    /// Of a flag or a variable, with what else the environment says of it. The error names no password.
    pub fn read(given: Option<&str>, source: Source<'_>) -> Result<Self, String> {
        Self::read_with(given, source, &mut Vec::new())
    }

    fn read_with(
        given: Option<&str>,
        source: Source<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, String> {
        let set = |name: &str| source(name).filter(|text| !text.is_empty());
        let name = if given.is_some() { "--database" } else { DATABASE };
        let text = given.map(str::to_owned).or_else(|| source(DATABASE));
        let text = text.unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        let password = set(PASSWORD_FILE).map(|path| password(&path, warnings)).transpose()?;
        let mut address =
            Self::of(&text, password, set(DIRECT)).map_err(|error| format!("{name}: {error}"))?;
        if let Self::Server(server) = &mut address {
            server.judge(set("PGHOST").as_deref(), warnings)?;
        }
        Ok(address)
    }

    /// A file, when the text is no address of a server.
    fn of(text: &str, password: Option<Zeroizing<String>>, direct: Option<String>) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("it is empty (an example is {DEFAULT_DATABASE} or {EXAMPLE})"));
        }
        if !is_server(text) {
            return match direct {
                Some(_) => Err(format!("a file has no pooler before it: {DIRECT} is for {EXAMPLE}")),
                None => Ok(Self::File(absolute(PathBuf::from(text)))),
            };
        }
        let direct = match direct.as_deref() {
            None => Direct::Same,
            Some("none") => Direct::None,
            Some(url) => {
                parse(url).map_err(|error| format!("{DIRECT}: {error}"))?;
                Direct::Other(Zeroizing::new(url.to_owned()))
            }
        };
        let url = parse(text)?;
        Ok(Self::Server(ServerAddress {
            shown: shown(&url),
            url: Zeroizing::new(text.to_owned()),
            password,
            direct,
            is_unverified: false,
        }))
    }

    /// True when nobody checks that the database's server, on another machine, is that.
    pub const fn is_unverified(&self) -> bool {
        matches!(self, Self::Server(server) if server.is_unverified)
    }

    /// The file, when it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }
}

impl ServerAddress {
    /// With everything in it. For the engine alone.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The password that does not stand in the URL.
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| password.as_str())
    }

    /// True when another client may have the connection after each transaction.
    pub(crate) fn is_pooled(&self) -> bool {
        self.direct != Direct::Same
    }

    /// The URL of the server itself, if there is a way to it.
    pub(crate) fn direct(&self) -> Option<&str> {
        match &self.direct {
            Direct::Same => Some(&self.url),
            Direct::Other(url) => Some(url),
            Direct::None => None,
        }
    }

    /// True when nobody checks that a server on another machine is the database's: everybody in between may read and change what is said.
    /// `variable` is the environment's `PGHOST`, which stands for a host that the address does not name.
    fn is_unverified(url: &str, variable: Option<&str>) -> bool {
        let Ok(url) = Url::parse(url) else { return true };
        let is_checked = match parameter(&url, &["sslmode"]).as_deref() {
            Some("verify-full") => true,
            // By the system's authorities it would be anybody whom one of them knows.
            Some("verify-ca") => parameter(&url, &["sslrootcert"]).is_some(),
            _ => false,
        };
        !is_checked && !is_here(&host(&url).or_else(|| variable.map(str::to_owned)).unwrap_or_default())
    }

    /// The addresses under their settings' names.
    fn addresses(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let direct = match &self.direct {
            Direct::Other(url) => Some((DIRECT, url.as_str())),
            Direct::Same | Direct::None => None,
        };
        [(DATABASE, self.url.as_str())].into_iter().chain(direct)
    }

    /// Whoever does not say how a server on another machine is checked has not thought of it: an error. Whoever has said that it is not is
    /// told what that means.
    fn judge(&mut self, variable: Option<&str>, warnings: &mut Vec<String>) -> Result<(), String> {
        let mut unverified = Vec::new();
        for (name, url) in self.addresses().filter(|(_, url)| Self::is_unverified(url, variable)) {
            let url = Url::parse(url).map_err(|_| format!("{name}: it is no address"))?;
            let host = host(&url).or_else(|| variable.map(str::to_owned)).unwrap_or_default();
            let host = host.escape_debug();
            if parameter(&url, &["sslmode"]).is_none() {
                return Err(format!(
                    "{name}: {host} is another machine: add sslmode=verify-full (and sslrootcert=FILE for an authority of your own), or say \
                     with sslmode=require or sslmode=disable that nobody needs to check whether it is the database's server"
                ));
            }
            unverified.push(format!(
                "{name}: nobody checks that {host} is the database's server; add sslmode=verify-full (and sslrootcert=FILE for an \
                 authority of your own)"
            ));
        }
        self.is_unverified = !unverified.is_empty();
        warnings.append(&mut unverified);
        Ok(())
    }
}

impl Reader<'_> {
    /// The database, with what is odd about it.
    pub(super) fn database(&mut self, given: &Option<String>) -> Option<DatabaseAddress> {
        let read = DatabaseAddress::read_with(given.as_deref(), self.source, &mut self.warnings);
        read.map_err(|error| self.errors.push(error)).ok()
    }
}

impl fmt::Display for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(server) => write!(f, "{server}"),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<&Self> for DatabaseAddress {
    fn from(address: &Self) -> Self {
        address.clone()
    }
}

impl From<&PathBuf> for DatabaseAddress {
    fn from(path: &PathBuf) -> Self {
        path.as_path().into()
    }
}

impl From<&Path> for DatabaseAddress {
    fn from(path: &Path) -> Self {
        Self::File(absolute(path.to_owned()))
    }
}

/// Errors and the log name the file so that it is found from everywhere.
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn is_server(text: &str) -> bool {
    SCHEMES
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// The error repeats nothing of the text: a password may be in it.
fn parse(text: &str) -> Result<Url, String> {
    let no_address = || format!("it is no address of a PostgreSQL database such as {EXAMPLE}");
    let url = Url::parse(text).ok().filter(|_| is_server(text)).ok_or_else(no_address)?;
    for (name, value) in url.query_pairs() {
        if !PARAMETERS.contains(&&*name) {
            return Err(format!(
                "the parameter {} is not known here: {}",
                name.escape_debug(),
                PARAMETERS.join(", ")
            ));
        }
        const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
        if name == "sslmode" && !MODES.contains(&&*value) {
            return Err(format!("sslmode must be one of {}", MODES.join(", ")));
        }
    }
    Ok(url)
}

/// What was said last of these.
fn parameter(url: &Url, names: &[&str]) -> Option<String> {
    let named = url.query_pairs().filter(|(name, _)| names.contains(&&**name));
    named.last().map(|(_, value)| value.into_owned())
}

/// Where the server is, if the address says it: a host, an address, or the folder of a socket.
fn host(url: &Url) -> Option<String> {
    let named = parameter(url, &["host", "hostaddr"]).or_else(|| url.host_str().map(str::to_owned));
    named.filter(|host| !host.is_empty())
}

/// Nobody is between us and a socket, or this machine's own addresses. Without any host it is one of these.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.is_empty()
        || host.starts_with(['/', '%'])
        || host == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

/// User, host, port and database.
fn shown(url: &Url) -> String {
    let (user, host) = (url.username(), host(url).unwrap_or_default());
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .or_else(|| parameter(url, &["port"]).map(|port| format!(":{port}")));
    let database =
        parameter(url, &["dbname"]).unwrap_or_else(|| url.path().trim_start_matches('/').to_owned());
    let at = if user.is_empty() { "" } else { "@" };
    format!("postgres://{user}{at}{host}{}/{database}", port.unwrap_or_default())
}

fn password(path: &str, warnings: &mut Vec<String>) -> Result<Zeroizing<String>, String> {
    let secret = secret_file::read(path).map_err(|error| format!("{PASSWORD_FILE}: {error}"))?;
    warnings.extend(secret.warning.map(|warning| format!("{PASSWORD_FILE}: {warning}")));
    Ok(Zeroizing::new(secret.text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests;
