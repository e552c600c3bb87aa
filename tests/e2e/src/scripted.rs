//! An upstream whose answers a test writes, and which notes every request as it arrives. HTTP/1.1.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A request as it arrived; names of headers in lower case.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Method.
    pub method: String,
    /// Target, with its query.
    pub target: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body, without chunks.
    pub body: Vec<u8>,
}

/// The upstream. It runs until the test's process ends.
pub struct Scripted {
    /// Its port.
    pub port: u16,
    seen: Arc<Mutex<Vec<Arrived>>>,
}

impl Arrived {
    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Scripted {
    /// Starts it. `answer` makes the whole answer to a request, as [`answer`] does.
    pub fn start(answer: impl Fn(&Arrived) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port();
        let seen = Arc::<Mutex<Vec<Arrived>>>::default();
        let (notes, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (notes, answer) = (Arc::clone(&notes), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    while serve(&mut reader, &stream, &notes, &*answer).is_some() {}
                });
            }
        });
        Self { port, seen }
    }

    /// Everything that has arrived since the last call.
    pub fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.seen.lock().expect("seen"))
    }
}

/// An answer with a body of its own length. `headers` are whole lines.
pub fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{lines}content-length: {}\r\n\r\n{body}", body.len())
}

/// Reads one request, notes it, answers. Envoy writes well-formed HTTP/1.1.
fn serve(
    reader: &mut BufReader<&TcpStream>,
    mut stream: &TcpStream,
    notes: &Mutex<Vec<Arrived>>,
    answer: &dyn Fn(&Arrived) -> String,
) -> Option<()> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut arrived = Arrived { method, target, headers: Vec::new(), body: Vec::new() };
    loop {
        let text = read_line(reader)?;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':')?;
        arrived.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if arrived.all("transfer-encoding").is_empty() {
        let length = arrived.all("content-length").first().and_then(|text| text.parse().ok()).unwrap_or(0);
        reader.take(length).read_to_end(&mut arrived.body).ok()?;
    } else {
        loop {
            let length = u64::from_str_radix(read_line(reader)?.trim(), 16).ok()?;
            reader.by_ref().take(length).read_to_end(&mut arrived.body).ok()?;
            read_line(reader)?;
            if length == 0 {
                break;
            }
        }
    }
    notes.lock().expect("seen").push(arrived.clone());
    stream.write_all(answer(&arrived).as_bytes()).ok()
}

fn read_line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes).ok()?;
    let line = bytes.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(line).into_owned())
}
