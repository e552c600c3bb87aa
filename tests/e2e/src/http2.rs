//! Cleartext HTTP/2 with prior knowledge.

use std::future::Future;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio::{net::TcpStream, runtime, time};

use crate::{Answer, DEADLINE, Request, client::Lines};

/// A connection that stays open between requests, with the runtime that drives it.
pub struct Connection {
    runtime: runtime::Runtime,
    sender: SendRequest<Bytes>,
}

impl Connection {
    /// Connects to a port on loopback.
    pub fn open(port: u16) -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = block_on(&runtime, async {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = client::handshake(stream).await?;
            tokio::spawn(async move { drop(connection.await) });
            Ok(sender)
        })?;
        Ok(Self { runtime, sender })
    }

    /// Sends a request and reads the whole answer.
    pub fn send(&mut self, request: &Request) -> Result<Answer> {
        let body = request.body.clone();
        let request = convert(request)?;
        let sender = self.sender.clone();
        block_on(&self.runtime, async {
            let (response, mut outgoing) = sender.ready().await?.send_request(request, body.is_none())?;
            if let Some(body) = body {
                outgoing.send_data(body.into(), true)?;
            }
            let (head, mut incoming) = response.await?.into_parts();
            let mut answer =
                Answer { status: head.status.as_u16(), headers: lines(&head.headers), body: Vec::new() };
            while let Some(data) = incoming.data().await {
                let data = data?;
                incoming.flow_control().release_capacity(data.len())?;
                answer.body.extend_from_slice(&data);
            }
            if let Some(trailers) = incoming.trailers().await? {
                answer.headers.extend(lines(&trailers));
            }
            Ok(answer)
        })
    }
}

fn block_on<T>(runtime: &runtime::Runtime, work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime.block_on(async { time::timeout(DEADLINE, work).await.context("no answer in time")? })
}

fn convert(request: &Request) -> Result<http::Request<()>> {
    let uri = Uri::builder()
        .scheme("http")
        .authority("gateway.test")
        .path_and_query(request.path.as_str())
        .build()?;
    let mut converted = http::Request::builder()
        .version(http::Version::HTTP_2)
        .method(Method::from_bytes(request.method.as_bytes())?)
        .uri(uri)
        .body(())?;
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        converted.headers_mut().append(name, HeaderValue::from_bytes(value)?);
    }
    Ok(converted)
}

fn lines(headers: &HeaderMap) -> Lines {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}
