//! Upstreams that switch protocols: a naive one, which looks at `Upgrade` and not at the method, and a strict one, which wants
//! GET. Both note what arrives, and say back what they hear.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What the upstream puts before everything that it says back.
pub const HEARD: &[u8] = b"heard:";

/// How an upstream takes upgrades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// By any method.
    Naive,
    /// By GET.
    Strict,
}

/// A request that has arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Method.
    pub method: String,
    /// Target.
    pub target: String,
    /// Value of `upgrade`.
    pub upgrade: Option<String>,
    /// Value of `connection`.
    pub connection: Option<String>,
}

/// The upstream. It runs until the test's process ends.
pub struct Sockets {
    /// Its port.
    pub port: u16,
    seen: Arc<Mutex<Vec<Arrived>>>,
}

impl Sockets {
    /// Starts it.
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port();
        let seen = Arc::<Mutex<Vec<Arrived>>>::default();
        let notes = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let notes = Arc::clone(&notes);
                thread::spawn(move || while serve(&stream, manner, &notes).is_some() {});
            }
        });
        Self { port, seen }
    }

    /// Everything that has arrived since the last call.
    pub fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.seen.lock().expect("seen"))
    }
}

/// One request; `None` when the connection is of no more use.
fn serve(stream: &TcpStream, manner: Manner, notes: &Mutex<Vec<Arrived>>) -> Option<()> {
    // Nothing is read ahead: what comes behind the head may be another protocol.
    let mut reader = BufReader::with_capacity(1, stream);
    let line = read_line(&mut reader)?;
    let mut headers = Vec::new();
    loop {
        let text = read_line(&mut reader)?;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header =
        |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let mut words = line.split(' ').map(str::to_owned);
    let (upgrade, connection) = (header("upgrade"), header("connection"));
    let arrived = Arrived { method: words.next()?, target: words.next()?, upgrade, connection };
    notes.lock().expect("seen").push(arrived.clone());
    let mut stream = stream;
    match arrived.upgrade {
        Some(protocol) if manner == Manner::Naive || arrived.method == "GET" => {
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).ok()?;
            say_back(stream);
            None
        }
        Some(_) => stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n").ok(),
        None => {
            let length: u64 = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
            // A chunked body is not taken apart: the connection ends with it.
            let chunked = header("transfer-encoding").is_some();
            let close = if chunked { "connection: close\r\n" } else { "" };
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\n{close}content-length: 2\r\n\r\nok").as_bytes())
                .ok()?;
            (!chunked).then_some(())
        }
    }
}

fn say_back(mut stream: &TcpStream) {
    let mut part = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        if stream.write_all(&[HEARD, &part[..count]].concat()).is_err() {
            break;
        }
    }
}

fn read_line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    line.strip_suffix(b"\r\n").map(|line| String::from_utf8_lossy(line).into_owned())
}
