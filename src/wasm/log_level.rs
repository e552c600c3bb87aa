//! The level of the log.

use proxy_wasm::types::LogLevel;

use super::abi;

/// Lines below Envoy's level for the `wasm` logger never leave the VM.
pub fn follow_log_level() {
    let level = match abi::log_level() {
        Ok(0) => LogLevel::Trace,
        Ok(1) => LogLevel::Debug,
        Ok(3) => LogLevel::Warn,
        Ok(4) => LogLevel::Error,
        Ok(5) => LogLevel::Critical,
        _ => LogLevel::Info,
    };
    proxy_wasm::set_log_level(level);
}
