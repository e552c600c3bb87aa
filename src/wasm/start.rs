//! When this VM started.

use std::cell::Cell;

use crate::host::Monotonic;

use super::abi;

thread_local! {
    static STARTED: Cell<Option<Monotonic>> = const { Cell::new(None) };
}

/// When this VM started. It is noted when it is asked for the first time, which is when its first root context is configured.
pub fn started() -> Monotonic {
    let started = STARTED.get().or_else(|| abi::monotonic_clock().ok()).unwrap_or_default();
    STARTED.set(Some(started));
    started
}
