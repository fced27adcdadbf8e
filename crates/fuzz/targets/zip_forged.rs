//! Archives that are good but for a few lies: bytes that decide.
#![no_main]

libfuzzer_sys::fuzz_target!(|choices: &[u8]| selena_fuzz::zip::check(&selena_forge::from_choices(choices)));
