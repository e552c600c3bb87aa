//! libFuzzer's entry to `flamegate_fuzz::restriction`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flamegate_fuzz::restriction(data));
