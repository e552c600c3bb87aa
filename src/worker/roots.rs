//! The root contexts of one VM, and which of them a request belongs to. The SDK's dispatcher keeps a boxed context per request
//! behind three hash maps; here nothing is kept per request.
//!
//! The host names a stream's root only in the callback for the stream's creation, which costs 1,600 instructions and is not
//! exported. With one configuration in the VM there is nothing to ask. With several (two listeners, or the old and the new
//! configuration during an update) each root recognises its own streams by a mark: a read-only property that it alone has
//! declared. docs/adr/0015-two-callbacks-per-request.md.

use crate::host::random_u64;

/// The host's number of a root context.
pub type RootId = u32;

/// A root context with its state `S`.
#[derive(Debug)]
struct Root<S> {
    id: RootId,
    /// Its read-only property; nobody else in the process has one of this name.
    mark: String,
    /// The plugin configuration as it came; empty until it has.
    configuration: Vec<u8>,
    state: S,
}

/// The root contexts of one VM, oldest first.
#[derive(Debug)]
pub struct Roots<S> {
    roots: Vec<Root<S>>,
    /// True while there are roots with different configurations.
    differ: bool,
}

impl<S: Clone> Roots<S> {
    /// No root context yet.
    pub const fn new() -> Self {
        Self { roots: Vec::new(), differ: false }
    }

    /// A root context was made.
    pub fn add(&mut self, id: RootId, state: S) {
        let mark = format!("flamegate.root.{:x}.{id}", random_u64());
        self.roots.push(Root { id, mark, configuration: Vec::new(), state });
        self.compare();
    }

    /// A root context has a configuration. Gives its mark, which has to be declared; `None` for a context that was never added.
    pub fn configured(&mut self, id: RootId, configuration: &[u8]) -> Option<&str> {
        let index = self.position(id)?;
        if let Some(root) = self.roots.get_mut(index) {
            configuration.clone_into(&mut root.configuration);
        }
        self.compare();
        self.roots.get(index).map(|root| root.mark.as_str())
    }

    /// A root context goes. Gives the state of the newest one with the same configuration: it takes over the streams that
    /// this one has noted, which need not have been its own.
    pub fn remove(&mut self, id: RootId) -> Option<S> {
        let gone = self.roots.remove(self.position(id)?);
        self.compare();
        let equal = self.roots.iter().rev().find(|root| root.configuration == gone.configuration);
        equal.map(|root| root.state.clone())
    }

    /// True when `id` is a root context.
    pub fn contains(&self, id: RootId) -> bool {
        self.position(id).is_some()
    }

    /// The root contexts, when there are several, for which `is_there` says no.
    pub fn missing(&self, is_there: impl Fn(RootId) -> bool) -> Vec<RootId> {
        if self.roots.len() < 2 {
            return Vec::new();
        }
        self.roots.iter().map(|root| root.id).filter(|id| !is_there(*id)).collect()
    }

    /// The state of the root that the current stream belongs to: `is_marked` tells whether the stream has a root's mark. It is
    /// not asked while one answer is as good as another. `None` when it cannot be told, and then nobody is let in.
    pub fn of_stream(&self, is_marked: impl Fn(&str) -> bool) -> Option<&S> {
        // Among equal configurations it does not matter which one decides.
        let newest = self.roots.last().filter(|_| !self.differ);
        let root = newest.or_else(|| self.roots.iter().rev().find(|root| is_marked(&root.mark)))?;
        Some(&root.state)
    }

    /// All states.
    pub fn states(&self) -> impl Iterator<Item = &S> {
        self.roots.iter().map(|root| &root.state)
    }

    fn position(&self, id: RootId) -> Option<usize> {
        self.roots.iter().position(|root| root.id == id)
    }

    fn compare(&mut self) {
        let first = self.roots.first().map(|root| &root.configuration);
        self.differ = self.roots.iter().any(|root| Some(&root.configuration) != first);
    }
}

impl<S: Clone> Default for Roots<S> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
