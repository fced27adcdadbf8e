//! Devices of the machine in modules (protocol, section 3, row `devices`).

use std::{fs, path::Path};

use selena_tests::{
    Engine, Package,
    host_devices::{BY_ID, BY_PATH, cgroup_lets_in, consent, device, driver, hub, install, listed, number},
    machine::{Link, STICK_GROUP, Scrap, Stick, Sysfs},
    wait,
};
use serde_json::{Value, json};

#[test]
fn a_granted_device_is_read_and_written_and_nothing_else_is() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let (stick, other) = (Stick::new(&sysfs), Stick::new(&sysfs));
    link.plug(stick.node());
    let hub = hub(&sysfs);
    let waiting = hub.try_install(&driver("driver", 8100, &[&link])).expect(202).json();
    assert_eq!(waiting["adds"]["devices"], json!([link.path()]));
    assert!(hub.try_module("driver").is_none(), "nothing runs before a person consents");
    consent(&hub, "driver");
    let module = hub.module("driver");
    assert_eq!(number(&module, &link), stick.number());
    let written = module.act(&json!({ "act": "device_write", "path": link.path(), "text": "from inside" }));
    assert_eq!((written["done"].clone(), stick.read(11)), (json!(true), "from inside".to_owned()));
    stick.write("from outside");
    let read = module.act(&json!({ "act": "device_read", "path": link.path(), "bytes": 12 }));
    assert_eq!(read["done"], "from outside");
    assert_eq!(device(&hub, "driver"), ("present".to_owned(), String::new()));

    let made = Engine::default().inspect(&module.container);
    let mapped = json!([{ "PathOnHost": stick.node(), "PathInContainer": link.path(), "CgroupPermissions": "rw" }]);
    assert_eq!(made["HostConfig"]["Devices"], mapped);
    assert_eq!(made["HostConfig"]["GroupAdd"], json!([STICK_GROUP.to_string()]));

    for path in ["/tmp/node", "/data/node", "/dev/node"] {
        for number in [[1, 1], [7, 1]] {
            let refused = module.act(&json!({ "act": "device_make", "path": path, "number": number }));
            assert_eq!(refused["error"], "EPERM", "{path} {number:?}: {refused}");
        }
    }
    assert!(cgroup_lets_in(&module, stick.node()), "the check itself works");
    assert!(!cgroup_lets_in(&module, other.node()), "a device that was not granted");
    assert!(!cgroup_lets_in(&module, Path::new("/dev/kmsg")), "the kernel's log");
}

#[test]
fn a_device_goes_to_one_module_only_by_whatever_path() {
    let (sysfs, by_id, by_path) = (Sysfs::new(), Link::new(BY_ID), Link::new(BY_PATH));
    let stick = Stick::new(&sysfs);
    by_id.plug(stick.node());
    by_path.plug(stick.node());
    let hub = hub(&sysfs);
    let waits = hub.try_install(&driver("first", 8100, &[&by_id])).expect(202).json();
    for (link, when) in [(&by_id, "it waits for consent"), (&by_path, "so does another path")] {
        let refused = hub.try_install(&driver("second", 8101, &[link]));
        refused.refused(422, "manifest_device");
        assert!(refused.text().contains("first"), "the holder is named while {when}: {}", refused.text());
    }
    assert!(!hub.audit("manifest_device").is_empty(), "it leaves a record");
    let grant = json!({ "version": waits["version"], "adds": waits["adds"] });
    let _granted = hub.admin().post("/modules/first/consent", &grant).expect(200);
    hub.try_install(&driver("second", 8101, &[&by_path])).refused(422, "manifest_device");
    let _stopped = hub.admin().post("/modules/first/stop", &json!({})).expect(200);
    hub.try_install(&driver("second", 8101, &[&by_path])).refused(422, "manifest_device");
    let _removed = hub.admin().delete("/modules/first").expect(204);
    let module = install(&hub, &driver("second", 8101, &[&by_path]), "second");
    assert_eq!(number(&module, &by_path), stick.number());
}

#[test]
fn what_is_no_such_device_is_refused_at_install() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let (file, outside, shared) = (Scrap::within("/dev"), Scrap::within("/tmp"), Scrap::within("/dev/shm"));
    fs::write(&file.0, "").unwrap();
    let stick = Stick::new(&sysfs);
    stick.copy_to(&outside.0);
    stick.copy_to(&shared.0);
    let hub = hub(&sysfs);
    let package = driver("driver", 8100, &[&link]);
    // A device that is of another sort to the kernel: the hub is told so by the kernel, not by the name.
    sysfs.add(1, 3, "mem");
    let targets = [
        (file.0.clone(), "a regular file"),
        ("../../loop0".into(), "a block device"),
        ("../../null".into(), "memory"),
        ("../../../etc/passwd".into(), "out of /dev"),
        (Path::new("../../..").join(outside.0.strip_prefix("/").unwrap()), "a good device out of /dev"),
        (outside.0.clone(), "the same, from the root"),
        (shared.0.clone(), "a good device in another file system"),
        ("../../pts/ptmx".into(), "another file system"),
    ];
    let mut answers = Vec::new();
    for (target, what) in &targets {
        let target = target.strip_prefix("/dev").map_or(target.clone(), |below| Path::new("../..").join(below));
        link.lead_to(&target);
        wait::until("the hub sees it", 10, || listed(&hub, &link).is_some_and(|device| device["state"] == "refused"));
        answers.push((what, hub.try_install(&package)));
        link.unplug();
        wait::until("the hub sees that it is gone", 10, || listed(&hub, &link).is_none());
    }
    for (what, answer) in answers {
        assert_eq!((answer.status, answer.code().as_str()), (422, "manifest_device"), "{what}: {}", answer.text());
    }
    assert!(!hub.audit("manifest_device").is_empty(), "it leaves a record");
}

#[test]
fn a_trial_is_given_no_device() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let stick = Stick::new(&sysfs);
    link.plug(stick.node());
    let hub = hub(&sysfs);
    let start = json!({ "do": "exit_with_device", "path": link.path() });
    let _its_trial_was_good = hub.try_install(&driver("driver", 8100, &[&link]).start(start)).expect(202);
    let shown = hub.admin().get("/modules/driver/consent").expect(200).json();
    let grant = json!({ "version": shown["version"], "adds": shown["adds"] });
    // The same program with its device ends: so the trial had none.
    assert_ne!(hub.admin().post("/modules/driver/consent", &grant).status, 200);
    let log = hub.admin().get("/modules/driver/logs").expect(200).text();
    assert!(log.contains("the probe has its device"), "{log}");
}

#[test]
fn an_update_that_adds_a_device_waits_and_keeps_it_for_itself() {
    let (sysfs, link) = (Sysfs::new(), Link::new(BY_ID));
    let stick = Stick::new(&sysfs);
    link.plug(stick.node());
    let mut hub = hub(&sysfs);
    let old = hub.install(&Package::probe("driver", 8100));
    let waiting = hub.try_install(&driver("driver", 8100, &[&link]).version("1.1.0")).expect(202).json();
    assert_eq!(waiting["adds"]["devices"], json!([link.path()]));
    assert_eq!(number(&old, &link), "ENOENT", "the old version runs on without");
    hub.try_install(&driver("other", 8101, &[&link])).refused(422, "manifest_device");
    hub.kill();
    hub.start_again();
    hub.try_install(&driver("other", 8101, &[&link])).refused(422, "manifest_device");
    consent(&hub, "driver");
    assert_eq!(number(&hub.module("driver"), &link), stick.number());
    hub.kill();
    hub.start_again();
    wait::until("it runs again with its device", 30, || {
        hub.status("driver") == "RUNNING"
            && hub.try_module("driver").is_some_and(|module| number(&module, &link) == stick.number())
    });
}

#[test]
fn the_devices_of_the_machine_are_listed_for_people_alone() {
    let (sysfs, given, free, absent) = (Sysfs::new(), Link::new(BY_ID), Link::new(BY_ID), Link::new(BY_PATH));
    let (one, two) = (Stick::new(&sysfs), Stick::new(&sysfs));
    given.plug(one.node());
    free.plug(two.node());
    let hub = hub(&sysfs);
    let _module = install(&hub, &driver("driver", 8100, &[&given, &absent]), "driver");
    for (link, state, module) in
        [(&given, "present", json!("driver")), (&free, "present", Value::Null), (&absent, "missing", json!("driver"))]
    {
        let device = listed(&hub, link).expect("it is listed");
        assert_eq!((&device["state"], &device["module"], &device["kind"]), (&json!(state), &module, &json!("serial")));
    }
    hub.client().get("/system/devices").refused(403, "permission_denied");
}
