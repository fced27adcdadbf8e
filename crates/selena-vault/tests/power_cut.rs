//! W04, W05: the power goes at any flush while secrets are written and keys change. What was answered is there, and
//! every secret is readable, the old one or the new one.

use std::path::Path;

use selena_core::ports::Vault;
use selena_powercut::{Cut, Disk, Sample};
use selena_types::{ModuleName, Secret};
use selena_vault::{FileKeySealer, FileVault};

const SECRETS: u64 = 12;
/// After so many the keys change.
const CHANGE_AT: u64 = 6;

fn module() -> ModuleName {
    "lamp".parse().expect("a name")
}

fn vault(dir: &Path) -> FileVault {
    FileKeySealer::open_or_create(dir).expect("the keys are readable").vault()
}

fn write(vault: &FileVault, counter: u64) {
    vault.write(&module(), "acme", counter, &Secret::new(format!("secret {counter}"))).expect("written");
}

#[test]
fn w04_w05_a_secret_is_the_old_one_or_the_new_one_wherever_the_power_goes() {
    let disk = Disk::new(16).expect("this test needs root, /dev/fuse, loop devices and mkfs.ext4");
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("disk");
    let mounted = disk.mount(&at).expect("mounted");
    mounted.sync().expect("synced");
    disk.begin();
    let vault_now = vault(&at);
    let mut answered = vec![(0, usize::MAX)];
    for counter in 1..=SECRETS {
        write(&vault_now, counter);
        answered.push((counter, disk.flushes()));
        if counter == CHANGE_AT {
            vault_now.begin_key_change().and_then(|()| vault_now.end_key_change()).expect("new keys");
        }
    }
    drop((vault_now, mounted));

    let sample = Sample::of(80);
    let cuts = sample.cuts(disk.flushes());
    for cut in &cuts {
        let Cut { flushes, fate } = *cut;
        let when = format!("seed {}, after flush {flushes}, {fate:?}", sample.seed());
        let after = disk.after_cut(*cut, &at).unwrap_or_else(|error| panic!("{when}: {error}"));
        let vault = vault(after.path());
        let safe = answered.iter().filter(|(_, since)| *since <= flushes).map(|(counter, _)| *counter).max();
        let stored = vault.read(&module(), "acme").unwrap_or_else(|error| panic!("{when}: {error:?}"));
        let counter = stored.as_ref().map_or(0, |stored| stored.counter);
        assert!(counter >= safe.unwrap_or(0), "{when}: {counter} is there, and {safe:?} was answered");
        if let Some(stored) = stored {
            assert_eq!(stored.secret.expose(), format!("secret {counter}"), "{when}");
        }
        // And the next start gets on with it.
        vault.end_key_change().expect("the change of keys ends");
        write(&vault, SECRETS + 1);
    }
    sample.report("W04 vault", cuts.len(), disk.flushes());
}
