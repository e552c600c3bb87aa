//! Clients that count what they see, and what the control plane says of it.

use std::{collections::BTreeMap, thread, time::Duration};

use flamegate_e2e::{
    Control, Request, control::NewKey, eventually, http1, http1::Connection, random::Random,
};
use serde_json::{Value, json};

/// Sends requests and counts what came of them, by key and status.
#[derive(Default)]
pub struct Client(BTreeMap<(String, u16), u64>);

/// Requests that are on their way on one connection at once.
const PIPELINE: u64 = 16;

impl Client {
    pub fn send(&mut self, connection: &mut Connection, key: &NewKey) -> Result<u16, String> {
        let status = connection.send(&request(key)).map_err(|error| error.to_string())?.status;
        self.count(key, status);
        Ok(status)
    }

    /// Sends so many requests with keys by chance, one behind the other; none of them may be over its limit, because Envoy closes the
    /// connection after an answer of its own when the next request is there already.
    pub fn send_many(
        &mut self,
        connection: &mut Connection,
        keys: &[&NewKey],
        many: u64,
        mut random: Random,
    ) {
        let requests: Vec<_> = keys.iter().map(|key| http1::encode(&request(key))).collect();
        let mut left = many;
        while left > 0 {
            let picked: Vec<_> = (0..left.min(PIPELINE)).map(|_| random.below(keys.len())).collect();
            let bytes: Vec<u8> = picked.iter().flat_map(|place| requests[*place].iter().copied()).collect();
            connection.send_bytes(&bytes).expect("a connection");
            for place in &picked {
                let status = connection.read_answer(false).expect("an answer").status;
                self.count(keys[*place], status);
            }
            left -= picked.len() as u64;
        }
    }

    fn count(&mut self, key: &NewKey, status: u16) {
        *self.0.entry((key.id.clone(), status)).or_default() += 1;
    }

    /// What another client saw, too.
    pub fn add(&mut self, other: Self) {
        other.0.into_iter().for_each(|(key, count)| *self.0.entry(key).or_default() += count);
    }

    pub fn saw(&self, key: &NewKey, status: u16) -> u64 {
        self.0.get(&(key.id.clone(), status)).copied().unwrap_or_default()
    }

    /// Answers with this status, whatever the key.
    pub fn saw_all(&self, status: u16) -> u64 {
        self.0.iter().filter(|((_, seen), _)| *seen == status).map(|(_, count)| count).sum()
    }

    /// Until each worker answers so.
    pub fn wait(&mut self, connections: &mut [Connection], key: &NewKey, wanted: u16) {
        for connection in connections {
            eventually("the worker knows the key", || match self.send(connection, key)? {
                status if status == wanted => Ok(()),
                status => Err(format!("{status}")),
            });
        }
    }
}

fn request(key: &NewKey) -> Request {
    Request::get("/v1/agents").bearer(&key.key)
}

pub fn usage(control: &Control, key: &NewKey) -> Value {
    control.data("GET", &format!("/v1/api-keys/{}/usage?step=day", key.id), None)
}

/// Waits until the control plane has counted so many.
pub fn counted(control: &Control, key: &NewKey, wanted: &[(&str, u64)]) {
    eventually("the posts of all requests", || {
        let totals = usage(control, key)["totals"].clone();
        let is = |(outcome, requests): &(&str, u64)| totals[outcome] == json!(requests);
        if wanted.iter().all(is) {
            return Ok(());
        }
        // Gateways post every ten seconds.
        thread::sleep(Duration::from_millis(100));
        Err(format!("{totals}, wanted {wanted:?}"))
    });
}
