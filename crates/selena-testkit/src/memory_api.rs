//! The API alone, over an empty store in memory, for tests of the hub's own crates.

use std::sync::Arc;

use selena_core::{Api, Development, HubInfo, identity::RequestLimits, ports::Store};
use selena_store::Sqlite;
use semver::Version;
use serde_json::Value;

use crate::NoCalls;

/// What a hub of a test says about itself: its version, and of the rest that nobody knows.
///
/// # Panics
/// Never: cargo's versions are versions.
#[must_use]
pub fn hub_info() -> HubInfo {
    HubInfo {
        version: env!("CARGO_PKG_VERSION").parse::<Version>().expect("cargo's versions are versions"),
        commit: "unknown".to_owned(),
        build_time: "unknown".to_owned(),
        hardware: Value::Null,
        os: Value::Null,
    }
}

/// An API over an empty store that calls no module.
///
/// # Panics
/// If SQLite gives no memory.
pub async fn memory_api(development: Development, limits: RequestLimits) -> Api {
    let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory().expect("a store in memory"));
    Api::new(hub_info(), store, Arc::new(NoCalls), development, limits).await.expect("the store is readable")
}
