//! `Authorization` bytes, all the way to a verdict: only the two keys that exist pass, and each refusal has the reason that a
//! second, plain reading of the rules gives. One worker answers all inputs, so its memory of earlier values is tried too.

use std::{cell::RefCell, rc::Rc};

use flamegate::config::Config;
use flamegate::contract::key::ApiKey;
use flamegate::decision::credential::Authorization;
use flamegate::decision::metrics::{COUNTERS, Counter};
use flamegate::decision::request::Request;
use flamegate::host::fake::FakeHost;
use flamegate::worker::Worker;
use flamegate::worker::decide::{Outcome, decide};
use flamegate::worker::edits::Pass;
use serde_json::json;

const LIVE: &[u8] = b"sk_live_fuzz";
const TEST: &[u8] = b"sk_test_fuzz";

/// What the plain reading says: who it is, or the name of the counter.
type Expected = Result<&'static str, &'static str>;

/// The input is the value of `Authorization`; in it the byte 0 stands for the live key and 1 for the test key.
pub fn authorization(input: &[u8]) {
    thread_local! {
        static GATEWAY: RefCell<(FakeHost, Worker)> = RefCell::new(gateway());
    }
    let mut value = Vec::new();
    for byte in input {
        match byte {
            0 => value.extend_from_slice(LIVE),
            1 => value.extend_from_slice(TEST),
            other => value.push(*other),
        }
    }
    let request = Request { path: b"/", authorization: Authorization::Single(&value), ..Request::default() };
    GATEWAY.with_borrow_mut(|(host, worker)| {
        let decision = decide(worker, host, &request);
        let counter = decision.counter;
        let found = match &decision.outcome {
            Outcome::Pass(edits) => match &edits.pass {
                Pass::Permit(permit) => Ok(permit.key().record().id.clone()),
                other => panic!("neither a key nor a denial: {other:?}"),
            },
            Outcome::Hold | Outcome::Await(_) => panic!("there is nothing to wait for"),
            Outcome::Answer(reply) => {
                assert_eq!(reply.status, 401);
                Err(name(counter))
            }
        };
        assert_eq!(found.as_deref().map_err(|reason| *reason), expected(&value), "{value:?}");
    });
}

fn gateway() -> (FakeHost, Worker) {
    let key = |key: &[u8], id: &str, environment: &str| {
        let hash = ApiKey::from_bytes(key).unwrap().hash().to_hex();
        json!({"hash": hash, "id": id, "workspace": "ws", "environment": environment})
    };
    let config = json!({"static_keys": [key(LIVE, "live", "live"), key(TEST, "test", "test")]}).to_string();
    let config = Config::parse(config.as_bytes(), |_| None).unwrap();
    (FakeHost::at(1_000), Worker::new(Rc::new(config)))
}

fn name(counter: Counter) -> &'static str {
    COUNTERS[counter as usize].strip_prefix("flamegate_requests_total.").unwrap()
}

/// The rules once more, by words instead of by bytes: RFC 9110 (scheme without case, optional white space), one value, the
/// form of a key.
fn expected(value: &[u8]) -> Expected {
    if value.contains(&b',') {
        return Err("unauthorized.repeated");
    }
    let mut words = value.split(|byte| [b' ', b'\t'].contains(byte)).filter(|word| !word.is_empty());
    if !words.next().unwrap_or_default().eq_ignore_ascii_case(b"Bearer") {
        return Err("unauthorized.scheme");
    }
    let words: Vec<&[u8]> = words.collect();
    match words[..] {
        [] => Err("unauthorized.empty"),
        [LIVE] => Ok("live"),
        [TEST] => Ok("test"),
        [word] => {
            let secret = word.strip_prefix(b"sk_live_").or_else(|| word.strip_prefix(b"sk_test_"));
            let visible = |secret: &[u8]| secret.iter().all(|byte| (0x21..=0x7e).contains(byte));
            let is_key = secret.is_some_and(|secret| !secret.is_empty() && visible(secret));
            if is_key && word.len() <= 256 {
                Err("invalid_api_key.unknown")
            } else {
                Err("invalid_api_key.malformed")
            }
        }
        // White space inside is part of the token, which no key has.
        _ => Err("invalid_api_key.malformed"),
    }
}
