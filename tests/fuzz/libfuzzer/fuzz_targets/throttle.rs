//! libFuzzer's entry to `flamegate_fuzz::throttle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flamegate_fuzz::throttle(data));
