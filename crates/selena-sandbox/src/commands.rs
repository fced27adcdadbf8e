//! The programs of the system that this crate runs. All of them, so that one file shows them.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::Path,
    process::{Command, Stdio},
};

/// Where `mkfs.ext4` may be; `PATH` is not asked.
const MKFS_EXT4: [&str; 2] = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"];

/// Makes an ext4 file system in `image`, whose top directory belongs to `owner` (user and group).
///
/// `nodiscard` keeps the blocks that were allocated: a data volume that was made can always be filled. What is lazily
/// initialised the kernel zeroes when it is first mounted, and a loop device does that by punching holes.
pub(crate) fn make_ext4(image: File, owner: u32) -> io::Result<()> {
    let extended = format!("nodiscard,lazy_itable_init=0,lazy_journal_init=0,root_owner={owner}:{owner}");
    // The image is handed over as standard input, so that no path is followed a second time.
    let arguments = ["-q", "-F", "-m", "0", "-e", "remount-ro", "-E", &extended, "/proc/self/fd/0"];
    run(first_of(&MKFS_EXT4)?, &arguments, image)
}

/// Where the programs that let a file system grow may be.
const E2FSCK: [&str; 2] = ["/usr/sbin/e2fsck", "/sbin/e2fsck"];
const RESIZE2FS: [&str; 2] = ["/usr/sbin/resize2fs", "/sbin/resize2fs"];

/// Lets the ext4 file system in `image`, which is mounted nowhere, take all of it.
pub(crate) fn grow_ext4(image: &File) -> io::Result<()> {
    // resize2fs wants it checked; exit code 1 of e2fsck says that what it found is mended.
    match run(first_of(&E2FSCK)?, &["-f", "-p", "/proc/self/fd/0"], image.try_clone()?) {
        Err(error) if !error.to_string().contains("exit status: 1:") => return Err(error),
        _ => {}
    }
    run(first_of(&RESIZE2FS)?, &["/proc/self/fd/0"], image.try_clone()?)
}

fn first_of<'a>(places: &[&'a str]) -> io::Result<&'a str> {
    let found = places.iter().copied().find(|place| Path::new(place).is_file());
    found.ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("{} is not installed", places.join(" or "))))
}

fn run(program: &str, arguments: &[&str], input: File) -> io::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::from(input))
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let kind = if said.contains("No space left on device") { ErrorKind::StorageFull } else { ErrorKind::Other };
    Err(io::Error::new(kind, format!("{program} ended with {}: {}", output.status, said.trim())))
}
