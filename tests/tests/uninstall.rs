//! A removal leaves nothing (protocol, section 2, "Remove"): modules come, are used and go again and again, and the disk
//! is afterwards what it was.
//!
//! `SELENA_UNINSTALL_CYCLES` says how often; `cargo xtask uninstall-cycles` makes 100.

use std::{env, fs, os::unix::fs::MetadataExt, path::Path};

use selena_tests::{Engine, Hub, Package, wait};
use serde_json::{Value, json};

const NAME: &str = "passer-by";
/// How often, unless it is said.
const CYCLES: u32 = 10;
/// How much more the disk may have after all cycles than before.
const TOLERANCE_BYTES: u64 = 1024 * 1024;

/// What there is of modules, but for the bytes.
#[derive(Debug, PartialEq)]
struct Left {
    files: Vec<String>,
    containers: usize,
    images: usize,
    volumes: usize,
    loop_devices: usize,
    mounts: usize,
    modules: Value,
    settings: i64,
}

fn left(hub: &Hub, label: &str) -> Left {
    let engine = Engine::default();
    let dir = hub.data_dir().display().to_string();
    let mut files = Vec::new();
    for part in ["modules", "volumes", "aside", "previous", "pending", "staging", "lost"] {
        let entries = fs::read_dir(hub.data_dir().join(part)).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    let devices = fs::read_dir("/sys/block").expect("the kernel tells its devices").flatten();
    let backing = devices.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the kernel tells what is mounted");
    Left {
        files,
        containers: engine.labelled(label).len(),
        images: engine.tags(hub.prefix()).len(),
        volumes: engine.volumes(label).len(),
        loop_devices: backing.filter(|file| file.starts_with(&dir)).count(),
        mounts: mounts.lines().filter(|line| line.contains(&dir)).count(),
        modules: hub.client().get("/modules").expect(200).json(),
        settings: hub.rows("module_config") + hub.rows("modules") + hub.rows("oauth_sessions"),
    }
}

fn allocated(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    let inner = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| allocated(&entry.path())).sum::<u64>();
    metadata.blocks() * 512 + if metadata.is_dir() { inner } else { 0 }
}

/// Installs, uses, updates every other time, and removes.
fn cycle(hub: &Hub, number: u32) {
    let module = hub.install(&Package::probe(NAME, 8100));
    module.act(&json!({ "act": "write", "path": "/data/notes", "text": "x".repeat(100_000) }));
    let setting = json!({ "key": "room", "value": "hall" });
    let _set = hub.admin().post(&format!("/modules/{NAME}/config"), &setting).expect(200);
    let _heard = hub.hears_again(NAME, 20);
    if number.is_multiple_of(2) {
        let _updated = hub.try_install(&Package::probe(NAME, 8100).version("1.1.0")).expect(201);
    }
    let _gone = hub.client().delete(&format!("/modules/{NAME}")).expect(204);
}

#[test]
fn uninstall_leaves_nothing_however_often() {
    let cycles = env::var("SELENA_UNINSTALL_CYCLES").map_or(CYCLES, |text| text.parse().expect("a number of cycles"));
    let hub = Hub::unlimited();
    let label = {
        let module = hub.install(&Package::probe(NAME, 8100));
        let label = Engine::default().inspect(&module.container)["Config"]["Labels"]["selena.hub"].clone();
        let _gone = hub.client().delete(&format!("/modules/{NAME}")).expect(204);
        format!("selena.hub={}", label.as_str().expect("the hub's id"))
    };
    let at_first = left(&hub, &label);
    assert_eq!((at_first.files.len(), at_first.containers, at_first.images, at_first.loop_devices), (0, 0, 0, 0));
    hub.empty_log_of_database();
    let before = allocated(&hub.data_dir());
    for number in 1..=cycles {
        cycle(&hub, number);
        wait::until("nothing is left", 20, || left(&hub, &label) == at_first);
        if number.is_power_of_two() || number == cycles {
            hub.empty_log_of_database();
            let (now, database) = (allocated(&hub.data_dir()), allocated(&hub.data_dir().join("selena.db")));
            println!(
                "after {number} cycles: data directory {now} bytes (at first {before}), of it the database {database}"
            );
        }
    }
    let after = allocated(&hub.data_dir());
    assert!(after <= before + TOLERANCE_BYTES, "{cycles} cycles left {} bytes", after - before);
    assert_eq!(hub.events("module.removed").len(), cycles as usize + 1);
}
