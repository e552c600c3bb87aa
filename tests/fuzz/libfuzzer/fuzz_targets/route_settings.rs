//! libFuzzer's entry to `flamegate_fuzz::route_settings_read`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flamegate_fuzz::route_settings_read(data));
