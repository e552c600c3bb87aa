//! A TCP proxy between gateway and control plane that misbehaves on demand.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use flamegate_e2e::process::free_port;

/// What the proxy does to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything.
    Pass,
    /// Closes each connection as soon as it is accepted.
    Refuse,
    /// Passes this many bytes of the answers, then closes: in the middle of a page.
    Cut(usize),
    /// Reads and never answers.
    Hang,
    /// Makes every answer's byte at this place one that neither UTF-8 nor JSON allows. (A change into other valid JSON
    /// cannot be noticed without TLS.)
    Corrupt(usize),
    /// Puts so many headers on each answer that the tests' own module traps.
    Deadly,
}

/// The running proxy; it ends with the test's process.
pub struct Proxy {
    /// Where the gateway finds it.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    target: u16,
    mode: Mutex<Mode>,
    /// Connections of an older generation are cut.
    generation: AtomicU64,
}

impl Proxy {
    /// Listens in front of a port.
    pub fn start(target: u16) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the proxy's port");
        let state = Arc::new(State { target, mode: Mutex::new(Mode::Pass), generation: AtomicU64::new(0) });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(&client));
            }
        });
        Self { port, state }
    }

    /// Does this from now on, and cuts what is open.
    pub fn set(&self, mode: Mode) {
        *self.state.mode.lock().expect("mode") = mode;
        self.state.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl State {
    fn serve(&self, client: &TcpStream) {
        let generation = self.generation.load(Ordering::SeqCst);
        let mode = *self.mode.lock().expect("mode");
        if mode == Mode::Refuse {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.target)) else { return };
        for stream in [client, &server] {
            drop(stream.set_nodelay(true));
            drop(stream.set_read_timeout(Some(Duration::from_millis(20))));
        }
        thread::scope(|scope| {
            scope.spawn(|| self.pump(client, &server, generation, Mode::Pass));
            self.pump(&server, client, generation, mode);
        });
    }

    /// Copies one direction until it ends or the mode changes; then both are closed.
    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream, generation: u64, mode: Mode) {
        let mut buffer = [0; 16 << 10];
        let mut passed = 0;
        while self.generation.load(Ordering::SeqCst) == generation {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            let Some(bytes) = spoil(mode, passed, &buffer[..count]) else { break };
            passed += count;
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}

/// What of these bytes goes on; `None` closes the connection.
fn spoil(mode: Mode, passed: usize, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    match mode {
        Mode::Hang => bytes.clear(),
        Mode::Cut(after) => {
            bytes.truncate(after.saturating_sub(passed));
            return (!bytes.is_empty()).then_some(bytes);
        }
        Mode::Corrupt(at) => {
            // Each read begins an answer, or goes on with one: both are spoilt.
            let at = at % bytes.len();
            bytes[at] = 0xff;
        }
        Mode::Deadly => {
            if let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n")
                && bytes.starts_with(b"HTTP/1.1 ")
            {
                let headers: String = (0..60).map(|number| format!("x-{number}: x\r\n")).collect();
                bytes.splice(line + 2..line + 2, headers.into_bytes());
            }
        }
        Mode::Pass | Mode::Refuse => {}
    }
    Some(bytes)
}
