//! Where the database is: a file, or a PostgreSQL server. Whatever prints an address leaves its password out.

use std::fmt;
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
        let address = Self::of(&text, password, set(DIRECT)).map_err(|error| format!("{name}: {error}"))?;
        if let Self::Server(server) = &address {
            warnings.extend(server.warning());
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
        }))
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

    /// What somebody should know who did not mean it: everybody between us and the server may read and change what is said.
    fn warning(&self) -> Option<String> {
        let url = Url::parse(&self.url).ok()?;
        let parameter =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let host = parameter("host").or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
        let is_here = host.is_empty()
            || host.starts_with(['/', '%'])
            || ["localhost", "127.0.0.1", "[::1]", "::1"].contains(&host.as_str());
        let is_checked = matches!(parameter("sslmode").as_deref(), Some("verify-full" | "verify-ca"));
        (!is_here && !is_checked).then(|| {
            format!(
                "{DATABASE}: nobody checks that {host} is the database's server; add sslmode=verify-full (and sslrootcert=FILE for an \
                 authority of your own)"
            )
        })
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

/// User, host, port and database.
fn shown(url: &Url) -> String {
    let parameter =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let user = url.username();
    let host = parameter("host").or_else(|| parameter("hostaddr"));
    let host = host.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .or_else(|| parameter("port").map(|port| format!(":{port}")));
    let database = parameter("dbname").unwrap_or_else(|| url.path().trim_start_matches('/').to_owned());
    let at = if user.is_empty() { "" } else { "@" };
    format!("postgres://{user}{at}{host}{}/{database}", port.unwrap_or_default())
}

fn password(path: &str, warnings: &mut Vec<String>) -> Result<Zeroizing<String>, String> {
    let secret = secret_file::read(path).map_err(|error| format!("{PASSWORD_FILE}: {error}"))?;
    warnings.extend(secret.warning.map(|warning| format!("{PASSWORD_FILE}: {warning}")));
    Ok(Zeroizing::new(secret.text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<DatabaseAddress, String> {
        DatabaseAddress::of(text, None, None)
    }

    #[test]
    fn a_password_is_never_shown() {
        for (text, expected) in [
            ("postgres://fg:s3cret@db.example.com/fg?sslmode=verify-full", "postgres://fg@db.example.com/fg"),
            ("postgresql://fg:s3cret@db:5433/fg?password=s3cret", "postgres://fg@db:5433/fg"),
            ("postgres:///fg?host=/run/postgresql&password=s3cret", "postgres:///run/postgresql/fg"),
        ] {
            let address = of(text).unwrap();
            assert_eq!(
                (address.to_string(), format!("{address:?}")),
                (expected.to_owned(), expected.to_owned())
            );
        }
        for text in [
            "postgres://fg:s3cret@db:port/fg",
            "postgres://fg:s3cret@db/fg?sslmode=s3cret",
            "postgres://fg:s3cret@db/fg?s=s3cret",
        ] {
            let error = of(text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_server_is_a_file() {
        assert_eq!(of("/var/lib/fg.db").unwrap().file(), Some(Path::new("/var/lib/fg.db")));
        assert!(of("fg.db").unwrap().file().unwrap().is_absolute());
        assert!(of("").unwrap_err().contains("empty"));
        assert!(
            of("postgres://db/fg?connect_timeout=3").unwrap_err().contains("connect_timeout is not known")
        );
        assert!(of("postgres://db/fg?sslmode=on").unwrap_err().contains("sslmode must be"));
        let direct = |text: &str, direct: &str| DatabaseAddress::of(text, None, Some(direct.to_owned()));
        assert!(direct("fg.db", "postgres://db/fg").unwrap_err().contains("no pooler"));
        assert!(direct("postgres://pooler/fg", "db:5432").unwrap_err().starts_with(DIRECT));
    }

    #[test]
    fn a_pooler_is_one_that_something_stands_behind() {
        let server = |direct: Option<&str>| {
            let address =
                DatabaseAddress::of("postgres://pooler/fg", None, direct.map(str::to_owned)).unwrap();
            let DatabaseAddress::Server(server) = address else { panic!("a server") };
            (server.is_pooled(), server.direct().map(str::to_owned))
        };
        assert_eq!(server(None), (false, Some("postgres://pooler/fg".to_owned())));
        assert_eq!(server(Some("none")), (true, None));
        assert_eq!(server(Some("postgres://db/fg")), (true, Some("postgres://db/fg".to_owned())));
    }

    #[test]
    fn whoever_is_not_checked_is_told() {
        let warned = |text: &str| {
            let DatabaseAddress::Server(server) = of(text).unwrap() else { panic!("a server") };
            server.warning().is_some()
        };
        for (text, expected) in [
            ("postgres://fg@db.example.com/fg", true),
            ("postgres://fg@db.example.com/fg?sslmode=require", true),
            ("postgres://fg@db.example.com/fg?sslmode=verify-full", false),
            ("postgres://fg@localhost/fg", false),
            ("postgres:///fg?host=/run/postgresql", false),
            ("postgres://%2Frun%2Fpostgresql/fg", false),
        ] {
            assert_eq!(warned(text), expected, "{text}");
        }
    }
}
