#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| metrics_push::fuzz_bridge::history_lines(bytes));
