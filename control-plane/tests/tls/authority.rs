//! Authorities, certificates and files of the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tempfile::TempDir;

pub const DAY: Duration = Duration::from_secs(86_400);

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    /// When it ends, in Unix seconds.
    pub until: u64,
}

/// A folder with files for TLS.
pub struct Files(TempDir);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For this name, good from ten days ago until then.
    pub fn pair(&self, name: &str, until: SystemTime) -> Pair {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = (SystemTime::now() - 10 * DAY).into();
        params.not_after = until.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        Pair { certificate, key: key.serialize_pem(), until }
    }

    /// For the tests' servers, good for a day.
    pub fn server(&self) -> Pair {
        self.pair("127.0.0.1", SystemTime::now() + DAY)
    }
}

impl Files {
    /// With this pair in `cert.pem` and `key.pem`.
    pub fn with(pair: &Pair) -> Self {
        let files = Self(TempDir::new().unwrap());
        files.replace(pair);
        files
    }

    pub fn replace(&self, pair: &Pair) {
        self.write("cert.pem", &pair.certificate);
        self.write("key.pem", &pair.key);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// For nobody else to read.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}
