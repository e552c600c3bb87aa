//! The requests that are in flight under a key, so that they can be ended when the key is gone. Bounded by Envoy's own
//! number of streams.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use crate::api_key::KeyHash;
use crate::known_key::KnownKey;

use super::hashers::ByNumber;

/// Number of a stream's context in its VM.
pub type StreamId = u32;

/// Most streams ended in one callback: Envoy's clean-up calls nest, and thousands would overflow the worker's stack.
pub const MAX_ENDED_PER_TICK: usize = 32;

/// Open streams and the ones that have to end.
#[derive(Debug, Default)]
pub struct Streams {
    open: HashMap<StreamId, Rc<KnownKey>, ByNumber>,
    doomed: VecDeque<StreamId>,
}

impl Streams {
    /// A request was admitted with this key.
    pub fn opened(&mut self, id: StreamId, key: Rc<KnownKey>) {
        self.open.insert(id, key);
    }

    /// The stream is over.
    pub fn closed(&mut self, id: StreamId) {
        if self.open.remove(&id).is_none() && !self.doomed.is_empty() {
            self.doomed.retain(|doomed| *doomed != id);
        }
    }

    /// The key that a stream was admitted with.
    pub fn key(&self, id: StreamId) -> Option<&Rc<KnownKey>> {
        self.open.get(&id)
    }

    /// The distinct keys of open streams that `filter` names.
    pub fn keys(&self, filter: impl Fn(&KeyHash) -> bool) -> HashSet<KeyHash> {
        self.open.values().map(|key| *key.hash()).filter(filter).collect()
    }

    /// Takes what a second look at the table found: streams of a key that is gone are marked to be ended, the others go
    /// on under the record as it is now, with its expiry.
    pub fn update(&mut self, found: &HashMap<KeyHash, Option<Rc<KnownKey>>>) {
        for key in self.open.values_mut() {
            if let Some(Some(now)) = found.get(key.hash()) {
                *key = Rc::clone(now);
            }
        }
        self.doom(|key| matches!(found.get(key.hash()), Some(None)));
    }

    /// Marks the streams of these keys to be ended.
    pub fn doom(&mut self, condemned: impl Fn(&KnownKey) -> bool) {
        let streams = self.open.extract_if(|_, key| condemned(key));
        self.doomed.extend(streams.map(|(id, _)| id));
    }

    /// The next streams to end, at most [`MAX_ENDED_PER_TICK`].
    pub fn take_doomed(&mut self) -> Vec<StreamId> {
        let count = self.doomed.len().min(MAX_ENDED_PER_TICK);
        self.doomed.drain(..count).collect()
    }

    /// How many streams are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True when none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
