//! How programs are reached by HTTP: which certificates are believed, and what was met when it comes to nothing, in words.

use std::error::Error;

use reqwest::{Certificate, ClientBuilder, Url};
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::error::CliError;

pub(super) const CA_FILE: &str = "FLAMEGATE_CA_FILE";

/// A file with authorities, by the flag or the variable.
pub(super) struct Authorities {
    certificates: Vec<Certificate>,
}

impl Authorities {
    /// From `--ca-file`, else from the environment; the machine's own where there is neither.
    pub fn read(given: Option<String>) -> Result<Option<Self>, CliError> {
        let variable = || std::env::var(CA_FILE).ok().filter(|value| !value.is_empty());
        let given = given.map(|path| ("--ca-file", path));
        let Some((name, path)) = given.or_else(|| variable().map(|path| (CA_FILE, path))) else {
            return Ok(None);
        };
        let usage = |why: String| CliError::Usage(format!("{name}: {path}: {why}"));
        let text = std::fs::read(&path).map_err(|error| usage(format!("cannot be read: {error}")))?;
        let certificates = Certificate::from_pem_bundle(&text)
            .map_err(|error| usage(format!("not PEM: {}", bottom(&error))))?;
        if certificates.is_empty() {
            return Err(usage("there is no certificate in it (-----BEGIN CERTIFICATE-----)".to_owned()));
        }
        Ok(Some(Self { certificates }))
    }
}

/// A client for these places: it follows nobody anywhere, because a token is for one place only.
pub(super) fn client<'u>(
    mut urls: impl Iterator<Item = &'u Url>,
    authorities: Option<&Authorities>,
) -> ClientBuilder {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder =
        reqwest::Client::builder().user_agent(AGENT).redirect(reqwest::redirect::Policy::none()).no_proxy();
    match authorities {
        Some(authorities) => builder.tls_certs_only(authorities.certificates.iter().cloned()),
        // Nothing to verify, so a machine without root certificates is fine.
        None if urls.all(|url| url.scheme() == "http") => builder.tls_certs_only([]),
        None => builder,
    }
}

/// How the audit log knows us.
const AGENT: &str = concat!("flamegate-control/", env!("CARGO_PKG_VERSION"));

/// What was met instead of an answer.
pub(super) fn met(error: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(now) = cause {
        // What is inside of an I/O error is not among its sources.
        let inside = now.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let found = inside.and_then(|inside| inside.downcast_ref()).or_else(|| now.downcast_ref());
        if let Some(words) = found.and_then(of_tls) {
            return words;
        }
        cause = inside.map_or_else(|| now.source(), |inside| Some(inside));
    }
    bottom(error)
}

fn of_tls(error: &rustls::Error) -> Option<String> {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage as Message};
    let words = match error {
        Message(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS on that port: is http:// meant?".to_owned()
        }
        InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "its certificate is of an authority that is not known here: name a file with the authority by --ca-file or {CA_FILE}"
        ),
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("its certificate has expired, or the clock here is wrong ({error})")
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("its certificate is for other names than the one in the URL ({error})"),
        AlertReceived(AlertDescription::CertificateRequired) => {
            "it asks for a client certificate, and this program has none".to_owned()
        }
        _ => return None,
    };
    Some(words)
}

/// What went wrong at the bottom of an error.
pub(super) fn bottom(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
