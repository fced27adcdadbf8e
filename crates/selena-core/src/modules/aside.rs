//! The files of an update: the version that runs is laid aside while another one is tried in its place, and either comes
//! back or becomes the version before (protocol, section 2, "Update").
//!
//! A cut at any point is finished by [`recover`]: what the store says of the module decides in which direction.
//! Each step is a rename, and the package is laid aside last and comes back last: where it is says how far it came.
//!
//! | place | holds |
//! |---|---|
//! | `modules/<name>/`, `volumes/<name>.ext4` | what runs |
//! | `aside/<name>/{package,data.ext4}` | what ran until now, as long as it is not decided |
//! | `previous/<name>/{package,data.ext4}` | the version before, for a rollback at any time |
//! | `pending/<name>/{package,report.json}` | an update that waits for a person; without the package one that is granted |

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use selena_types::ModuleName;

use super::staging::{make_dir_durably, move_durably, remove_all};

/// Says of a version that was laid aside that it had no data.
pub(super) const NO_DATA: &str = "no-data";

/// Where the files of one module are.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    package: PathBuf,
    volume: PathBuf,
    aside: PathBuf,
    previous: PathBuf,
    pending: PathBuf,
}

impl Shelf {
    pub(super) fn new(data: &Path, name: &ModuleName) -> Self {
        Self {
            package: data.join("modules").join(name.as_str()),
            volume: data.join("volumes").join(format!("{name}.ext4")),
            aside: data.join("aside").join(name.as_str()),
            previous: data.join("previous").join(name.as_str()),
            pending: data.join("pending").join(name.as_str()),
        }
    }

    /// Copies the data of what ran by `copy`, which makes it durable, and moves its package aside. From then on
    /// [`Shelf::put_back`] undoes all.
    pub(super) fn set_aside(&self, copy: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        remove_all(&self.aside)?;
        make_dir_durably(&self.aside)?;
        if self.volume.exists() {
            copy(&self.volume, &data(&self.aside))?;
        } else {
            fs::write(self.aside.join(NO_DATA), "")?;
        }
        move_durably(&self.package, &package(&self.aside))
    }

    /// Puts the version before and its data in the place of what was laid aside.
    pub(super) fn take_previous(&self) -> io::Result<()> {
        self.take_data(&self.previous)?;
        move_durably(&package(&self.previous), &self.package)
    }

    /// Puts back what was laid aside; fine if nothing was. `previous` is the manifest of the version before: if that
    /// one lies in its place now, it goes back to where it was.
    pub(super) fn put_back(&self, previous: Option<&str>) -> io::Result<()> {
        if !package(&self.aside).exists() {
            return Ok(());
        }
        if previous.is_some_and(|manifest| holds(&self.package, manifest)) && !package(&self.previous).exists() {
            move_durably(&self.package, &package(&self.previous))?;
        } else {
            remove_all(&self.package)?;
        }
        let lacks_data = |dir: &Path| !data(dir).exists() && !dir.join(NO_DATA).exists();
        if package(&self.previous).exists() && lacks_data(&self.previous) && self.volume.exists() {
            move_durably(&self.volume, &data(&self.previous))?;
        }
        self.take_data(&self.aside)?;
        move_durably(&package(&self.aside), &self.package)?;
        remove_all(&self.aside)
    }

    /// What was laid aside is now the version before.
    pub(super) fn keep_as_previous(&self) -> io::Result<()> {
        remove_all(&self.previous)?;
        move_durably(&self.aside, &self.previous)
    }

    /// Whether the version before is there, with this manifest.
    pub(super) fn has_previous(&self, manifest: &str) -> bool {
        holds(&package(&self.previous), manifest)
    }

    /// The files of the version before.
    pub(super) fn previous_package(&self) -> PathBuf {
        package(&self.previous)
    }

    /// The data of the version before; it may have had none.
    pub(super) fn previous_data(&self) -> PathBuf {
        data(&self.previous)
    }

    /// Whether the package of this manifest lies where it is run from.
    pub(super) fn holds(&self, manifest: &str) -> bool {
        holds(&self.package, manifest)
    }

    /// Finishes what was cut: what the store has is what runs, and what the store calls the version before is kept. An
    /// update that was granted and is not stored waits again for the person's word; one that is stored does not.
    pub(super) fn recover(&self, stored: &str, previous: Option<&str>) -> io::Result<()> {
        let was_granted = self.pending.exists() && !package(&self.pending).exists();
        let is_newcomer = !self.holds(stored) && !previous.is_some_and(|manifest| holds(&self.package, manifest));
        if was_granted && is_newcomer && self.package.exists() && package(&self.aside).exists() {
            move_durably(&self.package, &package(&self.pending))?;
        }
        self.put_in_order(stored, previous)?;
        if self.pending.exists() && !package(&self.pending).exists() {
            remove_all(&self.pending)?;
        }
        Ok(())
    }

    fn put_in_order(&self, stored: &str, previous: Option<&str>) -> io::Result<()> {
        if !self.holds(stored) {
            return self.put_back(previous);
        }
        if previous.is_some_and(|manifest| holds(&package(&self.aside), manifest)) {
            self.keep_as_previous()?;
        }
        remove_all(&self.aside)?;
        if previous.is_none_or(|manifest| !self.has_previous(manifest)) {
            remove_all(&self.previous)?;
        }
        Ok(())
    }

    /// All there is of a module beside what runs.
    pub(super) fn leftovers(&self) -> [PathBuf; 2] {
        [self.aside.clone(), self.previous.clone()]
    }

    /// The data a directory keeps comes to where it is used.
    fn take_data(&self, from: &Path) -> io::Result<()> {
        if data(from).exists() {
            move_durably(&data(from), &self.volume)
        } else if from.join(NO_DATA).exists() {
            remove_all(&self.volume)
        } else {
            Ok(())
        }
    }
}

fn package(dir: &Path) -> PathBuf {
    dir.join("package")
}

fn data(dir: &Path) -> PathBuf {
    dir.join("data.ext4")
}

fn holds(package: &Path, manifest: &str) -> bool {
    fs::read_to_string(package.join("manifest.json")).is_ok_and(|text| text == manifest)
}

#[cfg(test)]
mod tests;
