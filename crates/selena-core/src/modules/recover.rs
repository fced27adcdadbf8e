//! What a power cut left is put in order before anything runs.

use std::{fs, io, path::Path};

use selena_types::ModuleName;

use super::{
    ModuleRecord, Modules,
    staging::{blocking, move_durably, remove_all},
};
use crate::ApiError;

/// Marks a data directory as a hub's own, so that nothing of anybody else is ever touched.
const MARKER: &str = ".selena-hub";
/// Says of a version that was laid aside that it had no data.
pub(super) const NO_DATA: &str = "no-data";
/// The directories the hub makes, and wipes or tidies at its start.
const OWN: [&str; 5] = ["staging", "modules", "volumes", "previous", "pending"];

impl Modules {
    /// Makes the directories, undoes updates that were cut, and wipes uploads.
    ///
    /// Gives the names of packages that were being tried when the hub ended: the engine may hold something of them.
    ///
    /// # Errors
    /// If the data directory holds such directories and is not a hub's.
    pub(super) async fn recover_files(&self) -> Result<Vec<ModuleName>, ApiError> {
        let data = self.parts.config.data_dir.clone();
        let records = self.records();
        blocking(move || {
            claim(&data)?;
            let tried = names_in(&data.join("staging"));
            remove_all(&data.join("staging"))?;
            for dir in OWN {
                fs::create_dir_all(data.join(dir))?;
            }
            for record in &records {
                recover_update(&data, record)?;
            }
            for (dir, suffix) in [("modules", ""), ("volumes", ".ext4"), ("previous", ""), ("pending", "")] {
                let known =
                    |name: &str| records.iter().any(|record| name.strip_suffix(suffix) == Some(record.name.as_str()));
                lay_aside_unknown(&data, dir, known)?;
            }
            Ok(tried)
        })
        .await
    }
}

/// Refuses a directory that already has what looks like the hub's, but was never a hub's.
fn claim(data: &Path) -> io::Result<()> {
    let marker = data.join(MARKER);
    if marker.exists() {
        return Ok(());
    }
    let used = |dir: &str| fs::read_dir(data.join(dir)).is_ok_and(|mut entries| entries.next().is_some());
    if let Some(dir) = OWN.iter().find(|dir| used(dir)) {
        let why = format!("`{}` has a directory `{dir}` and is no hub's data: choose another one", data.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    fs::write(marker, "The data of a Selena hub. Without this file the hub does not touch the directory.\n")
}

fn names_in(staging: &Path) -> Vec<ModuleName> {
    let manifest = |entry: fs::DirEntry| fs::read(entry.path().join("package/manifest.json")).ok();
    let name = |text: Vec<u8>| {
        let json: serde_json::Value = serde_json::from_slice(&text).ok()?;
        json["name"].as_str()?.parse().ok()
    };
    let entries = fs::read_dir(staging).into_iter().flatten().flatten();
    entries.filter_map(manifest).filter_map(name).collect()
}

/// An update that was cut either was stored, then the version before goes; or not, then it comes back.
fn recover_update(data: &Path, record: &ModuleRecord) -> io::Result<()> {
    let package = data.join("modules").join(record.name.as_str());
    let stored = |dir: &Path| fs::read_to_string(dir.join("manifest.json")).is_ok_and(|text| text == record.manifest);
    if !stored(&package) {
        restore_previous(data, &record.name)?;
    }
    remove_all(&data.join("previous").join(record.name.as_str()))
}

/// Puts the version before and its data back, if it is laid aside. The package comes last: as long as it is there,
/// this is not over, and can be done again.
pub(super) fn restore_previous(data: &Path, name: &ModuleName) -> io::Result<()> {
    let previous = data.join("previous").join(name.as_str());
    let (old_package, old_data) = (previous.join("package"), previous.join("data.ext4"));
    if !old_package.exists() {
        return Ok(());
    }
    let volume = data.join("volumes").join(format!("{name}.ext4"));
    if old_data.exists() {
        move_durably(&old_data, &volume)?;
    } else if previous.join(NO_DATA).exists() {
        remove_all(&volume)?;
    }
    let package = data.join("modules").join(name.as_str());
    remove_all(&package)?;
    move_durably(&old_package, &package)
}

/// What the store knows nothing of is laid aside and not deleted: perhaps it is the store that was lost.
fn lay_aside_unknown(data: &Path, dir: &str, known: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(data.join(dir))? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(&known) {
            let to = data.join("lost").join(dir).join(&name);
            tracing::warn!(path = %entry.path().display(), to = %to.display(), "the store knows nothing of this; it is laid aside");
            remove_all(&to)?;
            move_durably(&entry.path(), &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(data: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = data.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
    }

    #[test]
    fn w02_a_rollback_that_was_cut_is_finished_with_the_old_data() {
        let name: ModuleName = "m1".parse().expect("a name");
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path();
        tree(
            data,
            &[
                ("previous/m1/package/manifest.json", "old"),
                ("previous/m1/data.ext4", "old data"),
                ("modules/m1/manifest.json", "new"),
                ("volumes/m1.ext4", "new data"),
            ],
        );
        // Cut after the data came back: the package is still laid aside, so it goes on.
        fs::rename(data.join("previous/m1/data.ext4"), data.join("volumes/m1.ext4")).expect("moved");
        restore_previous(data, &name).expect("restored");
        assert_eq!(fs::read_to_string(data.join("modules/m1/manifest.json")).expect("read"), "old");
        assert_eq!(fs::read_to_string(data.join("volumes/m1.ext4")).expect("read"), "old data");
        restore_previous(data, &name).expect("again");
        assert_eq!(fs::read_to_string(data.join("modules/m1/manifest.json")).expect("read"), "old");
    }

    #[test]
    fn a_directory_that_is_no_hubs_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        tree(dir.path(), &[("modules/mine.txt", "precious")]);
        assert!(claim(dir.path()).is_err());
        assert!(dir.path().join("modules/mine.txt").exists());
        let fresh = tempfile::tempdir().expect("a directory");
        claim(fresh.path()).expect("an empty one is taken");
        tree(fresh.path(), &[("modules/m1/manifest.json", "{}")]);
        claim(fresh.path()).expect("and known again");
    }

    #[test]
    fn d05_what_the_store_does_not_know_is_laid_aside_not_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        tree(dir.path(), &[("volumes/m1.ext4", "data"), ("volumes/m2.ext4", "other")]);
        lay_aside_unknown(dir.path(), "volumes", |name| name == "m2.ext4").expect("done");
        assert_eq!(fs::read_to_string(dir.path().join("lost/volumes/m1.ext4")).expect("read"), "data");
        assert!(dir.path().join("volumes/m2.ext4").exists());
    }
}
