//! Ten thousand connections at once, idle, half-sent and slow, beside a good client on every worker.

use std::{fs, io::Write as _, net::TcpStream};

use crate::Target;
use flamegate_e2e::{Request, http1::Connection};

const MANY: usize = 10_000;
/// Files that the rest of the test needs.
const SPARE: usize = 500;

/// How many files a process may have open here.
fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").expect("/proc");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}

#[test]
fn ten_thousand_connections_keep_nobody_out() {
    let target = Target::start("wire-load");
    let count = MANY.min(open_files().saturating_sub(SPARE));
    let before = target.envoy.resident_bytes();
    let halves: [&[u8]; 5] = [
        b"",
        b"G",
        b"GET /v1/secret HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer sk_",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/secret HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 1000\r\n\r\nx",
    ];
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = TcpStream::connect(("127.0.0.1", target.envoy.port)).expect("connection");
        stream.write_all(halves[number % halves.len()]).expect("sent");
        open.push(stream);
    }
    target.assert_well("with all of them open");
    let grown = target.envoy.resident_bytes().saturating_sub(before);
    println!("wire, load: {count} connections, {} KiB of RSS each", (grown >> 10) / count as u64);
    // Envoy's buffers for a connection, not ours: the filter sees a request when its headers are complete.
    assert!(grown < count as u64 * (64 << 10), "{grown} bytes for {count} connections");
    // Slow ones: a byte for each, again and again, while good requests go through on every worker.
    let request = Request::get("/v1/agents").bearer(&target.key.key);
    let mut good = Connection::open(target.envoy.port).expect("connection");
    for round in 0..3 {
        for (number, stream) in open.iter_mut().enumerate() {
            // A connection that the gateway has closed is none of our business.
            drop(stream.write_all(b"x"));
            if number % 1_000 == 0 {
                assert_eq!(good.send(&request).expect("answer").status, 200, "round {round}");
            }
        }
    }
    drop(open);
    target.assert_well("after all of them");
}
