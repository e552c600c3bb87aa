//! HTTP/1.1 byte by byte: a client that sends header values as they are, wrong ones too.

use std::{
    io::{self, BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::{Answer, DEADLINE, Request, client::Lines};

/// A connection that stays open between requests.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a port on loopback.
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Waits less long for answers: for requests that may never get one.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(timeout))
    }

    /// Sends a request and reads the whole answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Answer> {
        self.send_bytes(&encode(request))?;
        self.read_answer(request.method == "HEAD")
    }

    /// Sends anything.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads an answer with its body, unless the method was HEAD.
    pub fn read_answer(&mut self, head: bool) -> io::Result<Answer> {
        let (status, headers) = self.read_head()?;
        let mut answer = Answer { status, headers, body: Vec::new() };
        if head || status == 204 || status == 304 {
            return Ok(answer);
        }
        if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            while let Some(mut chunk) = self.read_chunk()? {
                answer.body.append(&mut chunk);
            }
            let trailers = self.read_headers()?;
            answer.headers.extend(trailers);
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().map_err(|_| invalid("content-length"))?;
            answer.body = self.read_exactly(length)?;
        } else {
            self.stream.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// Reads status and headers only: for streams that do not end.
    pub fn read_head(&mut self) -> io::Result<(u16, Lines)> {
        let line = self.read_line()?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        Ok((status.ok_or_else(|| invalid(&text))?, self.read_headers()?))
    }

    /// One chunk of a chunked body; `None` for the last, empty one.
    pub fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = String::from_utf8_lossy(&self.read_line()?).into_owned();
        let length = usize::from_str_radix(size.trim(), 16).map_err(|_| invalid("chunk size"))?;
        if length == 0 {
            return Ok(None);
        }
        let chunk = self.read_exactly(length)?;
        self.read_line()?;
        Ok(Some(chunk))
    }

    fn read_headers(&mut self) -> io::Result<Lines> {
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| invalid("header line"))?;
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        line.strip_suffix(b"\r\n").map(<[u8]>::to_vec).ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// The next bytes, whatever they are: for what is no HTTP any more.
    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// The request's bytes; `host` is added when it has none, and what says how long the body is: `content-length: 0` where
/// there could be one, chunks for an empty one.
pub fn encode(request: &Request) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.path).into_bytes();
    let has = |name: &str| request.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    if !has("host") {
        bytes.extend_from_slice(b"host: gateway.test\r\n");
    }
    let (body, length): (&[u8], _) = match request.body.as_deref() {
        None if matches!(request.method.as_str(), "GET" | "HEAD") => (b"", None),
        None => (b"", Some("content-length: 0\r\n".to_owned())),
        Some([]) => (b"0\r\n\r\n", Some("transfer-encoding: chunked\r\n".to_owned())),
        Some(body) => (body, Some(format!("content-length: {}\r\n", body.len()))),
    };
    if let Some(length) = length.filter(|_| !has("content-length") && !has("transfer-encoding")) {
        bytes.extend_from_slice(length.as_bytes());
    }
    for (name, value) in &request.headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not HTTP/1.1: {what}"))
}
