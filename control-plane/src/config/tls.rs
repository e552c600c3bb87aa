//! TLS of its own: which files it comes from. What is in them is read where the server listens (`http::server::tls`), because it may
//! be replaced while the server runs.

use std::net::SocketAddr;

use super::reader::Reader;

/// Files for TLS, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and its authority.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// Authorities of gateways' certificates. With it, nobody takes part in the sync without one.
    pub client_ca: Option<String>,
}

/// Flags of `serve` for TLS.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsArgs {
    /// PEM file with the server's certificate and those between it and its authority: the server then speaks TLS. Read again when it
    /// changes, and on SIGHUP [env: FLAMEGATE_TLS_CERT] [default: none, plain HTTP]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// PEM file with the certificate's key, for nobody else to read [env: FLAMEGATE_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// PEM file with authorities: gateways have to show a certificate of one of them; people and scripts need none
    /// [env: FLAMEGATE_TLS_CLIENT_CA] [default: none]
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<String>,
}

pub(crate) const CERTIFICATE: &str = "FLAMEGATE_TLS_CERT";
pub(crate) const KEY: &str = "FLAMEGATE_TLS_KEY";
pub(crate) const CLIENT_CA: &str = "FLAMEGATE_TLS_CLIENT_CA";

impl Reader<'_> {
    /// `None` for plain HTTP, and where there is a mistake.
    pub(super) fn tls(&mut self, args: &TlsArgs) -> Option<TlsFiles> {
        let certificate = self.text("tls-cert", CERTIFICATE, &args.tls_cert, "").1;
        let key = self.text("tls-key", KEY, &args.tls_key, "").1;
        let client_ca = self.text("tls-client-ca", CLIENT_CA, &args.tls_client_ca, "").1;
        match (certificate.is_empty(), key.is_empty(), client_ca.is_empty()) {
            (false, false, _) => Some(TlsFiles {
                certificate,
                key,
                client_ca: Some(client_ca).filter(|file| !file.is_empty()),
            }),
            (true, true, true) => None,
            (true, true, false) => {
                self.errors.push(format!("{CLIENT_CA} is for TLS, and {CERTIFICATE} and {KEY} are not set"));
                None
            }
            (true, false, _) => {
                self.errors.push(format!("{KEY} is set and {CERTIFICATE} is not: TLS needs both"));
                None
            }
            (false, true, _) => {
                self.errors.push(format!("{CERTIFICATE} is set and {KEY} is not: TLS needs both"));
                None
            }
        }
    }

    /// Tells of an address that others than this machine reach without TLS.
    pub(super) fn warn_of_plain(&mut self, variable: &str, listen: Option<SocketAddr>, what: &str) {
        let Some(listen) = listen.filter(|listen| !listen.ip().to_canonical().is_loopback()) else { return };
        self.warnings.push(format!(
            "{variable}: plain HTTP on {listen}: whoever is between can read {what}. Set \
             {CERTIFICATE} and {KEY}, or let only a proxy or a mesh that brings TLS reach this port"
        ));
    }
}
