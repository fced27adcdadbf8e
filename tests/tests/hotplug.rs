//! Devices that are plugged in, unplugged and swapped while modules run (protocol, section 3, row `devices`).

use std::{path::Path, thread};

use selena_tests::{
    host_devices::{BY_ID, BY_PATH, cgroup_lets_in, device, driver, hub, install, listed, next_run, number},
    machine::{Link, STICK_GROUP, Stick, Sysfs},
    wait,
};
use serde_json::json;

#[test]
fn two_paths_that_turn_out_to_be_one_device_give_it_to_the_first_module() {
    let (sysfs, by_id, by_path) = (Sysfs::new(), Link::new(BY_ID), Link::new(BY_PATH));
    let stick = Stick::new(&sysfs);
    let hub = hub(&sysfs);
    let first = install(&hub, &driver("first", 8100, &[&by_id]), "first");
    let second = install(&hub, &driver("second", 8101, &[&by_path]), "second");
    by_path.plug(stick.node());
    let second = next_run(&hub, "second", &second);
    assert_eq!(number(&second, &by_path), stick.number(), "nobody else's so far");
    by_id.plug(stick.node());
    let first = next_run(&hub, "first", &first);
    assert_eq!(number(&first, &by_id), stick.number());
    let second = next_run(&hub, "second", &second);
    assert_eq!(number(&second, &by_path), "ENOENT");
    assert!(!cgroup_lets_in(&second, stick.node()));
    let (state, detail) = device(&hub, "second");
    assert_eq!(state, "taken");
    assert!(detail.contains("first"), "{detail}");
    let _removed = hub.admin().delete("/modules/first").expect(204);
    let second = next_run(&hub, "second", &second);
    assert_eq!(number(&second, &by_path), stick.number(), "it is nobody else's any more");
}

#[test]
fn a_device_that_is_plugged_in_later_comes_with_a_restart() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let stick = Stick::new(&sysfs);
    let hub = hub(&sysfs);
    let module = install(&hub, &driver("driver", 8100, &[&link]), "driver");
    assert_eq!(device(&hub, "driver").0, "missing");
    assert_eq!(number(&module, &link), "ENOENT");
    link.plug(stick.node());
    let module = next_run(&hub, "driver", &module);
    assert_eq!(number(&module, &link), stick.number());
    assert_eq!(device(&hub, "driver").0, "present");
    let found = hub.events("device.discovered");
    let found = found.iter().find(|event| event["payload"]["path"] == link.path()).expect("it is told");
    assert_eq!((&found["payload"]["kind"], &found["payload"]["module"]), (&json!("serial"), &json!("driver")));
    let why = hub.events("module.started").last().map(|event| event["payload"]["reason"].clone());
    assert!(why.as_ref().is_some_and(|why| why.as_str().is_some_and(|why| why.contains(link.path()))), "{why:?}");
    assert!(hub.events("module.crashed").is_empty());
}

#[test]
fn a_device_that_is_unplugged_is_told_and_taken_away() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let stick = Stick::new(&sysfs);
    link.plug(stick.node());
    let hub = hub(&sysfs);
    let module = install(&hub, &driver("driver", 8100, &[&link]), "driver");
    link.unplug();
    let module = next_run(&hub, "driver", &module);
    assert_eq!(number(&module, &link), "ENOENT");
    assert!(!cgroup_lets_in(&module, stick.node()), "its number may be another stick's by now");
    assert_eq!(device(&hub, "driver").0, "missing");
    let told = hub.events("module.resource_warning");
    assert!(told[0]["payload"]["reason"].as_str().unwrap().contains("unplugged"), "{told:?}");
    assert!(hub.log().contains("a device was unplugged"));
    assert!(hub.events("module.crashed").is_empty());
}

#[test]
fn a_module_that_ends_when_its_device_goes_did_not_crash() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let stick = Stick::new(&sysfs);
    link.plug(stick.node());
    let hub = hub(&sysfs);
    let mut module = install(&hub, &driver("driver", 8100, &[&link]), "driver");
    for _ in 0..2 {
        link.unplug();
        module.misbehave(&json!({ "act": "exit", "code": 1 }));
        module = next_run(&hub, "driver", &module);
        link.plug(stick.node());
        module = next_run(&hub, "driver", &module);
    }
    assert_eq!(number(&module, &link), stick.number());
    assert!(hub.events("module.crashed").is_empty());
    module.misbehave(&json!({ "act": "exit", "code": 1 }));
    wait::until("an end with its device there is a crash", 20, || !hub.events("module.crashed").is_empty());
}

#[test]
fn two_equal_sticks_that_are_swapped_are_told_apart() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let (one, two) = (Stick::new(&sysfs), Stick::new(&sysfs));
    link.plug(one.node());
    let hub = hub(&sysfs);
    let module = install(&hub, &driver("driver", 8100, &[&link]), "driver");
    assert_eq!(number(&module, &link), one.number());
    link.plug(two.node());
    let module = next_run(&hub, "driver", &module);
    assert_eq!(number(&module, &link), two.number());
    assert!(cgroup_lets_in(&module, two.node()));
    assert!(!cgroup_lets_in(&module, one.node()), "the stick of before");
    let told = hub.events("module.resource_warning");
    assert!(told[0]["payload"]["reason"].as_str().unwrap().contains("swapped"), "{told:?}");
}

#[test]
fn a_stick_swapped_before_its_module_is_healthy_does_not_stay_in_it() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let (one, two) = (Stick::new(&sysfs), Stick::new(&sysfs));
    link.plug(one.node());
    let hub = hub(&sysfs);
    let start = json!({ "do": "deaf_with_device", "path": link.path() });
    let waits = hub.try_install(&driver("driver", 8100, &[&link]).start(start)).expect(202).json();
    let grant = json!({ "version": waits["version"], "adds": waits["adds"] });
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| hub.admin().post("/modules/driver/consent", &grant));
        let run = hub.module("driver");
        assert!(cgroup_lets_in(&run, one.node()));
        link.plug(two.node());
        asked.join().expect("the hub answers")
    });
    answer.refused(400, "device_changed");
}

#[test]
fn a_loose_contact_does_not_restart_a_module_all_the_time() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let stick = Stick::new(&sysfs);
    link.plug(stick.node());
    let hub = hub(&sysfs);
    let module = install(&hub, &driver("driver", 8100, &[&link]), "driver");
    for _ in 0..100 {
        link.unplug();
        link.plug(stick.node());
    }
    for _ in 0..10 {
        link.unplug();
        wait::until("the hub sees it go", 10, || listed(&hub, &link).is_none_or(|device| device["state"] == "missing"));
        link.plug(stick.node());
        wait::until("the hub sees it come", 10, || {
            listed(&hub, &link).is_some_and(|device| device["state"] == "present")
        });
    }
    wait::until("it settles with its device", 40, || {
        device(&hub, "driver") == ("present".to_owned(), String::new()) && hub.status("driver") == "RUNNING"
    });
    assert_eq!(number(&hub.module("driver"), &link), stick.number());
    let starts = hub.events("module.started").len();
    assert!((2..=8).contains(&starts), "{starts} starts; the first run was {}", module.container);
    assert!(hub.events("module.crashed").is_empty() && hub.events("module.quarantined").is_empty());
}

#[test]
fn what_becomes_another_thing_later_is_not_given() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let stick = Stick::new(&sysfs);
    link.plug(stick.node());
    let hub = hub(&sysfs);
    let module = install(&hub, &driver("driver", 8100, &[&link]), "driver");
    link.lead_to(Path::new("../../kmsg"));
    let module = next_run(&hub, "driver", &module);
    assert_eq!(number(&module, &link), "ENOENT");
    assert!(!cgroup_lets_in(&module, stick.node()));
    let (state, detail) = device(&hub, "driver");
    assert!(state == "refused" && detail.starts_with("manifest_device"), "{state}: {detail}");
    assert!(!hub.audit("device_refused").is_empty(), "it leaves a record");
}

#[test]
fn a_device_that_only_root_may_use_waits_for_a_udev_rule() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let stick = Stick::new(&sysfs);
    stick.give_to(0, 0o660);
    link.plug(stick.node());
    let hub = hub(&sysfs);
    let module = install(&hub, &driver("driver", 8100, &[&link]), "driver");
    assert_eq!(number(&module, &link), "ENOENT");
    let (state, detail) = device(&hub, "driver");
    assert_eq!(state, "refused");
    assert!(detail.contains("device_access") && detail.contains("GROUP=\"dialout\""), "{detail}");
    stick.give_to(STICK_GROUP, 0o660);
    let module = next_run(&hub, "driver", &module);
    assert_eq!(number(&module, &link), stick.number());
}
