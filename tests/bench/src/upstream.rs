//! An upstream that answers every request with the same few bytes, for the rows with a hop behind the gateway.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use anyhow::Result;

/// What a route that answers by itself says, too.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok";

/// Starts one on a free port; its threads end with the program.
pub fn start() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that ends, ends its thread.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    Ok(port)
}

/// Answers requests without bodies, one after the other.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut filled) = (vec![0; 16 * 1024], 0);
    loop {
        let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) else { return Ok(()) };
        let read = stream.read(free)?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        while let Some(end) = buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            buffer.copy_within(end + 4..filled, 0);
            filled -= end + 4;
            stream.write_all(ANSWER)?;
        }
    }
}
