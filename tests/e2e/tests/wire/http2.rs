//! HTTP/2 frame by frame: pseudo-header tricks, credentials in wrong places, split and endless header blocks, floods. Nothing
//! may reach the upstream without a key, no VM may die, memory stays bounded.

use flamegate_e2e::eventually;

use crate::frames::{END_HEADERS, END_STREAM, block, frame, literal, preface, remembered, request};
use crate::recorder::Arrived;
use crate::{Target, exchange};

type Attack = (String, Vec<u8>);

/// An ordinary request that needs a key.
const SECRET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/v1/secret"), (":authority", "gateway.test")];

/// A connection with these frames.
fn attack(name: &str, frames: impl AsRef<[u8]>) -> Attack {
    (name.to_owned(), [&preface()[..], frames.as_ref()].concat())
}

/// One request with these headers behind the ordinary ones.
fn with(more: &[(&str, &str)]) -> Vec<u8> {
    request(1, &[&SECRET[..], more].concat())
}

/// Blocks that are no request, or whose credential is not one.
fn headers(key: &str) -> Vec<Attack> {
    let bearer = format!("Bearer {key}");
    let bearer = bearer.as_str();
    let joined = format!("Bearer x, Bearer {key}");
    let lists: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("no key", vec![]),
        ("two credentials", vec![("authorization", bearer), ("authorization", bearer)]),
        ("two, the first bad", vec![("authorization", "Bearer x"), ("authorization", bearer)]),
        ("joined", vec![("authorization", &joined)]),
        ("upper case", vec![("Authorization", bearer)]),
        ("blank in the name", vec![("authorization ", bearer)]),
        ("zero in the value", vec![("authorization", "Bearer \0")]),
        ("line break in a value", vec![("x", "y\r\nauthorization: Bearer z")]),
        ("line break in a name", vec![("x\r\nauthorization", bearer)]),
        ("a second path", vec![(":path", "/healthz")]),
        ("a second method", vec![(":method", "OPTIONS")]),
        ("a pseudo-header behind others", vec![("x", "y"), (":path", "/healthz")]),
        ("an unknown pseudo-header", vec![(":authorization", bearer)]),
        ("a status", vec![(":status", "200")]),
        ("an empty name", vec![("", bearer)]),
        ("another host", vec![("host", "other.test")]),
        ("connection headers", vec![("connection", "authorization"), ("transfer-encoding", "chunked")]),
        ("te", vec![("te", "chunked")]),
        ("upgrade", vec![("upgrade", "websocket"), ("connection", "upgrade")]),
        ("identity", vec![("x-flametalk-key-id", "key_1"), ("x_flametalk_workspace_id", "ws_1")]),
        ("a length that is wrong", vec![("content-length", "5")]),
    ];
    let mut all: Vec<Attack> = lists.iter().map(|(name, more)| attack(name, with(more))).collect();
    let instead = |name: &str, list: &[(&str, &str)]| attack(name, request(1, list));
    all.push(instead("no path", &[(":method", "GET"), (":scheme", "http"), (":authority", "x")]));
    all.push(instead(
        "an empty path",
        &[(":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "x")],
    ));
    all.push(instead(
        "a path without a slash",
        &[(":method", "GET"), (":scheme", "http"), (":path", "v1/secret"), (":authority", "x")],
    ));
    all.push(instead(
        "a target as a path",
        &[(":method", "GET"), (":scheme", "http"), (":path", "http://x/healthz"), (":authority", "x")],
    ));
    all.push(instead("connect", &[(":method", "CONNECT"), (":authority", "gateway.test:80")]));
    all.push(instead(
        "extended connect",
        &[
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/v1/secret"),
            (":authority", "x"),
        ],
    ));
    all.push(instead(
        "a method with a line break",
        &[
            (":method", "GET /healthz HTTP/1.1\r\nx: "),
            (":scheme", "http"),
            (":path", "/v1/secret"),
            (":authority", "x"),
        ],
    ));
    all.push(instead(
        "a path with a line break",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled"),
            (":authority", "x"),
        ],
    ));
    for path in [
        "/healthz/../v1/secret",
        "/public/%2e%2e/v1/secret",
        "/public/..;/v1/secret",
        "/public\\..\\v1/secret",
        "/public/..%2fv1/secret",
        "/v1/secret#/healthz",
        "/healthz\u{e9}/../v1/secret",
    ] {
        all.push(instead(
            path,
            &[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "x")],
        ));
    }
    // The credential comes too late: behind the request's headers, or in its body.
    let open = frame(1, END_HEADERS, 1, &block(&SECRET));
    let trailers = frame(1, END_HEADERS | END_STREAM, 1, &block(&[("authorization", bearer)]));
    all.push(attack("a credential in trailers", [&open[..], &frame(0, 0, 1, b"x"), &trailers].concat()));
    all.push(attack(
        "a credential in a second block",
        [&open[..], &frame(1, END_HEADERS, 1, &block(&[("authorization", bearer)]))].concat(),
    ));
    all.push(attack(
        "a request in a body",
        [&open[..], &frame(0, END_STREAM, 1, b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n")].concat(),
    ));
    all
}

/// Frames out of order, of wrong sizes, for wrong streams.
fn frames_out_of_order() -> Vec<Attack> {
    let whole = block(&SECRET);
    let (first, rest) = whole.split_at(9);
    let mut all = vec![
        attack("a block that never ends", frame(1, END_STREAM, 1, first)),
        attack(
            "another frame inside a block",
            [&frame(1, 0, 1, first)[..], &frame(6, 0, 0, &[0; 8]), &frame(9, END_HEADERS, 1, rest)].concat(),
        ),
        attack(
            "another stream's continuation",
            [&frame(1, 0, 1, first)[..], &frame(9, END_HEADERS, 3, rest)].concat(),
        ),
        attack("a continuation alone", frame(9, END_HEADERS, 1, &whole)),
        attack("an even stream", frame(1, END_HEADERS | END_STREAM, 2, &whole)),
        attack("stream 0", frame(1, END_HEADERS | END_STREAM, 0, &whole)),
        attack(
            "a stream twice",
            [frame(1, END_HEADERS | END_STREAM, 1, &whole), frame(1, END_HEADERS | END_STREAM, 1, &whole)]
                .concat(),
        ),
        attack(
            "a lower stream",
            [frame(1, END_HEADERS | END_STREAM, 5, &whole), frame(1, END_HEADERS | END_STREAM, 3, &whole)]
                .concat(),
        ),
        attack("too much padding", frame(1, END_HEADERS | END_STREAM | 8, 1, &[&[255][..], &whole].concat())),
        attack(
            "a stream that depends on itself",
            frame(1, END_HEADERS | END_STREAM | 32, 1, &[&[0, 0, 0, 1, 9][..], &whole].concat()),
        ),
        attack("data before headers", frame(0, END_STREAM, 1, b"x")),
        attack("settings of wrong length", frame(4, 0, 0, &[0; 5])),
        attack("settings on a stream", frame(4, 0, 1, &[])),
        attack("a ping of wrong length", frame(6, 0, 0, &[0; 7])),
        attack("a window of 0", frame(8, 0, 0, &[0; 4])),
        attack(
            "a window beyond all bounds",
            [frame(8, 0, 0, &[0x7f, 255, 255, 255]), frame(8, 0, 0, &[0x7f, 255, 255, 255])].concat(),
        ),
        attack("a promise", frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &whole].concat())),
        attack(
            "an unknown frame",
            [frame(0xee, 255, 1, &[7; 100]), frame(1, END_HEADERS | END_STREAM, 1, &whole)].concat(),
        ),
        attack("a frame over the limit", frame(0, 0, 1, &vec![0; 1 << 20])),
        attack("a length that lies", [0xff, 0xff, 0xff, 1, 5, 0, 0, 0, 1]),
        attack("an index that is not there", frame(1, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0x7f])),
        attack(
            "a table beyond all bounds",
            frame(1, END_HEADERS | END_STREAM, 1, &[0x3f, 0xff, 0xff, 0xff, 0x7f]),
        ),
        attack("a number without an end", frame(1, END_HEADERS | END_STREAM, 1, &[0xff; 200])),
        attack(
            "broken Huffman",
            frame(1, END_HEADERS | END_STREAM, 1, &[0, 0x82, 0xff, 0xff, 0x82, 0xff, 0xff]),
        ),
        ("no preface".to_owned(), frame(1, END_HEADERS | END_STREAM, 1, &whole)),
        ("half a preface".to_owned(), preface()[..12].to_vec()),
    ];
    for at in 1..whole.len() {
        let (one, two) = whole.split_at(at);
        let split = [frame(1, END_STREAM, 1, one), frame(9, END_HEADERS, 1, two)].concat();
        all.push(attack(&format!("split at {at}"), split));
    }
    let tiny: Vec<u8> = whole.chunks(1).flat_map(|byte| frame(9, 0, 1, byte)).collect();
    all.push(attack(
        "one byte each",
        [&frame(1, END_STREAM, 1, &[])[..], &tiny, &frame(9, END_HEADERS, 1, &[])].concat(),
    ));
    all
}

/// So many frames of a kind that a careless server spends its time or memory on them.
fn floods(key: &str) -> Vec<Attack> {
    let many = |count: u32, each: &dyn Fn(u32) -> Vec<u8>| (0..count).flat_map(each).collect::<Vec<u8>>();
    let open = |stream: u32| frame(1, END_HEADERS, stream, &block(&SECRET));
    let bearer = format!("Bearer {key}");
    let authorized = [&SECRET[..], &[("authorization", bearer.as_str())]].concat();
    let cookie = "x".repeat(4_000);
    let bomb = [&block(&SECRET)[..], &remembered(b"cookie", cookie.as_bytes()), &[0xbe; 10_000]].concat();
    vec![
        attack(
            "continuations",
            [
                &frame(1, 0, 1, &block(&SECRET))[..],
                &many(20_000, &|n| frame(9, 0, 1, &literal(b"x", n.to_string().as_bytes()))),
            ]
            .concat(),
        ),
        attack(
            "empty continuations",
            [&frame(1, 0, 1, &block(&SECRET))[..], &many(50_000, &|_| frame(9, 0, 1, &[]))].concat(),
        ),
        attack(
            "large continuations",
            [
                &frame(1, 0, 1, &block(&SECRET))[..],
                &many(100, &|_| frame(9, 0, 1, &literal(b"x", &[b'y'; 16_000]))),
            ]
            .concat(),
        ),
        attack("settings", many(50_000, &|n| frame(4, 0, 0, &[0, 4, 0, 0, 255, n.to_le_bytes()[0]]))),
        attack("pings", many(50_000, &|_| frame(6, 0, 0, &[7; 8]))),
        attack("priorities", many(50_000, &|n| frame(2, 0, 2 * n + 1, &[0, 0, 0, 0, 1]))),
        attack("resets", many(5_000, &|n| [open(2 * n + 1), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat())),
        attack(
            "resets with a good key",
            many(5_000, &|n| {
                [request(2 * n + 1, &authorized), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()
            }),
        ),
        attack("windows", [&open(1)[..], &many(50_000, &|_| frame(8, 0, 1, &[0, 0, 0, 1]))].concat()),
        attack("empty data", [&open(1)[..], &many(50_000, &|_| frame(0, 0, 1, &[]))].concat()),
        attack(
            "data of one byte",
            [&frame(1, END_HEADERS, 1, &block(&authorized))[..], &many(50_000, &|_| frame(0, 0, 1, b"x"))]
                .concat(),
        ),
        attack("open streams", many(2_000, &|n| open(2 * n + 1))),
        attack("a compressed bomb", frame(1, END_STREAM | END_HEADERS, 1, &bomb)),
        attack("unknown frames", many(50_000, &|_| frame(0xab, 0, 0, &[1]))),
    ]
}

#[test]
fn no_frame_gets_a_request_through_without_a_key() {
    let target = Target::start("wire-http2");
    let key = target.key.key.clone();
    let attacks = [headers(&key), frames_out_of_order()].concat();
    let answered = target.attack(&attacks, 2);
    println!("wire, HTTP/2: {} attacks, {answered} answered", 2 * attacks.len());
    assert!(answered > attacks.len(), "{answered}");
    target.assert_well("after the attacks");
    // The split itself is no crime: with the key in it such a request passes, so the frames above were understood.
    let whole = block(&[&SECRET[..], &[("authorization", &*format!("Bearer {key}"))]].concat());
    let (one, two) = whole.split_at(60);
    let split = attack("", [frame(1, END_STREAM, 1, one), frame(9, END_HEADERS, 1, two)].concat()).1;
    exchange(target.envoy.port, &split);
    eventually("it has arrived", || {
        let arrived = target.recorder.take();
        let is_it = |arrived: &Arrived| arrived.line.contains("/v1/secret");
        if arrived.iter().any(is_it) { Ok(()) } else { Err(format!("{arrived:?}")) }
    });
}

/// Rounds of floods that fill what has a bound, and again those that are judged.
const ROUNDS: usize = 6;

#[test]
fn floods_of_frames_are_ended_and_take_no_memory() {
    let target = Target::start("wire-floods");
    let attacks = floods(&target.key.key);
    // Attackers give up before a busy gateway has dealt with them, so a round is over when their connections are.
    let round = || {
        target.attack(&attacks, 1);
        eventually("the attackers' connections are gone", || match target.connections() {
            0 => Ok(()),
            count => Err(format!("{count} connections")),
        });
    };
    let look_after_a_round = |_| {
        round();
        target.settled_heap_bytes()
    };
    let mut before: Vec<u64> = (0..ROUNDS).map(look_after_a_round).collect();
    before.sort_unstable();
    let before = before[ROUNDS / 2];
    let resident = target.envoy.resident_bytes();
    (0..ROUNDS).for_each(|_| round());
    // What is in use must not grow with what was sent. Something that is freed late is no leak, and a leak is never freed.
    let sent = ROUNDS * attacks.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let grown = eventually("the floods' memory is free again", || {
        match target.settled_heap_bytes().saturating_sub(before) {
            grown if grown < 2 << 20 => Ok(grown),
            grown => Err(format!("{grown} bytes more in use after {sent} of floods")),
        }
    });
    // The allocator may keep what connections that were served at the same time had in their buffers.
    let kept = target.envoy.resident_bytes().saturating_sub(resident);
    println!(
        "wire, floods: {} kinds; {ROUNDS} rounds of {} KiB left {} KiB of heap and {} KiB of RSS",
        attacks.len(),
        (sent / ROUNDS) >> 10,
        grown >> 10,
        kept >> 10
    );
    assert!(kept < 256 << 20, "{kept} bytes more resident");
    target.assert_well("after floods");
}
