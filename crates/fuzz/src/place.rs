//! A directory to unpack into, and neighbours that have to stay as they are.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

const UNTOUCHED: &[u8] = b"untouched";

/// The directory `staging` beside the file `secret`; this process works in the directory of both, so that a path which
/// leaves `staging` without being absolute arrives there.
#[derive(Debug)]
pub struct Place {
    dir: TempDir,
}

impl Place {
    /// Makes the place below `TMPDIR`, best in memory, and makes it this process's working directory.
    ///
    /// # Panics
    /// If the temporary directory cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("secret"), UNTOUCHED).expect("the temporary directory can be written");
        std::env::set_current_dir(dir.path()).expect("the temporary directory is there");
        Self { dir }
    }

    /// A file without a name that holds these bytes.
    ///
    /// # Panics
    /// If the temporary directory cannot be written.
    #[must_use]
    pub fn file(&self, bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile_in(self.dir.path()).expect("a temporary file");
        file.write_all(bytes).expect("the temporary file can be written");
        file
    }

    /// Makes the empty directory to unpack into.
    ///
    /// # Panics
    /// If one is there.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        let staging = self.dir.path().join("staging");
        fs::create_dir(&staging).expect("staging was removed after the input before");
        staging
    }

    /// What lies in staging: paths relative to it, with what the kernel says of each.
    ///
    /// # Panics
    /// If a name is no UTF-8.
    #[must_use]
    pub fn staged(&self) -> BTreeMap<String, Metadata> {
        let mut found = BTreeMap::new();
        walk(&self.dir.path().join("staging"), "", &mut found);
        found
    }

    /// Removes staging, and checks that nothing else is there and that the secret is as it was.
    ///
    /// # Panics
    /// If something was written outside of staging.
    pub fn clear(&self) {
        fs::remove_dir_all(self.dir.path().join("staging")).expect("staging can be removed");
        let rest = fs::read_dir(self.dir.path()).expect("the place can be listed").flatten();
        let rest: Vec<_> = rest.map(|entry| entry.file_name()).collect();
        assert_eq!(rest, ["secret"], "something was written outside of staging");
        assert_eq!(fs::read("secret").expect("the secret is there"), UNTOUCHED, "the secret was changed");
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

fn walk(directory: &Path, below: &str, found: &mut BTreeMap<String, Metadata>) {
    for entry in fs::read_dir(directory).expect("what was unpacked can be listed") {
        let entry = entry.expect("what was unpacked can be listed");
        let name = entry.file_name().into_string().expect("names that were taken are UTF-8");
        let metadata = entry.path().symlink_metadata().expect("what is listed is there");
        let path = format!("{below}{name}");
        if metadata.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found);
        }
        found.insert(path, metadata);
    }
}
