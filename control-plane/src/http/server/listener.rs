//! One listening socket: accepts connections, bounds them, and ends them in order.
//!
//! Not `axum::serve`, because that can neither time out a client that never finishes its headers nor bound connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time;
use tokio_io_timeout::TimeoutWriter;
use tower::ServiceExt as _;

use super::handshake;
use super::idle::Patient;
use super::tls::{Current, Tls};
use crate::http::admission::connections::{Connections, Seat};
use crate::http::caller::Peer;
use crate::http::certificate::Certified;

/// What a listener needs besides its socket.
pub(super) struct Service {
    pub router: Router,
    pub connections: Connections,
    pub times: Times,
    /// Plain HTTP without it.
    pub tls: Option<Tls>,
    pub shutdown: watch::Receiver<bool>,
}

#[derive(Clone, Copy)]
pub(super) struct Times {
    pub header: Duration,
    pub idle: Duration,
    pub write: Duration,
    pub drain: Duration,
    pub grace: Duration,
}

/// Who has just come.
struct Guest {
    seat: Seat,
    peer: Peer,
    service: Arc<Service>,
    ending: Watcher,
    _open: watch::Receiver<()>,
}

/// What a connection by TLS was made with.
struct Inside {
    certified: Option<Certified>,
    material: Current,
}

/// Longest request line and headers together; more is answered with 431.
const MAX_HEAD: usize = 32 * 1024;
/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// Pause after a failed accept: without file descriptors the next one would fail at once as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves whoever comes until the server goes down, and then whoever has come.
pub(super) async fn accept_until_shutdown(listener: TcpListener, service: Service) {
    let service = Arc::new(service);
    let graceful = GracefulShutdown::new();
    // Each connection holds a receiver.
    let (open, _) = watch::channel(());
    let mut shutdown = service.shutdown.clone();
    // Whoever sent a request before they could know is answered, on connections that are idle and on new ones; with
    // `connection: close` they go, and once all have gone there is nothing to wait for.
    let drained = async {
        let _ = shutdown.wait_for(|down| *down).await;
        let _ = time::timeout(service.times.drain, open.closed()).await;
    };
    let mut drained = pin!(drained);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut drained => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let guest = Guest {
                    seat: service.connections.enter(peer.ip()),
                    peer: Peer(peer.ip()),
                    service: Arc::clone(&service),
                    ending: graceful.watcher(),
                    _open: open.subscribe(),
                };
                tokio::spawn(guest.stay(stream));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Without file descriptors a stranger makes room for whoever comes next.
                service.connections.make_room();
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if time::timeout(service.times.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

async fn accept(listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    // Pages are small and awaited by someone.
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

impl Guest {
    /// Until they go, or are turned away.
    async fn stay(self, stream: TcpStream) {
        let seat = self.seat.clone();
        tokio::select! {
            () = self.begin(stream) => {}
            () = seat.turned_away() => tracing::debug!("a stranger's connection was closed to make room"),
        }
    }

    async fn begin(self, stream: TcpStream) {
        let Some(tls) = &self.service.tls else { return self.talk(stream, None).await };
        let Times { header, drain, .. } = self.service.times;
        let mut material = tls.current();
        let config = Arc::clone(&material.borrow_and_update().server);
        let limits = handshake::Limits { time: header, drain, shutdown: self.service.shutdown.clone() };
        let shaken = handshake::shake(stream, config, limits, &tls.metrics).await;
        if let Some((stream, certified)) = shaken {
            self.talk(stream, Some(Inside { certified, material })).await;
        }
    }

    async fn talk(self, stream: impl AsyncRead + AsyncWrite + Send + 'static, inside: Option<Inside>) {
        let Self { seat, peer, service, ending, _open } = self;
        let times = service.times;
        // Reading has its limits in the heads' and the bodies' time; writing has them here: a client that takes nothing of its
        // answer for so long is gone. A held poll waits for the server and writes nothing meanwhile.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(times.write));
        let stream = Patient::new(Box::pin(stream), times.header, times.idle);
        let answers = stream.answers();
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let in_progress = answers.begin(seat.clone());
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(seat.clone());
            if let Some(certified) = inside.as_ref().and_then(|inside| inside.certified) {
                request.extensions_mut().insert(certified);
            }
            let (answer, shutdown) = (service.router.clone().oneshot(request), service.shutdown.clone());
            let material = inside.as_ref().map(|inside| inside.material.clone());
            async move {
                let mut response = answer.await?;
                // What the connection was made with may be good no more: an authority that was taken out, say.
                let is_replaced = material.is_some_and(|material| material.has_changed().unwrap_or(true));
                if *shutdown.borrow() || is_replaced {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(in_progress.until_sent(response))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Its own time begins with the last answer; see `idle` for what is within it.
            .header_read_timeout(times.idle + times.header)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), answer);
        // Clients that hang up or send garbage are their own problem; hyper has answered what could be answered.
        if let Err(error) = ending.watch(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
