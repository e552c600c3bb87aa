//! Upgrades and preflights with mutations, over HTTP/1.1 and HTTP/2, none of them with a key: lines left out, sent twice, emptied,
//! moved, spelled in other ways, with bytes in wrong places, other methods and targets, bodies of all kinds. What arrives must be
//! what the recorder lets pass.

use flamegate_e2e::random::Random;

use crate::Target;
use crate::frames::{END_HEADERS, END_STREAM, block, frame, preface};

/// Requests of each protocol.
const COUNT: usize = 600;

const METHODS: [&str; 6] = ["OPTIONS", "GET", "POST", "HEAD", "CONNECT", "options"];
const TARGETS: [&str; 8] = [
    "/v1/secret",
    "/healthz",
    "/public/a",
    "/public/..%3f/../v1/secret",
    "/public/..%23/v1/secret",
    "/public/..%20/v1/secret",
    "/public/+../v1/secret",
    "//healthz",
];
const WORDS: [&str; 10] =
    ["", " ", ",", "websocket", "WebSocket", "h2c", "websocket, h2c", "GET", "https://app.example", "null"];

/// A request that is nearly a preflight, an upgrade or both.
struct Draft {
    method: &'static str,
    target: &'static str,
    lines: Vec<(String, String)>,
    body: Option<&'static str>,
}

fn draft(random: &mut Random) -> Draft {
    let kind = random.below(4);
    let mut names: Vec<(&str, &str)> = Vec::new();
    if kind != 1 {
        names.extend([("origin", "https://app.example"), ("access-control-request-method", "GET")]);
    }
    if kind != 0 {
        names.extend([("connection", "upgrade"), ("upgrade", "websocket")]);
    }
    let mut draft = Draft {
        method: if kind == 1 { "GET" } else { "OPTIONS" },
        target: TARGETS[random.below(3)],
        lines: names.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: None,
    };
    for _ in 0..random.below(4) {
        mutate(&mut draft, random);
    }
    draft
}

fn mutate(draft: &mut Draft, random: &mut Random) {
    let at = random.below(draft.lines.len().max(1));
    match random.below(11) {
        0 => draft.method = METHODS[random.below(METHODS.len())],
        1 => draft.target = TARGETS[random.below(TARGETS.len())],
        2 => draft.body = Some(["", "x"][random.below(2)]),
        3 => draft.lines.push(("x-flametalk.key_id".to_owned(), "key_forged".to_owned())),
        _ if draft.lines.is_empty() => {}
        4 => drop(draft.lines.remove(at)),
        5 => draft.lines.push(draft.lines[at].clone()),
        6 => draft.lines[at].1 = WORDS[random.below(WORDS.len())].to_owned(),
        7 => draft.lines[at].1 += [",", ", x", "\t", " x", "/13"][random.below(5)],
        8 => draft.lines[at].0 = draft.lines[at].0.to_uppercase(),
        9 => draft.lines.swap(0, at),
        _ => {
            let byte = char::from(random.number().to_le_bytes()[0] & 0x7f);
            let (name, value) = &mut draft.lines[at];
            let text = if random.below(2) == 0 { name } else { value };
            let place = random.below(text.len() + 1);
            text.insert(place, byte);
        }
    }
}

fn http1(draft: &Draft) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\nhost: gateway.test\r\n", draft.method, draft.target);
    for (name, value) in &draft.lines {
        text += &format!("{name}: {value}\r\n");
    }
    text += match draft.body {
        None => "\r\n",
        Some("") => "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Some(_) => "content-length: 1\r\n\r\nx",
    };
    text.into_bytes()
}

/// HTTP/2 has no `connection`; who asks for another protocol says `:protocol`, by CONNECT.
fn http2(draft: &Draft) -> Vec<u8> {
    let protocol = draft.lines.iter().find(|(name, _)| name == "upgrade").map(|(_, value)| value.as_str());
    let method = if protocol.is_some() { "CONNECT" } else { draft.method };
    let mut headers = vec![
        (":method", method),
        (":scheme", "http"),
        (":path", draft.target),
        (":authority", "gateway.test"),
    ];
    headers.extend(protocol.map(|protocol| (":protocol", protocol)));
    let others = draft.lines.iter().filter(|(name, _)| !matches!(&**name, "connection" | "upgrade"));
    headers.extend(others.map(|(name, value)| (name.as_str(), value.as_str())));
    let ends = if draft.body.is_none() { END_STREAM } else { 0 };
    let body = draft.body.map(|body| frame(0, END_STREAM, 1, body.as_bytes())).unwrap_or_default();
    [preface(), frame(1, END_HEADERS | ends, 1, &block(&headers)), body].concat()
}

#[test]
fn no_mutation_of_an_upgrade_or_a_preflight_gets_through() {
    let target = Target::start("wire-mutations");
    let seed = 20_261_126;
    println!("wire, mutations: seed {seed}");
    let mut random = Random::new(seed);
    for write in [http1, http2] {
        let attacks: Vec<_> =
            (0..COUNT).map(|number| (format!("mutation {number}"), write(&draft(&mut random)))).collect();
        let answered = target.attack(&attacks, 1);
        println!("wire, mutations: {COUNT} sent, {answered} answered");
        assert!(answered > COUNT / 2, "only {answered} of {COUNT} were answered: were they attacks at all?");
    }
    target.assert_well("after the mutations");
    target.envoy.wait_for_ticks();
    let metrics = target.envoy.metrics();
    for (verdict, reason) in
        [("bypassed", "preflight"), ("bypassed", "path"), ("unauthorized", "preflight_body")]
    {
        assert!(metrics.requests(verdict, reason) > 0, "no mutation was {verdict}/{reason}: too wild");
    }
}
