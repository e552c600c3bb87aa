//! A request and its answer, the same for HTTP/1.1 and HTTP/2.

use serde_json::Value;

use crate::{http1, http2};

/// Header lines: names in lower case, values as bytes.
pub type Lines = Vec<(String, Vec<u8>)>;

/// A request as bytes: tests send what no well-behaved client library would.
#[derive(Clone)]
pub struct Request {
    /// Any token.
    pub method: String,
    /// The request target as it is.
    pub path: String,
    /// Header lines in order, names in lower case.
    pub headers: Lines,
    /// What comes behind the headers; `None` when the request ends with them. An empty one is an empty chunked body, or HEADERS
    /// and an empty DATA frame.
    pub body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers in order, and after them the trailers; names in lower case.
    pub headers: Lines,
    /// The whole body.
    pub body: Vec<u8>,
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 on a connection of its own.
    Http1,
    /// Cleartext HTTP/2 on a connection of its own.
    Http2,
}

impl Request {
    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// Any other method.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: None }
    }

    /// With one more header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With a body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// Sends it to a port on loopback, over a connection of its own, so that the requests of a test spread over
    /// Envoy's workers.
    pub fn send(&self, protocol: Protocol, port: u16) -> Result<Answer, String> {
        match protocol {
            Protocol::Http1 => {
                http1::Connection::open(port).and_then(|mut c| c.send(self)).map_err(|e| e.to_string())
            }
            Protocol::Http2 => {
                http2::Connection::open(port).and_then(|mut c| c.send(self)).map_err(|e| e.to_string())
            }
        }
    }
}

impl Answer {
    /// Every value of a header, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let values = self.headers.iter().filter(|(header, _)| header == name);
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The error's code in the product's envelope.
    pub fn code(&self) -> Option<String> {
        self.json()["error"]["code"].as_str().map(str::to_owned)
    }

    /// `Ok` when the status is this one; the text of the error shows the whole answer.
    pub fn expect_status(self, status: u16) -> Result<Self, String> {
        if self.status == status { Ok(self) } else { Err(format!("{} {}", self.status, self.text())) }
    }
}
