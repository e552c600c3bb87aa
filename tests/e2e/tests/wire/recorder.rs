//! An upstream that notes every request as it arrives, and the judge of what may arrive: a request with the identity of the
//! good key, or one that needs no key and has no identity: on an open path, or a preflight to the letter.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// One request: its first line and its headers, names in lower case.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Method, target, version.
    pub line: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}

/// The upstream. It runs until the test's process ends.
pub struct Recorder {
    /// Its port.
    pub port: u16,
    seen: Arc<Mutex<Vec<Arrived>>>,
}

impl Recorder {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port();
        let seen = Arc::<Mutex<Vec<Arrived>>>::default();
        let notes = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let notes = Arc::clone(&notes);
                thread::spawn(move || while serve(&stream, &notes).is_some() {});
            }
        });
        Self { port, seen }
    }

    /// Everything that has arrived since the last call.
    pub fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.seen.lock().expect("seen"))
    }

    /// Panics when something has arrived that must not. `key_id` is the only key that is good.
    pub fn judge(&self, about: &str, key_id: &str) {
        for arrived in self.take() {
            if let Some(problem) = problem(&arrived, key_id) {
                panic!("{about}: {problem}: {arrived:?}");
            }
        }
    }
}

/// Reads one request with its body, notes it, answers. Envoy writes well-formed HTTP/1.1.
fn serve(stream: &TcpStream, notes: &Mutex<Vec<Arrived>>) -> Option<()> {
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
    let (length, chunked) = (header("content-length"), header("transfer-encoding").is_some());
    notes.lock().expect("seen").push(Arrived { line, headers });
    let mut rest = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    loop {
        if chunked {
            rest = usize::from_str_radix(read_line(&mut reader)?.trim(), 16).ok()? + 2;
        }
        std::io::copy(&mut reader.by_ref().take(rest as u64), &mut std::io::sink()).ok()?;
        if !chunked || rest == 2 {
            break;
        }
    }
    (&*stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").ok()
}

fn read_line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    line.strip_suffix(b"\r\n").map(|line| String::from_utf8_lossy(line).into_owned())
}

fn problem(arrived: &Arrived, key_id: &str) -> Option<&'static str> {
    let mut words = arrived.line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if target.contains("smuggled") {
        return Some("a request that was hidden in another one");
    }
    if arrived.headers.iter().any(|(name, _)| name == "authorization") {
        return Some("a credential went upstream");
    }
    let dashed = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let is_identity = |name: &str| dashed(name).starts_with("x-flametalk-");
    let identity: Vec<_> = arrived.headers.iter().filter(|(name, _)| is_identity(name)).collect();
    let path = target.split(['?', '#']).next().unwrap_or_default();
    // A path in plain letters has one meaning; any other would have to come with an identity.
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte));
    let public = path == "/healthz" || (method == "GET" && path.starts_with("/public/"));
    let switches = arrived.headers.iter().any(|(name, _)| name == "upgrade") || method == "CONNECT";
    let open = public && plain && !path.contains("//");
    let needs_no_key = !switches && (open || is_preflight(method, &arrived.headers));
    let ids: Vec<_> =
        identity.iter().filter(|(name, _)| name == "x-flametalk-key-id").map(|(_, id)| id).collect();
    match (&identity[..], &ids[..]) {
        ([], _) if needs_no_key => None,
        ([], _) => Some("it has no identity and needs one"),
        (three, [id]) if three.len() == 3 && *id == key_id => None,
        _ => Some("an identity that the filter did not give"),
    }
}

/// `OPTIONS` with one origin, one method that is asked for, and no body, as Envoy writes it: lines that it joins have commas.
fn is_preflight(method: &str, headers: &[(String, String)]) -> bool {
    let one = |wanted: &str| {
        let mut values = headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let first = values.next().unwrap_or_default();
        values.next().is_none() && !first.is_empty() && !first.contains([',', ' ', '\t'])
    };
    let body = headers.iter().any(|(name, value)| {
        name == "transfer-encoding" || (name == "content-length" && !value.trim_start_matches('0').is_empty())
    });
    method == "OPTIONS" && one("origin") && one("access-control-request-method") && !body
}
