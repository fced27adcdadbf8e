//! Killed at every system call that changes something: what is left is the old or the new, and the next run ends it (W12).
//!
//! The agent does this work on one thread, so that `strace` can count its calls. A kill is no power cut: that what was
//! renamed was durable before is told by the order of the calls, which is checked too.

mod support;

use std::{fs, process::Command};

use support::{AGENT, Place, text};

/// The calls after which the disk is another.
const CALLS: &[&str] = &[
    "openat",
    "write",
    "fsync",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "symlinkat",
    "fchmod",
    "fchown",
    "rmdir",
];

/// Runs the agent and kills it at the nth such call; `false` if there were fewer.
fn killed(place: &Place, call: &str, nth: usize, arguments: &[&str]) -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(place.path("trace"));
    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:signal=SIGKILL:when={nth}"), AGENT]);
    place.options(&mut command);
    let output = command.args(arguments).output().expect("strace runs: install it with scripts/setup");
    let trace = fs::read_to_string(place.path("trace")).unwrap_or_default();
    let killed = trace.contains("killed by SIGKILL");
    assert!(killed || output.status.code() == Some(0), "{call} {nth}: {}", text(&output.stderr));
    killed
}

/// Kills at every point; after each kill `whole` has to hold.
fn at_every_point(
    place: &Place,
    arguments: &[&str],
    mut before: impl FnMut(&Place),
    mut whole: impl FnMut(&Place, &str),
) -> usize {
    let mut points = 0;
    for call in CALLS {
        for nth in 1.. {
            before(place);
            if !killed(place, call, nth, arguments) {
                break;
            }
            points += 1;
            whole(place, &format!("killed at {call} {nth}"));
        }
    }
    points
}

#[test]
fn w12_a_baseline_that_is_cut_off_is_the_old_or_the_new_one() {
    let place = Place::recorded();
    let watched = place.watched();
    let arguments = ["baseline", watched.to_str().expect("text")];
    let mut number = 0;
    let mut seen = [0, 0];
    let points = at_every_point(
        &place,
        &arguments,
        |place| {
            place.write("watched/core", b"old");
            place.baseline();
            number += 1;
            place.write("watched/core", format!("new {number}").as_bytes());
        },
        |place, point| {
            let (code, report) = place.check();
            match code {
                // The new one: the file is as it was recorded.
                0 => seen[1] += 1,
                // The old one, whole and signed: the file is not as it was, and comes back.
                2 => {
                    assert_eq!(report["violations"].as_array().map(Vec::len), Some(1), "{point}: {report}");
                    assert_eq!(place.restore().0, 0, "{point}");
                    assert_eq!(place.read("watched/core"), "old", "{point}");
                    seen[0] += 1;
                }
                _ => panic!("{point}: neither the old baseline nor the new one: {report}"),
            }
            place.baseline();
            assert_eq!(place.check().0, 0, "{point}: the next baseline is made as if nothing had been");
        },
    );
    assert!(points > 60, "only {points} points were reached");
    assert!(seen[0] > 20 && seen[1] > 10, "both sides of the turning point were seen: {seen:?}");
}

#[test]
fn a_restoration_that_is_cut_off_is_finished_by_the_next() {
    let place = Place::recorded();
    let before = place.snapshot();
    let points = at_every_point(
        &place,
        &["restore"],
        |place| {
            place.write("watched/lib/one", b"changed");
            place.write("watched/new/within", b"new");
            for gone in ["watched/lib/two", "watched/link"] {
                fs::remove_file(place.path(gone)).expect("there");
            }
        },
        |place, point| {
            let content = fs::read(place.path("watched/lib/one")).expect("there");
            assert!(content == b"changed" || content == b"one", "{point}: a file is half of two: {}", text(&content));
            assert_eq!(place.restore().0, 0, "{point}");
            assert!(place.snapshot() == before, "{point}: the files are not what they were");
        },
    );
    assert!(points > 30, "only {points} points were reached");
}

/// Lets the nth such call fail; the exit code, or `None` if there were fewer.
fn failed(place: &Place, call: &str, error: &str, nth: usize, arguments: &[&str]) -> Option<i32> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(place.path("trace"));
    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}:when={nth}"), AGENT]);
    place.options(&mut command);
    let output = command.args(arguments).output().expect("strace runs: install it with scripts/setup");
    let injected = fs::read_to_string(place.path("trace")).unwrap_or_default().contains("(INJECTED)");
    let code = output.status.code().expect("it is not killed");
    assert!(code == 0 || !output.stderr.is_empty(), "{call} {error} {nth}: it fails in silence");
    injected.then_some(code)
}

#[test]
fn d02_an_error_of_the_disk_is_told_and_never_leaves_half_a_baseline_or_a_file() {
    let place = Place::recorded();
    let watched = place.watched();
    let baseline = ["baseline", watched.to_str().expect("text")];
    let mut points = 0;
    for (call, error) in
        [("fsync", "EIO"), ("rename", "ENOSPC"), ("renameat", "EIO"), ("fchmod", "EIO"), ("mkdir", "ENOSPC")]
    {
        for nth in 1.. {
            let point = format!("{call} {error} {nth}");
            place.write("watched/core", b"old");
            place.baseline();
            place.write("watched/core", point.as_bytes());
            let Some(code) = failed(&place, call, error, nth, &baseline) else { break };
            assert_eq!(code, 1, "{point}: nothing is trusted after an error");
            assert!([0, 2].contains(&place.check().0), "{point}: the old baseline or the new one");
            points += 1;
        }
        for nth in 1.. {
            let point = format!("restore: {call} {error} {nth}");
            place.write("watched/core", b"old");
            place.baseline();
            place.write("watched/core", b"changed");
            let Some(code) = failed(&place, call, error, nth, &["restore"]) else { break };
            let content = place.read("watched/core");
            assert!(content == "changed" || content == "old", "{point}: {content}");
            assert!(code == 2 || content == "old", "{point}: it says that all is well");
            assert_eq!(place.restore().0, 0, "{point}");
            points += 1;
        }
    }
    assert!(points > 20, "only {points} points were reached");
}

#[test]
fn w12_nothing_is_renamed_before_it_is_durable() {
    let place = Place::recorded();
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-y", "-e", "trace=write,fsync,rename,renameat,renameat2", "-o"])
        .arg(place.path("trace"))
        .arg(AGENT);
    place.options(&mut command);
    let status = command.args(["baseline"]).arg(place.watched()).status().expect("strace runs");
    assert!(status.success());
    let trace = fs::read_to_string(place.path("trace")).expect("traced");
    let mut dirty = std::collections::BTreeSet::new();
    let mut renames = 0;
    for line in trace.lines() {
        let quoted = |at: usize| line.split(['<', '>']).nth(at).unwrap_or_default().to_owned();
        let call = line.split_whitespace().nth(1).and_then(|call| call.split('(').next()).unwrap_or_default();
        match call {
            "write" => drop(dirty.insert(quoted(1))),
            "fsync" => drop(dirty.remove(&quoted(1))),
            "rename" | "renameat" | "renameat2" => {
                let from = line.split('"').nth(1).expect("a path").to_owned();
                let unsynced: Vec<_> = dirty.iter().filter(|file| file.starts_with(&from)).collect();
                assert!(unsynced.is_empty(), "{from} was renamed before {unsynced:?} was durable");
                renames += 1;
            }
            _ => {}
        }
    }
    assert!(renames >= 6, "the copies, the version, the marker and the four files: {trace}");
}
