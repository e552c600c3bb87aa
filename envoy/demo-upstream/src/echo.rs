//! Answers that show the request: as JSON, and as a gRPC message.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{Json, body::Body, extract::Request, response::Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http_body_util::StreamBody;
use hyper::{
    HeaderMap,
    body::Frame,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::{Map, Value};
use tokio::time;
use tokio_stream::wrappers::IntervalStream;

/// `{"method", "path", "headers": {name: [values]}}` and what else the path answers.
pub fn json(request: &Request, more: Option<(&str, Value)>) -> Json<Value> {
    let mut object = Map::new();
    if let Some((name, value)) = more {
        object.insert(name.to_owned(), value);
    }
    object.insert("method".to_owned(), request.method().as_str().into());
    object.insert("path".to_owned(), request.uri().to_string().into());
    object.insert("headers".to_owned(), headers(request.headers()));
    Json(Value::Object(object))
}

/// One message that holds the same JSON, and `grpc-status: 0` as the trailer.
pub fn grpc(request: &Request) -> Response {
    let message = message(json(request, None).0.to_string().as_bytes());
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let frames: VecDeque<Result<Frame<Bytes>, Infallible>> =
        [Ok(Frame::data(message)), Ok(Frame::trailers(trailers))].into();
    grpc_response(futures_util::stream::iter(frames))
}

/// A message with a number at once and one more every second, without an end.
pub fn grpc_stream() -> Response {
    let ticks = IntervalStream::new(time::interval(Duration::from_secs(1))).enumerate();
    grpc_response(ticks.map(|(number, _)| Ok(Frame::data(message(number.to_string().as_bytes())))))
}

fn grpc_response(frames: impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static) -> Response {
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A length-prefixed message of gRPC, not compressed.
fn message(bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    message.put_slice(bytes);
    message.freeze()
}

/// True for `application/grpc` and its `+` variants.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    let value = value.as_bytes();
    value == b"application/grpc" || value.starts_with(b"application/grpc+")
}

/// Values as text in which character U+00NN stands for byte NN: a header may hold bytes that are no UTF-8, and this
/// loses none of them.
fn headers(map: &HeaderMap) -> Value {
    let mut object: Map<String, Value> = Map::new();
    for (name, value) in map {
        let text: String = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        if let Value::Array(values) = object.entry(name.as_str()).or_insert_with(|| Value::Array(Vec::new()))
        {
            values.push(text.into());
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_every_value_and_every_byte() {
        let mut map = HeaderMap::new();
        map.append("x-note", HeaderValue::from_bytes(b"\xff").unwrap());
        map.append("x-note", HeaderValue::from_static("again"));
        assert_eq!(headers(&map).to_string(), "{\"x-note\":[\"\u{ff}\",\"again\"]}");
    }

    #[test]
    fn grpc_web_is_not_grpc() {
        let with = |value| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
        assert!(is_grpc(&with("application/grpc")));
        assert!(is_grpc(&with("application/grpc+proto")));
        assert!(!is_grpc(&with("application/grpc-web")));
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
