//! libFuzzer's entry to `flamegate_fuzz::authorization`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flamegate_fuzz::authorization(data));
