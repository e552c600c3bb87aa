//! What keys were used for: `POST /sync/v1/usage`. A gateway posts counts with a number that goes up by one; a post that was not
//! acknowledged is repeated byte for byte, by whoever holds the sync's lease, and the control plane adds each number once.
//!
//! Gateways do not know dead keys: a key that was revoked is one that no record has. So hashes that were refused are sent, a sample of
//! them, and the control plane finds out whose they were. One that it never had it forgets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::json::read;
use super::page::WireHash;
use super::record::is_name;

/// Path of the endpoint on the control plane.
pub const USAGE_PATH: &str = "/sync/v1/usage";
/// Most counts in one post; more make further posts. It is what the control plane adds in one go, and a revocation may wait for that.
pub const MAX_COUNTS: usize = 1_024;
/// Stands for the keys beyond a gateway's bound.
pub const OTHER_KEYS: &str = "other";
/// Most hashes that were refused in one post.
pub const MAX_REFUSED: usize = 256;
/// Most counts by reason in one post.
pub const MAX_REASON_COUNTS: usize = 64;

/// One post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePost {
    /// What the gateway calls itself; the credential makes its id of it.
    pub gateway: String,
    /// The post's number; the first of a session is 1.
    pub sequence: u64,
    /// At most [`MAX_COUNTS`], each key, outcome and minute once.
    pub counts: Vec<Count>,
    /// Hashes that were refused, for the control plane to know dead keys by: sampled, each with its minute once, at most [`MAX_REFUSED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// What would have been refused and has passed in shadow. Its keys and `counts` are [`MAX_COUNTS`] together.
    #[serde(default, skip_serializing_if = "Shadowed::is_empty")]
    pub shadow: Shadowed,
}

/// Requests of one key with one outcome in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The key's id, or [`OTHER_KEYS`].
    pub key_id: String,
    /// What became of them.
    pub outcome: UsageOutcome,
    /// Unix time in minutes.
    pub minute: u64,
    /// How many.
    pub requests: u64,
}

/// What became of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageOutcome {
    /// They passed.
    Admitted,
    /// A limit was used up.
    RateLimited,
    /// Outside of the key's restrictions.
    Forbidden,
    /// The key's time was over.
    Expired,
    /// The gateway does not accept the key's environment.
    Environment,
}

impl UsageOutcome {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 5] =
        [Self::Admitted, Self::RateLimited, Self::Forbidden, Self::Expired, Self::Environment];
}

/// A hash that was refused, and how often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// SHA-256 of what was sent.
    pub hash: WireHash,
    /// Unix time in minutes.
    pub minute: u64,
    /// How many of the sampled requests had it.
    pub requests: u64,
    /// True when it was refused for its environment and not looked up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub environment: bool,
}

/// What has passed in shadow since the post before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadowed {
    /// By key: what it would have been refused for. They are among the post's counts, too, and never admitted ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Count>,
    /// All requests by reason, those of keys too; at most [`MAX_REASON_COUNTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonCount>,
}

/// Requests with one reason in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// One of [`super::reasons::REASONS`], or one that is not known yet.
    pub reason: String,
    /// Unix time in minutes.
    pub minute: u64,
    /// How many.
    pub requests: u64,
}

/// The acknowledgement: everything up to this number is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageAnswer {
    /// The post's number, or a later one.
    pub sequence: u64,
}

impl UsagePost {
    /// Understands a post; the error is one line for a log.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let post: Self = read(json, "post")?;
        if !is_name(&post.gateway) {
            return Err("gateway: not a name".to_owned());
        }
        if post.sequence == 0 {
            return Err("sequence: begins at 1".to_owned());
        }
        let counts = post.counts.len().saturating_add(post.shadow.keys.len());
        if counts > MAX_COUNTS || post.refused.len() > MAX_REFUSED {
            return Err(format!("at most {MAX_COUNTS} counts and {MAX_REFUSED} hashes"));
        }
        let mut seen = BTreeSet::new();
        for (index, count) in post.counts.iter().enumerate() {
            if !is_name(&count.key_id) {
                return Err(format!("counts[{index}].key_id: not a name"));
            }
            if !seen.insert((&count.key_id, count.outcome, count.minute)) {
                return Err(format!("counts[{index}]: is there twice"));
            }
        }
        let mut seen = BTreeSet::new();
        for (index, refused) in post.refused.iter().enumerate() {
            if !seen.insert((refused.hash, refused.minute, refused.environment)) {
                return Err(format!("refused[{index}]: is there twice"));
            }
        }
        post.shadow.check()?;
        Ok(post)
    }
}

impl Shadowed {
    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.reasons.is_empty()
    }

    /// What would be counted wrongly; the error is one line for a log.
    fn check(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for (index, count) in self.keys.iter().enumerate() {
            if !is_name(&count.key_id) {
                return Err(format!("shadow.keys[{index}].key_id: not a name"));
            }
            if count.outcome == UsageOutcome::Admitted {
                return Err(format!("shadow.keys[{index}].outcome: would not have been refused"));
            }
            if !seen.insert((&count.key_id, count.outcome, count.minute)) {
                return Err(format!("shadow.keys[{index}]: is there twice"));
            }
        }
        if self.reasons.len() > MAX_REASON_COUNTS {
            return Err(format!("shadow.reasons: at most {MAX_REASON_COUNTS}"));
        }
        let mut seen = BTreeSet::new();
        for (index, count) in self.reasons.iter().enumerate() {
            if !seen.insert((&count.reason, count.minute)) {
                return Err(format!("shadow.reasons[{index}]: is there twice"));
            }
        }
        Ok(())
    }
}

impl UsageAnswer {
    /// Understands an answer; the error is one line for a log.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        read(json, "answer")
    }
}

#[cfg(test)]
mod tests {
    //! A post comes through; nothing that would be counted wrongly does.

    use serde_json::{Value, json};

    use super::super::reasons::known_reason;
    use super::*;

    fn post() -> Value {
        let count =
            json!({"key_id": "key_1", "outcome": "rate_limited", "minute": 29_000_000, "requests": 3});
        json!({"gateway": "gw-1", "sequence": 1, "counts": [count]})
    }

    fn parse(post: &Value) -> Result<UsagePost, String> {
        UsagePost::parse(post.to_string().as_bytes())
    }

    #[test]
    fn a_post_comes_through() {
        let parsed = parse(&post()).unwrap();
        assert_eq!(parsed.counts[0].outcome, UsageOutcome::RateLimited);
        assert_eq!(UsagePost::parse(&serde_json::to_vec(&parsed).unwrap()), Ok(parsed));
    }

    #[test]
    fn what_passed_in_shadow_comes_through_and_gateways_of_before_say_nothing_of_it() {
        assert!(parse(&post()).unwrap().shadow.is_empty());
        let mut post = post();
        let keys =
            json!([{"key_id": "key_1", "outcome": "rate_limited", "minute": 29_000_000, "requests": 3}]);
        let reasons = json!([{"reason": "rate_limited.key", "minute": 29_000_000, "requests": 3}, {"reason": "of.tomorrow", "minute": 1, "requests": 1}]);
        post["shadow"] = json!({"keys": keys, "reasons": reasons, "of_tomorrow": 1});
        let parsed = parse(&post).unwrap();
        assert_eq!((parsed.shadow.keys[0].requests, parsed.shadow.reasons.len()), (3, 2));
        assert_eq!(UsagePost::parse(&serde_json::to_vec(&parsed).unwrap()), Ok(parsed));
        assert_eq!(known_reason("rate_limited.key"), "rate_limited.key");
        assert_eq!(known_reason("of.tomorrow"), "other");
    }

    /// A control plane of before has no field `shadow`, and reads everything else.
    #[test]
    fn a_control_plane_of_before_reads_a_post_with_it() {
        #[derive(Deserialize)]
        struct Before {
            counts: Vec<Count>,
            #[serde(default)]
            refused: Vec<Refused>,
        }
        let mut post = post();
        post["shadow"] = json!({"reasons": [{"reason": "unauthorized.missing", "minute": 1, "requests": 1}]});
        let before: Before = read(post.to_string().as_bytes(), "post").unwrap();
        assert_eq!((before.counts.len(), before.refused.len()), (1, 0));
    }

    #[test]
    fn what_would_be_counted_wrongly_is_refused_with_its_place() {
        let count = post()["counts"][0].clone();
        let refused = json!({"hash": "0".repeat(64), "minute": 29_000_000, "requests": 3});
        let (mut admitted, mut unnamed) = (count.clone(), count.clone());
        (admitted["outcome"], unnamed["key_id"]) = (json!("admitted"), json!("key 1"));
        let reason = json!({"reason": "unauthorized.missing", "minute": 1, "requests": 1});
        for (path, value, error) in [
            ("/gateway", json!(""), "gateway: not a name"),
            ("/sequence", json!(0), "sequence: begins at 1"),
            ("/counts/0/key_id", json!("key 1"), "counts[0].key_id: not a name"),
            ("/counts", json!([count, count]), "counts[1]: is there twice"),
            ("/refused", json!([refused, refused]), "refused[1]: is there twice"),
            ("/counts", json!(vec![count.clone(); MAX_COUNTS + 1]), "at most 1024 counts and 256 hashes"),
            ("/shadow/keys", json!([admitted]), "shadow.keys[0].outcome: would not have been refused"),
            ("/shadow/keys", json!([count, count]), "shadow.keys[1]: is there twice"),
            ("/shadow/keys", json!([unnamed]), "shadow.keys[0].key_id: not a name"),
            ("/shadow/keys", json!(vec![count; MAX_COUNTS]), "at most 1024 counts and 256 hashes"),
            ("/shadow/reasons", json!([reason, reason]), "shadow.reasons[1]: is there twice"),
            ("/shadow/reasons", json!(vec![reason; MAX_REASON_COUNTS + 1]), "shadow.reasons: at most 64"),
        ] {
            let mut post = post();
            post["refused"] = json!([]);
            post["shadow"] = json!({"keys": [], "reasons": []});
            *post.pointer_mut(path).unwrap() = value;
            assert_eq!(parse(&post), Err(error.to_owned()));
        }
    }
}
