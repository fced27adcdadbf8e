//! What is at a path, without following a link anywhere on the way.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::{Component, Path},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, openat, readlinkat},
    sys::stat::Mode,
};
use selena_manifest::{Digest, Hasher, Seen, SeenKind};

/// A file that should not be there, or is longer than it should be, is read up to here, in bytes: so that nobody can
/// hold up a check with a file of a terabyte.
const MAX_STRANGE_BYTES: u64 = 64 * 1024 * 1024;
/// From this length on a second thread reads ahead: for shorter files it would cost more than it saves.
const LARGE_BYTES: u64 = 4 * 1024 * 1024;
/// How often the work says that it goes on, in bytes.
const TICK_BYTES: u64 = 8 * 1024 * 1024;

/// Looks at paths, one after the other, through one buffer.
pub(crate) struct Looker<'a> {
    hasher: Hasher,
    tick: &'a mut dyn FnMut(),
}

impl<'a> Looker<'a> {
    /// `tick` is called again and again while the work goes on.
    pub(crate) fn new(tick: &'a mut dyn FnMut()) -> Self {
        Self { hasher: Hasher::default(), tick }
    }

    /// What is at a path; `None` if nothing is. `bytes` is how long a file there should be.
    ///
    /// # Errors
    /// What the file system says; `ELOOP` if a directory on the way is a link.
    pub(crate) fn look(&mut self, path: &Path, bytes: u64) -> io::Result<Option<Seen>> {
        (self.tick)();
        let fd = match open(path, OFlag::O_PATH) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let file = File::from(fd);
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        if kind.is_file() {
            return self.file(path, bytes);
        }
        let kind = if kind.is_dir() {
            SeenKind::Directory
        } else if kind.is_symlink() {
            let target = readlinkat(&file, "")?;
            SeenKind::Symlink { target: String::from_utf8_lossy(target.as_bytes()).into_owned() }
        } else {
            SeenKind::Special(special(kind))
        };
        Ok(Some(seen(&metadata, kind)))
    }

    /// Content and metadata are of one open file, whatever is at the path meanwhile (B22).
    fn file(&mut self, path: &Path, bytes: u64) -> io::Result<Option<Seen>> {
        // Should it be a pipe by now, it is not waited for.
        let fd = match open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let file = File::from(fd);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Some(seen(&metadata, SeenKind::Special("replaced while it was opened"))));
        }
        let limit = bytes.max(MAX_STRANGE_BYTES);
        let digest = if metadata.len() > limit { None } else { self.hash(&file, metadata.len(), limit)? };
        let kind = SeenKind::File { digest, bytes: metadata.len(), links: metadata.nlink() };
        Ok(Some(seen(&metadata, kind)))
    }

    /// `None` if it grew beyond the limit meanwhile.
    fn hash(&mut self, file: &File, bytes: u64, limit: u64) -> io::Result<Option<Digest>> {
        let (mut total, mut ticked) = (0, 0);
        let tick = &mut *self.tick;
        let each = |piece: &[u8]| {
            total += piece.len() as u64;
            if total - ticked >= TICK_BYTES {
                ticked = total;
                tick();
            }
            Ok(())
        };
        let mut reader = file.take(limit + 1);
        let digest = if bytes < LARGE_BYTES {
            self.hasher.hash(&mut reader, each)?
        } else {
            Hasher::hash_ahead(&mut reader, each)?
        };
        Ok((total <= limit).then_some(digest))
    }
}

/// Opens an absolute path; no part of it may be a link, and a link at its end is opened itself with `O_PATH`.
///
/// Part by part and not by `openat2(2)`: systemd's `RestrictSUIDSGID=` forbids that call, and closes more than it opens.
pub(crate) fn open(path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let always = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | always;
    let mut parts = path.components().peekable();
    if parts.next() != Some(Component::RootDir) {
        return Err(Errno::EINVAL);
    }
    let flags_of = |last| if last { flags | always } else { directory };
    let mut at = openat(AT_FDCWD, "/", flags_of(parts.peek().is_none()), Mode::empty())?;
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Err(Errno::EINVAL) };
        let last = parts.peek().is_none();
        at = openat(&at, name, flags_of(last), Mode::empty()).map_err(|error| {
            // What a link in the middle is told as: it is a directory to nobody here.
            if error == Errno::ENOTDIR && !last && is_link(&at, name) { Errno::ELOOP } else { error }
        })?;
    }
    Ok(at)
}

fn is_link(directory: &OwnedFd, name: &OsStr) -> bool {
    readlinkat(directory, name).is_ok()
}

/// The names in a directory, sorted, as they are stored.
///
/// # Errors
/// What the file system says.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut dir = Dir::from_fd(open(directory, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

fn seen(metadata: &std::fs::Metadata, kind: SeenKind) -> Seen {
    Seen { kind, mode: metadata.mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() }
}

fn special(kind: std::fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_block_device() {
        "block device"
    } else {
        "character device"
    }
}
