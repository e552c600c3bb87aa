//! The server: its services, its listeners, and the order in which it goes up and down.

mod handshake;
mod idle;
mod listener;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time;

use self::listener::{Service, Times};
use self::tls::Tls;
use super::admission::connections::{Connections, Shares};
use super::app::{App, BuildError};
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
    tls: Option<Tls>,
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
    /// The files for TLS cannot be used.
    #[error("{0}")]
    Tls(String),
    /// The address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

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
        let app = App::open(&config, clock.clone()).await?;
        let tls = match config.tls {
            Some(files) => {
                let metrics = app.metrics.of_tls().map_err(BuildError::Other)?;
                Some(Tls::load(files, clock, metrics).map_err(StartError::Tls)?)
            }
            None => None,
        };
        if let Some(tls) = &tls {
            tokio::spawn(tls.clone().follow(config.tls_look, app.shutdown()));
        }
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
            let service = Service { router, connections, times, tls: tls.clone(), shutdown: app.shutdown() };
            tokio::spawn(listener::accept_until_shutdown(listener, service))
        };
        let mut listeners = vec![run(listener, router, app.connections.clone())];
        let mut metrics_address = None;
        if let Some((listener, address)) = metrics {
            let connections = Connections::new(Shares::few());
            listeners.push(run(listener, routes::metrics_router(app.clone()), connections));
            metrics_address = Some(address);
        }
        Ok(Self { address, metrics_address, app, tls, listeners, rounds, exchange })
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Has the files for TLS looked at now.
    pub fn read_certificates_again(&self) {
        self.tls.iter().for_each(Tls::look_again);
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
        self.app.lending.close().await;
        self.app.store.close().await;
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
