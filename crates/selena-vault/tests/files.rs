//! Token files on a real file system (S01 to S06, S08, S09, S11).

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use selena_core::ports::{Vault, VaultError};
use selena_types::{ModuleName, Secret};
use selena_vault::{FileKeySealer, FileVault, MAX_SECRET_BYTES};
use tempfile::{TempDir, tempdir};

fn module() -> ModuleName {
    "lamp".parse().expect("a name")
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn open(dir: &Path) -> FileVault {
    FileKeySealer::open_or_create(dir).expect("a key").vault()
}

/// A vault that holds `secret` for lamp at acme, counter 7; the second file is a neighbour that must go on working.
fn filled() -> (TempDir, FileVault, PathBuf) {
    let dir = tempdir().expect("a temporary directory");
    let vault = open(dir.path());
    vault.write(&module(), "acme", 7, &secret("secret")).expect("written");
    vault.write(&module(), "other", 1, &secret("neighbour")).expect("written");
    let file = dir.path().join("tokens/lamp/acme.enc");
    (dir, vault, file)
}

fn read(vault: &FileVault, provider: &str) -> Option<(u64, String)> {
    let stored = vault.read(&module(), provider).expect("readable")?;
    Some((stored.counter, stored.secret.expose().to_owned()))
}

#[track_caller]
fn corrupt(vault: &FileVault, what: &str) {
    let outcome = vault.read(&module(), "acme");
    assert!(matches!(outcome, Err(VaultError::Corrupt { .. })), "{what}: {outcome:?}");
}

#[test]
fn what_was_written_is_read_and_nothing_of_it_is_in_clear() {
    let (dir, vault, file) = filled();
    assert_eq!(read(&vault, "acme"), Some((7, "secret".to_owned())));
    assert_eq!(read(&open(dir.path()), "acme"), Some((7, "secret".to_owned())), "after a restart too");
    assert_eq!(read(&vault, "absent"), None);
    vault.write(&module(), "acme", 8, &secret("newer")).expect("replaced");
    assert_eq!(read(&vault, "acme"), Some((8, "newer".to_owned())));
    let bytes = fs::read(&file).expect("the file");
    assert!(!bytes.windows(5).any(|part| part == b"newer"));
    let mode = |path: &Path| path.metadata().expect("it is there").mode() & 0o7777;
    assert_eq!((mode(&file), mode(file.parent().expect("a directory"))), (0o600, 0o700));
    assert_eq!(vault.places().expect("listed"), [(module(), "acme".to_owned()), (module(), "other".to_owned())]);
}

#[test]
fn s01_every_flipped_bit_is_found_and_costs_that_secret_only() {
    let (_dir, vault, file) = filled();
    let sound = fs::read(&file).expect("the file");
    for bit in 0..sound.len() * 8 {
        let mut flipped = sound.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, flipped).expect("our own file");
        corrupt(&vault, &format!("bit {bit}"));
        assert_eq!(read(&vault, "other").expect("untouched").1, "neighbour");
    }
    fs::write(&file, sound).expect("our own file");
    assert!(read(&vault, "acme").is_some(), "the sound one opens again");
}

#[test]
fn s02_empty_cut_doubled_and_huge_files_are_found() {
    let (_dir, vault, file) = filled();
    let sound = fs::read(&file).expect("the file");
    for length in 0..sound.len() {
        fs::write(&file, &sound[..length]).expect("our own file");
        corrupt(&vault, &format!("cut to {length}"));
    }
    fs::write(&file, sound.repeat(2)).expect("our own file");
    corrupt(&vault, "doubled");
    // Sparse: reading it would still need a GiB of memory.
    File::options().write(true).open(&file).expect("our own file").set_len(1 << 30).expect("a hole");
    corrupt(&vault, "1 GiB");
}

#[test]
fn s03_a_file_under_another_name_or_module_is_refused() {
    let (dir, vault, file) = filled();
    fs::copy(file.with_file_name("other.enc"), &file).expect("our own files");
    corrupt(&vault, "another provider's");
    let thief: ModuleName = "thief".parse().expect("a name");
    vault.write(&thief, "acme", 1, &secret("mine")).expect("written");
    fs::copy(dir.path().join("tokens/thief/acme.enc"), &file).expect("our own files");
    corrupt(&vault, "another module's");
    // Names that run together must not be the same place.
    vault.write(&"lamp-a".parse().expect("a name"), "cme", 1, &secret("mine")).expect("written");
    fs::copy(dir.path().join("tokens/lamp-a/cme.enc"), &file).expect("our own files");
    corrupt(&vault, "a place whose names join to the same text");
}

#[test]
fn s04_without_the_key_secrets_are_locked_and_new_ones_can_be_written() {
    let (dir, _, _) = filled();
    fs::remove_file(dir.path().join("hub.key")).expect("the key is lost");
    let vault = open(dir.path());
    assert!(matches!(vault.read(&module(), "acme"), Err(VaultError::Locked { .. })));
    vault.write(&module(), "acme", 8, &secret("logged in again")).expect("written");
    assert_eq!(read(&vault, "acme"), Some((8, "logged in again".to_owned())));
}

#[test]
fn s05_files_others_may_have_read_or_placed_are_refused() {
    let (dir, vault, file) = filled();
    let refusal = || match vault.read(&module(), "acme") {
        Err(error @ VaultError::Refused { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    };
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("our own file");
    assert!(refusal().contains("its mode is 0644; it must be 0600"));
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("our own file");
    let second = dir.path().join("second");
    fs::hard_link(&file, &second).expect("a hard link");
    assert!(refusal().contains("2 hard links"));
    fs::remove_file(&file).expect("one name less");
    symlink(&second, &file).expect("a symbolic link");
    assert!(refusal().contains("symbolic link"));
    fs::remove_file(&file).expect("our own file");
    std::os::unix::fs::chown(&second, Some(12_345), None).expect("this test runs as root");
    fs::rename(&second, &file).expect("our own file");
    assert!(refusal().contains("it belongs to user 12345"));
    let lamp = dir.path().join("tokens/lamp");
    fs::set_permissions(&lamp, Permissions::from_mode(0o755)).expect("our own directory");
    assert!(refusal().contains("mode 0755"), "the directory too");
    fs::rename(&lamp, dir.path().join("elsewhere")).expect("our own directory");
    symlink(dir.path().join("elsewhere"), &lamp).expect("a symbolic link");
    assert!(refusal().contains("no symbolic link"));
}

#[test]
fn s08_on_a_full_disk_the_old_secret_and_the_old_key_stay() {
    let (dir, _, _) = filled();
    let small = tempdir().expect("a temporary directory");
    let mounted = Mounted::tmpfs(small.path());
    copy_all(dir.path(), small.path());
    let vault = open(small.path());
    let filler = small.path().join("filler");
    let full = fs::write(&filler, vec![0; 1 << 20]).expect_err("more than fits");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert!(matches!(vault.write(&module(), "acme", 8, &secret("newer")), Err(VaultError::DiskFull)));
    assert!(matches!(vault.begin_key_change(), Err(VaultError::DiskFull)));
    assert!(!vault.is_changing_keys());
    assert_eq!(read(&vault, "acme"), Some((7, "secret".to_owned())));

    fs::remove_file(&filler).expect("space again");
    vault.begin_key_change().expect("a new key");
    fs::write(&filler, vec![0; 1 << 20]).expect_err("full again");
    assert!(vault.end_key_change().is_err() && vault.is_changing_keys(), "the key before is kept");
    assert_eq!(read(&open(small.path()), "acme"), Some((7, "secret".to_owned())));

    mounted.read_only();
    assert!(matches!(vault.write(&module(), "acme", 8, &secret("newer")), Err(VaultError::Io { .. })));
    assert!(vault.end_key_change().is_err(), "nor on a file system that became read-only");
    assert_eq!(read(&open(small.path()), "acme"), Some((7, "secret".to_owned())));
    assert!(!small.path().join("tokens/lamp/.acme.enc.new").exists(), "nothing half is left");
}

#[test]
fn w05_a_change_of_keys_goes_on_where_it_was_cut() {
    let (dir, vault, file) = filled();
    let before = fs::read(&file).expect("the file");
    vault.begin_key_change().expect("a new key");
    vault.begin_key_change().expect("once begun, it is not begun again");
    vault.write(&module(), "other", 2, &secret("sealed with the new key")).expect("written");
    drop(vault);
    let vault = open(dir.path());
    assert!(vault.is_changing_keys(), "the restart knows of it");
    assert_eq!(read(&vault, "acme"), Some((7, "secret".to_owned())), "the old key opens");
    vault.end_key_change().expect("sealed again");
    let vault = open(dir.path());
    assert!(!vault.is_changing_keys());
    assert_eq!(read(&vault, "acme"), Some((7, "secret".to_owned())));
    assert_eq!(read(&vault, "other"), Some((2, "sealed with the new key".to_owned())));
    fs::write(&file, before).expect("our own file");
    assert!(matches!(vault.read(&module(), "acme"), Err(VaultError::Locked { .. })), "the old key is gone");
}

#[test]
fn s09_the_counter_cannot_be_raised_by_hand() {
    let (_dir, vault, file) = filled();
    let mut bytes = fs::read(&file).expect("the file");
    bytes[16..24].copy_from_slice(&8_u64.to_le_bytes());
    fs::write(&file, bytes).expect("our own file");
    corrupt(&vault, "a counter that was not sealed");
}

#[test]
fn deleting_leaves_nothing() {
    let (dir, vault, file) = filled();
    fs::write(file.with_file_name(".acme.enc.new"), "half").expect("a leftover of a kill");
    vault.delete(&module(), "acme").expect("deleted");
    vault.delete(&module(), "acme").expect("deleting twice is no error");
    assert_eq!((read(&vault, "acme"), read(&vault, "other").is_some()), (None, true));
    vault.delete_module(&module()).expect("deleted");
    vault.delete_module(&module()).expect("deleting twice is no error");
    assert!(!dir.path().join("tokens/lamp").exists());
}

#[test]
fn what_is_too_large_is_refused_before_anything_is_written() {
    let (_dir, vault, _) = filled();
    vault.write(&module(), "acme", 8, &secret(&"x".repeat(MAX_SECRET_BYTES))).expect("the largest");
    assert_eq!(read(&vault, "acme").expect("readable").0, 8);
    let outcome = vault.write(&module(), "acme", 9, &secret(&"x".repeat(MAX_SECRET_BYTES + 1)));
    assert!(matches!(outcome, Err(VaultError::TooLarge)));
    assert_eq!(read(&vault, "acme").expect("readable").0, 8);
}

/// A file system of 64 KiB, gone with the test.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path) -> Self {
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("vault-test"), at, Some("tmpfs"), flags, Some("size=64k,mode=0700"))
            .expect("this test runs as root");
        Self(at.to_owned())
    }

    fn read_only(&self) {
        let flags = nix::mount::MsFlags::MS_REMOUNT | nix::mount::MsFlags::MS_RDONLY;
        nix::mount::mount(None::<&str>, &self.0, None::<&str>, flags, None::<&str>).expect("remounted");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            fs::create_dir(&target).expect("made");
            fs::set_permissions(&target, Permissions::from_mode(0o700)).expect("our own");
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("copied");
        }
    }
}
