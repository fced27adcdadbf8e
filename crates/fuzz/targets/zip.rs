//! Archives as they come: bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|archive: &[u8]| selena_fuzz::zip::check(archive));
