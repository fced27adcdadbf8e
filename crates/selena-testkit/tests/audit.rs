//! The audit log under a flood of details of a module's own choosing.

use selena_core::{Development, identity::RequestLimits};
use selena_testkit::memory_api;

#[tokio::test]
async fn a_module_cannot_push_what_others_did_out_of_the_log() {
    let api = memory_api(Development::default(), RequestLimits::Protocol).await;
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
