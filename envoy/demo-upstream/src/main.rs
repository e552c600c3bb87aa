//! The service behind the gateway, for demonstrations and tests: `demo-upstream [address]`.
//!
//! It has no idea of keys. Every JSON answer carries the request's headers as they arrived, so that one can see what
//! the gateway adds and removes. Speaks HTTP/1.1 and cleartext HTTP/2; answers gRPC calls with one message and an OK,
//! those of a method `Watch` with messages without end; `/v1/socket` is a WebSocket that echoes and ticks.
//! It logs where it listens and nothing about requests.

mod echo;

use std::{convert::Infallible, env, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::{
        Request, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::{IntoResponse as _, Response, Sse, sse::Event},
    routing::{any, get},
};
use futures_util::{Stream, StreamExt as _};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, signal::unix, time};
use tokio_stream::wrappers::IntervalStream;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8081";

/// How long open streams may hold up a stop.
const DRAIN: Duration = Duration::from_secs(1);

/// Largest header block that is accepted, in bytes. Above what Envoy lets through, so that this is never the limit.
const MAX_HEADERS: u32 = 1 << 20;

#[tokio::main]
async fn main() -> ExitCode {
    let address = env::args().nth(1).unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    match serve(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-upstream: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Accepts connections until the process is told to stop, then lets open requests finish for a moment.
async fn serve(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    println!("demo-upstream: listening on {address}");

    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().max_buf_size(MAX_HEADERS as usize);
    server.http2().max_header_list_size(MAX_HEADERS);
    let service = TowerToHyperService::new(app());
    let open = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that is gone before it was accepted is the client's business.
                let Ok((socket, _)) = accepted else { continue };
                let connection = server.serve_connection_with_upgrades(TokioIo::new(socket), service.clone()).into_owned();
                let watched = open.watch(connection);
                tokio::spawn(async move { drop(watched.await) });
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    drop(time::timeout(DRAIN, open.shutdown()).await);
    Ok(())
}

fn app() -> Router {
    Router::new()
        .route("/v1/agents", any(agents))
        .route("/v1/events", get(events))
        .route(
            "/v1/socket",
            get(async |upgrade: WebSocketUpgrade| upgrade.protocols([PROTOCOL]).on_upgrade(socket)),
        )
        .fallback(anything)
}

/// A little data, as the product's API would answer.
async fn agents(request: Request) -> Response {
    let agents = serde_json::json!([
        {"id": "agent_1", "name": "Front desk"},
        {"id": "agent_2", "name": "Night shift"},
    ]);
    echo::json(&request, Some(("agents", agents))).into_response()
}

/// An endless stream: one event at once and one more every second.
async fn events() -> impl axum::response::IntoResponse {
    Sse::new(ticks())
}

fn ticks() -> impl Stream<Item = Result<Event, Infallible>> {
    IntervalStream::new(time::interval(Duration::from_secs(1)))
        .enumerate()
        .map(|(number, _)| Ok(Event::default().event("tick").data(number.to_string())))
}

/// Echoes what it is told, and says a number at once and every second, until somebody goes.
/// What the WebSocket speaks, for clients that offer protocols: a browser that does wants one of them back.
const PROTOCOL: &str = "flametalk.v1";

async fn socket(mut socket: WebSocket) {
    let mut interval = time::interval(Duration::from_secs(1));
    for number in 0u64.. {
        let said = loop {
            tokio::select! {
                _ = interval.tick() => break Message::text(number.to_string()),
                heard = socket.recv() => match heard {
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => break message,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                },
            }
        };
        if socket.send(said).await.is_err() {
            return;
        }
    }
}

/// Any other path answers what it was asked.
async fn anything(request: Request) -> Response {
    if echo::is_grpc(request.headers()) {
        if request.uri().path().ends_with("/Watch") { echo::grpc_stream() } else { echo::grpc(&request) }
    } else {
        echo::json(&request, None).into_response()
    }
}
