//! The root contexts of this VM, and which of them a request belongs to. The SDK's dispatcher keeps a boxed context per
//! request behind three hash maps; here nothing is kept per request.
//!
//! The host names a stream's root only in the callback for the stream's creation, which costs 1,600 instructions and is not
//! exported. With one configuration in the VM there is nothing to ask. With several (two listeners, or the old and the new
//! configuration during an update) each root recognises its own streams by a mark: a read-only property that it alone has
//! declared. docs/adr/0015-two-callbacks-per-request.md.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::host::random_u64;

use super::abi;
use super::root::State;

/// A root context's state, shared with the callbacks of its requests.
pub type SharedState = Rc<RefCell<State>>;

/// A root context.
struct Root {
    id: u32,
    /// Its read-only property; nobody else in the process has one of this name.
    mark: String,
    /// The plugin configuration as it came.
    configuration: Vec<u8>,
    state: SharedState,
}

/// The contexts of this VM.
struct Vm {
    roots: RefCell<Vec<Root>>,
    /// True while roots with different configurations are there.
    differ: Cell<bool>,
}

thread_local! {
    static VM: Vm = const { Vm { roots: RefCell::new(Vec::new()), differ: Cell::new(false) } };
}

/// A root context was made.
pub fn add_root(id: u32, state: SharedState) {
    let mark = format!("flamegate.root.{:x}.{id}", random_u64());
    change(|roots| roots.push(Root { id, mark, configuration: Vec::new(), state }));
}

/// A root context has a configuration.
pub fn configured(id: u32, configuration: &[u8]) {
    let mut mark = None;
    change(|roots| {
        if let Some(root) = roots.iter_mut().find(|root| root.id == id) {
            configuration.clone_into(&mut root.configuration);
            mark = Some(root.mark.clone());
        }
    });
    // Without it nothing is lost while this configuration is alone in the VM.
    if let Some(Err(error)) = mark.map(|mark| abi::declare_read_only(&mark)) {
        log::warn!("flamegate: this configuration cannot share a VM with another one: {error}");
    }
}

/// A root context goes. Gives the newest one with the same configuration: it takes over the streams that this one has noted,
/// which need not have been its own.
pub fn remove_root(id: u32) -> Option<SharedState> {
    let mut heir = None;
    change(|roots| {
        if let Some(index) = roots.iter().position(|root| root.id == id) {
            let gone = roots.remove(index);
            let equal = roots.iter().rev().find(|root| root.configuration == gone.configuration);
            heir = equal.map(|root| Rc::clone(&root.state));
        }
    });
    heir
}

/// True when `id` is a root context.
pub fn is_root(id: u32) -> bool {
    VM.with(|vm| vm.roots.try_borrow().is_ok_and(|roots| roots.iter().any(|root| root.id == id)))
}

/// The root contexts, when there are several, for which `is_there` says no.
pub fn missing_roots(is_there: impl Fn(u32) -> bool) -> Vec<u32> {
    VM.with(|vm| match vm.roots.try_borrow() {
        Ok(roots) if roots.len() > 1 => {
            roots.iter().map(|root| root.id).filter(|id| !is_there(*id)).collect()
        }
        _ => Vec::new(),
    })
}

/// Hands the state of the root of the stream whose callback this is to `handle`; `None` when that cannot be told, and then
/// nobody is let in.
pub fn with_root_of_stream<T>(handle: impl FnOnce(&RefCell<State>) -> T) -> Option<T> {
    VM.with(|vm| {
        let roots = vm.roots.try_borrow().ok()?;
        // Among equal configurations it does not matter which one decides.
        let newest = roots.last().filter(|_| !vm.differ.get());
        let root = newest.or_else(|| roots.iter().rev().find(|root| owns_stream(root)))?;
        Some(handle(&root.state))
    })
}

/// Hands the state of each root to `handle`.
#[cfg(feature = "response-headers")]
pub fn for_each_root(mut handle: impl FnMut(&mut State)) {
    VM.with(|vm| {
        let Ok(roots) = vm.roots.try_borrow() else { return };
        roots
            .iter()
            .filter_map(|root| root.state.try_borrow_mut().ok())
            .for_each(|mut state| handle(&mut state));
    });
}

/// True when the current stream is one of this root's: a property that its root has declared read-only can be set once.
fn owns_stream(root: &Root) -> bool {
    abi::set_filter_state(&root.mark, "1").is_ok()
        && abi::set_filter_state(&root.mark, "1") == Err(abi::BAD_ARGUMENT)
}

fn change(how: impl FnOnce(&mut Vec<Root>)) {
    VM.with(|vm| {
        if let Ok(mut roots) = vm.roots.try_borrow_mut() {
            how(&mut roots);
            let first = roots.first().map(|root| root.configuration.clone());
            vm.differ.set(roots.iter().any(|root| Some(&root.configuration) != first.as_ref()));
        }
    });
}
