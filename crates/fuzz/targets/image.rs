//! Images of `runtime: oci`: whole ones, and layers in good ones.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| selena_fuzz::image::check(&selena_fuzz::image::from_bytes(bytes)));
