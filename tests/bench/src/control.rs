//! A stand-in for the control plane: speaks sync protocol v1 from keys that are computed, so that a table of a million
//! keys needs no database. It acknowledges what keys are used for, too. The types are the product's own.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use flamegate::contract::key::KeyHash;
use flamegate::contract::page::{Page, Upsert, WireHash};
use flamegate::contract::usage::{USAGE_PATH, UsageAnswer, UsagePost};

use crate::keys::{Key, Keys};

/// The sync token of every run.
pub const TOKEN: &str = "sync-token-of-the-bench";
/// The revision of the table at the start.
const FIRST_REVISION: u64 = 1;
const EPOCH: &str = "e_bench";

/// A running stand-in; its threads end with the program.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
    /// Where it listens.
    pub port: u16,
}

struct Shared {
    keys: Keys,
    log: Mutex<Log>,
    changed: Condvar,
    sent: AtomicU64,
}

/// Changes since the start: entry `i` has revision `FIRST_REVISION + 1 + i`.
#[derive(Default)]
struct Log {
    changes: Vec<Change>,
    acknowledged: u64,
}

/// One change of the table.
#[derive(Clone, Copy)]
pub enum Change {
    /// The key is (again) active.
    Upsert(Key),
    /// The key opens nothing any more.
    Removal(KeyHash),
}

impl Control {
    /// Starts serving `keys`.
    pub fn start(keys: Keys) -> Result<Self> {
        Self::start_on(0, keys)
    }

    /// The same on a port that is known before.
    pub fn start_on(port: u16, keys: Keys) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let port = listener.local_addr()?.port();
        let (log, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { keys, log, changed, sent: AtomicU64::new(0) });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                // A gateway that goes away ends its connection's thread; nobody needs to hear of it.
                thread::spawn(move || drop(serve(&stream, &shared)));
            }
        });
        Ok(Self { shared, port })
    }

    /// The keys at the start.
    pub fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// Bytes of all pages sent so far, without HTTP headers.
    pub fn sent_bytes(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Makes changes and wakes the gateways; the last one's revision.
    pub fn change(&self, changes: &[Change]) -> u64 {
        let mut log = self.shared.lock();
        log.changes.extend_from_slice(changes);
        let revision = log.revision();
        drop(log);
        self.shared.changed.notify_all();
        revision
    }

    /// The revision that the gateway has acknowledged: every worker enforces it.
    pub fn acknowledged(&self) -> u64 {
        self.shared.lock().acknowledged
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn answer(&self, query: &HashMap<&str, &str>) -> Result<Page> {
        let number =
            |name: &str| query.get(name).map_or(Ok(0), |text| text.trim_end_matches('s').parse::<u64>());
        let limit = usize::try_from(number("limit")?.clamp(1, 5000))?;
        if query.get("epoch") != Some(&EPOCH) {
            let cursor = query.get("cursor").map(|hex| KeyHash::from_hex(hex).context("cursor"));
            return Ok(self.reset(cursor.transpose()?, limit));
        }
        Ok(self.difference(number("after")?, limit, Duration::from_secs(number("wait")?)))
    }

    fn reset(&self, cursor: Option<KeyHash>, limit: usize) -> Page {
        let keys = self.keys.page(cursor, limit);
        let more = self.keys.all().last().map(|(hash, _)| *hash) != keys.last().map(|(hash, _)| *hash);
        let upserts = keys.iter().map(|(hash, key)| upsert(*hash, *key)).collect();
        Page {
            epoch: EPOCH.to_owned(),
            revision: FIRST_REVISION,
            tag: None,
            more,
            reset: true,
            plans: BTreeMap::new(),
            upserts,
            removals: Vec::new(),
        }
    }

    fn difference(&self, after: u64, limit: usize, wait: Duration) -> Page {
        let deadline = Instant::now() + wait;
        let mut log = self.lock();
        log.acknowledged = log.acknowledged.max(after);
        while log.revision() <= after && Instant::now() < deadline {
            let rest = deadline.saturating_duration_since(Instant::now());
            log = match self.changed.wait_timeout(log, rest) {
                Ok((log, _)) => log,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let start = usize::try_from(after.saturating_sub(FIRST_REVISION)).unwrap_or(usize::MAX);
        let changes = log.changes.get(start..).unwrap_or_default();
        let taken = &changes[..changes.len().min(limit)];
        let mut last: HashMap<KeyHash, Change> = HashMap::new();
        for change in taken {
            last.insert(change.hash(), *change);
        }
        let (mut upserts, mut removals) = (Vec::new(), Vec::new());
        for (hash, change) in last {
            match change {
                Change::Upsert(key) => upserts.push(upsert(hash, key)),
                Change::Removal(hash) => removals.push(WireHash(hash)),
            }
        }
        let revision = after + taken.len() as u64;
        let more = taken.len() < changes.len();
        Page {
            epoch: EPOCH.to_owned(),
            revision,
            tag: None,
            more,
            reset: false,
            plans: BTreeMap::new(),
            upserts,
            removals,
        }
    }
}

impl Log {
    fn revision(&self) -> u64 {
        FIRST_REVISION + self.changes.len() as u64
    }
}

impl Change {
    fn hash(self) -> KeyHash {
        match self {
            Self::Upsert(key) => key.hash(),
            Self::Removal(hash) => hash,
        }
    }
}

fn upsert(hash: KeyHash, key: Key) -> Upsert {
    Upsert { hash: WireHash(hash), record: key.record() }
}

/// Serves one connection until it ends.
fn serve(stream: &TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut last, mut length) = (false, 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            last |= line.trim().eq_ignore_ascii_case("connection: close");
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut post = vec![0; length];
        reader.read_exact(&mut post)?;
        let path = first.split(' ').nth(1).context("no path")?;
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let query = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        // What keys are used for is acknowledged, and nobody keeps it.
        let body = if path == USAGE_PATH {
            let post = UsagePost::parse(&post).map_err(anyhow::Error::msg)?;
            serde_json::to_vec(&UsageAnswer { sequence: post.sequence })?
        } else {
            serde_json::to_vec(&shared.answer(&query)?)?
        };
        shared.sent.fetch_add(body.len() as u64, Ordering::Relaxed);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = stream;
        writer.write_all(&[head.as_bytes(), &body].concat())?;
        if last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Control;
    use crate::{
        client::get,
        keys::{Key, Keys, Kind},
    };
    use flamegate::contract::page::Page;

    fn page(port: u16, query: &str) -> Page {
        let text = get(port, &format!("/sync/v1/changes?{query}")).unwrap();
        Page::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_reset_comes_in_pages_and_changes_follow() {
        let control = Control::start(Keys::new(Kind::Ordinary, 5, &[])).unwrap();
        let first = page(control.port, "after=0&limit=3&wait=1s");
        assert!(first.reset && first.more && first.upserts.len() == 3);
        let cursor = first.upserts[2].hash.0.to_hex();
        let second = page(control.port, &format!("after=0&limit=3&wait=1s&cursor={cursor}"));
        assert!(second.reset && !second.more && second.upserts.len() == 2);

        let key = Key::ordinary(1);
        let revision = control.change(&[super::Change::Removal(key.hash()), super::Change::Upsert(key)]);
        let difference =
            page(control.port, &format!("epoch={}&after={}&limit=10&wait=0s", second.epoch, second.revision));
        assert_eq!(
            (difference.revision, difference.upserts.len(), difference.removals.len()),
            (revision, 1, 0)
        );
        assert_eq!(control.acknowledged(), second.revision);
    }
}
