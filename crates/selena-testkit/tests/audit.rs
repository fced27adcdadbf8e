//! The audit log under a flood of details of a module's own choosing.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use selena_core::{
    Api, Development, HubInfo,
    identity::RequestLimits,
    ports::{CallError, ModuleAddress, ModuleAnswer, ModuleCalls, ModuleRequest, RunId, Store},
};
use selena_store::Sqlite;

/// Nobody is called here.
#[derive(Debug)]
struct NoCalls;

impl ModuleCalls for NoCalls {
    fn call<'a>(
        &'a self,
        _: &'a ModuleAddress,
        _: ModuleRequest<'a>,
    ) -> BoxFuture<'a, Result<ModuleAnswer, CallError>> {
        Box::pin(async { Err(CallError::Timeout) })
    }
    fn forget(&self, _: &RunId) {}
}

async fn api() -> Api {
    let info = HubInfo {
        version: semver::Version::new(1, 0, 0),
        commit: String::new(),
        build_time: String::new(),
        hardware: serde_json::Value::Null,
        os: serde_json::Value::Null,
    };
    let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory().expect("a store"));
    Api::new(info, store, Arc::new(NoCalls), Development::default(), RequestLimits::Protocol).await.expect("an API")
}

#[tokio::test]
async fn a_module_cannot_push_what_others_did_out_of_the_log() {
    let api = api().await;
    for number in 0..5000 {
        api.refused_with("egress_denied", "chatty", &format!("host-{number}.example:443"));
    }
    api.refused_with("permission_denied", "other", "DeviceRegister needs device.write");
    let records = api.audit_records(1000).await.expect("records");
    let of = |subject: &str| records.iter().filter(|record| record.subject == subject).collect::<Vec<_>>();
    let chatty = of("chatty");
    // A minute may end while this runs: then each has its share.
    assert!(chatty.len() <= 2 * 51, "{} records", chatty.len());
    assert_eq!(chatty.iter().map(|record| record.count).sum::<i64>(), 5000, "none is lost in number");
    assert_eq!(of("other").len(), 1, "{records:?}");
    assert!(records.iter().all(|record| record.event != "audit_overflow"));
}
