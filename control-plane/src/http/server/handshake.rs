//! The beginning of a connection by TLS. It has the time of a head, and the place of a stranger: whoever never ends it is closed for
//! the next one like anybody who says nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http::certificate::{Certified, Validity};
use crate::service::metrics::{NoHandshake, TlsMetrics};

/// How long a handshake may take.
pub(super) struct Limits {
    pub time: Duration,
    /// When the server goes down, this long from then.
    pub drain: Duration,
    pub shutdown: watch::Receiver<bool>,
}

/// The first byte of a handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;
/// For whoever speaks plain HTTP here: a gateway logs the status, a person reads the words.
const PLAIN: &str = r#"{"success":false,"error":{"code":"TLS_REQUIRED","message":"this port speaks TLS: use https:// (in Envoy, a transport socket)"}}"#;
/// So much of what such a client sends is read, so that it reads the answer and does not see a reset.
const MOST_OF_PLAIN: u64 = 64 * 1024;

/// The connection inside, and the certificate of whoever is at the other end. `None` when there is none; that is counted.
pub(super) async fn shake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    mut limits: Limits,
    metrics: &TlsMetrics,
) -> Option<(TlsStream<TcpStream>, Option<Certified>)> {
    let going_down = async {
        let _ = limits.shutdown.wait_for(|down| *down).await;
        time::sleep(limits.drain).await;
    };
    let shaken = tokio::select! {
        shaken = time::timeout(limits.time, begin(stream, config)) => shaken.unwrap_or(Err(NoHandshake::Time)),
        () = going_down => return None,
    };
    match shaken {
        Ok(inside) => {
            let shown = inside.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certified = shown.and_then(|shown| Validity::of(shown)).map(Certified);
            Some((inside, certified))
        }
        Err(why) => {
            metrics.no_handshake(why);
            None
        }
    }
}

async fn begin(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, NoHandshake> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1..) if first != [HANDSHAKE] => {
            let _ = answer_plain(&mut stream).await;
            Err(NoHandshake::Plain)
        }
        Ok(1..) => TlsAcceptor::from(config).accept(stream).await.map_err(|error| why(&error)),
        _ => Err(NoHandshake::Other),
    }
}

async fn answer_plain(stream: &mut TcpStream) -> io::Result<()> {
    let length = PLAIN.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{PLAIN}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(MOST_OF_PLAIN), &mut tokio::io::sink()).await.map(drop)
}

/// What was wrong, as far as somebody can do something about it.
fn why(error: &io::Error) -> NoHandshake {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(what)) => {
            // Who shows one takes itself for a gateway, and nothing else says why it does not get in.
            tracing::warn!(reason = %what, "a client's certificate was refused");
            NoHandshake::Certificate
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            tracing::debug!(?alert, "a client does not take our certificate");
            NoHandshake::Refused
        }
        _ => NoHandshake::Other,
    }
}
