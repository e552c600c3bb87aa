//! A small rate limit service (`envoy.service.ratelimit.v3.RateLimitService`) over gRPC: it admits so many requests for each
//! set of descriptors and counts without end. It reads of the message what it needs and no more.

use std::{
    collections::BTreeMap,
    net::TcpListener as StdListener,
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
};

/// How often each set of descriptors was asked about: `key=value` pairs in order.
type Counts = Arc<Mutex<BTreeMap<Vec<String>, u32>>>;

/// A running service; it ends with the test's process.
pub struct RateLimit {
    /// Its port.
    pub port: u16,
    counts: Counts,
}

impl RateLimit {
    /// Starts one that admits `limit` requests per set of descriptors.
    pub fn start(limit: u32) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let port = listener.local_addr().expect("a listener").port();
        let counts = Counts::default();
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(connection(stream, Arc::clone(&shared), limit));
                }
            });
        });
        Self { port, counts }
    }

    /// What it was asked so far, and how often.
    pub fn counts(&self) -> BTreeMap<Vec<String>, u32> {
        self.counts.lock().expect("counts").clone()
    }
}

async fn connection(stream: TcpStream, counts: Counts, limit: u32) {
    drop(stream.set_nodelay(true));
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            if let Err(error) = answer(request, respond, &counts, limit).await {
                eprintln!("rate limit service: {error:#}");
            }
        });
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    counts: &Counts,
    limit: u32,
) -> Result<()> {
    anyhow::ensure!(request.uri().path() == "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");
    let (mut body, mut message) = (request.into_body(), Vec::new());
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    // A gRPC message has five bytes in front.
    let asked = descriptors(message.get(5..).context("no message")?)?;
    let count = {
        let mut counts = counts.lock().expect("counts");
        let count = counts.entry(asked).or_default();
        *count += 1;
        *count
    };
    // RateLimitResponse: field 1, overall_code; 1 is OK and 2 is OVER_LIMIT.
    let code = if count > limit { 2 } else { 1 };
    let head = Response::builder().header("content-type", "application/grpc").body(())?;
    let mut stream = respond.send_response(head, false).context("head")?;
    stream.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 0x08, code]), false).context("data")?;
    stream
        .send_trailers(HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]))
        .context("trailers")?;
    Ok(())
}

/// All entries of all descriptors of a RateLimitRequest, as `key=value`.
fn descriptors(request: &[u8]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (_, descriptor) in fields(request)?.into_iter().filter(|(number, _)| *number == 2) {
        for (_, entry) in fields(descriptor)?.into_iter().filter(|(number, _)| *number == 1) {
            let texts: Vec<_> =
                fields(entry)?.into_iter().map(|(_, text)| String::from_utf8_lossy(text)).collect();
            found.push(texts.join("="));
        }
    }
    Ok(found)
}

/// The length-delimited fields of a protobuf message; numbers (varints) are passed over.
fn fields(mut message: &[u8]) -> Result<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = varint(&mut message)?;
        match tag & 7 {
            0 => {}
            2 => {
                let (bytes, rest) =
                    message.split_at_checked(usize::try_from(value)?).context("cut message")?;
                found.push((tag >> 3, bytes));
                message = rest;
            }
            kind => anyhow::bail!("wire type {kind}"),
        }
    }
    Ok(found)
}

fn varint(message: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (first, rest) = message.split_first().context("cut number")?;
        *message = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    anyhow::bail!("number too long")
}
