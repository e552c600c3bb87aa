//! The roots of this VM at the edge: its one [`Roots`] (a thread-local lives in the VM's memory), and the host calls with which a stream is asked for its mark.

use std::cell::RefCell;

use crate::worker::roots::{RootId, Roots};

use super::abi::{self, Span};
use super::state::{SharedState, State};

thread_local! {
    static ROOTS: RefCell<Roots<SharedState>> = const { RefCell::new(Roots::new()) };
}

/// A root context was made.
pub fn add_root(id: RootId, state: SharedState) {
    change(|roots| roots.add(id, state));
}

/// A root context has a configuration.
pub fn configured(id: RootId, configuration: &[u8]) {
    let mark = change(|roots| roots.configured(id, configuration).map(str::to_owned)).flatten();
    // Without it nothing is lost while this configuration is alone in the VM.
    if let Some(Err(error)) = mark.map(|mark| abi::declare_read_only(&mark, Span::FilterChain)) {
        log::warn!("flamegate: this configuration cannot share a VM with another one: {error}");
    }
}

/// A root context goes. Gives the one that takes over the streams that it has noted.
pub fn remove_root(id: RootId) -> Option<SharedState> {
    change(|roots| roots.remove(id)).flatten()
}

/// True when `id` is a root context.
pub fn is_root(id: RootId) -> bool {
    look(|roots| roots.contains(id)).unwrap_or_default()
}

/// The root contexts, when there are several, for which `is_there` says no.
pub fn missing_roots(is_there: impl Fn(RootId) -> bool) -> Vec<RootId> {
    look(|roots| roots.missing(is_there)).unwrap_or_default()
}

/// Hands the state of the root of the stream whose callback this is to `handle`; `None` when that cannot be told, and then
/// nobody is let in.
pub fn with_root_of_stream<T>(handle: impl FnOnce(&RefCell<State>) -> T) -> Option<T> {
    look(|roots| roots.of_stream(is_marked).map(|state| handle(state))).flatten()
}

/// Hands the state of each root to `handle`.
#[cfg(feature = "response-headers")]
pub fn for_each_root(mut handle: impl FnMut(&mut State)) {
    look(|roots| {
        roots
            .states()
            .filter_map(|state| state.try_borrow_mut().ok())
            .for_each(|mut state| handle(&mut state));
    });
}

/// True when the current stream's root has declared this property read-only: then it can be set once.
fn is_marked(mark: &str) -> bool {
    abi::set_filter_state(mark, b"1").is_ok() && abi::set_filter_state(mark, b"1") == Err(abi::BAD_ARGUMENT)
}

fn look<T>(how: impl FnOnce(&Roots<SharedState>) -> T) -> Option<T> {
    ROOTS.with(|roots| roots.try_borrow().ok().map(|roots| how(&roots)))
}

fn change<T>(how: impl FnOnce(&mut Roots<SharedState>) -> T) -> Option<T> {
    ROOTS.with(|roots| roots.try_borrow_mut().ok().map(|mut roots| how(&mut roots)))
}
