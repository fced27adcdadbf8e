//! The hub's way outside (protocol, section 7, "Proxy"; faults, series U), over a small internet: a network namespace in
//! which every address of the world is this machine, with a DNS server and TLS servers of the test's own.
//! Needs root, to make the namespaces, and fails without it. Nothing leaves them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod addresses;
mod answers;
mod bad_tls;
mod certificates;
mod dns;
mod egress;
mod hub;
mod proxy;
mod sign_in;
mod slow;
mod world;
