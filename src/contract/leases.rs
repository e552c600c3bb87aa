//! Lending the tokens of fleet limits: `POST /sync/v1/leases`. A gateway asks for tokens of the limits in use, tells what was admitted
//! and gives back what it will not use; the control plane grants what the whole fleet's book has. These are the messages; the
//! book's rule comes with the book.
//!
//! An ask may be lost, and so may a grant: what was lent then ends with its lease and nothing is counted twice, because `spent` and
//! `returned` are sent once and never repeated.

use serde::{Deserialize, Serialize};

use super::json::read;
use super::record::{Limit, is_name};

/// Path of the endpoint on the control plane.
pub const LEASES_PATH: &str = "/sync/v1/leases";
/// Most asks in one call.
pub const MAX_ASKS: usize = 500;

/// Everything that a gateway asks at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseCall {
    /// What it calls itself; the credential makes its id of it.
    pub gateway: String,
    /// At most [`MAX_ASKS`].
    pub asks: Vec<Ask>,
}

/// One limit's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who uses the limit up: 32 hexadecimal digits.
    pub subject: String,
    /// The limit's numbers, as the asker knows them.
    pub limit: Limit,
    /// The limit's revision: numbers of an older one never overwrite.
    pub revision: u64,
    /// Tokens that are wanted now; 0 to report only.
    pub want: u32,
    /// Requests that were admitted on grants of `generation`, since the last report.
    #[serde(default)]
    pub spent: u32,
    /// Tokens of `generation` that will not be used.
    #[serde(default)]
    pub returned: u32,
    /// The generation of the grants that `spent` and `returned` are of; ignored when the book has moved on.
    #[serde(default)]
    pub generation: u64,
}

/// The answer: one grant per ask, in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAnswer {
    /// Length of the leases in milliseconds. The holder counts from before it asked, on its monotonic clock.
    pub lease_ms: u32,
    /// Grants.
    pub grants: Vec<Grant>,
}

/// What the book lends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Tokens; 0 when there are none.
    pub tokens: u32,
    /// To be named in reports.
    pub generation: u64,
    /// When it is worth asking again, in milliseconds; 0 when tokens were granted.
    #[serde(default)]
    pub retry_after_ms: u64,
}

impl LeaseCall {
    /// Understands a call; the error is one line for a log.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let call: Self = read(json, "call")?;
        if !is_name(&call.gateway) {
            return Err("gateway: not a name".to_owned());
        }
        if call.asks.len() > MAX_ASKS {
            return Err(format!("asks: at most {MAX_ASKS}"));
        }
        for (index, ask) in call.asks.iter().enumerate() {
            if let Some((path, why)) = ask.problem() {
                return Err(format!("asks[{index}].{path}: {why}"));
            }
        }
        Ok(call)
    }
}

impl Ask {
    fn problem(&self) -> Option<(String, String)> {
        let hex = self.subject.len() == 32 && self.subject.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex {
            return Some(("subject".to_owned(), "32 hexadecimal digits".to_owned()));
        }
        let limit = self.limit.problems().into_iter().next();
        if let Some((path, why)) = limit {
            return Some((format!("limit.{path}"), why));
        }
        let most = self.limit.burst().get();
        let wanted = [("want", self.want), ("spent", self.spent), ("returned", self.returned)];
        let beyond = wanted.into_iter().find(|(_, tokens)| *tokens > most);
        beyond.map(|(path, _)| (path.to_owned(), "more than the burst".to_owned()))
    }
}

impl LeaseAnswer {
    /// Understands the answer to so many asks; the error is one line for a log.
    pub fn parse(json: &[u8], asks: usize) -> Result<Self, String> {
        let answer: Self = read(json, "answer")?;
        if answer.grants.len() == asks {
            Ok(answer)
        } else {
            Err(format!("{} grants for {asks} asks", answer.grants.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    //! A call and its answer come through; nothing that is out of bounds does.

    use serde_json::{Value, json};

    use super::*;

    fn call() -> Value {
        let limit = json!({"name": "default", "requests": 100, "window_seconds": 60});
        json!({"gateway": "gw-1", "asks": [{"subject": "0".repeat(32), "limit": limit, "revision": 7, "want": 20}]})
    }

    fn parse(call: &Value) -> Result<LeaseCall, String> {
        LeaseCall::parse(call.to_string().as_bytes())
    }

    #[test]
    fn a_call_and_its_answer_come_through() {
        let parsed = parse(&call()).unwrap();
        assert_eq!((parsed.asks[0].want, parsed.asks[0].spent, parsed.asks[0].generation), (20, 0, 0));
        assert_eq!(LeaseCall::parse(&serde_json::to_vec(&parsed).unwrap()), Ok(parsed));
        let answer = br#"{"lease_ms":1000,"grants":[{"tokens":20,"generation":3}]}"#;
        assert_eq!(LeaseAnswer::parse(answer, 1).unwrap().grants[0].retry_after_ms, 0);
        assert_eq!(LeaseAnswer::parse(answer, 2), Err("1 grants for 2 asks".to_owned()));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_its_place() {
        for (path, value, error) in [
            ("/gateway", json!("a b"), "gateway: not a name"),
            ("/asks/0/subject", json!("zz"), "asks[0].subject: 32 hexadecimal digits"),
            ("/asks/0/want", json!(101), "asks[0].want: more than the burst"),
            (
                "/asks/0/limit/window_seconds",
                json!(4_000_000),
                "asks[0].limit.window_seconds: at most 2678400",
            ),
            ("/asks", json!(vec![call()["asks"][0].clone(); MAX_ASKS + 1]), "asks: at most 500"),
        ] {
            let mut call = call();
            *call.pointer_mut(path).unwrap() = value;
            assert_eq!(parse(&call), Err(error.to_owned()));
        }
    }
}
