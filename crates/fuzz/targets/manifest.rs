//! Texts of `manifest.json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| selena_fuzz::manifest::check(text));
