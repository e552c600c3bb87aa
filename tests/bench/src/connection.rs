//! One connection in each of the ways in which clients speak to a gateway: HTTP/1.1 and HTTP/2, in clear and by TLS.

use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::{Builder, Runtime},
};

use crate::client::{Client, tcp};

/// How a client speaks to the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downstream {
    /// HTTP/1.1 in clear.
    #[default]
    Http1,
    /// HTTP/1.1 by TLS.
    Http1Tls,
    /// HTTP/2 in clear, known beforehand.
    Http2,
    /// HTTP/2 by TLS.
    Http2Tls,
}

impl Downstream {
    /// True when the listener has a certificate.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2Tls)
    }

    /// What is agreed on in the TLS handshake (ALPN).
    pub fn protocol(self) -> &'static str {
        if matches!(self, Self::Http2 | Self::Http2Tls) { "h2" } else { "http/1.1" }
    }
}

/// One kept-alive connection.
pub enum Connection {
    /// HTTP/1.1.
    One(Client),
    /// HTTP/2.
    Two(Http2),
}

/// A connection of HTTP/2 whose frames move while a request is waited for.
pub struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

impl Connection {
    /// Connects to loopback.
    pub fn open(downstream: Downstream, port: u16) -> Result<Self> {
        Ok(match downstream {
            Downstream::Http1 => Self::One(Client::connect(port)?),
            Downstream::Http1Tls => {
                let session = ClientConnection::new(client_config(downstream), server_name()?)?;
                Self::One(Client::over(StreamOwned::new(session, tcp(port)?)))
            }
            Downstream::Http2 | Downstream::Http2Tls => Self::Two(Http2::open(downstream, port)?),
        })
    }

    /// Sends a request, written as HTTP/1.1 has it, and gives the answer's status.
    pub fn send(&mut self, request: &[u8]) -> Result<u16> {
        match self {
            Self::One(client) => Ok(client.send(request)?.status),
            Self::Two(client) => client.send(request),
        }
    }

    /// Sends a request that must be answered with `status`.
    pub fn expect(&mut self, request: &[u8], status: u16) -> Result<()> {
        let answer = self.send(request)?;
        ensure!(answer == status, "expected {status}, got {answer}");
        Ok(())
    }
}

impl Http2 {
    fn open(downstream: Downstream, port: u16) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            if downstream.is_tls() {
                let connector = tokio_rustls::TlsConnector::from(client_config(downstream));
                shake_hands(connector.connect(server_name()?, stream).await?).await
            } else {
                shake_hands(stream).await
            }
        })?;
        Ok(Self { runtime, sender })
    }

    fn send(&mut self, request: &[u8]) -> Result<u16> {
        let request = parse(request)?;
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let (response, _) = sender.ready().await?.send_request(request, true)?;
            let (head, mut body) = response.await?.into_parts();
            while let Some(data) = body.data().await {
                body.flow_control().release_capacity(data?.len())?;
            }
            Ok(head.status.as_u16())
        })
    }
}

async fn shake_hands<S>(stream: S) -> Result<SendRequest<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// The request that an HTTP/1.1 client would write.
fn parse(request: &[u8]) -> Result<http::Request<()>> {
    let text = std::str::from_utf8(request)?;
    let mut lines = text.lines();
    let mut first = lines.next().context("no request")?.split(' ');
    let (method, path) = (first.next().context("no method")?, first.next().context("no path")?);
    let headers = lines.filter_map(|line| line.split_once(": "));
    let host = headers.clone().find_map(|(name, value)| (name == "host").then_some(value));
    let uri = format!("http://{}{path}", host.context("no host")?);
    let builder = http::Request::builder().method(method).uri(uri);
    let others = headers.filter(|(name, _)| *name != "host");
    Ok(others.fold(builder, |builder, (name, value)| builder.header(name, value)).body(())?)
}

/// The gateway's certificate and its key, of this program alone.
pub struct Identity {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    der: CertificateDer<'static>,
}

const NAME: &str = "api.flametalk.test";

/// Made when it is first asked for.
pub fn identity() -> Result<&'static Identity> {
    static IDENTITY: OnceLock<std::result::Result<Identity, rcgen::Error>> = OnceLock::new();
    let made = IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        Ok(Identity {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        })
    });
    made.as_ref().map_err(|error| anyhow!("no certificate: {error}"))
}

fn server_name() -> Result<ServerName<'static>> {
    Ok(ServerName::try_from(NAME)?)
}

/// Trusts the gateway's certificate and nothing else.
fn client_config(downstream: Downstream) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Ok(identity) = identity() {
        // A certificate that cannot be read is one that no gateway is trusted by.
        drop(roots.add(identity.der.clone()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![downstream.protocol().into()];
    Arc::new(config)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_request_is_the_same_in_both_versions() {
        let request =
            parse(b"GET /v1/a?b HTTP/1.1\r\nhost: h\r\naccept: */*\r\nx: y: z\r\n\r\n").expect("a request");
        assert_eq!(request.method(), "GET");
        assert_eq!(request.uri(), "http://h/v1/a?b");
        assert_eq!(request.headers()["accept"], "*/*");
        assert_eq!(request.headers()["x"], "y: z");
        assert_eq!(request.headers().len(), 2);
    }
}
