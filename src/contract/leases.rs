//! Lending the tokens of fleet limits: `POST /sync/v1/leases`. A gateway asks for tokens of the limits in use, tells what was admitted
//! and gives back what it will not use; the control plane grants what the book of the whole fleet has. These are the messages; the
//! book's rule is the control plane's.
//!
//! An ask names a limit by whose it is and by its name, never by its numbers: those the control plane reads for itself, so nobody
//! loosens a limit by asking.
//!
//! A call may be lost, and so may its answer: what was lent then ends with its lease. Nothing counts twice, because `spent`, `returned`
//! and `alone` are sent once and never repeated.

use serde::{Deserialize, Serialize};

use super::json::read;
use super::plan::is_limit_name;
use super::record::{MAX_REQUESTS, Scope, is_name};

/// Path of the endpoint on the control plane.
pub const LEASES_PATH: &str = "/sync/v1/leases";
/// Most asks in one call.
pub const MAX_ASKS: usize = 500;
/// Length of a lease in milliseconds. A token is good for so long, counted from before it was asked for.
pub const LEASE_MS: u32 = 1_000;

/// Everything that a gateway asks at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseCall {
    /// What it calls itself; the credential makes its id of it.
    pub gateway: String,
    /// At most [`MAX_ASKS`].
    pub asks: Vec<Ask>,
}

/// One limit's part. A limit may be there twice, to report of two generations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who uses the limit up: a key's id or, of a limit that all keys of a workspace share, the workspace's.
    pub owner: String,
    /// Which of the two.
    #[serde(default)]
    pub scope: Scope,
    /// The limit's name; of a plan's limit as [`limit_name`](super::plan::limit_name) makes it.
    pub name: String,
    /// Tokens that are wanted now; 0 to report only.
    #[serde(default)]
    pub want: u32,
    /// Tokens of `generation` on which requests were admitted, since the last report.
    #[serde(default)]
    pub spent: u32,
    /// Tokens of `generation` that will not be used.
    #[serde(default)]
    pub returned: u32,
    /// The generation of the grants that `spent` and `returned` are of; ignored when the book has moved on.
    #[serde(default)]
    pub generation: u64,
    /// Requests, by their cost, that the gateway admitted by a limiter of its own while nothing could be lent.
    #[serde(default)]
    pub alone: u32,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Tokens; 0 when there are none, or no such limit.
    pub tokens: u32,
    /// To be named in reports; it says nothing else.
    pub generation: u64,
    /// What the fleet has left after this.
    #[serde(default)]
    pub left: u32,
    /// When it is worth asking again, in milliseconds; 0 when tokens were granted.
    #[serde(default)]
    pub retry_after_ms: u64,
    /// Tokens that other gateways hold after this, as far as the control plane has lent them; some may come back unused.
    #[serde(default)]
    pub held_elsewhere: u32,
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
    fn problem(&self) -> Option<(&'static str, String)> {
        let names = [("owner", is_name(&self.owner)), ("name", is_limit_name(&self.name))];
        if let Some((path, _)) = names.into_iter().find(|(_, is_one)| !is_one) {
            return Some((path, "not a name".to_owned()));
        }
        let numbers =
            [("want", self.want), ("spent", self.spent), ("returned", self.returned), ("alone", self.alone)];
        let beyond = numbers.into_iter().find(|(_, tokens)| *tokens > MAX_REQUESTS);
        beyond.map(|(path, _)| (path, format!("at most {MAX_REQUESTS}")))
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
        json!({"gateway": "gw-1", "asks": [{"owner": "key_1", "scope": "key", "name": "default", "want": 20}]})
    }

    fn parse(call: &Value) -> Result<LeaseCall, String> {
        LeaseCall::parse(call.to_string().as_bytes())
    }

    #[test]
    fn a_call_and_its_answer_come_through() {
        let parsed = parse(&call()).unwrap();
        assert_eq!((parsed.asks[0].want, parsed.asks[0].spent, parsed.asks[0].generation), (20, 0, 0));
        assert_eq!(LeaseCall::parse(&serde_json::to_vec(&parsed).unwrap()), Ok(parsed));
        let mut of_plan = call();
        of_plan["asks"][0]["name"] = json!("plan:default");
        assert_eq!(parse(&of_plan).unwrap().asks[0].name, "plan:default");
        let answer = br#"{"lease_ms":1000,"grants":[{"tokens":20,"generation":3}]}"#;
        let grant = LeaseAnswer::parse(answer, 1).unwrap().grants[0];
        assert_eq!((grant.left, grant.retry_after_ms, grant.held_elsewhere), (0, 0, 0));
        let newer =
            br#"{"lease_ms":1000,"grants":[{"tokens":0,"generation":3,"held_elsewhere":7,"later":1}]}"#;
        assert_eq!(LeaseAnswer::parse(newer, 1).unwrap().grants[0].held_elsewhere, 7);
        assert_eq!(LeaseAnswer::parse(answer, 2), Err("1 grants for 2 asks".to_owned()));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_its_place() {
        for (path, value, error) in [
            ("/gateway", json!("a b"), "gateway: not a name"),
            ("/asks/0/owner", json!(""), "asks[0].owner: not a name"),
            ("/asks/0/name", json!("a b"), "asks[0].name: not a name"),
            ("/asks/0/name", json!("plan:plan:a"), "asks[0].name: not a name"),
            ("/asks/0/owner", json!("plan:a"), "asks[0].owner: not a name"),
            ("/asks/0/want", json!(1_000_001), "asks[0].want: at most 1000000"),
            ("/asks", json!(vec![call()["asks"][0].clone(); MAX_ASKS + 1]), "asks: at most 500"),
        ] {
            let mut call = call();
            *call.pointer_mut(path).unwrap() = value;
            assert_eq!(parse(&call), Err(error.to_owned()));
        }
    }
}
