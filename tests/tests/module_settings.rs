//! Settings of modules (protocol, section 5).

use selena_tests::{Hub, Options, Package};
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
    let told: Vec<_> = hub.events("core.config_changed").iter().map(|event| event["payload"].clone()).collect();
    assert_eq!(told, [json!({ "name": "one", "key": "every" })], "whatever the value is");
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

#[test]
fn the_settings_file_says_which_modules_run_and_gives_them_settings() {
    let settings = "[modules]\nenabled_modules = [\"one\"]\n[modules.config.one]\ngreeting = \"good day\"\ntimes = 3\n";
    let hub = Hub::with(Options { settings: Some(settings), ..Options::default() });
    let one = hub.install(&Package::probe("one", 8100));
    assert_eq!([one.variable("MODULE_CONFIG_GREETING"), one.variable("MODULE_CONFIG_TIMES")], ["good day", "3"]);
    let config = json!({ "config": { "greeting": "good day", "times": 3 } });
    assert_eq!(one.core().get("/modules/one/config").expect(200).json(), config);
    // What a person sets comes before the file, from the next start on.
    assert!(hub.admin().post("/modules/one/config", &json!({ "key": "times", "value": 4 })).status < 300);
    let _restarted = hub.client().post("/modules/one/restart", &json!({})).expect(200);
    assert_eq!(hub.hears_again("one", 10).variable("MODULE_CONFIG_TIMES"), "4");
    let answer = hub.try_install(&Package::probe("two", 8101)).expect(201).json();
    assert_eq!((answer["status"].as_str(), hub.try_module("two").is_none()), (Some("READY"), true), "not enabled");
}
