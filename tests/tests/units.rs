//! The units in `systemd/`, as systemd itself judges them; and the package, as Debian does.

use std::{collections::BTreeMap, fs, path::Path, process::Output};

use selena_tests::debian::{Scratch, package, text, tools_root};

/// Largest exposure of each service, in tenths (`systemd-analyze security`); a new service has to be named here.
const EXPOSURE: [(&str, u32); 5] = [
    ("selena-agent.service", 20),
    ("selena-core.service", 15),
    ("selena-healthy.service", 15),
    ("selena-prepare.service", 15),
    ("selena-sandbox.service", 30),
];

fn units() -> BTreeMap<String, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let files = fs::read_dir(directory).expect("the checkout has units").map(|entry| entry.expect("listed"));
    files
        .filter(|file| file.path().extension().is_some_and(|end| end == "service" || end == "socket"))
        .map(|file| (file.file_name().into_string().expect("text"), fs::read_to_string(file.path()).expect("text")))
        .collect()
}

/// What `systemd-analyze` says of a unit's exposure: a failure if it is above the threshold.
fn exposure(tools: &Scratch, name: &str, text: &str, threshold: u32) -> Output {
    fs::write(tools.path().join("tmp").join(name), text).expect("the test's own root");
    let threshold = format!("--threshold={threshold}");
    let file = format!("/tmp/{name}");
    tools.run("systemd-analyze", &["security", "--offline=yes", "--no-pager", &threshold, &file])
}

#[test]
fn each_service_is_exposed_no_more_than_it_has_to_be() {
    let tools = Scratch::over(tools_root());
    let units = units();
    let services: Vec<_> = units.keys().filter(|name| name.ends_with(".service")).map(String::as_str).collect();
    assert_eq!(services, EXPOSURE.map(|(name, _)| name), "each service has its threshold");
    for (name, threshold) in EXPOSURE {
        let judged = exposure(&tools, name, &units[name], threshold);
        assert!(judged.status.success(), "{name}: {}", text(&judged));
        assert!(text(&judged).contains("Overall exposure level"), "{name}: {}", text(&judged));
    }
    // A service that closes nothing is judged, and refused.
    let open = exposure(&tools, "open.service", "[Service]\nExecStart=/bin/true\n", 30);
    assert!(!open.status.success() && text(&open).contains("UNSAFE"), "{}", text(&open));
}

#[test]
fn nothing_waits_for_a_network_and_nobody_needs_docker() {
    for (name, text) in units() {
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        for line in &lines {
            assert!(!line.contains("network"), "{name}: {line}: a hub that is offline starts as fast");
            assert!(!line.contains("docker") || line.starts_with("Wants="), "{name}: {line}: Docker may be missing");
            let opens_environment = line.starts_with("Environment");
            assert!(
                !opens_environment,
                "{name}: {line}: what is secret comes as a credential, the rest from core.toml"
            );
        }
    }
}

/// Whatever runs for long is watched, started again for ever, and not after a bad configuration.
#[test]
fn what_runs_for_long_is_never_given_up() {
    let units = units();
    for name in ["selena-agent.service", "selena-core.service", "selena-sandbox.service"] {
        let has = |line: &str| units[name].lines().any(|it| it == line);
        for line in
            ["Type=notify", "Restart=always", "RestartPreventExitStatus=78", "StartLimitIntervalSec=0", "LimitCORE=0"]
        {
            assert!(has(line), "{name}: {line}");
        }
        assert!(units[name].contains("\nWatchdogSec=") && units[name].contains("\nOOMScoreAdjust=-9"), "{name}");
    }
}

#[test]
fn the_package_is_as_debian_wants_packages() {
    let tools = Scratch::over(tools_root());
    fs::copy(package(), tools.path().join("tmp/selena.deb")).expect("the test's own root");
    // Debug builds and `strip` of another release leave marks that only a build on Debian's own machines would not.
    let judged =
        tools.run("lintian", &["--allow-root", "--profile", "debian", "--fail-on", "error,warning", "/tmp/selena.deb"]);
    assert!(judged.status.success(), "{}", text(&judged));
}
