#![no_main]

libfuzzer_sys::fuzz_target!(init: stepladder_fuzz::init(), |bytes: &[u8]| stepladder_fuzz::run("jsonl", bytes));
