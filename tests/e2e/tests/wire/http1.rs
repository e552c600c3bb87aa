//! HTTP/1.1 as no client library writes it: smuggling, ambiguous credentials, hop-by-hop tricks, upgrades, targets and paths in
//! many spellings. An upstream that notes what arrives says whether anything got through.

use crate::{Target, exchange};

type Attack = (String, Vec<u8>);

const HOST: &str = "host: gateway.test\r\n";
/// A request in a place where it must stay data.
const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nhost: gateway.test\r\n\r\n";

fn attack(name: &str, text: impl AsRef<[u8]>) -> Attack {
    (name.to_owned(), text.as_ref().to_vec())
}

/// Requests whose end two readers could see in different places; the outer one has this credential or none.
fn smuggling(credential: &str) -> Vec<Attack> {
    let post = format!("POST /v1/secret HTTP/1.1\r\n{HOST}{credential}");
    let length = HIDDEN.len() + 5;
    let mut all = vec![
        attack(
            "CL.TE",
            format!("{post}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        attack(
            "TE.CL",
            format!(
                "{post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{HIDDEN}\r\n0\r\n\r\n",
                HIDDEN.len()
            ),
        ),
        attack(
            "two lengths",
            format!("{post}content-length: 0\r\ncontent-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
        ),
        attack(
            "body of a refused request",
            format!("{post}content-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
        ),
        attack(
            "expect",
            format!("{post}expect: 100-continue\r\ncontent-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
        ),
        attack(
            "bare line feeds",
            format!("{post}content-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()).replace("\r\n", "\n"),
        ),
    ];
    for value in ["0, 43", "+43", "-1", "0x2b", "43 43", "99999999999999999999", "", "4\t3", "\u{b}43"] {
        all.push(attack(
            &format!("length {value:?}"),
            format!("{post}content-length: {value}\r\n\r\n{HIDDEN}"),
        ));
    }
    for coding in [
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "transfer-encoding:\tchunked",
        "transfer-encoding: \u{b}chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: \"chunked\"",
        "x: y\ntransfer-encoding: chunked",
        "transfer-encoding\r\n : chunked",
        "transfer-encoding:\r\n chunked",
        "Transfer-Encoding: cHuNkEd",
        "transfer-encoding: chunked\0",
    ] {
        let body = format!("0\r\n\r\n{HIDDEN}");
        let both = format!("{post}content-length: {}\r\n{coding}\r\n\r\n{body}", body.len());
        all.push(attack(coding, format!("{post}{coding}\r\n\r\n{body}")));
        all.push(attack(&format!("length and {coding}"), both));
    }
    for chunks in [
        format!("0;\n{HIDDEN}"),
        format!("0\n\r\n{HIDDEN}"),
        format!("00000000000000000000\r\n\r\n{HIDDEN}"),
        format!("ffffffffffffffff1\r\n{HIDDEN}"),
        format!("-1\r\n{HIDDEN}"),
        format!("0x0\r\n\r\n{HIDDEN}"),
        format!("2\r\nabX\r\n0\r\n\r\n{HIDDEN}"),
        format!("1;a=\"\r\n{HIDDEN}\"\r\na\r\n0\r\n\r\n"),
        "0\r\nauthorization: Bearer x\r\nx-flametalk-key-id: key_trailer\r\n\r\n".to_owned(),
    ] {
        all.push(attack("chunks", format!("{post}transfer-encoding: chunked\r\n\r\n{chunks}")));
    }
    // With a credential that is good the first of these may pass; what comes behind it has none.
    let next = HIDDEN.len();
    all.push(attack(
        "behind a bypass",
        format!("GET /healthz HTTP/1.1\r\n{HOST}content-length: {next}\r\n\r\n{HIDDEN}"),
    ));
    all.push(attack("pipelined", format!("{post}content-length: 0\r\n\r\n{HIDDEN}{HIDDEN}")));
    all.push(attack("pipelined behind a bypass", format!("GET /healthz HTTP/1.1\r\n{HOST}\r\n{HIDDEN}")));
    all
}

/// Credentials in forms that are no single bearer token. None of them may pass, although the key in them is good.
fn credentials(key: &str) -> Vec<Attack> {
    let get = format!("GET /v1/secret HTTP/1.1\r\n{HOST}");
    let lines = [
        format!("authorization: Bearer {key}\r\nauthorization: Bearer {key}\r\n"),
        format!("authorization: Bearer x\r\nAuthorization: Bearer {key}\r\n"),
        format!("authorization: Bearer {key}\r\nauthorization: Basic eDp4\r\n"),
        format!("authorization: Bearer x, Bearer {key}\r\n"),
        format!("authorization: Bearer {key},\r\n"),
        format!("authorization : Bearer {key}\r\n"),
        format!("authorization\t: Bearer {key}\r\n"),
        format!("authorization\0: Bearer {key}\r\n"),
        format!("\u{b}authorization: Bearer {key}\r\n"),
        format!("authorization: Bearer {key}\0\r\n"),
        format!("authorization: Bearer\0{key}\r\n"),
        format!("authorization: Bearer {key} x\r\n"),
        format!("authorization: Bearer {}\r\n", key.to_uppercase()),
        format!("authorization: Bearer {}\r\n", &key[..key.len() - 1]),
        format!("authorization: Bearer {key}\u{e9}\r\n"),
        format!("authorization: {key}\r\n"),
        format!("authorization: Basic {key}\r\n"),
        format!("proxy-authorization: Bearer {key}\r\n"),
        format!("x-authorization: Bearer {key}\r\n"),
        format!("x: y\rauthorization: Bearer {key}\r\n"),
        format!("cookie: authorization=Bearer {key}\r\n"),
        format!("x-api-key: {key}\r\nx-flametalk-key-id: key_1\r\nx_flametalk_workspace_id: ws\r\n"),
    ];
    let forms = lines.iter().map(|lines| attack(lines, format!("{get}{lines}\r\n")));
    let query =
        format!("GET /v1/secret?authorization=Bearer%20{key}&access_token={key} HTTP/1.1\r\n{HOST}\r\n");
    forms
        .chain([
            attack("query", query),
            attack("0.9", "GET /v1/secret\r\n"),
            attack("1.0", "GET /v1/secret HTTP/1.0\r\n\r\n"),
        ])
        .collect()
}

/// Targets that might be taken for a path that needs no key.
fn targets() -> Vec<Attack> {
    let paths = [
        "/healthz/../v1/secret",
        "/healthz/..%2fv1/secret",
        "/healthz%2f..%2fv1%2fsecret",
        "/public/../v1/secret",
        "/public/%2e%2e/v1/secret",
        "/public/.%2e/v1/secret",
        "/public/%252e%252e/v1/secret",
        "/public/..;/v1/secret",
        "/public/..\\v1\\secret",
        "/public\\..\\v1\\secret",
        "/public//../v1/secret",
        "/public/./../v1/secret",
        "/public/%2f%2e%2e%2fv1/secret",
        "/public/..%5cv1/secret",
        "/public/..%c0%afv1/secret",
        "/public/%00/../v1/secret",
        "/public/..%00/v1/secret",
        "/public/..%3f/../v1/secret",
        "/public/..%3F/v1/secret",
        "/public/..%23/v1/secret",
        "/public/..%20/v1/secret",
        "/public/..%09/v1/secret",
        "/public/..+/v1/secret",
        "/public/+../v1/secret",
        "/public/.../v1/secret",
        "/public/..#/v1/secret",
        "/healthz#/../v1/secret",
        "/public/../v1/secret?/public/",
        "/v1/secret#/healthz",
        "/v1/secret?/healthz",
        "/v1/secret;/healthz",
        "/healthz;/../v1/secret",
        "//healthz/../v1/secret",
        "/HEALTHZ/../v1/secret",
        "/./v1/secret",
        "/%68ealthz/../v1/secret",
        "http://gateway.test/v1/secret",
        "http://x/healthz/../v1/secret",
        "https://gateway.test/v1/secret",
        "http://gateway.test:80@x/v1/secret",
        "*/v1/secret",
        "v1/secret",
        "?/v1/secret",
        "/public/\u{2025}/v1/secret",
        "/v1/secret%",
    ];
    let mut all: Vec<Attack> = Vec::new();
    for path in paths {
        for method in ["GET", "POST", "HEAD", "get", "OPTIONS\t"] {
            all.push(attack(path, format!("{method} {path} HTTP/1.1\r\n{HOST}\r\n")));
        }
    }
    for line in [
        "GET  /v1/secret HTTP/1.1",
        "GET\t/v1/secret\tHTTP/1.1",
        "GET /healthz /v1/secret HTTP/1.1",
        "GET /healthz HTTP/1.1 /v1/secret",
        "GET /healthz\u{b}/v1/secret HTTP/1.1",
        "GET /v1/secret HTTP/1.2",
        "GET /v1/secret HTTP/2.0",
        "GET /v1/secret http/1.1",
        "CONNECT /v1/secret HTTP/1.1",
        "CONNECT gateway.test:80 HTTP/1.1",
        "TRACE /v1/secret HTTP/1.1",
        "PRI * HTTP/2.0",
        "\r\n\r\nGET /v1/secret HTTP/1.1",
        " GET /v1/secret HTTP/1.1",
        "G\0T /v1/secret HTTP/1.1",
    ] {
        all.push(attack(line, format!("{line}\r\n{HOST}\r\n")));
    }
    for header in [
        "x-original-url: /healthz",
        "x-rewrite-url: /healthz",
        "x-envoy-original-path: /healthz",
        "host: gateway.test/healthz?",
        "host: x",
        "x-http-method-override: OPTIONS",
    ] {
        all.push(attack(header, format!("GET /v1/secret HTTP/1.1\r\n{HOST}{header}\r\n\r\n")));
    }
    all
}

/// Upgrades and hop-by-hop headers. With the good key they may pass, with the identity and nothing else.
fn hops(credential: &str) -> Vec<Attack> {
    let get = format!("GET /v1/secret HTTP/1.1\r\n{HOST}{credential}");
    let lines = [
        "connection: authorization",
        "connection: x-flametalk-key-id",
        "connection: close, x-flametalk-workspace-id, x-flametalk-environment",
        "connection: keep-alive\r\nconnection: x-flametalk-key-id",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__",
        "upgrade: websocket",
        "connection: upgrade\r\nupgrade: CONNECT-UDP",
        "te: trailers, authorization",
        "trailer: authorization, x-flametalk-key-id",
        "x-flametalk-key-id: key_forged\r\nconnection: x-flametalk-key-id",
        "x_flametalk_key_id: key_forged",
        "X-FlameTalk-Key-ID: key_forged\r\nx-flametalk-key-id: key_forged",
        "x-flametalk-key-id : key_forged",
        "x-flametalk-\u{e9}: x",
        "x.flametalk.key.id: key_forged",
        "x~flametalk~key-id: key_forged\r\nx_flametalk.key!id: key_forged",
        "connection: upgrade\r\nupgrade: WebSocket\r\norigin: https://a.example\r\naccess-control-request-method: GET",
        "connection: upgrade\r\nupgrade: websocket\r\nupgrade: h2c",
    ];
    lines.iter().map(|line| attack(line, format!("{get}{line}\r\n\r\n"))).collect()
}

#[test]
fn nothing_is_smuggled_and_no_spelling_passes() {
    let target = Target::start("wire-http1");
    let good = format!("authorization: Bearer {}\r\n", target.key.key);
    let mut answered = 0;
    let sets = [
        smuggling(""),
        smuggling("authorization: Bearer sk_live_x\r\n"),
        credentials(&target.key.key),
        targets(),
        hops(""),
    ];
    for attacks in &sets {
        let before = target.recorder.take();
        drop(before);
        answered += target.attack(attacks, 2);
    }
    // With the good key outside, what is hidden inside must stay there all the same.
    let inside: Vec<Attack> = [smuggling(&good), hops(&good)]
        .concat()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("pipelined"))
        .collect();
    answered += target.attack(&inside, 2);
    let sent = 2 * (sets.iter().map(Vec::len).sum::<usize>() + inside.len());
    println!("wire, HTTP/1.1: {sent} attacks, {answered} answered");
    assert!(answered > sent * 8 / 10, "only {answered} of {sent} were answered: were they attacks at all?");
    target.assert_well("after the attacks");
}

/// The good key in a form that must not pass: none of these may be taken for the good one.
#[test]
fn a_good_key_in_a_bad_form_is_refused() {
    let target = Target::start("wire-credentials");
    for (name, bytes) in credentials(&target.key.key) {
        target.recorder.take();
        let answer = String::from_utf8_lossy(&exchange(target.envoy.port, &bytes)).into_owned();
        let arrived = target.recorder.take();
        assert!(arrived.is_empty(), "{name}: {arrived:?}");
        assert!(!answer.contains(" 200 OK"), "{name}: {answer}");
    }
    target.assert_well("after bad forms");
}

#[test]
fn rubbish_slow_and_endless_requests_harm_nobody() {
    let target = Target::start("wire-rubbish");
    let seed = 20_261_124;
    println!("wire, rubbish: seed {seed}");
    let mut random = flamegate_e2e::random::Random::new(seed);
    let mut attacks: Vec<Attack> = Vec::new();
    for number in 0..400 {
        let length = 1 + random.below(2_000);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.number().to_le_bytes()[0]).collect();
        if number % 2 == 0 {
            bytes.splice(0..0, *b"GET /v1/secret HTTP/1.1\r\nhost: gateway.test\r\n");
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        attacks.push(attack("rubbish", bytes));
    }
    let line = "x".repeat(70_000);
    attacks.push(attack("a long header", format!("GET /v1/secret HTTP/1.1\r\n{HOST}x: {line}\r\n\r\n")));
    attacks.push(attack(
        "a long credential",
        format!("GET /v1/secret HTTP/1.1\r\n{HOST}authorization: Bearer {line}\r\n\r\n"),
    ));
    attacks.push(attack("a long target", format!("GET /v1/secret/{line} HTTP/1.1\r\n{HOST}\r\n")));
    attacks.push(attack(
        "many headers",
        format!("GET /v1/secret HTTP/1.1\r\n{HOST}{}\r\n", "x: y\r\n".repeat(5_000)),
    ));
    attacks.push(attack(
        "99 forged headers",
        format!(
            "GET /healthz HTTP/1.1\r\n{HOST}{}\r\n",
            (0..95).map(|n| format!("x-flametalk-{n}: y\r\n")).collect::<String>()
        ),
    ));
    let answered = target.attack(&attacks, 1);
    println!("wire, rubbish: {} sent, {answered} answered", attacks.len());
    assert!(answered > attacks.len() / 2, "{answered}");
    target.assert_well("after rubbish");
}
