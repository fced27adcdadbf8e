//! The data volume of a module: an ext4 image of a fixed size, whose blocks all belong to it from the start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, OFlag, fallocate},
    unistd::geteuid,
};
use selena_killpoints::point;

use crate::commands;

const MIB: i64 = 1024 * 1024;
/// An image is its maker's alone.
const MODE: u32 = 0o600;

/// Opens the image, and makes it with `size_mb` MiB for the user `owner` if it is not there.
///
/// An image has its name only when it is complete: it is made beside it and renamed, so that neither a power cut nor a
/// full disk leaves half of one.
pub(crate) fn open_or_make(path: &Path, size_mb: u32, owner: u32) -> io::Result<File> {
    match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(path, size_mb, owner)?;
            open(path)
        }
        opened => opened.and_then(|image| grow(image, size_mb)).and_then(keep_blocks),
    }
}

/// Lets an image grow that a new version of its module wants larger; it never shrinks, so that nothing is lost.
fn grow(image: File, size_mb: u32) -> io::Result<File> {
    let wanted = i64::from(size_mb) * MIB;
    // Not by the file's length: a growth that was cut has that already.
    if i64::try_from(file_system_bytes(&image)?).unwrap_or(i64::MAX) >= wanted {
        return Ok(image);
    }
    fallocate(&image, FallocateFlags::empty(), 0, wanted)?;
    commands::grow_ext4(&image)?;
    image.sync_all()?;
    Ok(image)
}

/// Takes back the blocks that the kernel freed: zeroing a part of a mounted image makes a hole in it.
fn keep_blocks(image: File) -> io::Result<File> {
    let length = i64::try_from(image.metadata()?.len()).map_err(io::Error::other)?;
    fallocate(&image, FallocateFlags::empty(), 0, length)?;
    Ok(image)
}

/// How large the ext4 file system in an image says it is: blocks times block size, of its superblock.
fn file_system_bytes(image: &File) -> io::Result<u64> {
    const SUPERBLOCK: u64 = 1024;
    let number = |offset| {
        let mut bytes = [0; 4];
        image.read_exact_at(&mut bytes, SUPERBLOCK + offset).map(|()| u32::from_le_bytes(bytes))
    };
    let (blocks, log_size) = (number(4)?, number(24)?);
    Ok(u64::from(blocks) << (10 + log_size.min(6)))
}

/// Copies an image to a file that is made for it; durable when it returns.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = open(from)?;
    point("a copy of the data");
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(MODE).open(to)?;
    let copied = io::copy(&mut from, &mut copy);
    point("the sync of the data's copy");
    if let Err(error) = copied.and_then(|_| copy.sync_all()) {
        let _ = fs::remove_file(to);
        return Err(error);
    }
    Ok(())
}

/// Opens an image that is there. A link, or a device in its place, is refused: root writes to what this returns.
/// So is a file that this process did not make, since what is in it the kernel mounts as a file system.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path);
    let is_link = |error: &io::Error| error.raw_os_error() == Some(Errno::ELOOP as i32);
    let file = opened.map_err(|error| if is_link(&error) { refused("the data image is a link") } else { error })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refused("the data image is no regular file"));
    }
    if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o077 != 0 || metadata.nlink() != 1 {
        return Err(refused("the data image was not made by the sandbox, or others may write to it"));
    }
    Ok(file)
}

fn refused(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

fn make(path: &Path, size_mb: u32, owner: u32) -> io::Result<()> {
    let unfinished = unfinished(path);
    point("a data image");
    let made = fill(&unfinished, size_mb, owner).and_then(|()| {
        point("the rename of a data image");
        fs::rename(&unfinished, path)
    });
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn fill(unfinished: &Path, size_mb: u32, owner: u32) -> io::Result<()> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(unfinished)?;
    fallocate(&file, FallocateFlags::empty(), 0, i64::from(size_mb) * MIB)?;
    commands::make_ext4(file.try_clone()?, owner)?;
    keep_blocks(file)?.sync_all()
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn an_image_that_somebody_else_made_or_can_reach_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        open_or_make(&path, 8, 20_001).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        assert!(open_or_make(&path, 8, 20_001).is_err(), "others may write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&path, dir.path().join("second")).unwrap();
        assert!(open_or_make(&path, 8, 20_001).is_err(), "it has two names");
        fs::remove_file(dir.path().join("second")).unwrap();
        assert!(open_or_make(&path, 8, 20_001).is_ok());
        chown(&path, Some(20_001), None).expect("this test needs root");
        assert!(open_or_make(&path, 8, 20_001).is_err(), "it is somebody else's");
    }

    #[test]
    fn a_copy_is_an_image_too_and_never_replaces_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("data.img"), dir.path().join("copy.img"));
        open_or_make(&path, 8, 20_001).unwrap();
        copy(&path, &to).unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(&to).unwrap());
        assert!(open_or_make(&to, 8, 20_001).is_ok());
        assert_eq!(copy(&path, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn an_image_is_made_once_and_keeps_its_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        let made = open_or_make(&path, 8, 20_001).unwrap().metadata().unwrap();
        assert_eq!(made.len(), 8 * 1024 * 1024);
        assert!(made.blocks() * 512 >= made.len(), "it has holes");
        let image = open_or_make(&path, 8, 20_001).unwrap();
        assert_eq!(image.metadata().unwrap().ino(), made.ino());
        fallocate(&image, FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE, 4 * MIB, MIB)
            .unwrap();
        assert!(image.metadata().unwrap().blocks() * 512 < made.len(), "it has a hole");
        let blocks = open_or_make(&path, 8, 20_001).unwrap().metadata().unwrap().blocks();
        assert!(blocks * 512 >= made.len(), "its blocks are taken back");
        assert_eq!(open_or_make(&path, 4, 20_001).unwrap().metadata().unwrap().len(), made.len(), "it never shrinks");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_image_grows_with_its_module_and_also_after_a_growth_that_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        open_or_make(&path, 8, 20_001).unwrap();
        let grown = open_or_make(&path, 16, 20_001).unwrap();
        assert_eq!(file_system_bytes(&grown).unwrap(), 16 * 1024 * 1024);
        // Cut between the file's growth and the file system's.
        fallocate(&grown, FallocateFlags::empty(), 0, 24 * MIB).unwrap();
        assert_eq!(file_system_bytes(&grown).unwrap(), 16 * 1024 * 1024);
        let grown = open_or_make(&path, 24, 20_001).unwrap();
        assert_eq!(file_system_bytes(&grown).unwrap(), 24 * 1024 * 1024);
    }

    #[test]
    fn what_was_left_half_made_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        fs::write(unfinished(&path), "half").unwrap();
        assert!(open_or_make(&path, 8, 20_001).is_ok());
    }

    #[test]
    fn links_and_devices_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(open_or_make(&path, 8, 20_001).is_err());
        assert!(open(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn an_image_that_has_no_room_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open_or_make(&dir.path().join("data.img"), u32::MAX, 20_001).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
