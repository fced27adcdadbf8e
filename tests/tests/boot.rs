//! The package on a plain Debian: systemd boots the hub, cures it, and the agent heals it.

use std::time::Instant;

use selena_tests::{
    Machine,
    debian::{package, sample},
    wait,
};
use serde_json::Value;

const DAEMONS: [&str; 3] = ["selena-agent.service", "selena-core.service", "selena-sandbox.service"];

/// A machine with the hub's package, which it has just got.
fn with_hub() -> Machine {
    let machine = Machine::start();
    machine.put(package(), "/selena.deb");
    machine.ok(&["dpkg", "--install", "/selena.deb"]);
    machine
}

fn health(machine: &Machine) -> Value {
    serde_json::from_str(&machine.ok(&["sh", "-c", "selenactl --json health || [ $? = 1 ]"])).expect("JSON")
}

#[track_caller]
fn assert_no_unit_failed(machine: &Machine) {
    let failed = machine.ok(&["systemctl", "list-units", "--failed", "--plain", "--no-legend"]);
    assert_eq!(failed, "", "{}", machine.journal());
}

/// When a unit became active, or began to, in microseconds since boot.
fn time(machine: &Machine, unit: &str, of: &str) -> u64 {
    let micros = machine.property(unit, &format!("{of}Monotonic")).parse().expect("a number");
    assert_ne!(micros, 0, "{unit} was never there");
    micros
}

#[test]
fn the_package_comes_is_renewed_and_goes() {
    let mut machine = with_hub();
    wait::until("all is well", 60, || health(&machine)["integrity"] == "ok");
    assert_no_unit_failed(&machine);
    for unit in ["selena-core.service", "selena-core.socket", "selena-admin.socket", "selena-agent.service"] {
        assert_eq!(machine.ok(&["systemctl", "is-enabled", unit]), "enabled", "{unit}");
    }
    machine.sh("echo '# mine' >>/etc/selena/core.toml; echo kept >/var/lib/selena/mine");

    // The same version once more is an update to dpkg: the agent is told, and finds nothing wrong.
    machine.ok(&["dpkg", "--install", "/selena.deb"]);
    wait::until("all is well again", 60, || health(&machine)["integrity"] == "ok");
    assert_eq!(health(&machine)["mode"], "normal");
    assert!(machine.sh("tail -n 1 /etc/selena/core.toml").contains("mine"), "settings are the operator's");

    // What a person has disabled stays so, and what was removed keeps its data.
    machine.ok(&["systemctl", "disable", "selena-agent.service"]);
    machine.ok(&["dpkg", "--install", "/selena.deb"]);
    assert!(!machine.run(&["systemctl", "is-enabled", "--quiet", "selena-agent.service"]).status.success());
    machine.ok(&["dpkg", "--remove", "selena"]);
    machine.sh("! pgrep selenad; ! pgrep selena-agent; [ ! -e /usr/lib/selena/selenad ]");
    machine.sh("[ -e /var/lib/selena/mine ]; [ -e /var/lib/selena/selena.db ]; [ -e /secure/core/hub.key ]");
    assert_no_unit_failed(&machine);

    machine.ok(&["dpkg", "--purge", "selena"]);
    machine.sh("for gone in /var/lib/selena /var/lib/selena-sandbox /secure /etc/selena; do [ ! -e $gone ]; done");
    assert_eq!(machine.sh("find /etc/systemd /usr/lib/systemd -name '*selena*'"), "");
    machine.pull_the_plug();
    machine.boot();
    assert_no_unit_failed(&machine);
}

#[test]
fn systemd_starts_the_hub_in_order_and_cures_each_daemon_that_hangs() {
    let mut machine = with_hub();
    // A power cut, and then a boot as at any house.
    machine.pull_the_plug();
    machine.boot();
    wait::until("the sandbox has started", 60, || machine.process_of("selena-sandbox.service") != 0);
    assert_no_unit_failed(&machine);
    assert_eq!(health(&machine)["mode"], "normal");
    let core_begins = time(&machine, "selena-core.service", "ExecMainStartTimestamp");
    for (unit, of) in [
        ("selena-core.socket", "ActiveEnterTimestamp"),
        ("selena-admin.socket", "ActiveEnterTimestamp"),
        ("selena-sandbox.socket", "ActiveEnterTimestamp"),
        ("selena-prepare.service", "ExecMainStartTimestamp"),
    ] {
        assert!(time(&machine, unit, of) <= core_begins, "{unit} is there before the core");
    }
    machine.ok(&["systemctl", "start", "boot-complete.target"]);
    let checked = time(&machine, "selena-healthy.service", "ExecMainStartTimestamp");
    for unit in ["selena-core.service", "selena-agent.service"] {
        assert!(time(&machine, unit, "ActiveEnterTimestamp") <= checked, "{unit} is ready before it is judged");
    }

    // The core has no right of its own, and sees nothing of the agent's.
    let core = machine.process_of("selena-core.service");
    let status = machine.sh(&format!("cat /proc/{core}/status"));
    let user = machine.ok(&["id", "-u", "selena"]);
    assert!(status.contains(&format!("Uid:\t{user}\t{user}\t{user}\t{user}")), "{status}");
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
    }
    assert_eq!(machine.sh(&format!("ls /proc/{core}/root/secure")), "hub.key");
    let environment = machine.sh(&format!("tr '\\0' '\\n' </proc/{core}/environ"));
    assert!(!environment.contains("SECRET"), "{environment}");
    assert_eq!(machine.ok(&["stat", "--format=%a %U %G", "/run/selena/admin.sock"]), "660 root selena-admin");

    // All three hang at once: each is cured within its watchdog's time and 10 s.
    let before = DAEMONS.map(|unit| machine.process_of(unit));
    for process in before {
        machine.ok(&["kill", "-STOP", &process.to_string()]);
    }
    let begun = Instant::now();
    for (unit, process) in DAEMONS.into_iter().zip(before) {
        let limit_secs: u64 = if unit == "selena-core.service" { 40 } else { 70 };
        wait::until(unit, limit_secs.saturating_sub(begun.elapsed().as_secs()), || {
            let now = machine.process_of(unit);
            now != 0 && now != process && machine.property(unit, "ActiveState") == "active"
        });
    }
    wait::until("all is well again", 60, || health(&machine)["integrity"] == "ok");
    assert_no_unit_failed(&machine);
}

/// The init of containers is another one: replaced, since one that runs cannot be written to.
const TAMPER: &str = "cp -p /usr/lib/selena/selena-init /tmp/other
    echo strange >>/tmp/other
    mv /tmp/other /usr/lib/selena/selena-init";

/// The containers of modules that run.
fn running(machine: &Machine) -> String {
    machine.ok(&["docker", "ps", "--quiet", "--no-trunc", "--filter", "label=selena.module"])
}

/// The agent looks every 5 s, so that the test does not wait for minutes.
fn look_often(machine: &Machine) {
    machine.sh("mkdir -p /etc/systemd/system/selena-agent.service.d
        printf '[Service]\\nExecStart=\\nExecStart=/usr/lib/selena/selena-agent run --interval 5\\n' \
            >/etc/systemd/system/selena-agent.service.d/often.conf
        systemctl daemon-reload
        systemctl restart selena-agent");
}

#[test]
fn b20_b23_what_is_changed_is_restored_and_what_cannot_be_ends_in_safe_mode_until_a_person_leaves_it() {
    let machine = with_hub();
    look_often(&machine);
    wait::until("Docker answers", 60, || machine.run(&["docker", "version"]).status.success());
    machine.put(&sample("lamp"), "/lamp.zip");
    wait::until("a module is installed", 90, || {
        machine.run(&["selenactl", "module", "install", "/lamp.zip"]).status.success()
    });
    let container = running(&machine);
    assert!(!container.is_empty(), "a module runs, by a core without any right");
    let core = machine.process_of("selena-core.service");
    let good = machine.sh("sha256sum </usr/lib/selena/selena-init");

    machine.sh(TAMPER);
    wait::until("the file is restored", 60, || machine.sh("sha256sum </usr/lib/selena/selena-init") == good);
    wait::until("the core is restarted", 60, || {
        let now = machine.process_of("selena-core.service");
        now != 0 && now != core && machine.property("selena-core.service", "ActiveState") == "active"
    });
    wait::until("all is well again", 60, || {
        let health = health(&machine);
        health["mode"] == "normal" && health["integrity"] == "ok"
    });
    wait::until("the module runs again, in another container", 90, || {
        let now = running(&machine);
        !now.is_empty() && now != container
    });
    assert_no_unit_failed(&machine);

    // Neither the file nor any copy of it is what it was.
    machine.sh("for copy in /secure/core_backup/*/files/*; do echo strange >>$copy; done");
    machine.sh(TAMPER);
    wait::until("the flag is laid", 90, || machine.run(&["test", "-e", "/var/lib/selena/SAFE_MODE"]).status.success());
    wait::until("the core is in SAFE MODE", 60, || health(&machine)["mode"] == "safe_mode");
    wait::until("no module runs", 60, || running(&machine).is_empty());
    let refused = machine.run(&["selenactl", "safe-mode", "exit"]);
    assert_eq!(refused.status.code(), Some(1), "the files are not clean yet");

    // The remedy: the package once more.
    machine.ok(&["dpkg", "--install", "/selena.deb"]);
    assert_eq!(machine.sh("sha256sum </usr/lib/selena/selena-init"), good);
    assert_eq!(health(&machine)["mode"], "safe_mode", "only a person leaves it");
    assert_eq!(running(&machine), "");
    wait::until("a check is clean, and a person leaves SAFE MODE", 90, || {
        machine.run(&["selenactl", "safe-mode", "exit"]).status.success()
    });
    assert_eq!(health(&machine)["mode"], "normal");
    machine.sh("[ ! -e /var/lib/selena/SAFE_MODE ]");
    wait::until("the module runs again", 90, || !running(&machine).is_empty());
    assert_no_unit_failed(&machine);
}
