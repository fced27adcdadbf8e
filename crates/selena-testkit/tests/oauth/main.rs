//! Signing in to providers and keeping their tokens (protocol, section 7; faults, series O and S), over a real store and
//! real files, with a provider that answers as a test wants. That the way there is guarded is tested in `outside`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod files;
mod house;
mod provider;
mod refreshing;
mod signing_in;
