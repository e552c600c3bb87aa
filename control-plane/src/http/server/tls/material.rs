//! From the files for TLS to what a handshake needs. Whatever is wrong with them is said in words, with the setting and the file, and
//! without anything of what is in them.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use crate::config::secret_file;
use crate::config::tls::{CERTIFICATE, CLIENT_CA, KEY, TlsFiles};
use crate::http::certificate::Validity;

/// A certificate and its key, as the files have them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    certificate: Vec<u8>,
    key: Zeroizing<String>,
    /// What whoever runs us should know about them.
    pub warning: Option<String>,
}

/// Everything that was in the files.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// What is shown.
    pub pair: Pair,
    /// Whose certificates are taken.
    pub client_ca: Option<Vec<u8>>,
}

/// What handshakes are made with.
pub(in crate::http::server) struct Material {
    /// For the library.
    pub server: Arc<ServerConfig>,
    /// When the certificates that are sent are good.
    pub validity: Validity,
    /// What it was made of.
    pub(super) contents: Contents,
}

/// More than any chain or list of authorities: a file of another kind was named.
const MAX_LEN: u64 = 1 << 20;

impl Pair {
    /// Reads the two files.
    pub fn read(files: &TlsFiles) -> Result<Self, String> {
        let key = secret_file::read(&files.key).map_err(|why| format!("{KEY}: {}: {why}", files.key))?;
        let warning = key.warning.map(|what| format!("{KEY}: {what}"));
        let certificate = plain(CERTIFICATE, &files.certificate)?;
        Ok(Self { certificate, key: Zeroizing::new(key.text), warning })
    }

    /// When it is good; an error where it is no pair.
    pub fn check(&self) -> Result<Validity, String> {
        Contents { pair: self.clone(), client_ca: None }.material().map(|material| material.validity)
    }
}

/// Reads the authorities of clients, if there is such a file, and looks whether they are some.
pub(super) fn client_authorities(files: &TlsFiles) -> Result<Option<Vec<u8>>, String> {
    let text = files.client_ca.as_ref().map(|path| plain(CLIENT_CA, path)).transpose()?;
    text.as_deref().map(roots).transpose()?;
    Ok(text)
}

fn roots(text: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(CLIENT_CA, text)? {
        roots.add(authority).map_err(|error| format!("{CLIENT_CA}: {error}"))?;
    }
    Ok(roots)
}

impl Contents {
    /// Makes of them what handshakes need.
    pub fn material(&self) -> Result<Material, String> {
        let chain = certificates(CERTIFICATE, &self.pair.certificate)?;
        let validity = chain.iter().map(|one| Validity::of(one)).reduce(|all, one| Some(all?.and(one?)));
        let validity =
            validity.flatten().ok_or_else(|| format!("{CERTIFICATE}: it is no X.509 certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(self.pair.key.as_bytes())
            .map_err(|error| format!("{KEY}: {}", key_mistake(&error, &self.pair.key)))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(text) => {
                // Browsers and scripts have none: who has to show one is decided by the path (`http::auth`).
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(text)?), provider)
                    .allow_unauthenticated()
                    .build();
                builder.with_client_cert_verifier(verifier.map_err(|error| format!("{CLIENT_CA}: {error}"))?)
            }
        };
        let mut server = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                format!("{KEY} is not the key of the certificate of {CERTIFICATE}")
            }
            error => format!("{CERTIFICATE}, {KEY}: {error}"),
        })?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // A session that is taken up again would bring a certificate that nobody looks at any more.
            server.session_storage = Arc::new(NoServerSessionStorage {});
            server.send_tls13_tickets = 0;
        }
        Ok(Material { server: Arc::new(server), validity, contents: self.clone() })
    }
}

/// The bytes of a file that is no secret.
fn plain(name: &str, path: &str) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("{name}: {path}: cannot be read: {error}");
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(MAX_LEN + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(format!(
            "{name}: {path}: has more than {MAX_LEN} bytes, which is no file with certificates"
        ));
    }
    Ok(bytes)
}

fn certificates(name: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| format!("{name}: not PEM: {error}"))?;
    if all.is_empty() {
        return Err(format!("{name}: there is no certificate in it (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(all)
}

fn key_mistake(error: &PemError, text: &str) -> String {
    match error {
        PemError::NoItemsFound if text.contains("ENCRYPTED") => {
            "the key has a password, and nobody is there to type it: openssl pkey -in FILE -out NEW takes it off".to_owned()
        }
        PemError::NoItemsFound => "there is no private key in it (-----BEGIN PRIVATE KEY-----)".to_owned(),
        error => format!("not PEM: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn material(certificate: &str, key: &str, client_ca: Option<&str>) -> Result<Material, String> {
        let client_ca = client_ca.map(|text| text.as_bytes().to_vec());
        let key = Zeroizing::new(key.to_owned());
        Contents { pair: Pair { certificate: certificate.into(), key, warning: None }, client_ca }.material()
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said_in_words() {
        let (certificate, key) = pair(&["a.test"]);
        let (other, other_key) = pair(&["b.test"]);
        assert!(
            material(&certificate, &key, None).is_ok() && material(&certificate, &key, Some(&other)).is_ok()
        );
        let told = |certificate: &str, key: &str, ca: Option<&str>| {
            let text = material(certificate, key, ca).err().unwrap();
            assert!(!text.contains("MII") && !text.contains("BEGIN EC"), "{text}");
            text
        };
        assert_eq!(
            told(&certificate, &other_key, None),
            "FLAMEGATE_TLS_KEY is not the key of the certificate of FLAMEGATE_TLS_CERT"
        );
        assert!(told("", &key, None).contains("no certificate in it"));
        assert!(told(&key, &key, None).contains("no certificate in it"));
        assert!(told(&certificate, &certificate, None).contains("no private key in it"));
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(told(&certificate, locked, None).contains("has a password"));
        assert!(
            told(&certificate.replace("MII", "!!!"), &key, None).starts_with("FLAMEGATE_TLS_CERT: not PEM")
        );
        let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert!(told(empty, &key, None).contains("no X.509 certificate"));
        assert!(
            told(&certificate, &key, Some(""))
                .starts_with("FLAMEGATE_TLS_CLIENT_CA: there is no certificate")
        );
        assert!(told(&certificate, &key, Some(empty)).starts_with("FLAMEGATE_TLS_CLIENT_CA: "));
    }

    #[test]
    fn files_are_read_each_for_itself_and_a_key_for_everybody_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let files = TlsFiles { certificate: at("cert"), key: at("key"), client_ca: Some(at("ca")) };
        let write = |name: &str, text: &str| {
            std::fs::write(at(name), text).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        let told = |files: &TlsFiles| Pair::read(files).err().unwrap();
        assert!(told(&files).starts_with(&format!("FLAMEGATE_TLS_KEY: {}: cannot be read", at("key"))));
        assert!(client_authorities(&files).unwrap_err().starts_with("FLAMEGATE_TLS_CLIENT_CA: "));
        assert_eq!(client_authorities(&TlsFiles { client_ca: None, ..files.clone() }), Ok(None));
        let (certificate, key) = pair(&["a.test"]);
        write("cert", &certificate);
        write("key", &key);
        write("ca", "nothing");
        assert!(Pair::read(&files).unwrap().check().is_ok());
        assert!(client_authorities(&files).unwrap_err().contains("no certificate in it"));
        write("ca", &certificate);
        assert_eq!(client_authorities(&files), Ok(Some(certificate.into_bytes())));
        write("cert", &pair(&["b.test"]).0);
        assert!(Pair::read(&files).unwrap().check().unwrap_err().contains("is not the key"));
        std::fs::set_permissions(at("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(told(&files).contains("everybody on this machine may read the file"));
    }
}
