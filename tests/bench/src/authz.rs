//! The server behind `ext_authz` in the comparison: the same job in native Rust (SHA-256, hash map, GCRA with the
//! product's own arithmetic), answering over HTTP/1.1 or gRPC on one thread. gRPC is done with hyper and prost alone, so it
//! is a little cheaper than with a framework.

use std::{
    cell::RefCell,
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use anyhow::Result;
use bytes::{BufMut as _, Bytes, BytesMut};
use flamegate::contract::key::KeyHash;
use flamegate::limit::gcra::{Quota, Tat};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{HeaderName, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use prost::Message;

use crate::keys::{Key, hash};

/// `envoy.service.auth.v3.CheckRequest`, the part that is read.
#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "4")]
    request: Option<AttributeRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
}

/// `envoy.service.auth.v3.CheckResponse`: a status, and the HTTP status of a denial.
#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<DeniedResponse>,
    #[prost(message, optional, tag = "3")]
    admitted: Option<OkResponse>,
}

/// `envoy.service.auth.v3.OkHttpResponse`: headers to set and to remove.
#[derive(Clone, PartialEq, Message)]
struct OkResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
    #[prost(string, repeated, tag = "5")]
    removed: Vec<String>,
}

/// `envoy.config.core.v3.HeaderValueOption`.
#[derive(Clone, PartialEq, Message)]
struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderLine>,
    #[prost(int32, tag = "3")]
    append_action: i32,
}

/// `envoy.config.core.v3.HeaderValue`.
#[derive(Clone, PartialEq, Message)]
struct HeaderLine {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD`.
const OVERWRITE: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct DeniedResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
}

/// `envoy.type.v3.HttpStatus`.
#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

const GRPC_OK: i32 = 0;
const GRPC_UNAUTHENTICATED: i32 = 16;
const GRPC_RESOURCE_EXHAUSTED: i32 = 8;

const fn http_status(code: i32) -> i32 {
    match code {
        GRPC_OK => 200,
        GRPC_RESOURCE_EXHAUSTED => 429,
        _ => 401,
    }
}

/// The table and its limits.
struct Authority {
    records: HashMap<KeyHash, Entry>,
    started: Instant,
}

struct Entry {
    quota: Quota,
    tat: Tat,
    /// Who is calling, as far as that is told.
    identity: Vec<(&'static str, String)>,
}

/// What is decided: the gRPC status, and the identity when that is told.
type Verdict = (i32, Vec<(&'static str, String)>);

impl Authority {
    /// `safe`: it says who is calling, and that the credential goes no further.
    fn new(keys: u32, safe: bool) -> Self {
        let entry = |number| {
            let key = Key::ordinary(number);
            let record = key.record();
            let limit = &record.limits[0];
            let quota = Quota::new(limit.requests, limit.window_seconds, limit.burst());
            let identity = if safe { identity(key) } else { Vec::new() };
            (key.hash(), Entry { quota, tat: 0, identity })
        };
        Self { records: (0..keys).map(entry).collect(), started: Instant::now() }
    }

    /// Decides about an `authorization` value.
    fn decide(&mut self, authorization: Option<&str>) -> Verdict {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let known =
            token.filter(|token| flamegate::contract::key::ApiKey::from_bytes(token.as_bytes()).is_some());
        let Some(entry) = known.and_then(|token| self.records.get_mut(&hash(token))) else {
            return (GRPC_UNAUTHENTICATED, Vec::new());
        };
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match entry.quota.take(entry.tat, now, 1) {
            Some(next) => {
                entry.tat = next;
                (GRPC_OK, entry.identity.clone())
            }
            None => (GRPC_RESOURCE_EXHAUSTED, Vec::new()),
        }
    }
}

fn identity(key: Key) -> Vec<(&'static str, String)> {
    let record = key.record();
    vec![
        ("x-flametalk-workspace-id", record.workspace),
        ("x-flametalk-key-id", record.id),
        ("x-flametalk-environment", record.environment.as_str().to_owned()),
    ]
}

/// Serves until the program is killed.
pub fn serve(port: u16, keys: u32, grpc: bool, safe: bool) -> Result<()> {
    let authority = Rc::new(RefCell::new(Authority::new(keys, safe)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (authority, stream) = (Rc::clone(&authority), TokioIo::new(stream));
            tokio::task::spawn_local(async move {
                // A connection that ends with an error is the proxy's business.
                if grpc {
                    let service = service_fn(|request| check_grpc(Rc::clone(&authority), request));
                    drop(
                        hyper::server::conn::http2::Builder::new(Local)
                            .serve_connection(stream, service)
                            .await,
                    );
                } else {
                    let service = service_fn(|request| check_http(Rc::clone(&authority), request));
                    drop(hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await);
                }
            });
        }
    }))
}

/// Runs hyper's HTTP/2 tasks on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

async fn check_http(
    authority: Rc<RefCell<Authority>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let value = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let (code, identity) = authority.borrow_mut().decide(value);
    let code = u16::try_from(http_status(code)).unwrap_or(500);
    let mut response = Response::new(Full::new(Bytes::new()));
    for (name, value) in identity {
        response
            .headers_mut()
            .extend(HeaderValue::try_from(value).map(|value| (HeaderName::from_static(name), value)));
    }
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(response)
}

async fn check_grpc(
    authority: Rc<RefCell<Authority>>,
    request: Request<Incoming>,
) -> Result<Response<Frames>, Infallible> {
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    // Five bytes of gRPC framing: a flag and a length.
    let message = body.get(5..).and_then(|message| CheckRequest::decode(message).ok()).unwrap_or_default();
    let http = message.attributes.and_then(|attributes| attributes.request?.http).unwrap_or_default();
    let (code, identity) =
        authority.borrow_mut().decide(http.headers.get("authorization").map(String::as_str));
    let headers = identity.into_iter().map(|(key, value)| HeaderOption {
        header: Some(HeaderLine { key: key.to_owned(), value }),
        append_action: OVERWRITE,
    });
    let headers: Vec<_> = headers.collect();
    let admitted =
        (!headers.is_empty()).then(|| OkResponse { headers, removed: vec!["authorization".to_owned()] });
    let denied =
        (code != GRPC_OK).then(|| DeniedResponse { status: Some(HttpStatus { code: http_status(code) }) });
    let answer = CheckResponse { status: Some(Status { code }), denied, admitted };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(answer.encoded_len()).unwrap_or_default());
    framed.put_slice(&answer.encode_to_vec());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(framed.freeze()), Frame::trailers(trailers)];
    let mut response = Response::new(Frames(frames.into_iter()));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// A body of frames that are there already: the message and the trailers.
struct Frames(std::array::IntoIter<Frame<Bytes>, 2>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}
