//! A blocking HTTP/1.1 client on one kept-alive connection: one write and as few reads as possible per request, so that
//! what the proxy does is the same in every run.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

/// One connection.
pub struct Client {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// TCP, or TLS over it.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// What came back.
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// Header block, names as they came.
    pub head: &'a str,
    /// Body.
    pub body: &'a [u8],
}

impl Client {
    /// Connects to loopback.
    pub fn connect(port: u16) -> Result<Self> {
        Ok(Self::over(tcp(port)?))
    }

    /// Speaks HTTP/1.1 over this stream.
    pub fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: vec![0; 64 * 1024] }
    }

    /// Sends a request and reads the whole answer, which must carry `content-length`.
    pub fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request)?;
        let (mut filled, mut total) = (0, usize::MAX);
        let mut body = 0;
        while filled < total {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..])?;
            ensure!(read > 0, "the connection was closed");
            filled += read;
            if total == usize::MAX
                && let Some(end) = self.buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n")
            {
                body = end + 4;
                total = body + content_length(std::str::from_utf8(&self.buffer[..end])?);
            }
        }
        let head = std::str::from_utf8(&self.buffer[..body])?;
        let status = head.get(9..12).context("no status")?.parse()?;
        Ok(Answer { status, head, body: &self.buffer[body..total] })
    }

    /// Sends a request that must be answered with `status`.
    pub fn expect(&mut self, request: &[u8], status: u16) -> Result<()> {
        let answer = self.send(request)?;
        ensure!(answer.status == status, "expected {status}, got: {}", answer.head);
        Ok(())
    }
}

/// A TCP connection to loopback.
pub fn tcp(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// The body of `GET path` when the answer is 200.
pub fn get(port: u16, path: &str) -> Result<String> {
    let mut client = Client::connect(port)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
    client.stream.write_all(request.as_bytes())?;
    let mut text = Vec::new();
    client.stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.get(9..12) == Some("200"), "{path}: {head}");
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Ok(if chunked { unchunk(body) } else { body.to_owned() })
}

/// The content of a chunked body (RFC 9112 section 7.1).
fn unchunk(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        text.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    text
}

fn content_length(head: &str) -> usize {
    let value = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    head.lines().find_map(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{content_length, unchunk};

    #[test]
    fn chunks_are_joined_and_lengths_found() {
        assert_eq!(unchunk("4\r\nWiki\r\n6\r\npedia \r\n0\r\n\r\n"), "Wikipedia ");
        assert_eq!(unchunk("zz\r\n"), "");
        assert_eq!(content_length("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx: y"), 12);
        assert_eq!(content_length("HTTP/1.1 204 No Content"), 0);
    }
}
