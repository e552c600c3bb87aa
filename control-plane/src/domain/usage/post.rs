//! What a gateway's post says, as rows to be added. It may say anything: keys that are not there, times to come, absurd numbers. Whoever
//! has a gateway's credential can make counts up; they cannot make them last longer, overflow, or be anybody's who is not there.

use std::collections::{BTreeMap, HashMap};

use super::period::Step;
use super::said::{MOST_REQUESTS, minute};
use super::shadow::ShadowRows;
use super::tally::{Minute, Tally};
use crate::contract::usage::{UsageOutcome, UsagePost};
use crate::contract::{KeyHash, WireHash};

/// A post on its way into the database.
#[derive(Debug)]
pub struct Batch {
    /// Name of the credential that was shown.
    pub credential: String,
    /// SHA-256 of the process's session.
    pub session: [u8; 32],
    /// What is said.
    pub post: UsagePost,
}

/// The rows of a key and its workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The key's.
    pub seq: i64,
    /// Its workspace's.
    pub workspace_seq: i64,
}

/// A key that has ended, or is refused in some places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Its row.
    pub row: KeyRow,
    /// How it ended; `None` for one that has not.
    pub ended: Option<Ended>,
}

/// How a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody has revoked it.
    Revoked,
    /// Its time was over.
    Expired,
}

/// When a key was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The key's row.
    pub key_seq: i64,
    /// Its workspace's.
    pub workspace_seq: i64,
    /// When.
    pub minute: Minute,
    /// Id of the gateway.
    pub gateway: String,
}

/// Everything that posts add, in the order of its keys: whoever adds them at the same time takes the rows in the same order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// By key, its workspace, step and start.
    pub keys: BTreeMap<(i64, i64, Step, Minute), Tally>,
    /// By workspace, step and start.
    pub workspaces: BTreeMap<(i64, Step, Minute), Tally>,
    /// Last uses, by key.
    pub used: BTreeMap<i64, Use>,
    /// Last uses of keys that had ended, by key.
    pub refused: BTreeMap<i64, Use>,
    /// Where keys were used: the first minute of the last hour, by key and gateway.
    pub gateways: BTreeMap<(i64, String), Minute>,
    /// What would have been refused and has passed in shadow.
    pub shadow: ShadowRows,
}

impl Batch {
    /// By whom and which it is.
    pub fn order(&self) -> (&str, &[u8; 32], u64) {
        (&self.credential, &self.session, self.post.sequence)
    }
}

impl Rows {
    /// Adds what a post says, as of the minute `now`: `known` has the keys of its ids, `dead` those of its hashes. What is nobody's is
    /// left out.
    pub fn take(
        &mut self,
        batch: &Batch,
        known: &HashMap<String, KeyRow>,
        dead: &HashMap<KeyHash, Dead>,
        now: Minute,
    ) {
        let gateway = format!("{}/{}", batch.credential, batch.post.gateway);
        for count in &batch.post.counts {
            let Some(row) = known.get(&count.key_id) else { continue };
            let Some(minute) = minute(count.minute, now) else { continue };
            let requests = count.requests.min(MOST_REQUESTS);
            let mut tally = Tally::default();
            match count.outcome {
                UsageOutcome::Admitted => tally.admitted = requests,
                UsageOutcome::RateLimited => tally.rate_limited = requests,
                UsageOutcome::Forbidden => tally.forbidden = requests,
                UsageOutcome::Expired => tally.expired = requests,
                UsageOutcome::Environment => tally.environment = requests,
            }
            if count.outcome == UsageOutcome::Expired {
                note(&mut self.refused, *row, minute, &gateway);
            } else {
                note(&mut self.used, *row, minute, &gateway);
                let hour = self.gateways.entry((row.seq, gateway.clone())).or_default();
                *hour = (*hour).max(Step::Hour.start(minute));
            }
            self.add(*row, minute, &tally, now);
        }
        for refused in &batch.post.refused {
            let WireHash(hash) = refused.hash;
            let Some(Dead { row, ended }) = dead.get(&hash) else { continue };
            let Some(minute) = minute(refused.minute, now) else { continue };
            let requests = refused.requests.min(MOST_REQUESTS);
            let tally = match ended {
                Some(Ended::Revoked) => Tally { revoked: requests, ..Tally::default() },
                Some(Ended::Expired) => Tally { expired: requests, ..Tally::default() },
                None if refused.environment => Tally { environment: requests, ..Tally::default() },
                // Refused before the gateway knew it.
                None => continue,
            };
            if ended.is_some() {
                note(&mut self.refused, *row, minute, &gateway);
            }
            self.add(*row, minute, &tally, now);
        }
        for count in &batch.post.shadow.keys {
            let Some(row) = known.get(&count.key_id) else { continue };
            let Some(minute) = minute(count.minute, now) else { continue };
            let requests = count.requests.min(MOST_REQUESTS);
            let mut passed = Tally::default();
            match count.outcome {
                // Nobody would have refused it; the contract lets none through.
                UsageOutcome::Admitted => continue,
                UsageOutcome::RateLimited => passed.shadow_limited = requests,
                UsageOutcome::Forbidden | UsageOutcome::Expired | UsageOutcome::Environment => {
                    passed.shadow_refused = requests;
                }
            }
            self.add(*row, minute, &passed, now);
        }
        let row_of = |id: &str| known.get(id).map(|row| row.seq);
        self.shadow.take(&gateway, &batch.post.shadow, row_of, now);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.keys.len() + self.workspaces.len() + self.used.len() + self.refused.len() + self.shadow.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&mut self, row: KeyRow, minute: Minute, tally: &Tally, now: Minute) {
        // What is older than a step is kept for is there in the longer ones.
        for step in Step::ALL.into_iter().filter(|step| minute > now - step.kept()) {
            let start = step.start(minute);
            self.keys.entry((row.seq, row.workspace_seq, step, start)).or_default().add(tally);
            self.workspaces.entry((row.workspace_seq, step, start)).or_default().add(tally);
        }
    }
}

fn note(uses: &mut BTreeMap<i64, Use>, row: KeyRow, minute: Minute, gateway: &str) {
    let KeyRow { seq: key_seq, workspace_seq } = row;
    let last = || Use { key_seq, workspace_seq, minute, gateway: gateway.to_owned() };
    let known = uses.entry(key_seq).or_insert_with(last);
    if known.minute < minute {
        *known = last();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Minute = 29_000_000;

    fn rows(post: serde_json::Value) -> Rows {
        let post = UsagePost::parse(post.to_string().as_bytes()).unwrap();
        let batch = Batch { credential: "eu".to_owned(), session: [1; 32], post };
        let row = |seq| KeyRow { seq, workspace_seq: 9 };
        let known = HashMap::from([("key_1".to_owned(), row(1)), ("key_2".to_owned(), row(2))]);
        let dead = |seq, ended| Dead { row: row(seq), ended };
        let hashes = HashMap::from([
            (KeyHash([3; 32]), dead(3, Some(Ended::Revoked))),
            (KeyHash([4; 32]), dead(4, Some(Ended::Expired))),
            (KeyHash([5; 32]), dead(5, None)),
        ]);
        let mut rows = Rows::default();
        rows.take(&batch, &known, &hashes, NOW);
        rows
    }

    fn count(id: &str, outcome: &str, minute: i64, requests: u64) -> serde_json::Value {
        serde_json::json!({"key_id": id, "outcome": outcome, "minute": minute, "requests": requests})
    }

    #[test]
    fn counts_are_in_every_step_of_the_key_and_its_workspace() {
        let counts = [
            count("key_1", "admitted", NOW, 3),
            count("key_1", "admitted", NOW - 1, 4),
            count("key_2", "expired", NOW - 1, 5),
            count("key_unknown", "admitted", NOW, 6),
            count("other", "admitted", NOW, 7),
        ];
        let rows = rows(serde_json::json!({"gateway": "a", "sequence": 1, "counts": counts}));
        let day = Step::Day.start(NOW);
        assert_eq!(rows.keys[&(1, 9, Step::Minute, NOW)].admitted, 3);
        assert_eq!(rows.keys[&(1, 9, Step::Day, day)].admitted, 7);
        assert_eq!(
            rows.workspaces[&(9, Step::Day, day)],
            Tally { admitted: 7, expired: 5, ..Tally::default() }
        );
        assert_eq!(rows.used.len(), 1);
        assert_eq!(
            rows.used[&1],
            Use { key_seq: 1, workspace_seq: 9, minute: NOW, gateway: "eu/a".to_owned() }
        );
        assert_eq!(rows.gateways, [((1, "eu/a".to_owned()), Step::Hour.start(NOW))].into());
        assert_eq!(rows.refused[&2].minute, NOW - 1, "who comes with an ended key does not use it");
    }

    #[test]
    fn what_cannot_be_is_brought_into_bounds() {
        let counts = [
            count("key_1", "admitted", NOW + 500, u64::MAX),
            count("key_2", "admitted", NOW - 3 * 1_440, 1),
            count("key_2", "rate_limited", NOW - 500 * 1_440, 1),
        ];
        let rows = rows(serde_json::json!({"gateway": "a", "sequence": 1, "counts": counts}));
        assert_eq!(rows.keys[&(1, 9, Step::Minute, NOW)].admitted, MOST_REQUESTS);
        let steps: Vec<_> =
            rows.keys.keys().filter(|(seq, ..)| *seq == 2).map(|(_, _, step, _)| *step).collect();
        assert_eq!(steps, [Step::Hour, Step::Day], "too old for minutes, and one too old for anything");
    }

    #[test]
    fn what_has_passed_in_shadow_is_noted_beside_what_it_would_have_been_refused_for() {
        let count = |id: &str, outcome: &str, requests: u64| serde_json::json!({"key_id": id, "outcome": outcome, "minute": NOW, "requests": requests});
        let shadow = [
            count("key_1", "rate_limited", 3),
            count("key_1", "forbidden", 2),
            count("key_1", "expired", 1),
            count("key_none", "forbidden", 9),
        ];
        let rows = rows(serde_json::json!({
            "gateway": "a", "sequence": 1,
            "counts": [count("key_1", "rate_limited", 7), count("key_1", "forbidden", 2), count("key_1", "expired", 1)],
            "shadow": {"keys": shadow},
        }));
        let wanted = Tally {
            rate_limited: 7,
            shadow_limited: 3,
            forbidden: 2,
            expired: 1,
            shadow_refused: 3,
            ..Tally::default()
        };
        for step in Step::ALL {
            assert_eq!(rows.keys[&(1, 9, step, step.start(NOW))], wanted);
            assert_eq!(rows.workspaces[&(9, step, step.start(NOW))], wanted);
        }
        assert_eq!(rows.keys.len(), 3, "of the key that there is");
    }

    #[test]
    fn hashes_count_for_keys_that_have_ended() {
        let refused = [3u8, 4, 5, 6].map(|n| {
            serde_json::json!({"hash": KeyHash([n; 32]).to_hex(), "minute": NOW, "requests": 2, "environment": n == 3})
        });
        let rows = rows(serde_json::json!({"gateway": "a", "sequence": 1, "counts": [], "refused": refused}));
        assert_eq!(rows.keys[&(3, 9, Step::Minute, NOW)], Tally { revoked: 2, ..Tally::default() });
        assert_eq!(rows.keys[&(4, 9, Step::Minute, NOW)], Tally { expired: 2, ..Tally::default() });
        assert!(
            rows.keys.keys().all(|(seq, ..)| *seq < 5),
            "an active one was not known yet, another is nobody's"
        );
        assert_eq!(rows.refused.keys().collect::<Vec<_>>(), [&3, &4]);
        assert!(rows.used.is_empty());
    }
}
