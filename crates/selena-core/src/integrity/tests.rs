use super::*;

fn secret() -> Secret {
    Secret::new("the agent's".to_owned())
}

fn hub(data_dir: &Path) -> Integrity {
    Integrity::of_hub(&secret(), data_dir)
}

/// Writes what an agent of this boot writes.
fn report(data_dir: &Path, status: &str, age_secs: f64) {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux");
    let state = json!({
        "status": status, "last_check": "2026-01-01T00:00:00Z", "check_interval_sec": 60, "files_checked": 12,
        "changed_files": ["/usr/bin/x"], "restore_attempts": 1, "boot_id": boot_id.trim(),
        "checked_at_boot_secs": secs_since_boot() - age_secs,
    });
    fs::write(data_dir.join(STATE), state.to_string()).expect("written");
}

#[test]
fn only_the_agents_secret_is_the_agents() {
    let dir = tempfile::tempdir().expect("a directory");
    let integrity = hub(dir.path());
    integrity.check_agent(Some("the agent's")).expect("its own");
    for wrong in [None, Some(""), Some("the agent"), Some("The agent's")] {
        let error = integrity.check_agent(wrong).expect_err("not the agent");
        assert_eq!(error.code(), "agent_secret", "{wrong:?}");
    }
    assert!(Integrity::default().check_agent(Some("")).is_err(), "nobody reports to a trial");
}

#[test]
fn the_state_is_unknown_unless_the_agent_said_it_lately_and_in_this_boot() {
    let dir = tempfile::tempdir().expect("a directory");
    let integrity = hub(dir.path());
    assert_eq!(integrity.word(), "unknown", "no report");
    report(dir.path(), "ok", 100.0);
    assert_eq!(integrity.word(), "ok");
    assert_eq!(integrity.status()["files_checked"], 12);
    for (status, age) in [("ok", 181.0), ("ok", -5.0), ("fine", 1.0)] {
        report(dir.path(), status, age);
        assert_eq!(integrity.word(), "unknown", "{status}, {age} s old");
    }
    fs::write(dir.path().join(STATE), "{").expect("written");
    assert_eq!(integrity.word(), "unknown", "no JSON");
    fs::remove_file(dir.path().join(STATE)).expect("removed");
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join(STATE)).expect("linked");
    assert_eq!(integrity.word(), "unknown", "a link is not followed");
}

#[test]
fn a_flag_of_any_kind_is_safe_mode_at_start() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(hub(dir.path()).safe_mode(), None);
    fs::create_dir(dir.path().join(FLAG)).expect("made");
    let integrity = hub(dir.path());
    assert_eq!(integrity.safe_mode().expect("entered").cause, Cause::Flag);
    assert!(matches!(integrity.check_normal(), Err(ApiError::SafeMode)));
    assert_eq!(integrity.word(), "safe_mode");
}

#[test]
fn safe_mode_is_left_only_after_a_clean_check_that_is_younger() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(FLAG), "").expect("written");
    report(dir.path(), "ok", 1.0);
    let integrity = hub(dir.path());
    let refused = |integrity: &Integrity| integrity.leave().expect_err("refused").code().to_owned();
    assert_eq!(refused(&integrity), "integrity_not_clean", "the check is older than the mode");
    report(dir.path(), "violated", 0.0);
    assert_eq!(refused(&integrity), "integrity_not_clean");
    fs::remove_file(dir.path().join(STATE)).expect("removed");
    assert_eq!(refused(&integrity), "integrity_unknown");
    assert!(dir.path().join(FLAG).exists(), "nothing of that removed the flag");
    report(dir.path(), "ok", -0.0);
    integrity.leave().expect("clean");
    assert!(!dir.path().join(FLAG).exists() && integrity.safe_mode().is_none());
    assert_eq!(refused(&integrity), "not_in_safe_mode");
}

#[test]
fn a_violation_names_its_files_and_is_not_refused_for_what_it_lists() {
    let files = |body: Value| Violation::parse(&body).expect("a report").files;
    assert_eq!(files(json!({ "status": "VIOLATED", "violations": [{ "file": "/a" }, "/b", 3, {}] })), ["/a", "/b"]);
    assert!(files(json!({ "status": "manifest_tampered" })).is_empty());
    let many: Vec<_> = (0..500).map(|n| json!({ "file": format!("/{n}") })).collect();
    let violation = Violation::parse(&json!({ "status": "VIOLATED", "violations": many })).expect("a report");
    assert_eq!((violation.files.len(), violation.count), (100, 500));
    for bad in [json!({}), json!([]), json!({ "status": "OK" }), json!({ "status": 1 })] {
        assert!(Violation::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn what_was_reported_shows_until_files_are_restored_or_a_newer_check_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let integrity = hub(dir.path());
    let violation = Violation::parse(&json!({ "status": "VIOLATED", "violations": [{ "file": "/a" }] })).expect("one");
    assert!(integrity.enter(&violation) && !integrity.enter(&violation));
    let status = integrity.status();
    assert_eq!((&status["status"], &status["changed_files"]), (&json!("violated"), &json!(["/a"])));
    assert_eq!(integrity.leave().expect_err("not clean").code(), "integrity_not_clean");
    report(dir.path(), "ok", 10.0);
    assert_eq!(integrity.word(), "violated", "the check is older than the report");
    integrity.restored();
    assert_eq!(integrity.word(), "ok");
    assert_eq!(integrity.leave().expect_err("that check is older than the mode").code(), "integrity_not_clean");
    report(dir.path(), "ok", -0.0);
    integrity.leave().expect("clean");
}
