//! Changes of keys at two control planes: each is repeated, at one or the other, until it is acknowledged, for what happened to a call without
//! an answer is not known. Creates and rotations carry an `Idempotency-Key`, so that a repetition is one; the other changes are the same when done
//! twice.

use std::{
    io,
    ops::Range,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flamegate_e2e::{Answer, DEADLINE, Request, control::ADMIN_TOKEN, http1::Connection, random::Random};
use serde_json::{Value, json};

use super::{GATEWAYS, Pending};
use crate::model::{Key, LIMITED, OK, REFUSED, World};

/// Fewest and most good keys between operations.
pub const KEYS: Range<usize> = 4..24;
/// How long a call waits for its answer before it is repeated elsewhere: a frozen control plane says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// What changes keys.
pub struct Changes {
    pub random: Random,
    pub world: Arc<World>,
    pub ports: Vec<u16>,
    pub good: Vec<Arc<Key>>,
    pub calls: u64,
}

impl Changes {
    pub fn change(&mut self) -> (&'static str, Pending) {
        if self.good.len() < 2 {
            return ("create", self.create());
        }
        match self.random.below(6) {
            0 | 1 if self.good.len() < KEYS.end => ("create", self.create()),
            2 => ("expire", self.expire()),
            3 => ("rotate", self.rotate()),
            4 => ("limit", self.limit()),
            _ => ("revoke", self.revoke()),
        }
    }

    /// The `data` of a call that is repeated until it succeeds; `None` when it turns out that an earlier try had made what is not
    /// shown twice.
    pub fn call(&mut self, method: &str, path: &str, body: &Value) -> Option<Value> {
        self.call_with(method, path, || body.clone())
    }

    /// The same; the body is made anew for each try.
    fn call_with(&mut self, method: &str, path: &str, body: impl Fn() -> Value) -> Option<Value> {
        self.calls += 1;
        let again = format!("chaos-{}", self.calls);
        let begin = Instant::now();
        loop {
            let port = self.random.pick(&self.ports);
            let last = match send(port, method, path, &body(), &again) {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    return Some(answer.json()["data"].clone());
                }
                Ok(answer) if answer.code().as_deref() == Some("ALREADY_CREATED") => return None,
                // Another try of the same call is still being worked on. Or an end was in the past when the database was there to be told.
                Ok(answer)
                    if matches!(answer.status, 409 | 503)
                        || (answer.status == 422 && answer.text().contains("must be in the future")) =>
                {
                    format!("{} {}", answer.status, answer.text())
                }
                Ok(answer) => panic!("{method} {path}: {} {}", answer.status, answer.text()),
                Err(error) => error.to_string(),
            };
            assert!(begin.elapsed() < DEADLINE, "{method} {path}: {last}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn add(&mut self, new: &Value, mask: u8) -> Arc<Key> {
        let text = |name: &str| new[name].as_str().unwrap_or_else(|| panic!("no {name} in {new}")).to_owned();
        let key = Key::new(&text("id"), &text("key"), mask);
        self.world.keys.lock().expect("keys").push(Arc::clone(&key));
        key
    }

    pub fn create(&mut self) -> Pending {
        let limits = json!([{"requests": 1_000_000, "window_seconds": 60}]);
        let body = json!({"workspace": "e2e", "name": "chaos", "environment": "live", "limits": limits});
        loop {
            // A key that nobody has seen harms nobody.
            if let Some(new) = self.call("POST", "/v1/api-keys", &body) {
                let key = self.add(&new, OK | REFUSED);
                return vec![(key, OK)];
            }
        }
    }

    pub fn take(&mut self) -> Arc<Key> {
        let index = self.random.below(self.good.len());
        self.good.swap_remove(index)
    }

    pub fn revoke(&mut self) -> Pending {
        let key = self.take();
        let wait = self.random.pick(&["0s", "1s"]);
        key.also(REFUSED);
        let path = format!("/v1/api-keys/{}/revoke?wait={wait}", key.id);
        let receipt = self.call("POST", &path, &Value::Null).unwrap_or_default();
        if receipt["gateways"] == json!(GATEWAYS) && receipt["enforced"] == json!(GATEWAYS) {
            // The receipt is a promise, whatever else happens: at once nothing else is allowed.
            key.only(REFUSED);
        }
        vec![(key, REFUSED)]
    }

    pub fn rotate(&mut self) -> Pending {
        let old = self.take();
        old.also(REFUSED);
        let path = format!("/v1/api-keys/{}/rotate", old.id);
        let new = self.call("POST", &path, &json!({"grace_seconds": 1}));
        let mut pending = vec![(old, REFUSED)];
        if let Some(new) = new {
            pending.push((self.add(&new, OK | REFUSED), OK));
        }
        pending
    }

    pub fn expire(&mut self) -> Pending {
        let key = self.take();
        key.also(REFUSED);
        // Of each try: what was in two seconds is in the past when the database is away for longer.
        let body = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
            json!({"expires_at": now + 2})
        };
        self.call_with("PATCH", &format!("/v1/api-keys/{}", key.id), body);
        vec![(key, REFUSED)]
    }

    /// Gives a key so tight a limit that it is over it.
    pub fn limit(&mut self) -> Pending {
        let key = self.take();
        key.also(LIMITED);
        let body = json!({"limits": [{"requests": 1, "window_seconds": 86400}]});
        self.call("PATCH", &format!("/v1/api-keys/{}", key.id), &body);
        vec![(key, OK | LIMITED)]
    }
}

fn send(port: u16, method: &str, path: &str, body: &Value, again: &str) -> io::Result<Answer> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut request = Request::new(method, path).bearer(ADMIN_TOKEN).header("idempotency-key", again);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    request = request.header("content-length", body.len().to_string());
    let mut connection = Connection::open(port)?;
    connection.set_timeout(PATIENCE)?;
    connection.send_bytes(&flamegate_e2e::http1::encode(&request))?;
    connection.send_bytes(body.as_bytes())?;
    connection.read_answer(false)
}
