//! A kill, and an error, at every system call that changes something while a secret is written and while keys change
//! (S07, S08, W04, W05, W07). `strace` injects them into this same program, which runs one step in a process of its own.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use selena_core::ports::{StoredSecret, Vault};
use selena_types::{ModuleName, Secret};
use selena_vault::{FileKeySealer, FileVault};
use tempfile::{TempDir, tempdir};

/// Names the directory for [`step`].
const DIRECTORY: &str = "VAULT_KILL_POINTS_DIRECTORY";
/// Names what [`step`] does.
const STEP: &str = "VAULT_KILL_POINTS_STEP";
/// What changes something on a disk, or decides whether it lasts.
const CALLS: [&str; 7] = ["openat", "write", "fsync", "fchmod", "renameat", "unlinkat", "mkdirat"];

fn module() -> ModuleName {
    "lamp".parse().expect("a name")
}

fn vault(dir: &Path) -> FileVault {
    FileKeySealer::open_or_create(dir).expect("the keys are readable").vault()
}

fn write(vault: &FileVault, counter: u64) {
    vault.write(&module(), "acme", counter, &Secret::new(format!("secret {counter}"))).expect("written");
}

/// What one life of the program does; run by the tests below in a process of its own.
#[test]
#[ignore = "a part of the other tests, which run it under strace"]
fn step() {
    let dir = env::var(DIRECTORY).expect("the other tests say where");
    let vault = vault(dir.as_ref());
    match env::var(STEP).expect("the other tests say what").as_str() {
        "write" => write(&vault, 2),
        "keys" => {
            vault.begin_key_change().expect("a new key");
            vault.end_key_change().expect("sealed again");
        }
        other => panic!("no step {other}"),
    }
}

/// Runs the step with an injection; whether it hit, which it does not once the count is past the last call.
fn hits(dir: &Path, step: &str, call: &str, what: &str, nth: u32) -> bool {
    let program = env::current_exe().expect("this program");
    let mut command = Command::new("strace");
    let log = dir.join("strace.log");
    command.args(["-f", "-qq", "-e", &format!("trace={call}"), "-o"]).arg(&log);
    command.args(["-e", &format!("inject={call}:{what}:when={nth}")]).arg(program);
    // On the main thread alone: the count is per thread.
    command.args(["--ignored", "--exact", "step", "--test-threads", "1"]);
    command.env(DIRECTORY, dir).env(STEP, step).stdout(Stdio::null()).stderr(Stdio::null());
    let ended_well = command.status().expect("strace is installed (scripts/setup)").success();
    // An error may hit a call whose outcome nobody needs.
    !ended_well || std::fs::read_to_string(&log).expect("strace wrote its log").contains("INJECTED")
}

/// Every nth call of every kind, on a fresh vault each time; `check` looks at what is left. Gives how many points hit.
fn every_point(step: &str, what: &str, check: impl Fn(&Path)) -> u32 {
    let mut points = 0;
    for call in CALLS {
        for nth in 1.. {
            let dir: TempDir = tempdir().expect("a temporary directory");
            write(&vault(dir.path()), 1);
            if !hits(dir.path(), step, call, what, nth) {
                break;
            }
            points += 1;
            check(dir.path());
            assert!(nth < 500, "{call} does not come to an end");
        }
    }
    points
}

fn stored(dir: &Path) -> StoredSecret {
    let stored = vault(dir).read(&module(), "acme").expect("readable");
    stored.expect("never none")
}

fn old_or_new(dir: &Path) {
    let stored = stored(dir);
    assert!([1, 2].contains(&stored.counter));
    assert_eq!(stored.secret.expose(), format!("secret {}", stored.counter));
    // And the next start gets on with it.
    write(&vault(dir), 3);
    assert_eq!(self::stored(dir).counter, 3);
    let files = std::fs::read_dir(dir.join("tokens/lamp")).expect("listed").count();
    assert_eq!(files, 1, "what was left behind is gone with the next write");
}

fn readable_and_resumes(dir: &Path) {
    assert_eq!(stored(dir).secret.expose(), "secret 1");
    let vault = vault(dir);
    vault.end_key_change().expect("the change goes on");
    assert!(!vault.is_changing_keys());
    assert_eq!(stored(dir).secret.expose(), "secret 1");
}

#[test]
fn s07_a_kill_at_each_call_of_a_write_leaves_the_old_secret_or_the_new_one() {
    let points = every_point("write", "signal=SIGKILL", old_or_new);
    assert!(points >= 10, "only {points} points were reached");
}

#[test]
fn s07_w05_a_kill_at_each_call_of_a_change_of_keys_leaves_every_secret_readable() {
    let points = every_point("keys", "signal=SIGKILL", readable_and_resumes);
    assert!(points >= 20, "only {points} points were reached");
}

#[test]
fn s08_an_error_of_the_disk_at_each_call_leaves_every_secret_readable() {
    for error in ["error=EIO", "error=ENOSPC"] {
        let points = every_point("write", error, old_or_new) + every_point("keys", error, readable_and_resumes);
        assert!(points >= 30, "only {points} points were reached");
    }
}
