//! The user files of a container: root's name, and the module's one user and group.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use selena_types::ModuleName;

/// `/etc/passwd` of a container whose processes run as `uid`.
pub(crate) fn passwd(uid: u32) -> String {
    format!("root:x:0:0::/:/sbin/nologin\nmodule:x:{uid}:{uid}::/data:/sbin/nologin\n")
}

/// `/etc/group` of the same.
pub(crate) fn group(gid: u32) -> String {
    format!("root:x:0:\nmodule:x:{gid}:\n")
}

/// Where the files of modules lie that get theirs mounted.
pub(crate) fn path(state_dir: &Path, module: &ModuleName) -> PathBuf {
    state_dir.join("passwd").join(module.as_str())
}

/// Writes the passwd file that is mounted into the containers of one module.
pub(crate) fn write(state_dir: &Path, module: &ModuleName, uid: u32) -> io::Result<PathBuf> {
    let path = path(state_dir, module);
    let text = passwd(uid);
    // A running container has the old file mounted; one that is right stays as it is.
    if !fs::read_to_string(&path).is_ok_and(|known| known == text) {
        fs::create_dir_all(state_dir.join("passwd"))?;
        fs::write(&path, text)?;
    }
    Ok(path)
}

/// Removes a module's passwd file, if there is one.
pub(crate) fn remove(state_dir: &Path, module: &ModuleName) -> io::Result<()> {
    match fs::remove_file(path(state_dir, module)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
