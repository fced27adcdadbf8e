//! What a power cut left is put in order before anything runs.

use std::{fs, io, path::Path};

use selena_types::ModuleName;

use super::{
    Modules,
    aside::Shelf,
    staging::{blocking, move_durably, remove_all},
};
use crate::ApiError;

/// Marks a data directory as a hub's own, so that nothing of anybody else is ever touched.
const MARKER: &str = ".selena-hub";
/// What the sandbox names a data image until it is whole.
const UNFINISHED: &str = ".ext4.new";
/// The directories the hub makes, and wipes or tidies at its start.
const OWN: [&str; 7] = ["staging", "modules", "volumes", "aside", "previous", "pending", "restoring"];

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
            remove_unfinished(&data.join("volumes"))?;
            for record in &records {
                let previous = record.previous.as_ref().map(|previous| previous.manifest.as_str());
                if let Err(error) = Shelf::new(&data, &record.name).recover(&record.manifest, previous) {
                    // It is refused when it is started; the others are not.
                    tracing::error!(module = %record.name, error = &error as &dyn std::error::Error, "its files are not in order");
                }
            }
            for (dir, suffix) in
                [("modules", ""), ("volumes", ".ext4"), ("aside", ""), ("previous", ""), ("pending", "")]
            {
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

/// A data image that was being made when the hub ended has never been anybody's.
fn remove_unfinished(volumes: &Path) -> io::Result<()> {
    for entry in fs::read_dir(volumes)? {
        let path = entry?.path();
        if path.to_str().is_some_and(|path| path.ends_with(UNFINISHED)) {
            remove_all(&path)?;
        }
    }
    Ok(())
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
    fn w01_a_data_image_that_was_cut_while_it_was_made_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        tree(dir.path(), &[("volumes/m1.ext4.new", "half"), ("volumes/m1.ext4", "data")]);
        remove_unfinished(&dir.path().join("volumes")).expect("done");
        assert!(!dir.path().join("volumes/m1.ext4.new").exists());
        assert!(dir.path().join("volumes/m1.ext4").exists());
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
