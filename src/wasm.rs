//! The edge: the only module that knows proxy-wasm. It reads bytes, asks the core, and carries the answer out.
//!
//! [`abi`] has the host calls, [`dispatch`] the callbacks, and both all `unsafe`; [`host`] the traits of the core; [`root`]
//! what happens per plugin and worker, through the SDK; [`stream`] what happens per request, without it; [`vm`] the
//! VM's root contexts.
//!
//! Nothing here fails once Envoy's validation run has passed: on a worker whose `on_configure` returned false, Envoy lets
//! every request through.

mod abi;
mod dispatch;
mod host;
mod log_level;
mod metrics;
mod resume;
mod root;
mod start;
mod state;
mod stream;
mod vm;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    // The default text of a panic may quote header bytes; the place is all that is needed.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        abi::log(abi::LOG_CRITICAL, &format!("flamegate: panic at {place}"));
    }));
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}}
