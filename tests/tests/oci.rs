//! Modules that come as container images (protocol, section 4, row `oci`).

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{fs, path::PathBuf};

use selena_tests::{Engine, Hub, Image, Module, Package, image::Layer, wait};
use serde_json::{Value, json};
use tar::EntryType;

const MIB: usize = 1024 * 1024;

fn listening() -> Value {
    json!({ "subscribe": ["device.*", "test.*"] })
}

/// An image that asks for all that it does not get.
fn greedy() -> Image {
    let lower = Layer::default()
        .file("opt/bin/helper", 0o6755, b"#!/bin/sh\n")
        .file("app/own.txt", 0o644, b"the image's own")
        .file("srv/shop/here", 0o644, b"")
        .file("srv/shop/gone", 0o644, b"")
        .symlink("data", "/etc")
        .symlink("tmp", "/proc")
        .file("etc/passwd", 0o644, b"root::0:0::/:/bin/sh\n");
    Image::probe(&listening())
        .layer(lower)
        .layer(Layer::default().file("srv/shop/.wh.gone", 0o644, b""))
        .with("Cmd", json!(["an argument"]))
        .with("WorkingDir", json!("/srv/shop"))
        .with(
            "Env",
            json!(["PATH=/opt/bin", "GREETING=hello", "SELENA_MODULE_NAME=liar", "MODULE_TOKEN=x", "LD_PRELOAD=/x.so"]),
        )
        .with("Volumes", json!({ "/var/lib/endless": {}, "/data": {} }))
        .with("User", json!("0:0"))
        .with("ExposedPorts", json!({ "22/tcp": {} }))
        .with("Healthcheck", json!({ "Test": ["CMD", "/opt/bin/helper"] }))
        .with("Labels", json!({ "selena.module": "other", "selena.hub": "other" }))
}

fn done(module: &Module, arguments: &Value) -> Value {
    module.act(arguments)["done"].clone()
}

fn runs_by_the_hubs_rules(hub: &Hub, name: &str) {
    let module = hub.hears_again(name, 20);
    let act = |act: &str, path: &str| done(&module, &json!({ "act": act, "path": path }));
    let manifest: Value = serde_json::from_str(act("read", "/selena/package/manifest.json").as_str().unwrap()).unwrap();
    assert_eq!(manifest["name"], name);
    assert_eq!(act("read", "/app/own.txt"), "the image's own");
    assert_eq!(act("list", "."), json!(["here"]), "the working directory is the image's");
    assert_eq!(act("mode", "/opt/bin/helper"), 0o755);
    for (variable, value) in [
        ("GREETING", "hello"),
        ("PATH", "/opt/bin"),
        ("HOME", "/data"),
        ("SELENA_MODULE_NAME", name),
        ("SELENA_INSTALL_PATH", "/selena/package"),
    ] {
        assert_eq!(module.variable(variable), value, "{variable}");
    }
    assert_eq!(module.variable("MODULE_TOKEN"), module.token());
    let status = act("read", "/proc/self/status");
    let line = |field: &str| status.as_str().unwrap().lines().find(|line| line.starts_with(field)).unwrap().to_owned();
    assert!(!line("Uid:").contains("\t0\t"), "{status}");
    assert!(line("CapBnd:").ends_with("0000000000000000") && line("NoNewPrivs:").ends_with('1'), "{status}");
    assert!(act("read", "/etc/passwd").as_str().unwrap().contains("module:x:"));
    let write = |path: &str| module.act(&json!({ "act": "write", "path": path, "text": "x" }));
    assert_eq!(write("/app/x")["error"], "EROFS");
    assert_eq!((write("/data/x")["done"].clone(), write("/tmp/x")["done"].clone()), (json!(true), json!(true)));
    assert_eq!(act("list", "/etc").as_array().map(|names| names.contains(&json!("x"))), Some(false));
}

/// Of the image's configuration nothing is with the engine, and no volume but the hub's own.
fn nothing_came_along(hub: &Hub, name: &str) {
    let engine = Engine::default();
    let container = engine.inspect(&hub.container(name));
    let mounts = container["Mounts"].as_array().unwrap();
    let mut targets: Vec<_> = mounts.iter().map(|mount| mount["Destination"].as_str().unwrap()).collect();
    targets.sort_unstable();
    assert_eq!(targets, ["/data", "/etc/passwd", "/selena/init", "/selena/package"], "{mounts:?}");
    assert_eq!(container["Config"]["Labels"]["selena.module"], name);
    assert_eq!(container["State"]["Health"], Value::Null);
    let images = engine.images(&hub.container(name));
    assert_eq!(images.len(), 1, "{images:?}");
    let config = &engine.inspect_image(&format!("{}:1.0.0", hub.container(name)))["Config"];
    for field in ["Volumes", "ExposedPorts", "Healthcheck", "Env", "Entrypoint", "Cmd", "OnBuild"] {
        assert!(config[field].as_array().is_none_or(Vec::is_empty) && !config[field].is_object(), "{field}: {config}");
    }
    assert_eq!(config["User"].as_str().unwrap_or_default(), "");
}

#[test]
fn an_image_of_either_layout_runs_by_the_hubs_rules_and_leaves_nothing() {
    let hub = Hub::start();
    let engine = Engine::default();
    let victim = format!("{}victim:latest", hub.prefix());
    for (name, port, image) in [("layout", 8100, greedy().oci()), ("archive", 8101, greedy().docker(&victim))] {
        let _module = hub.install(&Package::image(name, port, &image));
        runs_by_the_hubs_rules(&hub, name);
        nothing_came_along(&hub, name);
        assert_eq!(engine.images(&victim), [Value::Null; 0], "a tag of the image has no effect");
        assert!(
            hub.log().contains("VOLUME, USER, HEALTHCHECK")
                && hub.log().contains("setuid, setgid or capabilities of 1")
        );
        let _gone = hub.client().delete(&format!("/modules/{name}")).expect(204);
        assert_eq!(engine.images(&hub.container(name)), [Value::Null; 0], "images");
        assert_eq!(engine.containers(&hub.container(name)), [Value::Null; 0], "containers");
    }
    assert_eq!(staged(&hub), Vec::<PathBuf>::new());
}

fn staged(hub: &Hub) -> Vec<PathBuf> {
    let entries = fs::read_dir(hub.data_dir().join("staging")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn r04_an_image_for_another_machine_is_refused_and_leaves_nothing() {
    let hub = Hub::start();
    let other = if std::env::consts::ARCH == "x86_64" { "arm64" } else { "amd64" };
    let image = Image::probe(&listening()).for_machine(other).oci();
    let refused = hub.try_install(&Package::image("foreign", 8100, &image));
    refused.refused(422, "module_image_error");
    assert!(refused.text().contains(other), "it says for which machine it is: {}", refused.text());
    hub.settles("R04: a refused image");
}

#[test]
fn r04_an_image_that_the_engine_lost_is_made_anew_and_a_damaged_one_is_an_error() {
    let hub = Hub::start();
    let _module = hub.install(&Package::image("lost", 8100, &Image::probe(&listening()).oci()));
    let image = format!("{}:1.0.0", hub.container("lost"));
    let _stopped = hub.admin().post("/modules/lost/stop", &json!({})).expect(200);
    let _removed = Engine::default().remove_image(&image).expect(200);
    let _started = hub.admin().post("/modules/lost/start", &json!({})).expect(200);
    let _runs = hub.hears_again("lost", 20);
    assert_eq!(staged(&hub), Vec::<PathBuf>::new(), "its files lie with the engine alone");

    let file = hub.data_dir().join("modules/lost/image.tar");
    let good = fs::read(&file).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for (content, says) in [(Some(damaged), "SHA-256"), (None, "not there any more")] {
        let _stopped = hub.admin().post("/modules/lost/stop", &json!({})).expect(200);
        let _removed = Engine::default().remove_image(&image);
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        hub.admin().post("/modules/lost/start", &json!({})).refused(400, "module_image_error");
        assert_eq!(hub.status("lost"), "ERROR");
        let error = hub.details("lost")["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says) && error.to_lowercase().contains("install the module again"), "{error}");
    }
    fs::write(&file, good).unwrap();
    let _started = hub.admin().post("/modules/lost/start", &json!({})).expect(200);
    let _runs = hub.hears_again("lost", 20);
}

#[test]
fn an_update_of_an_image_runs_or_the_version_before_does() {
    let hub = Hub::start();
    let tags = || {
        let images = Engine::default().images(&hub.container("mover"));
        let version =
            |image: &serde_json::Value| image["RepoTags"][0].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        images.iter().map(version).collect::<std::collections::BTreeSet<_>>()
    };
    let only = |versions: &[&str]| versions.iter().map(|&version| version.to_owned()).collect();
    let package = |version: &str, start: &Value, text: &[u8]| {
        let image = Image::probe(start).layer(Layer::default().file("app/version", 0o644, text));
        Package::image("mover", 8100, &image.oci()).version(version)
    };
    let old = hub.install(&package("1.0.0", &listening(), b"old"));
    old.act(&json!({ "act": "write", "path": "/data/notes", "text": "kept" }));
    let failed = hub.try_install(&package("1.1.0", &json!({ "do": "exit_with_data" }), b"broken"));
    assert_eq!(failed.status, 400, "{}", failed.text());
    let back = hub.hears_again("mover", 30);
    let read = |module: &Module, path: &str| done(module, &json!({ "act": "read", "path": path }));
    assert_eq!((read(&back, "/app/version"), read(&back, "/data/notes")), (json!("old"), json!("kept")));
    assert_eq!(tags(), only(&["1.0.0"]), "the image of the failed version is gone");
    let _updated = hub.try_install(&package("1.2.0", &listening(), b"new")).expect(201);
    let new = hub.hears_again("mover", 30);
    assert_eq!((read(&new, "/app/version"), read(&new, "/data/notes")), (json!("new"), json!("kept")));
    assert_eq!(tags(), only(&["1.0.0", "1.2.0"]), "that of the version before stays");
}

#[test]
fn an_image_whose_program_is_not_there_fails_its_trial() {
    let hub = Hub::start();
    for (port, argv) in [(8100, json!(["absent"])), (8101, json!(["/opt/absent"]))] {
        let image = Image::probe(&listening()).with("Entrypoint", argv);
        let answer = hub.try_install(&Package::image("broken", port, &image.oci()));
        answer.refused(400, "sandbox_failed");
        let output = answer.json()["sandbox_output"].as_str().unwrap().to_owned();
        assert!(output.contains("cannot start"), "{output}");
    }
    assert_eq!(Engine::default().images(hub.prefix()), [Value::Null; 0]);
}

/// Noise in hex, which packs to half.
fn noise(seed: usize, length: usize) -> String {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{:08x}", state >> 32));
    }
    text.truncate(length);
    text
}

fn plain() -> Image {
    Image::new(json!({ "Cmd": ["/run"] }))
}

fn of(layer: Layer) -> Image {
    plain().layer(layer)
}

fn many_files(count: usize) -> Layer {
    (0..count).fold(Layer::default(), |layer, number| {
        layer.file(&format!("d{}/{}{number}", number % 100, noise(number, 60)), 0o644, b"")
    })
}

/// Names whose directories would take a hundred times their own bytes.
fn long_names() -> Layer {
    (0..6000).fold(Layer::default(), |layer, number| {
        let parts: Vec<_> = (0..4).map(|part| noise(number * 4 + part, 240)).collect();
        layer.file(&parts.join("/"), 0o644, b"")
    })
}

/// 90 MiB that pack to a hundredth and a little more.
fn large_layer() -> Vec<u8> {
    let block: Vec<u8> = (0..MIB).map(|at| if at % 64 == 0 { noise(at, 2).as_bytes()[0] } else { 0 }).collect();
    let content: Vec<u8> = block.iter().copied().cycle().take(90 * MIB).collect();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "large", content.as_slice()).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn hostile_images_are_refused_and_cost_the_core_little_memory() {
    let hub = Hub::start();
    let device = Layer::default().entry(EntryType::Char, "dev/sda", 0o666, b"");
    let cases = [
        ("a thousandfold layer", of(Layer::default().file("zeros", 0o644, &vec![0; 200 * MIB])).oci(), "image_ratio"),
        ("a large sum", plain().layers_of(&large_layer(), 6).oci(), "image_size"),
        ("many files", of(many_files(60_000)).oci(), "image_entries"),
        ("long names", of(long_names()).oci(), "image_size"),
        ("a device", of(device).oci(), "image_type"),
        ("through a link", of(Layer::default().symlink("e", "/etc").file("e/passwd", 0o644, b"x")).oci(), "image_path"),
        ("another machine", plain().for_machine("s390x").oci(), "module_image_error"),
        ("no program", Image::new(json!({})).docker("x:y"), "image_config"),
        ("no image", b"nothing".to_vec(), "image_corrupt"),
    ];
    let warm = hub.try_install(&Package::image("evil", 8100, b"warm"));
    warm.refused(422, "image_corrupt");
    let before = forget_peak(&hub);
    for (what, image, code) in cases {
        let answer = hub.try_install(&Package::image("evil", 8100, &image));
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{what}: {}", answer.text());
        wait::until("it leaves a record", 10, || !hub.audit(code).is_empty());
        tell(&format!("{what}: peak of the core +{} KiB", peak_kib(&hub) - before));
    }
    // The largest that is taken: its program is not there, which only the trial sees.
    let answer = hub.try_install(&Package::image("evil", 8100, &of(many_files(49_000)).oci()));
    answer.refused(400, "sandbox_failed");
    let growth = peak_kib(&hub) - before;
    tell(&format!("49,000 files, flattened and imported: peak of the core +{growth} KiB"));
    assert!(growth < 64 * 1024, "the core grew by {growth} KiB");
    let engine = Engine::default();
    assert_eq!(engine.images(hub.prefix()), [Value::Null; 0], "images");
    assert_eq!(engine.containers(hub.prefix()), [Value::Null; 0], "containers");
    wait::until("staging is empty", 10, || staged(&hub).is_empty());
}

#[expect(clippy::print_stdout, reason = "a measurement that is shown with --nocapture")]
fn tell(text: &str) {
    println!("{text}");
}

/// Makes the kernel forget the most memory the hub had; what it has now, in KiB.
fn forget_peak(hub: &Hub) -> u64 {
    fs::write(format!("/proc/{}/clear_refs", hub.pid()), "5").expect("root may");
    status_kib(hub, "VmRSS:")
}

fn peak_kib(hub: &Hub) -> u64 {
    status_kib(hub, "VmHWM:")
}

fn status_kib(hub: &Hub, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", hub.pid())).expect("the hub runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
