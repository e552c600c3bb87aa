//! Redis' protocol (RESP 2), as far as tests say something: one command, one answer, one connection.

use std::{
    io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// Longer than any command takes, and shorter than who waits for it: a Redis that stands still answers nothing.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Says that it answers; one with a password does, too.
pub(super) fn answers(port: u16) -> Result<(), String> {
    match talk(port, &["PING"]) {
        Err(error) if !error.starts_with("NOAUTH") => Err(error),
        _ => Ok(()),
    }
}

/// A command, and its answer: of several values one a line. The error is what it says, or why it says nothing.
pub(super) fn talk(port: u16, words: &[&str]) -> Result<String, String> {
    let sent = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        let mut bytes = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| bytes += &format!("${}\r\n{word}\r\n", word.len()));
        stream.write_all(bytes.as_bytes())?;
        Ok(BufReader::new(stream))
    };
    let mut stream = sent().map_err(|error: Error| error.to_string())?;
    read(&mut stream).map_err(|error| error.to_string())?
}

fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Result<String, String>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let Some((kind, rest)) = line.trim_end().split_at_checked(1) else {
        return Err(ErrorKind::UnexpectedEof.into());
    };
    let rest = rest.to_owned();
    match kind {
        "+" | ":" => Ok(Ok(rest)),
        "-" => Ok(Err(rest)),
        "$" => {
            // A length of -1 is no value.
            let Ok(length) = rest.parse::<usize>() else { return Ok(Ok(String::new())) };
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(Ok(String::from_utf8_lossy(&bytes).into_owned()))
        }
        "*" => {
            let count = rest.parse::<usize>().unwrap_or_default();
            let values = (0..count).map(|_| read(stream)).collect::<std::io::Result<Result<Vec<_>, _>>>()?;
            Ok(values.map(|values| values.join("\n")))
        }
        _ => Err(Error::new(ErrorKind::InvalidData, line)),
    }
}
