//! Where the books of fleet limits are kept: `redis://`, `rediss://`, or either of them found by Sentinel. Whatever prints an address leaves
//! its password out.

mod files;

use std::fmt;

use reqwest::Url;
use zeroize::Zeroizing;

pub use self::files::Pem;
use self::files::{Files, Found, Kind, LIMIT_STORE};
use super::reader::{Reader, Source};

/// An engine, and how to get there.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitStore {
    /// Hosts with ports: of the engine, or of its sentinels.
    hosts: Vec<(String, u16)>,
    /// What the sentinels call the engine; `None` where it is named itself.
    master: Option<String>,
    is_tls: bool,
    database: i64,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    sentinel_password: Option<Zeroizing<String>>,
    files: Files,
}

const EXAMPLE: &str =
    "redis://limits.example.com:6379 or redis+sentinel://s1:26379,s2:26379,s3:26379/mymaster";
/// Scheme, whether by TLS, whether by Sentinel.
const SCHEMES: [(&str, bool, bool); 4] = [
    ("redis://", false, false),
    ("rediss://", true, false),
    ("redis+sentinel://", false, true),
    ("rediss+sentinel://", true, true),
];
const PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;

impl LimitStore {
    /// Of the environment; `None` when nothing is said. The error names no password.
    pub fn read(source: Source<'_>, warnings: &mut Vec<String>) -> Result<Option<Self>, String> {
        let set = |name: &str| source(name).filter(|text| !text.is_empty());
        let Some(text) = set(LIMIT_STORE) else {
            return match files::orphan(set) {
                None => Ok(None),
                Some(name) => Err(format!("{name}: there is no {LIMIT_STORE} that it would be for")),
            };
        };
        let mut store =
            Self::parse(&text).map_err(|why| format!("{LIMIT_STORE}: {why} (an example is {EXAMPLE})"))?;
        let kind = Kind {
            has_password: store.password.is_some(),
            by_sentinel: store.master.is_some(),
            is_tls: store.is_tls,
        };
        let Found { password, sentinel_password, files } = files::find(&kind, source, warnings)?;
        (store.password, store.sentinel_password) = (store.password.or(password), sentinel_password);
        store.files = files;
        Ok(Some(store))
    }

    /// Of its text alone; the error is what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let scheme = SCHEMES.into_iter().find(|(scheme, ..)| text.starts_with(scheme));
        let (scheme, is_tls, by_sentinel) =
            scheme.ok_or("it begins with none of redis://, rediss://, redis+sentinel://")?;
        let rest = text.strip_prefix(scheme).unwrap_or_default();
        if rest.contains(['?', '#']) {
            return Err("nothing may stand behind '?' or '#'");
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let port = if by_sentinel { SENTINEL_PORT } else { PORT };
        let hosts = hosts.split(',').map(|host| host_and_port(host, port)).collect::<Option<Vec<_>>>();
        let hosts = hosts.ok_or("a host is missing, or is none")?;
        if hosts.len() > 1 && !by_sentinel {
            return Err("only sentinels may be several");
        }
        let (master, database) = match (by_sentinel, path.split_once('/').unwrap_or((path, ""))) {
            (true, ("", _)) => return Err("behind the sentinels stands '/' and what they call the engine"),
            (true, (master, database)) => (Some(master.to_owned()), database),
            (false, (database, _)) => (None, database),
        };
        let database = if database.is_empty() { Ok(0) } else { database.parse() };
        let database = database.map_err(|_| "the database is no number")?;
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let decoded =
            |part: &str| decode(part).ok_or("the user or the password is not written as in an address");
        Ok(Self {
            hosts,
            master,
            is_tls,
            database,
            user: Some(decoded(user)?).filter(|user| !user.is_empty()),
            password: Some(decoded(password)?).filter(|password| !password.is_empty()).map(Zeroizing::new),
            sentinel_password: None,
            files: Files::default(),
        })
    }

    /// Of the engine, or of its sentinels.
    pub fn hosts(&self) -> &[(String, u16)] {
        &self.hosts
    }

    /// What the sentinels call the engine; `None` where it is named itself.
    pub fn master(&self) -> Option<&str> {
        self.master.as_deref()
    }

    /// Whether by TLS.
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The number of the database.
    pub const fn database(&self) -> i64 {
        self.database
    }

    /// The user, where it is not the default one.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password.
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| password.as_str())
    }

    /// The sentinels' own password.
    pub fn sentinel_password(&self) -> Option<&str> {
        self.sentinel_password.as_ref().map(|password| password.as_str())
    }

    /// What the files for TLS hold now.
    pub fn pem(&self) -> std::io::Result<Pem> {
        self.files.read()
    }
}

impl Reader<'_> {
    /// Where the books of fleet limits are kept, if that is said.
    pub fn limit_store(&mut self) -> Option<LimitStore> {
        let read = LimitStore::read(self.source, &mut self.warnings);
        read.unwrap_or_else(|error| {
            self.errors.push(error);
            None
        })
    }
}

fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let url = Url::parse(&format!("http://{text}/")).ok()?;
    let is_host = url.path() == "/" && url.username().is_empty() && url.query().is_none();
    let host = url.host_str().filter(|_| is_host)?.trim_matches(['[', ']']).to_owned();
    // 80 is what http means without a port.
    let port = url.port().or_else(|| text.ends_with(":80").then_some(80)).unwrap_or(default);
    Some((host, port))
}

/// As it stands in an address: `%40` is an `@`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for LimitStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tls, sentinel) =
            (if self.is_tls { "s" } else { "" }, if self.master.is_some() { "+sentinel" } else { "" });
        let hosts: Vec<_> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        write!(f, "redis{tls}{sentinel}://{}", hosts.join(","))?;
        self.master.iter().try_for_each(|master| write!(f, "/{master}"))
    }
}

impl fmt::Debug for LimitStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
