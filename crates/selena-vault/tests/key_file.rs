//! The key file on a real file system (S05).

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
};

use nix::sys::stat::Mode;
use selena_core::ports::Sealer;
use selena_vault::{FileKeySealer, SecureFileError};
use tempfile::{TempDir, tempdir};

/// A secure directory with a key.
fn with_key() -> (TempDir, PathBuf) {
    let dir = tempdir().expect("a temporary directory");
    FileKeySealer::open_or_create(dir.path()).expect("a first start makes a key");
    let key = dir.path().join("hub.key");
    (dir, key)
}

fn refusal(dir: &Path) -> String {
    match FileKeySealer::open_or_create(dir) {
        Err(error @ SecureFileError::Refused { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn the_first_start_makes_one_file_and_the_next_one_takes_it() {
    let dir = tempdir().expect("a temporary directory");
    let first = FileKeySealer::open_or_create(dir.path()).expect("a key");
    let second = FileKeySealer::open_or_create(dir.path()).expect("the same key");
    assert!(first.is_new() && !second.is_new());
    let sealed = first.seal("context", b"secret").expect("sealed");
    assert_eq!(second.open("context", &sealed).expect("the same key"), b"secret");

    let metadata = dir.path().join("hub.key").metadata().expect("the key file");
    assert_eq!((metadata.mode() & 0o7777, metadata.len(), metadata.nlink()), (0o600, 32, 1));
    assert_eq!(names(dir.path()), ["hub.key"], "nothing else is left");
}

#[test]
fn s05_a_mode_that_others_can_use_is_refused() {
    let (dir, key) = with_key();
    for mode in [0o644, 0o640, 0o660, 0o606, 0o700, 0o400, 0o4600] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).expect("our own file");
        assert!(refusal(dir.path()).contains(&format!("its mode is {mode:04o}; it must be 0600")));
    }
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("our own file");
    FileKeySealer::open_or_create(dir.path()).expect("good again: nothing was changed");
}

#[test]
fn s05_links_are_refused() {
    let (dir, key) = with_key();
    let other = dir.path().join("other");
    fs::hard_link(&key, &other).expect("a hard link");
    assert!(refusal(dir.path()).contains("2 hard links"));
    fs::remove_file(&key).expect("one name less");
    symlink(&other, &key).expect("a symbolic link");
    assert!(refusal(dir.path()).contains("symbolic link"));
    fs::remove_file(&other).expect("the target");
    assert!(refusal(dir.path()).contains("symbolic link"), "a dangling link is no missing key");
}

#[test]
fn s05_other_sizes_and_kinds_are_refused() {
    let (dir, key) = with_key();
    for size in [0, 31, 33, 65, 96] {
        fs::write(&key, vec![7; size]).expect("our own file");
        assert!(refusal(dir.path()).contains(&format!("it has {size} bytes; it must have 32, or twice")));
    }
    fs::remove_file(&key).expect("our own file");
    nix::unistd::mkfifo(&key, Mode::from_bits_truncate(0o600)).expect("a pipe");
    assert!(refusal(dir.path()).contains("a pipe"), "and without waiting for its other end");
    fs::remove_file(&key).expect("our own file");
    fs::create_dir(&key).expect("a directory");
    assert!(refusal(dir.path()).contains("a directory"));
}

#[test]
fn a_missing_secure_directory_is_named() {
    let dir = tempdir().expect("a temporary directory");
    let error = FileKeySealer::open_or_create(&dir.path().join("absent")).expect_err("no directory");
    assert!(matches!(&error, SecureFileError::Io { .. }) && error.to_string().contains("absent"), "{error}");
}

#[test]
fn what_a_killed_first_start_left_behind_does_not_matter() {
    let dir = tempdir().expect("a temporary directory");
    fs::write(dir.path().join(".hub.key.0011223344556677"), b"half").expect("a leftover");
    assert!(FileKeySealer::open_or_create(dir.path()).expect("a key").is_new());
}

#[test]
fn concurrent_first_starts_end_with_one_key() {
    const STARTS: usize = 4;
    for _ in 0..50 {
        let dir = tempdir().expect("a temporary directory");
        let barrier = Barrier::new(STARTS);
        let start = || {
            barrier.wait();
            FileKeySealer::open_or_create(dir.path()).expect("a key, whoever made it")
        };
        let sealers: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..STARTS).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(sealers.iter().filter(|sealer| sealer.is_new()).count(), 1);
        let sealed = sealers[0].seal("context", b"secret").expect("sealed");
        assert!(sealers.iter().all(|sealer| sealer.open("context", &sealed).is_ok()));
        assert_eq!(names(dir.path()), ["hub.key"]);
    }
}
