//! The host's serialised header map: whatever the bytes are, either it is no map, or exactly its headers are seen, and nothing
//! that a client sent under the identity's prefix stays on a request that passes.

use std::{cell::RefCell, rc::Rc};

use flamegate::config::Config;
use flamegate::contract::key::ApiKey;
use flamegate::decision::credential::Authorization;
use flamegate::decision::headers::read_map;
use flamegate::decision::request::{IDENTITY_HEADERS, Request};
use flamegate::host::fake::FakeHost;
use flamegate::worker::Worker;
use flamegate::worker::decide::{Outcome, decide};
use serde_json::json;

use crate::input::Input;

const KEY: &[u8] = b"sk_live_fuzz";
/// Names that matter, to be chosen by one byte.
const NAMES: [&[u8]; 17] = [
    b":method",
    b":path",
    b"authorization",
    b"origin",
    b"access-control-request-method",
    b"x-flametalk-key-id",
    b"x-flametalk-workspace-id",
    b"x-flametalk-environment",
    b"x_flametalk_key_id",
    b"x-flametalk-",
    b"x-flametal",
    b"cookie",
    b"upgrade",
    b":protocol",
    b"x.flametalk.key.id",
    b"x~flametalk~key-id",
    b"x-flametalk0key-id",
];
/// Values that matter.
const VALUES: [&[u8]; 8] =
    [b"OPTIONS", b"/healthz", b"/v1/agents", b"Bearer sk_live_fuzz", b"", b"x", b"x,y", b" "];

type Header = (Vec<u8>, Vec<u8>);

/// The first byte says whether the rest is the map itself or a recipe for one, and whether there is a body.
pub fn headers(input: &[u8]) {
    let mut input = Input(input);
    let first = input.byte();
    let body = first & 2 != 0;
    if first.is_multiple_of(2) {
        foreign(input.0, body);
    } else {
        let headers = recipe(&mut input);
        let map = serialize(&headers);
        assert_eq!(pairs(&map).as_deref(), Some(&headers[..]));
        check(&map, &headers, body);
    }
}

/// Bytes that nobody has made: what is read must be there, in this order.
fn foreign(map: &[u8], body: bool) {
    match pairs(map) {
        None => assert!(Request::from_map(map).is_none()),
        Some(headers) => {
            let own = serialize(&headers);
            assert!(own.len() <= map.len(), "more was read than there is");
            let lengths = 4 + 8 * headers.len();
            assert_eq!(own[..lengths], map[..lengths]);
            check(map, &headers, body);
        }
    }
}

fn recipe(input: &mut Input<'_>) -> Vec<Header> {
    let mut headers = Vec::new();
    while !input.is_empty() && headers.len() < 64 {
        let (name, value) = (usize::from(input.byte()), usize::from(input.byte()));
        let text = |choice: usize, known: &[&[u8]], input: &mut Input<'_>| match known.get(choice) {
            Some(known) => known.to_vec(),
            None => (0..choice % 8).map(|_| input.byte()).collect(),
        };
        headers.push((text(name, &NAMES, input), text(value, &VALUES, input)));
    }
    headers
}

fn serialize(headers: &[Header]) -> Vec<u8> {
    let number = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let mut map = number(headers.len()).to_vec();
    for (name, value) in headers {
        map.extend([number(name.len()), number(value.len())].concat());
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        map.extend_from_slice(text);
        map.push(0);
    }
    map
}

fn pairs(map: &[u8]) -> Option<Vec<Header>> {
    let mut found = Vec::new();
    read_map(map, |header| found.push((header.name().to_vec(), header.value().to_vec())))?;
    Some(found)
}

/// The request has what the headers have, and passes only for a reason.
fn check(map: &[u8], headers: &[Header], body: bool) {
    thread_local! {
        static GATEWAY: RefCell<(FakeHost, Worker)> = RefCell::new(gateway());
    }
    let mut request = Request::with_body(body);
    request.read(map).unwrap();
    let all = |wanted: &[u8]| {
        headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| &value[..]).collect::<Vec<_>>()
    };
    assert_eq!(request.method, all(b":method").last().copied().unwrap_or_default());
    assert_eq!(request.path, all(b":path").last().copied().unwrap_or_default());
    let credentials = all(b"authorization");
    match (&credentials[..], request.authorization) {
        ([], Authorization::Absent) => {}
        ([one], Authorization::Single(value)) => assert_eq!(*one, value),
        ([_, _, ..], Authorization::Repeated) => {}
        _ => panic!("{} values of authorization", credentials.len()),
    }
    GATEWAY.with_borrow_mut(|(host, worker)| {
        let Outcome::Pass(edits) = decide(worker, host, &request).outcome else { return };
        let bearer = matches!(credentials[..], [one] if is_bearer(one));
        let upgrade = !all(b"upgrade").is_empty() || !all(b":protocol").is_empty() || request.method == b"CONNECT";
        // One line with one word in it.
        let single = |name: &[u8]| {
            matches!(all(name)[..], [value] if value.split(|byte| b", \t\n\x0c\r".contains(byte)).filter(|word| !word.is_empty()).count() == 1
                && !value.trim_ascii().iter().any(|byte| b", \t".contains(byte)))
        };
        let preflight = request.method == b"OPTIONS"
            && credentials.is_empty()
            && single(b"origin")
            && single(b"access-control-request-method")
            && !upgrade
            && !body;
        let open = request.path == b"/healthz" && !upgrade;
        assert!(bearer || open || preflight, "passed without a reason: {headers:?}");
        let removed: Vec<&[u8]> = edits.removals().collect();
        if !credentials.is_empty() {
            assert!(removed.contains(&&b"authorization"[..]), "the credential goes upstream");
        }
        for (name, _) in headers {
            let dash = |byte: &u8| if byte.is_ascii_alphanumeric() { *byte } else { b'-' };
            let dashed: Vec<u8> = name.iter().map(dash).collect();
            if !dashed.starts_with(b"x-flametalk-") {
                continue;
            }
            let known = IDENTITY_HEADERS.iter().position(|known| known.as_bytes() == &name[..]);
            let once = headers.iter().filter(|(other, _)| other == name).count() == 1;
            let overwritten = once && known.is_some_and(|index| edits.overwritten()[index]);
            assert!(
                overwritten || removed.contains(&&name[..]),
                "a forged header goes upstream: {headers:?}"
            );
        }
    });
}

fn is_bearer(value: &[u8]) -> bool {
    let mut words = value.split(|byte| [b' ', b'\t'].contains(byte)).filter(|word| !word.is_empty());
    let scheme = words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"bearer"));
    scheme && words.eq([KEY])
}

fn gateway() -> (FakeHost, Worker) {
    let hash = ApiKey::from_bytes(KEY).unwrap().hash().to_hex();
    let key = json!({"hash": hash, "id": "live", "workspace": "ws", "environment": "live"});
    let config = json!({"static_keys": [key], "bypass": [{"path": "/healthz"}]}).to_string();
    let config = Config::parse(config.as_bytes(), |_| None).unwrap();
    (FakeHost::at(1_000), Worker::new(Rc::new(config)))
}
