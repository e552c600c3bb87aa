//! The listening side: accepts connections, bounds them, and goes down in order.
//!
//! Not `axum::serve`, because that can neither time out a client that never finishes its headers nor bound connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time;
use tower::ServiceExt as _;

use crate::app::{App, BuildError};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::caller::Peer;
use crate::{housekeeping, http};

/// A server that runs. Dropping it without [`Server::stop`] leaves it running.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its services, for tests.
    pub app: App,
    connections: JoinHandle<()>,
    rounds: JoinHandle<()>,
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
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| StartError::Listen(config.listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(config.listen, error))?;
        let app = App::open(&config, clock).await?;
        let router = http::router(app.clone()).map_err(BuildError::Other)?;
        let rounds = tokio::spawn(housekeeping::run(app.clone(), config.removals_kept));
        let connections = tokio::spawn(accept_until_shutdown(listener, router, app.clone(), config));
        Ok(Self { address, app, connections, rounds })
    }

    /// Goes down: no new connections, polls are let go, requests in progress end within the grace.
    pub async fn stop(self) {
        self.app.begin_shutdown();
        let failed = self.connections.await.is_err();
        if failed {
            tracing::error!("the accept loop had panicked");
        }
        if time::timeout(LAST_ROUND, self.rounds).await.is_err() {
            tracing::warn!("housekeeping did not end in time");
        }
        self.app.store.close().await;
    }
}

async fn accept_until_shutdown(listener: TcpListener, router: Router, app: App, config: Config) {
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let graceful = GracefulShutdown::new();
    let mut shutdown = app.shutdown();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            _ = shutdown.wait_for(|down| *down) => break,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                serve(stream, Peer(peer.ip()), slot, config.header_timeout, &router, &graceful);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if time::timeout(config.shutdown_grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Pages are small and awaited by someone.
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

fn serve(
    stream: TcpStream,
    peer: Peer,
    slot: OwnedSemaphorePermit,
    header_timeout: Duration,
    router: &Router,
    graceful: &GracefulShutdown,
) {
    let service =
        TowerToHyperService::new(router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        }));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        let _slot = slot;
        // Clients that hang up or send garbage are their own problem; hyper has answered what could be answered.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
