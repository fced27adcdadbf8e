//! The files of a data volume as a tar.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use tar::{Builder, EntryType, Header};

/// A directory that every ext4 has.
const LOST_AND_FOUND: &str = "lost+found";

/// Writes files, directories and symbolic links; holes of files stay holes. What else a module may have made, such as
/// sockets, means nothing after its end and is left out. Files with several names become several files.
pub(crate) fn write(root: &OwnedFd, into: File) -> io::Result<()> {
    let top = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
    let mut tar = Builder::new(BufWriter::with_capacity(256 * 1024, into));
    tar.follow_symlinks(false);
    let mut left = vec![PathBuf::new()];
    while let Some(dir) = left.pop() {
        let mut entries = fs::read_dir(top.join(&dir))?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = dir.join(entry.file_name());
            if path == Path::new(LOST_AND_FOUND) {
                continue;
            }
            if append(&mut tar, &top, &path)? {
                left.push(path);
            }
        }
    }
    let mut into = tar.into_inner()?;
    into.flush()?;
    let file = into.into_inner().map_err(io::IntoInnerError::into_error)?;
    match file.sync_data() {
        // A pipe has nothing to sync.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Appends what is there under a path; whether it is a directory, whose entries come later.
fn append(tar: &mut Builder<impl Write>, top: &Path, path: &Path) -> io::Result<bool> {
    let whole = top.join(path);
    let about = whole.symlink_metadata()?;
    if about.is_file() {
        tar.append_file(path, &mut File::open(&whole)?)?;
    } else if about.is_dir() {
        tar.append_dir(path, &whole)?;
    } else if about.is_symlink() {
        let mut header = Header::new_gnu();
        header.set_metadata(&about);
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, path, fs::read_link(&whole)?)?;
    }
    Ok(about.is_dir())
}
