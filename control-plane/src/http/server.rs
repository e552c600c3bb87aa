//! The listening side: accepts connections, bounds them, and goes down in order.
//!
//! Not `axum::serve`, because that can neither time out a client that never finishes its headers nor bound connections.

mod idle;

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
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time;
use tokio_io_timeout::TimeoutWriter;
use tower::ServiceExt as _;

use self::idle::Patient;
use super::admission::connections::{Connections, Shares};
use super::app::{App, BuildError};
use super::caller::Peer;
use super::routes;
use crate::config::Config;
use crate::service::clock::Clock;
use crate::service::throttle;

/// A server that runs. Dropping it without [`Server::stop`] leaves it running.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where `/metrics` is, when that has a listener of its own.
    pub metrics_address: Option<SocketAddr>,
    /// Its services, for tests.
    pub app: App,
    listeners: Vec<JoinHandle<()>>,
    rounds: JoinHandle<()>,
    /// Where there can be other replicas: what tells them of us, and how it is ended.
    exchange: Option<(Arc<Notify>, JoinHandle<()>)>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The services could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// What a listener needs besides its socket.
struct Service {
    router: Router,
    connections: Connections,
    times: Times,
    shutdown: watch::Receiver<bool>,
}

#[derive(Clone, Copy)]
struct Times {
    header: Duration,
    idle: Duration,
    write: Duration,
    drain: Duration,
    grace: Duration,
}

/// Longest request line and headers together; more is answered with 431.
const MAX_HEAD: usize = 32 * 1024;
/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// Pause after a failed accept: without file descriptors the next one would fail at once as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What must be done of housekeeping when the server goes down may take this long.
const LAST_ROUND: Duration = Duration::from_secs(2);

impl Server {
    /// Opens the database, listens and serves in the background.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let (listener, address) = listen(config.listen).await?;
        let metrics = match config.metrics_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let app = App::open(&config, clock).await?;
        let router = routes::router(app.clone(), metrics.is_none()).map_err(BuildError::Other)?;
        let rounds = tokio::spawn(app.housekeeping(config.removals_kept).run(app.shutdown()));
        let exchange = app.store.is_shared().then(|| {
            tokio::spawn(app.credentials.clone().follow(app.shutdown()));
            tokio::spawn(app.operators.clone().follow(app.shutdown()));
            let throttles =
                vec![app.users.throttle(), app.wrong_tokens.clone(), app.sign_in_failures.clone()];
            tokio::spawn(throttle::exchange(throttles, app.store.clone(), app.shutdown()));
            let end = Arc::new(Notify::new());
            (Arc::clone(&end), tokio::spawn(app.gateways.exchange(&app.store).run(end)))
        });
        let times = Times {
            header: config.header_timeout,
            idle: config.idle_timeout,
            write: config.write_timeout,
            drain: config.shutdown_drain,
            grace: config.shutdown_grace,
        };
        let run = |listener, router, connections| {
            let shutdown = app.shutdown();
            tokio::spawn(accept_until_shutdown(listener, Service { router, connections, times, shutdown }))
        };
        let mut listeners = vec![run(listener, router, app.connections.clone())];
        let mut metrics_address = None;
        if let Some((listener, address)) = metrics {
            let connections = Connections::new(Shares::few());
            listeners.push(run(listener, routes::metrics_router(app.clone()), connections));
            metrics_address = Some(address);
        }
        Ok(Self { address, metrics_address, app, listeners, rounds, exchange })
    }

    /// Goes down: polls are let go, what is on its way is answered and told not to come again, then requests in progress end
    /// within the grace.
    pub async fn stop(self) {
        self.app.begin_shutdown();
        for listener in self.listeners {
            if listener.await.is_err() {
                tracing::error!("the accept loop had panicked");
            }
        }
        if time::timeout(LAST_ROUND, self.rounds).await.is_err() {
            tracing::warn!("housekeeping did not end in time");
        }
        if let Some((end, exchange)) = self.exchange {
            end.notify_one();
            if time::timeout(LAST_ROUND, exchange).await.is_err() {
                tracing::warn!("the other replicas were not told that this one ends");
            }
        }
        self.app.store.close().await;
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn accept_until_shutdown(listener: TcpListener, service: Service) {
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
            Ok((stream, peer)) => serve(stream, peer, &service, (&graceful, open.subscribe())),
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

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    service: &Service,
    (graceful, open): (&GracefulShutdown, watch::Receiver<()>),
) {
    let (seat, times) = (service.connections.enter(peer.ip()), service.times);
    // Reading has its limits in the heads' and the bodies' time; writing has them here: a client that takes nothing of its
    // answer for so long is gone. A held poll waits for the server and writes nothing meanwhile.
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(times.write));
    let stream = Patient::new(Box::pin(stream), times.header, times.idle);
    let (router, answers, shutdown) = (service.router.clone(), stream.answers(), service.shutdown.clone());
    let (peer, guest) = (Peer(peer.ip()), seat.clone());
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let in_progress = answers.begin(guest.clone());
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(guest.clone());
        let (answer, shutdown) = (router.clone().oneshot(request), shutdown.clone());
        async move {
            let mut response = answer.await?;
            if *shutdown.borrow() {
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
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        let _open = open;
        tokio::select! {
            // Clients that hang up or send garbage are their own problem; hyper has answered what could be answered.
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            },
            () = seat.turned_away() => tracing::debug!("a stranger's connection was closed to make room"),
        }
    });
}
