//! Packages that publishers signed (protocol, sections 2 and 3): by the command line, and by a packer in another language.

use std::{fs, path::Path};

use selena_tests::{Desk, Hub, Package, Ran};
use serde_json::{Value, json};

const PACKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packer/pack.py");

/// A desk with keys of these names.
fn desk(hub: &Hub, keys: &[&str]) -> Desk {
    let desk = Desk::default();
    for key in keys {
        let _made = desk.ctl(hub, &["publisher", "keygen", key]).done();
    }
    desk
}

/// Adds the public key of that name; its id.
fn add(desk: &Desk, hub: &Hub, name: &str, key: &str) -> String {
    let added = desk.ctl(hub, &["--json", "publisher", "add", name, &format!("{key}.pub")]).done().json();
    added["key_id"].as_str().expect("an id").to_owned()
}

fn lamp(version: &str) -> Package {
    Package::probe("lamp", 8100).version(version).with("permissions", json!(["device.read", "events.subscribe"]))
}

/// Installs a package that was signed with that key, or by nobody.
fn install(desk: &Desk, hub: &Hub, package: &Package, key: Option<&str>) -> Ran {
    let directory = tempfile::tempdir_in(desk.path()).expect("a directory");
    package.write_to(directory.path());
    let place = directory.path().to_string_lossy().into_owned();
    let pack = ["module", "pack", &place, "-o", "package.zip"];
    let sign: Vec<_> = key.into_iter().flat_map(|key| ["--sign", key]).collect();
    let _packed = desk.ctl(hub, &[&pack[..], &sign].concat()).done();
    desk.ctl(hub, &["module", "install", "package.zip"])
}

fn publisher(hub: &Hub) -> Value {
    hub.details("lamp")["publisher"].clone()
}

#[test]
fn m14_a_package_of_a_packer_in_another_language_is_installed_when_its_publisher_is_known() {
    let hub = Hub::start();
    let desk = Desk::default();
    let _key = desk.run("openssl", &["genpkey", "-algorithm", "ed25519", "-out", "py.key"]).done();
    let _public = desk.run("openssl", &["pkey", "-in", "py.key", "-pubout", "-out", "py.key.pub"]).done();
    // Names whose order in bytes is none that a language would choose by itself.
    let package =
        lamp("1.0.0").file("Z.txt", b"Z", 0o644).file("ui/\u{e4}.html", b"", 0o644).file("ui.txt", b"u", 0o644);
    let _directory = desk.directory("lamp", &package);
    let _packed = desk.run("python3", &["-X", "utf8", PACKER, "lamp", "py.key", "lamp.zip"]).done();

    let ran = desk.ctl(&hub, &["module", "install", "lamp.zip"]);
    ran.refused("manifest_signature");
    assert!(ran.err.contains("unknown publisher key") && ran.err.contains("selenactl publisher add"), "{}", ran.err);
    let id = add(&desk, &hub, "Snakes & Co", "py.key");
    let ran = desk.ctl(&hub, &["module", "install", "lamp.zip"]).done();
    assert!(ran.err.contains(&format!("lamp is signed by Snakes & Co (BASIC) with the key {id}")), "{}", ran.err);
    let _heard = hub.hears_again("lamp", 10);
    let expected = json!({ "signed": true, "name": "Snakes & Co", "key_id": id, "trust": "BASIC", "revoked": false });
    assert_eq!(publisher(&hub), expected);
    let verified = desk.ctl(&hub, &["module", "verify", "lamp.zip", "--key", "py.key.pub"]).done();
    assert!(verified.out.contains("good  ui/\u{e4}.html"), "{}", verified.out);
    assert!(desk.ctl(&hub, &["module", "list"]).done().out.contains("Snakes & Co"));
}

#[test]
fn m14_a_package_that_was_changed_after_it_was_signed_is_refused() {
    let hub = Hub::start();
    let desk = desk(&hub, &["ours"]);
    add(&desk, &hub, "Lamps", "ours");
    let _directory = desk.directory("lamp", &lamp("1.0.0"));
    let _signed = desk.ctl(&hub, &["module", "sign", "lamp", "--key", "ours", "-o", "lamp.zip"]).done();
    let _unpacked = desk.run("python3", &["-m", "zipfile", "-e", "lamp.zip", "bad"]).done();
    let file = |name: &str| desk.path().join("bad").join(name).to_string_lossy().into_owned();
    for (changed, content, why) in [
        ("start.json", "{\"subscribe\":[]}", "`start.json` was changed after it was signed"),
        ("more.json", "{}", "`more.json` was added after the package was signed"),
    ] {
        let path = file(changed);
        let before = fs::read(&path).ok();
        fs::write(&path, content).expect("written");
        let files: Vec<_> = names(&desk.path().join("bad")).iter().map(|name| file(name)).collect();
        let pack = ["-m", "zipfile", "-c", "bad.zip"].into_iter().chain(files.iter().map(String::as_str));
        let _packed = desk.run("python3", &pack.collect::<Vec<_>>()).done();
        let ran = desk.ctl(&hub, &["module", "install", "bad.zip"]);
        ran.refused("manifest_signature");
        assert!(ran.err.contains(why), "{why:?} is not in {}", ran.err);
        match before {
            Some(before) => fs::write(&path, before).expect("written"),
            None => fs::remove_file(&path).expect("removed"),
        }
    }
    assert!(hub.try_module("lamp").is_none());
    assert!(!hub.audit("manifest_signature").is_empty(), "a refusal leaves a record");
    let _good = desk.ctl(&hub, &["module", "install", "lamp.zip"]).done();
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn m04_an_update_is_by_the_same_publisher_whose_key_may_be_replaced_and_revoked() {
    let mut hub = Hub::start();
    let desk = desk(&hub, &["ours", "other", "heir"]);
    let (id, _other) = (add(&desk, &hub, "Lamps", "ours"), add(&desk, &hub, "Others", "other"));
    let _installed = install(&desk, &hub, &lamp("1.0.0"), Some("ours")).done();
    install(&desk, &hub, &lamp("1.1.0"), Some("other")).refused("manifest_conflict");
    install(&desk, &hub, &lamp("1.1.0"), None).refused("manifest_conflict");
    install(&desk, &hub, &lamp("1.1.0"), Some("heir")).refused("manifest_signature");
    assert_eq!(hub.details("lamp")["version"], "1.0.0");

    let state = ["publisher", "rotation", "--old", "ours", "--new", "heir.pub", "-o", "heir.json"];
    let _stated = desk.ctl(&hub, &state).done();
    let heir = desk.ctl(&hub, &["--json", "publisher", "rotate", "heir.json"]).done().json();
    assert_eq!((&heir["name"], &heir["replaces"]), (&json!("Lamps"), &json!(id)));
    let _updated = install(&desk, &hub, &lamp("1.1.0"), Some("heir")).done();
    install(&desk, &hub, &lamp("1.2.0"), Some("ours")).refused("manifest_conflict");
    assert_eq!(publisher(&hub)["key_id"], heir["key_id"]);

    let heir_id = heir["key_id"].as_str().expect("an id");
    let revoke = ["--json", "publisher", "revoke", heir_id, "--reason", "it was stolen", "--yes"];
    let revoked = desk.ctl(&hub, &revoke).done().json();
    assert_eq!(revoked["modules"], json!(["lamp"]));
    let _runs_on = hub.hears_again("lamp", 10);
    install(&desk, &hub, &lamp("1.2.0"), Some("heir")).refused("manifest_signature");
    let told = hub.events("module.error");
    assert!(told.iter().any(|event| event["payload"]["reason"].as_str().is_some_and(|why| why.contains("revoked"))));
    assert!(hub.audit("publisher_revoked")[0]["detail"].as_str().is_some_and(|detail| detail.contains("stolen")));

    hub.kill();
    hub.start_again();
    let _runs_again = hub.hears_again("lamp", 20);
    assert_eq!((&publisher(&hub)["revoked"], &publisher(&hub)["trust"]), (&json!(true), &json!("UNTRUSTED")));
    for (arguments, words) in [
        (["module", "show", "lamp"], "which was REVOKED since"),
        (["module", "list", "--"], "REVOKED: Lamps"),
        (["publisher", "list", "--"], "it was stolen"),
    ] {
        let arguments: Vec<_> = arguments.into_iter().filter(|argument| *argument != "--").collect();
        let ran = desk.ctl(&hub, &arguments).done();
        assert!(ran.out.contains(words), "{arguments:?}: {}", ran.out);
    }
    install(&desk, &hub, &lamp("1.2.0"), Some("heir")).refused("manifest_signature");
}

#[test]
fn what_nobody_signed_says_so_and_takes_no_signed_update() {
    let hub = Hub::start();
    let desk = desk(&hub, &["ours"]);
    add(&desk, &hub, "Lamps", "ours");
    let ran = install(&desk, &hub, &lamp("1.0.0"), None).done();
    assert!(ran.err.contains("lamp is UNSIGNED"), "{}", ran.err);
    install(&desk, &hub, &lamp("1.1.0"), Some("ours")).refused("manifest_conflict");
    let _updated = install(&desk, &hub, &lamp("1.1.0"), None).done();
    let nobody = json!({ "signed": false, "name": null, "key_id": null, "trust": "UNTRUSTED", "revoked": false });
    assert_eq!(publisher(&hub), nobody);
    let more = json!(["device.read", "device.write", "events.subscribe"]);
    let waits = hub.try_install(&lamp("1.2.0").with("permissions", more)).expect(202).json();
    assert_eq!(waits["publisher"], nobody, "the answer of an install says it");
    let shown = hub.admin().get("/modules/lamp/consent").expect(200).json();
    assert_eq!(shown["publisher"], nobody, "and so does what waits for consent");
    assert_eq!(shown["permissions"].as_array().map(Vec::len), Some(3));
    let mut consent = json!({ "version": shown["version"], "adds": shown["adds"], "publisher": { "signed": true } });
    hub.admin().post("/modules/lamp/consent", &consent).refused(409, "consent_changed");
    consent["publisher"] = nobody.clone();
    let _granted = hub.admin().post("/modules/lamp/consent", &consent).expect(200);
    let steps: Vec<_> = hub.client().follow("/modules/lamp/status/stream").collect();
    assert!(steps[0]["message"].as_str().is_some_and(|text| text.contains("UNSIGNED")), "{steps:?}");
    assert!(hub.audit("module_install").iter().all(|record| record["detail"].to_string().contains("UNSIGNED")));
    for arguments in [["module", "show", "lamp"].as_slice(), &["module", "list"]] {
        assert!(desk.ctl(&hub, arguments).done().out.contains("UNSIGNED"), "{arguments:?}");
    }
    let _removed = desk.ctl(&hub, &["module", "remove", "--yes", "lamp"]).done();
    let _anew = install(&desk, &hub, &lamp("1.1.0"), Some("ours")).done();
    assert_eq!(publisher(&hub)["signed"], true, "it starts from nothing");
}

#[test]
fn an_update_that_waited_is_not_taken_once_its_key_is_revoked() {
    let mut hub = Hub::start();
    let desk = desk(&hub, &["ours"]);
    let id = add(&desk, &hub, "Lamps", "ours");
    let _old = install(&desk, &hub, &lamp("1.0.0"), Some("ours")).done();
    let more = json!(["device.read", "events.subscribe", "device.write"]);
    let asks = |version: &str| lamp(version).with("permissions", more.clone());
    assert_eq!(install(&desk, &hub, &asks("1.1.0"), Some("ours")).code, Some(3));
    hub.kill();
    hub.start_again();
    let _running = hub.hears_again("lamp", 20);
    let ran = desk.ctl(&hub, &["module", "consent", "lamp", "--yes"]).done();
    assert!(ran.err.contains("It is signed by Lamps"), "{}", ran.err);
    assert_eq!((&hub.details("lamp")["version"], &publisher(&hub)["key_id"]), (&json!("1.1.0"), &json!(id)));

    let even_more = json!(["device.read", "events.subscribe", "device.write", "events.publish"]);
    let next = lamp("1.2.0").with("permissions", even_more);
    assert_eq!(install(&desk, &hub, &next, Some("ours")).code, Some(3));
    let _revoked = desk.ctl(&hub, &["publisher", "revoke", &id, "--reason", "lost", "--yes"]).done();
    desk.ctl(&hub, &["module", "consent", "lamp", "--yes"]).refused("manifest_signature");
    assert_eq!(hub.details("lamp")["version"], "1.1.0");
    let _runs_on = hub.hears_again("lamp", 10);
}

#[test]
fn whom_to_believe_is_for_people_and_not_for_the_development_token() {
    let hub = Hub::start();
    let key = json!({ "name": "Mine", "public_key": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=" });
    assert_eq!(hub.client().post("/publishers", &key).status, 403);
    assert_eq!(hub.client().get("/publishers").status, 403);
    assert_eq!(hub.anonymous().post("/publishers", &key).status, 401);
    let added = hub.admin().post("/publishers", &key).expect(201).json();
    assert_eq!(added["key_id"], "56475aa75463474c0285df5dbf2bcab7");
    assert!(!hub.audit("publisher_added").is_empty() && !hub.audit("permission_denied").is_empty());
}
