//! The requests that are in flight under a key, so that they can be ended when the key is gone.
//!
//! The host does not say when a request is over: that callback would cost every request 1,500 instructions. So each is
//! noted, and asked for when it is a second old; most are gone by then. Those that are not are asked for again every few
//! seconds. What is remembered is bounded by Envoy's own number of streams, the requests of the last second, and the streams
//! that lasted longer than that and ended in the last eight.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use crate::contract::key::KeyHash;
use crate::decision::known_key::KnownKey;
use crate::decision::restriction::Restriction;
use crate::host::Monotonic;

use super::hashers::{ByNumber, ByPrefix};

/// Number of a stream's context in its VM.
pub type StreamId = u32;

/// Most streams ended in one callback: each one is work for Envoy in the same turn of its event loop.
pub const MAX_ENDED_PER_TICK: usize = 32;
/// Most doomed streams asked for in one callback: most are over, and asking costs about 900 instructions.
const MAX_ASKED_PER_TICK: usize = 4096;
/// Age at which a stream is asked for the first time, in nanoseconds.
pub const YOUNG_NS: u64 = 1_000_000_000;
/// Time after which one that was still open is asked for again.
pub const OLD_NS: u64 = 8_000_000_000;

/// Open streams and the ones that have to end.
#[derive(Debug, Default)]
pub struct Streams {
    /// Not asked for yet, oldest first.
    young: VecDeque<Stream>,
    /// Found open, the longest ago first.
    old: VecDeque<Stream>,
    doomed: VecDeque<Doomed>,
    /// Keys of the streams whose response has not begun, where it will get headers of its own.
    awaited: HashMap<StreamId, Rc<KnownKey>, ByNumber>,
}

/// A stream that has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Its number.
    pub id: StreamId,
    /// Whether its client is told so in gRPC: its headers are not at hand any more.
    pub grpc: bool,
    /// True when its key is good and may be used for less than before, false when the key is gone.
    pub forbidden: bool,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    grpc: bool,
    key: Rc<KnownKey>,
    /// When it was last known to be open.
    seen: Monotonic,
}

impl Streams {
    /// A request was admitted with this key.
    pub fn opened(&mut self, id: StreamId, key: Rc<KnownKey>, grpc: bool, now: Monotonic) {
        self.young.push_back(Stream { id, grpc, key, seen: now });
    }

    /// Forgets streams that are over, of those that it is time to ask for.
    pub fn forget_closed(&mut self, now: Monotonic, mut is_open: impl FnMut(StreamId) -> bool) {
        let mut open = Vec::new();
        for (queue, hold_ns) in [(&mut self.young, YOUNG_NS), (&mut self.old, OLD_NS)] {
            // A share of a queue that has grown beyond that keeps up with any rate.
            for _ in 0..MAX_ASKED_PER_TICK.max(queue.len() / 16) {
                let due = queue.pop_front_if(|stream| now.saturating_sub(stream.seen) >= hold_ns);
                let Some(stream) = due else { break };
                if is_open(stream.id) {
                    open.push(Stream { seen: now, ..stream });
                } else if !self.awaited.is_empty() {
                    self.awaited.remove(&stream.id);
                }
            }
        }
        self.old.extend(open);
    }

    /// Adds the streams of another worker.
    pub fn append(&mut self, other: Self) {
        for (queue, more) in [(&mut self.young, other.young), (&mut self.old, other.old)] {
            queue.extend(more);
            queue.make_contiguous().sort_by_key(|stream| stream.seen);
        }
        self.doomed.extend(other.doomed);
        self.awaited.extend(other.awaited);
    }

    /// A request was admitted with this key, and its response will be asked for by [`Self::take_awaited`].
    pub fn await_response(&mut self, id: StreamId, key: Rc<KnownKey>) {
        self.awaited.insert(id, key);
    }

    /// The key that a stream was admitted with whose response begins; once.
    pub fn take_awaited(&mut self, id: StreamId) -> Option<Rc<KnownKey>> {
        self.awaited.remove(&id)
    }

    /// The distinct keys of streams that `filter` names.
    pub fn keys(&self, filter: impl Fn(&KeyHash) -> bool) -> HashSet<KeyHash, ByPrefix> {
        self.young.iter().chain(&self.old).map(|stream| *stream.key.hash()).filter(filter).collect()
    }

    /// Takes what a second look at the table found: streams of a key that is gone are marked to be ended, and those of one that may be
    /// used for less than when they were admitted, since nobody remembers what each was for. The others go on under the record as it is
    /// now, with its expiry.
    pub fn update(&mut self, found: &HashMap<KeyHash, Option<Rc<KnownKey>>, ByPrefix>) {
        // Each of the new rules opens all that one of the old ones did, which were all asked.
        let is_narrower = |old: &KnownKey, new: &KnownKey| {
            let opens = |rules: &Restriction| old.restrictions().iter().any(|old| rules.opens_all_of(old));
            !new.restrictions().iter().all(opens)
        };
        self.end(true, |old| matches!(found.get(old.hash()), Some(Some(new)) if is_narrower(old, new)));
        for stream in self.young.iter_mut().chain(&mut self.old) {
            if let Some(Some(now)) = found.get(stream.key.hash()) {
                stream.key = Rc::clone(now);
            }
        }
        self.doom(|key| matches!(found.get(key.hash()), Some(None)));
    }

    /// Marks the streams of these keys to be ended.
    pub fn doom(&mut self, condemned: impl Fn(&KnownKey) -> bool) {
        self.end(false, condemned);
    }

    fn end(&mut self, forbidden: bool, condemned: impl Fn(&KnownKey) -> bool) {
        let doomed = &mut self.doomed;
        for queue in [&mut self.young, &mut self.old] {
            queue.retain(|stream| {
                let ends = condemned(&stream.key);
                if ends {
                    doomed.push_back(Doomed { id: stream.id, grpc: stream.grpc, forbidden });
                }
                !ends
            });
        }
        self.awaited.retain(|_, key| !condemned(key));
    }

    /// The next streams to end that are open, at most [`MAX_ENDED_PER_TICK`].
    pub fn take_doomed(&mut self, mut is_open: impl FnMut(StreamId) -> bool) -> Vec<Doomed> {
        let mut taken = Vec::new();
        for _ in 0..MAX_ASKED_PER_TICK {
            if taken.len() >= MAX_ENDED_PER_TICK {
                break;
            }
            let Some(stream) = self.doomed.pop_front() else { break };
            if is_open(stream.id) {
                taken.push(stream);
            }
        }
        taken
    }

    /// How many streams are remembered, open or over.
    pub fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
