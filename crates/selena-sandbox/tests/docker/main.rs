//! The sandbox against a real Docker, as root: what is promised to the core, and what a module can and cannot do.
//!
//! The socket is that of `SELENA_TEST_DOCKER`, or Docker's usual one. Without Docker or root these tests fail.
//! Each test is a hub of its own, so they can run at the same time, and beside others.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail the test")]

mod build;
mod daemon;
mod devices;
mod ends;
mod engine;
mod hub;
mod isolation;
mod leftovers;
mod limits;
mod proxy;
