//! Which root context a request belongs to. The SDK's dispatcher keeps a boxed context per request behind three hash maps;
//! the fast lane keeps nothing per request unless two configurations share the VM.
//!
//! The host names the root of a stream only when it creates the stream's context. With one root in the VM that is the
//! answer anyway; with several (two listeners, or the old and the new configuration during an update) it is noted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::root::State;

/// A root context's state, shared with the callbacks of its requests.
pub type SharedState = Rc<RefCell<State>>;

/// The contexts of this VM.
struct Vm {
    roots: RefCell<Vec<(u32, SharedState)>>,
    /// Root of each stream that was created while there were several roots.
    streams: RefCell<BTreeMap<u32, u32>>,
    /// The stream created last and its root.
    newest: Cell<(u32, u32)>,
    /// The last stream that was created while there was one root, and that root. Numbers only grow.
    alone: Cell<(u32, u32)>,
}

thread_local! {
    static VM: Vm = const {
        Vm { roots: RefCell::new(Vec::new()), streams: RefCell::new(BTreeMap::new()), newest: Cell::new((0, 0)), alone: Cell::new((0, 0)) }
    };
}

/// A root context was made.
pub fn add_root(id: u32, state: SharedState) {
    VM.with(|vm| {
        if let Ok(mut roots) = vm.roots.try_borrow_mut() {
            if let [(only, _)] = roots.as_slice() {
                vm.alone.set((vm.newest.get().0, *only));
            }
            roots.push((id, state));
        }
    });
}

/// A root context goes.
pub fn remove_root(id: u32) {
    VM.with(|vm| {
        if let Ok(mut roots) = vm.roots.try_borrow_mut() {
            roots.retain(|(root, _)| *root != id);
        }
    });
}

/// True when `id` is a root context.
pub fn is_root(id: u32) -> bool {
    VM.with(|vm| vm.roots.try_borrow().is_ok_and(|roots| roots.iter().any(|(root, _)| *root == id)))
}

/// A stream's context was made.
pub fn add_stream(id: u32, root: u32) {
    VM.with(|vm| {
        vm.newest.set((id, root));
        if vm.roots.try_borrow().is_ok_and(|roots| roots.len() > 1)
            && let Ok(mut streams) = vm.streams.try_borrow_mut()
        {
            streams.insert(id, root);
        }
    });
}

/// A stream's context is gone.
pub fn remove_stream(id: u32) {
    VM.with(|vm| {
        if let Ok(mut streams) = vm.streams.try_borrow_mut() {
            streams.remove(&id);
        }
    });
}

/// The state of a stream's root; `None` when that cannot be told, and then nobody is let in.
pub fn root_of(stream: u32) -> Option<SharedState> {
    VM.with(|vm| {
        let roots = vm.roots.try_borrow().ok()?;
        let (newest, newest_root) = vm.newest.get();
        let root = match roots.as_slice() {
            [(_, only)] => return Some(Rc::clone(only)),
            _ if newest == stream => newest_root,
            _ => match vm.streams.try_borrow().ok()?.get(&stream) {
                Some(root) => *root,
                None if stream <= vm.alone.get().0 => vm.alone.get().1,
                None => return None,
            },
        };
        roots.iter().find(|(id, _)| *id == root).map(|(_, state)| Rc::clone(state))
    })
}
