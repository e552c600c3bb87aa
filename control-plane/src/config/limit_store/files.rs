//! Files that belong to the engine of fleet limits: passwords, which are read at the start, and what TLS needs, which is read whenever a
//! connection is made, so that a certificate can be replaced while the server runs.

use std::io;

use zeroize::Zeroizing;

use crate::config::reader::Source;
use crate::config::secret_file;

/// PEM files for TLS to the engine and to its sentinels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Authorities of their certificates; without it those of the machine.
    ca: Option<String>,
    /// Our certificate, and its key.
    own: Option<(String, String)>,
}

/// What an address says of what else there may be.
pub(super) struct Kind {
    pub has_password: bool,
    pub by_sentinel: bool,
    pub is_tls: bool,
}

/// What the variables say.
pub(super) struct Found {
    pub password: Option<Zeroizing<String>>,
    pub sentinel_password: Option<Zeroizing<String>>,
    pub files: Files,
}

/// What was in the files.
pub struct Pem {
    /// Authorities; `None` for those of the machine.
    pub ca: Option<Vec<u8>>,
    /// Our certificate, and its key.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

pub(crate) const LIMIT_STORE: &str = "FLAMEGATE_LIMIT_STORE";
pub(crate) const PASSWORD_FILE: &str = "FLAMEGATE_LIMIT_STORE_PASSWORD_FILE";
pub(crate) const SENTINEL_PASSWORD_FILE: &str = "FLAMEGATE_LIMIT_STORE_SENTINEL_PASSWORD_FILE";
pub(crate) const CA_FILE: &str = "FLAMEGATE_LIMIT_STORE_CA_FILE";
pub(crate) const CERT_FILE: &str = "FLAMEGATE_LIMIT_STORE_CERT_FILE";
pub(crate) const KEY_FILE: &str = "FLAMEGATE_LIMIT_STORE_KEY_FILE";
const ALL: [&str; 5] = [PASSWORD_FILE, SENTINEL_PASSWORD_FILE, CA_FILE, CERT_FILE, KEY_FILE];

/// One of these variables that is set, where no store is.
pub(super) fn orphan(set: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    ALL.into_iter().find(|name| set(name).is_some())
}

/// What the variables say of an engine of this kind.
pub(super) fn find(kind: &Kind, source: Source<'_>, warnings: &mut Vec<String>) -> Result<Found, String> {
    let set = |name: &str| source(name).filter(|text| !text.is_empty());
    let mut secret = |name: &str| match set(name) {
        None => Ok(None),
        Some(path) => {
            let found = secret_file::read(&path).map_err(|why| format!("{name}: {path}: {why}"))?;
            warnings.extend(found.warning.map(|warning| format!("{name}: {path}: {warning}")));
            let text = Zeroizing::new(found.text);
            Ok::<_, String>(Some(Zeroizing::new(text.trim().to_owned())))
        }
    };
    let (password, sentinel_password) = (secret(PASSWORD_FILE)?, secret(SENTINEL_PASSWORD_FILE)?);
    // Of the key it is only looked at who may read it: what is in it is read when a connection is made.
    secret(KEY_FILE)?;
    if password.is_some() && kind.has_password {
        return Err(format!("{PASSWORD_FILE}: {LIMIT_STORE} has a password in it already"));
    }
    if sentinel_password.is_some() && !kind.by_sentinel {
        return Err(format!("{SENTINEL_PASSWORD_FILE}: {LIMIT_STORE} names no sentinels"));
    }
    let for_tls = [CA_FILE, CERT_FILE, KEY_FILE].into_iter().find(|name| set(name).is_some());
    if let Some(name) = for_tls.filter(|_| !kind.is_tls) {
        return Err(format!(
            "{name} is for TLS, and {LIMIT_STORE} begins with neither rediss:// nor rediss+sentinel://"
        ));
    }
    let own = match (set(CERT_FILE), set(KEY_FILE)) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (Some(_), None) => return Err(format!("{CERT_FILE} is set and {KEY_FILE} is not: both or none")),
        (None, Some(_)) => return Err(format!("{KEY_FILE} is set and {CERT_FILE} is not: both or none")),
    };
    for name in [CA_FILE, CERT_FILE] {
        if let Some(path) = set(name) {
            read(&path).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(Found { password, sentinel_password, files: Files { ca: set(CA_FILE), own } })
}

impl Files {
    /// What is in them now. They are small and local, and read only when a connection is made.
    pub fn read(&self) -> io::Result<Pem> {
        let own =
            |(certificate, key): &(String, String)| Ok::<_, io::Error>((read(certificate)?, read(key)?));
        Ok(Pem {
            ca: self.ca.as_deref().map(read).transpose()?,
            own: self.own.as_ref().map(own).transpose()?,
        })
    }
}

fn read(path: &str) -> io::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}
