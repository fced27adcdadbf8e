//! Settings of modules (protocol, section 5).

use selena_tests::{Hub, Package};
use serde_json::json;

#[test]
fn people_set_them_and_the_module_reads_its_own() {
    let mut hub = Hub::start();
    let schema = json!({ "type": "object", "properties": { "every": { "type": "integer", "minimum": 1 } } });
    let one = hub.install(&Package::probe("one", 8100).with("config_schema", schema));
    let two = hub.install(&Package::probe("two", 8101));
    assert_eq!(one.core().get("/modules/one/config").expect(200).json(), json!({ "config": {} }));
    let set = |value| hub.admin().post("/modules/one/config", &json!({ "key": "every", "value": value }));
    assert!(set(json!(5)).status < 300);
    for bad in [json!(0), json!("often")] {
        let problems = set(bad).expect(422).json();
        assert!(problems["detail"][0]["msg"].is_string(), "{problems}");
    }
    let expected = json!({ "config": { "every": 5 } });
    assert_eq!(one.core().get("/modules/one/config").expect(200).json(), expected);
    assert_eq!(two.core().get("/modules/one/config").status, 403, "another module's");
    assert_eq!(
        one.core().post("/modules/one/config", &json!({ "key": "every", "value": 6 })).status,
        403,
        "people's to set"
    );
    hub.client().get("/modules/nobody/config").refused(404, "not_found");
    hub.kill();
    hub.start_again();
    assert_eq!(hub.client().get("/modules/one/config").expect(200).json(), expected);
    let _removed = hub.client().delete("/modules/one").expect(204);
    let again = hub.install(&Package::probe("one", 8100));
    assert_eq!(
        again.core().get("/modules/one/config").expect(200).json(),
        json!({ "config": {} }),
        "it starts from nothing"
    );
}
