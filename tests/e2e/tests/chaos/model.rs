//! What each key must answer at each moment, and the traffic that asks it all the time.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use flamegate_e2e::{Answer, DEADLINE, Request, http1::Connection, random::Random};

use crate::ledger::Ledger;

/// The upstream's answer.
pub const OK: u8 = 1;
/// Refused: unknown, revoked, expired.
pub const REFUSED: u8 = 2;
/// Over its limit.
pub const LIMITED: u8 = 4;

/// A key with what it may answer, since when.
pub struct Key {
    /// The plaintext.
    pub key: String,
    /// Id at the control plane; empty for one that was never made.
    pub id: String,
    history: Mutex<Vec<(Instant, u8)>>,
}

impl Key {
    /// A key that may answer this from now on.
    pub fn new(id: &str, key: &str, mask: u8) -> Arc<Self> {
        let history = Mutex::new(vec![(Instant::now(), mask)]);
        Arc::new(Self { key: key.to_owned(), id: id.to_owned(), history })
    }

    /// From now on only this.
    pub fn only(&self, mask: u8) {
        self.history.lock().expect("history").push((Instant::now(), mask));
    }

    /// From now on also this: the begin of a change.
    pub fn also(&self, mask: u8) {
        self.only(self.now() | mask);
    }

    /// What it may answer now.
    pub fn now(&self) -> u8 {
        self.history.lock().expect("history").last().map_or(0, |(_, mask)| *mask)
    }

    /// Everything that it was allowed to answer at some moment since then.
    fn since(&self, begin: Instant) -> u8 {
        let history = self.history.lock().expect("history");
        let before = history.iter().rev().find(|(at, _)| *at <= begin).map_or(0, |(_, mask)| *mask);
        history.iter().filter(|(at, _)| *at >= begin).fold(before, |sum, (_, mask)| sum | mask)
    }
}

/// What the traffic and the operations share.
pub struct World {
    /// The gateways' ports: others after a restart.
    pub ports: Mutex<Vec<u16>>,
    /// Every key that is asked.
    pub keys: Mutex<Vec<Arc<Key>>>,
    /// True while nothing has happened that excuses a 503 or a closed connection.
    pub calm: AtomicBool,
    /// Counts how often calm ended.
    pub storms: AtomicU64,
    /// The end of the run.
    pub over: AtomicBool,
    /// Requests that were answered.
    pub requests: AtomicU64,
    /// 503 and closed connections while a fault was on.
    pub unavailable: AtomicU64,
    /// What clients saw of each key.
    pub seen: Mutex<Ledger>,
    /// Held by each request until the ledger has what came of it.
    asking: RwLock<()>,
    /// What was wrong.
    pub wrong: Mutex<Vec<String>>,
    /// How many of each operation.
    pub done: Mutex<BTreeMap<&'static str, u64>>,
}

impl World {
    /// No keys, calm.
    pub fn new(ports: Vec<u16>) -> Self {
        Self {
            ports: Mutex::new(ports),
            keys: Mutex::default(),
            calm: AtomicBool::new(true),
            storms: AtomicU64::new(0),
            over: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            seen: Mutex::default(),
            asking: RwLock::default(),
            wrong: Mutex::default(),
            done: Mutex::default(),
        }
    }

    /// A fault begins: 503 and closed connections are excused.
    pub fn storm(&self) {
        self.storms.fetch_add(1, Ordering::SeqCst);
        self.calm.store(false, Ordering::SeqCst);
    }

    /// Asks with random keys until the run is over, a few requests per connection: so every worker is asked.
    pub fn traffic(&self, mut random: Random) {
        while !self.over.load(Ordering::Relaxed) {
            let weather = self.weather();
            let ports = self.ports();
            let mut connection = Connection::open(ports[random.below(ports.len())]).ok();
            for _ in 0..8 {
                let key = {
                    let keys = self.keys.lock().expect("keys");
                    Arc::clone(&keys[random.below(keys.len())])
                };
                if !self.ask(connection.as_mut(), weather, &key) {
                    break;
                }
            }
        }
    }

    fn ports(&self) -> Vec<u16> {
        self.ports.lock().expect("ports").clone()
    }

    /// Whether it is calm, and how many storms there were: the same answer again means that it was calm all the time.
    fn weather(&self) -> (bool, u64) {
        let storms = self.storms.load(Ordering::SeqCst);
        (self.calm.load(Ordering::SeqCst), storms)
    }

    /// One request, judged, over a connection that was opened in this weather; false when the connection is of no use any
    /// more.
    fn ask(&self, connection: Option<&mut Connection>, opened: (bool, u64), key: &Key) -> bool {
        let begin = Instant::now();
        let answer = match connection {
            Some(connection) => self.send(connection, key).map_err(|error| error.to_string()),
            None => Err("no connection".to_owned()),
        };
        let mask = match answer.as_ref().map(|answer| answer.status) {
            Ok(200) => OK,
            Ok(401) => REFUSED,
            Ok(429) => LIMITED,
            _ => 0,
        };
        let may = key.since(begin);
        if mask != 0 {
            self.requests.fetch_add(1, Ordering::Relaxed);
            if mask & may == 0 {
                self.accuse(format!("{} {} answered {mask}, allowed {may}", key.id, key.key));
            }
            return true;
        }
        // What is neither, a 503 or an error of the connection, has an excuse if a fault was on since the connection began.
        let excused = !opened.0 || self.weather() != opened;
        let about =
            answer.map_or_else(|error| error, |answer| format!("{} {}", answer.status, answer.text()));
        if excused {
            self.unavailable.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        } else {
            self.accuse(format!("{}: {about} without a fault", key.id));
        }
        false
    }

    /// One request, of which the ledger has what came of it.
    fn send(&self, connection: &mut Connection, key: &Key) -> io::Result<Answer> {
        let _asking = self.asking.read().expect("asking");
        let begin = Instant::now();
        let answer = connection.send(&Request::get("/v1/agents").bearer(&key.key));
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let was_good = key.since(begin) & OK != 0;
        self.seen.lock().expect("seen").note(&key.id, status, was_good);
        answer
    }

    /// The ledger with everything that was answered before this was called.
    pub fn everything_answered(&self) -> MutexGuard<'_, Ledger> {
        drop(self.asking.write().expect("asking"));
        self.seen.lock().expect("seen")
    }

    /// Notes a wrong answer.
    pub fn accuse(&self, what: String) {
        let mut wrong = self.wrong.lock().expect("wrong");
        if wrong.len() < 20 {
            wrong.push(what);
        }
    }

    /// Waits until so many new connections in a row get this answer that every worker of every gateway was among them; then
    /// nothing else is allowed any more.
    pub fn settle(&self, key: &Key, mask: u8) -> Duration {
        let begin = Instant::now();
        for port in self.ports() {
            if let Err(last) = self.settled(key, mask, port, begin) {
                self.accuse(format!("{} {} not within {DEADLINE:?}, but {last}", key.id, key.key));
                break;
            }
        }
        key.only(mask);
        begin.elapsed()
    }

    fn settled(&self, key: &Key, mask: u8, port: u16, begin: Instant) -> Result<(), String> {
        let wanted = if mask & LIMITED != 0 {
            429
        } else if mask == OK {
            200
        } else {
            401
        };
        let (mut in_a_row, mut last) = (0, String::new());
        while in_a_row < 24 {
            match Connection::open(port).and_then(|mut connection| self.send(&mut connection, key)) {
                Ok(answer) if answer.status == wanted => in_a_row += 1,
                other => {
                    in_a_row = 0;
                    last = other.map_or_else(|e| e.to_string(), |a| format!("{} {}", a.status, a.text()));
                }
            }
            if begin.elapsed() > DEADLINE {
                return Err(format!("{last} instead of {wanted}"));
            }
        }
        Ok(())
    }
}
