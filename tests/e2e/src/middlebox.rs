//! What may stand between a gateway and its control plane: a balancer that cuts polls, a long way, and a control plane that is slow with one path.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{Answer, http1, process::free_port};

/// What becomes of a poll that is held for longer than it lives here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing: all are let through.
    Never,
    /// A balancer's own 504.
    Answer504,
    /// The same for polls that may be held; the others it lets through, however long a busy machine takes for them.
    Held504,
    /// The connection is closed.
    Close,
    /// Nothing comes any more, and the connection stays open.
    Swallow,
}

/// A poll that has passed, or was cut.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Path and query.
    pub path: String,
    /// The status of the control plane's answer; `None` when it was cut.
    pub status: Option<u16>,
}

/// The running middlebox; it ends with the test's process.
pub struct Middlebox {
    /// Where the gateway finds it.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    target: u16,
    rule: Mutex<(Cut, Duration)>,
    round_trip: Duration,
    seen: Mutex<Vec<Seen>>,
    /// Requests for this path are not passed on.
    held: Mutex<Option<&'static str>>,
    released: Condvar,
}

/// Longer than any poll.
const NO_CUT: Duration = Duration::from_secs(600);

impl Middlebox {
    /// Listens in front of a port; each request and each new connection takes `round_trip` longer.
    pub fn start(target: u16, cut: (Cut, Duration), round_trip: Duration) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the middlebox's port");
        let state = Arc::new(State {
            target,
            rule: Mutex::new(cut),
            round_trip,
            seen: Mutex::default(),
            held: Mutex::default(),
            released: Condvar::new(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || drop(state.serve(client)));
            }
        });
        Self { port, state }
    }

    /// Does this from the next request on.
    pub fn set(&self, cut: (Cut, Duration)) {
        *self.state.rule.lock().expect("rule") = cut;
    }

    /// Requests for this path stay here from now on; the others pass.
    pub fn hold(&self, path: &'static str) {
        *self.state.held.lock().expect("held") = Some(path);
    }

    /// Passes on what stays here.
    pub fn release(&self) {
        *self.state.held.lock().expect("held") = None;
        self.state.released.notify_all();
    }

    /// All requests so far whose end is known.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("seen").clone()
    }
}

impl State {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        thread::sleep(self.round_trip);
        let mut client = BufReader::new(client);
        let mut server = http1::Connection::open(self.target)?;
        loop {
            let request = read_request(&mut client)?;
            let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap_or_default().to_owned();
            let held = self.held.lock().expect("held");
            drop(self.released.wait_while(held, |held| *held == Some(path.as_str())).expect("held"));
            let (mut cut, life) = *self.rule.lock().expect("rule");
            if cut == Cut::Held504 && (!path.contains("epoch=") || path.contains("&wait=0s")) {
                cut = Cut::Never;
            }
            server.set_timeout(if cut == Cut::Never { NO_CUT } else { life })?;
            let begun = Instant::now();
            server.send_bytes(&request)?;
            // A thread that was late has not let the poll live longer.
            let in_time = || cut == Cut::Never || begun.elapsed() < life;
            let answer = server.read_answer(false);
            let answer = answer
                .and_then(|answer| if in_time() { Ok(answer) } else { Err(io::ErrorKind::TimedOut.into()) });
            thread::sleep(self.round_trip);
            self.seen
                .lock()
                .expect("seen")
                .push(Seen { path, status: answer.as_ref().ok().map(|a| a.status) });
            match (answer, cut) {
                (Ok(answer), _) => client.get_mut().write_all(&encode(&answer))?,
                (Err(_), Cut::Answer504 | Cut::Held504) => {
                    let text =
                        "HTTP/1.1 504 Gateway Time-out\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    return client.get_mut().write_all(text.as_bytes());
                }
                (Err(_), Cut::Swallow) => {
                    // Until the gateway gives up.
                    drop(client.fill_buf());
                    return Ok(());
                }
                (Err(error), _) => return Err(error),
            }
        }
    }
}

/// A request, byte by byte; the gateway says how long its body is.
fn read_request(client: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if client.read_until(b'\n', &mut request)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    client.by_ref().take(length.unwrap_or(0)).read_to_end(&mut request)?;
    Ok(request)
}

fn encode(answer: &Answer) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} -\r\n", answer.status).into_bytes();
    let own = |name: &str| matches!(name, "content-length" | "transfer-encoding");
    for (name, value) in answer.headers.iter().filter(|(name, _)| !own(name)) {
        bytes.extend_from_slice(format!("{name}: ").as_bytes());
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", answer.body.len()).as_bytes());
    bytes.extend_from_slice(&answer.body);
    bytes
}
