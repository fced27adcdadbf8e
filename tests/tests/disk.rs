//! The disk: what modules are promised, and who is named when it gets full (protocol, sections 4 and 6; series D).

use std::fs;

use selena_tests::{Desk, Engine, Hub, Options, Package, wait};
use serde_json::{Value, json};

fn holder(name: &str, port: u16, data_mb: u32) -> Package {
    Package::probe(name, port).with("resources", json!({ "memory_mb": 32, "data_mb": data_mb }))
}

fn uses(hub: &Hub) -> Vec<Value> {
    hub.admin().get("/system/disk").expect(200).json()["uses"].as_array().expect("a list").clone()
}

fn module_use(hub: &Hub, name: &str) -> Value {
    uses(hub).into_iter().find(|one| one["owner"] == "module" && one["name"] == name).unwrap_or_default()
}

#[test]
fn d01_what_does_not_fit_beside_what_others_were_promised_is_refused_with_the_numbers() {
    const MIB: u64 = 1024 * 1024;
    let hub = Hub::with(Options { data_mib: Some(100), ..Options::default() });
    // It never ran, so its data take nothing yet; they are promised all the same.
    let lazy = holder("lazy", 8100, 60).with("runtime_mode", json!("on_demand"));
    let _ready = hub.try_install(&lazy).expect(201);
    let disk = hub.admin().get("/system/disk").expect(200).json();
    assert_eq!((disk["promised_bytes"].as_u64(), disk["kept_free_bytes"].as_u64()), (Some(60 * MIB), Some(5 * MIB)));

    let refused = hub.try_install(&holder("greedy", 8101, 40));
    refused.refused(507, "disk_full");
    let refused = refused.json();
    let number = |key: &str| refused[key].as_u64().unwrap_or_default();
    assert_eq!(
        [number("needed_bytes"), number("promised_bytes"), number("kept_free_bytes")],
        [40 * MIB, 60 * MIB, 5 * MIB]
    );
    assert!(number("free_bytes") < 100 * MIB && number("free_bytes") > 80 * MIB, "{refused}");
    assert!(
        refused["detail"].as_str().is_some_and(|text| text.contains("40 MiB") && text.contains("60 MiB")),
        "{refused}"
    );
    assert_eq!(fs::read_dir(hub.data_dir().join("modules")).map_or(0, Iterator::count), 1, "nothing of it is left");
    wait::until("it is recorded", 10, || !hub.audit("disk_full").is_empty());

    let _fits = hub.install(&holder("modest", 8101, 8));
    // An update needs room for a copy of the data.
    hub.try_install(&holder("modest", 8101, 30).version("1.1.0")).refused(507, "disk_full");
    let _still_runs = hub.hears_again("modest", 10);
    let _gone = hub.client().delete("/modules/lazy").expect(204);
    let _room_again = hub.try_install(&holder("modest", 8101, 30).version("1.1.0")).expect(201);
}

#[test]
fn a_disk_that_gets_full_is_told_with_its_culprit() {
    let hub = Hub::with(Options { data_mib: Some(100), ..Options::default() });
    let small = hub.install(&holder("small", 8100, 8));
    let large = hub.install(&holder("large", 8101, 40));
    large.act(&json!({ "act": "write", "path": "/data/notes", "text": "x".repeat(900_000) }));
    small.misbehave(&json!({ "act": "print", "bytes": 300_000 }));

    // Real sizes: those of the files.
    let allocated = |path: &str| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(hub.data_dir().join(path)).map_or(0, |file| file.blocks() * 512)
    };
    let of_large = module_use(&hub, "large");
    assert_eq!(of_large["parts"]["data_volume"].as_u64(), Some(allocated("volumes/large.ext4")));
    assert!(
        allocated("volumes/large.ext4") >= 40 * 1024 * 1024,
        "all of its blocks are taken, also once it was mounted"
    );
    assert!(of_large["parts"]["package"].as_u64().is_some_and(|bytes| bytes > 100_000), "{of_large}");
    assert!(of_large["parts"]["images"].as_u64().is_some_and(|bytes| bytes > 0), "{of_large}");
    wait::until("its log is seen", 20, || module_use(&hub, "small")["parts"]["logs"].as_u64() >= Some(300_000));
    let full = || module_use(&hub, "large")["data_used_bytes"].as_u64().unwrap_or_default();
    let before = full();
    assert!(before > 900_000, "what is full of its data is seen while it runs: {before}");
    let _stopped = hub.client().post("/modules/large/stop", &json!({})).expect(200);
    assert!(full() >= before - 600_000, "and when it does not");

    // The disk gets full; the hub looks every 30 s.
    let filler = hub.data_dir().join("lost/filler");
    fs::create_dir_all(filler.parent().expect("a parent")).expect("made");
    let free = hub.admin().get("/system/disk").expect(200).json()["free_bytes"].as_u64().expect("a number");
    fs::write(&filler, vec![1; usize::try_from(free - 6_000_000).expect("small")]).expect("written");
    let names: Vec<_> = uses(&hub).iter().map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(names.iter().take(3).any(|name| name == "laid aside as unknown"), "{names:?}");
    let bytes: Vec<_> = uses(&hub).iter().map(|one| one["bytes"].as_u64()).collect();
    assert!(bytes.is_sorted_by(|one, next| one >= next), "the largest first: {bytes:?}");
    let told = wait::for_some("it is told", 45, || hub.events("core.disk_low").pop());
    let largest = told["payload"]["largest"].as_array().expect("who uses most");
    assert!(largest.iter().any(|one| one["name"] == "large" && one["bytes"].as_u64() > Some(40_000_000)), "{told}");

    // People see the same at a desk, and what they remove makes room.
    let desk = Desk::default();
    let shown = desk.ctl(&hub, &["disk"]).done().out;
    assert!(shown.contains("large") && shown.contains("data volume 40.0 MiB"), "{shown}");
    let _gone = hub.client().delete("/modules/large").expect(204);
    assert_eq!(module_use(&hub, "large"), Value::Null);
    let now = hub.admin().get("/system/disk").expect(200).json()["free_bytes"].as_u64().expect("a number");
    assert!(now > 40_000_000, "{now}");
    assert_eq!(Engine::default().tags(hub.prefix()).len(), 1);
}
