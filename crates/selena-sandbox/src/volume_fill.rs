//! A tar of a stranger becomes the files of a data volume.
//!
//! Every path is resolved by the kernel below the volume's top and through no link (`openat2`); a file is only ever made
//! where there is none. Files, directories and symbolic links are taken, with their lower nine mode bits, and belong to
//! the module's user.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use nix::{
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2},
    sys::{
        stat::{Mode, fchmod, futimens, mkdirat},
        time::TimeSpec,
    },
    unistd::{Gid, Uid, fchown, fchownat, symlinkat, syncfs},
};
use tar::{Archive, Entry, EntryType};

use crate::tar_guard::TarGuard;

/// Most bytes of all files together, holes included: writing them takes time also where it takes no room.
const MOST_BYTES: u64 = 64 << 30;
/// Longest run of zeros that is looked for: a block of the volume.
const BLOCK: usize = 4096;

/// Puts the files of a tar below `root`; durable when it returns.
pub(crate) fn fill(root: &OwnedFd, owner: u32, from: impl Read) -> io::Result<()> {
    let mut archive = Archive::new(TarGuard::new(from));
    let volume = Volume { root, owner: (Uid::from_raw(owner), Gid::from_raw(owner)) };
    let mut bytes = 0u64;
    for entry in archive.entries()? {
        let mut entry = entry?;
        bytes = bytes.saturating_add(entry.size());
        if bytes > MOST_BYTES {
            return Err(refused("it has more bytes than any volume".to_owned()));
        }
        volume.take(&mut entry)?;
    }
    // Opened anew: the descriptor of a mount only names a place.
    Ok(syncfs(&volume.directory(Path::new(""))?)?)
}

struct Volume<'a> {
    root: &'a OwnedFd,
    owner: (Uid, Gid),
}

impl Volume<'_> {
    fn take<R: Read>(&self, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let path = plain(&entry.path()?)?;
        let Some(name) = path.file_name() else { return Ok(()) };
        let parent = self.directory(path.parent().unwrap_or(Path::new("")))?;
        let mode = Mode::from_bits_truncate(entry.header().mode()? & 0o777);
        match entry.header().entry_type() {
            EntryType::Directory => {
                mkdirat(&parent, name, Mode::S_IRWXU)?;
                let made = self.directory(&path)?;
                self.give(&made, mode)
            }
            EntryType::Regular | EntryType::GNUSparse => {
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let mut file = File::from(self.open(&path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
                let size = entry.size();
                write_with_holes(entry, &mut file, size)?;
                let at = TimeSpec::new(i64::try_from(entry.header().mtime()?).unwrap_or_default(), 0);
                futimens(&file, &at, &at)?;
                self.give(&file.into(), mode)
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| refused("a link leads nowhere".to_owned()))?;
                symlinkat(target.as_ref(), &parent, name)?;
                fchownat(&parent, name, Some(self.owner.0), Some(self.owner.1), AtFlags::AT_SYMLINK_NOFOLLOW)?;
                Ok(())
            }
            _ => Err(refused(format!("`{}` is no file, directory or symbolic link", path.display()))),
        }
    }

    fn give(&self, made: &OwnedFd, mode: Mode) -> io::Result<()> {
        fchown(made, Some(self.owner.0), Some(self.owner.1))?;
        Ok(fchmod(made, mode)?)
    }

    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
    }

    fn open(&self, path: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        let resolve =
            ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags).mode(mode).resolve(resolve);
        Ok(openat2(self.root, path, how)?)
    }
}

/// The path without its `./`; one that leads out, or is absolute, is refused before the kernel has to.
fn plain(path: &Path) -> io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => return Err(refused(format!("`{}` leads out of the volume", path.display()))),
        }
    }
    Ok(plain)
}

/// Writes what is not zero, and leaves holes where it is.
fn write_with_holes(from: &mut impl Read, into: &mut File, size: u64) -> io::Result<()> {
    let mut block = vec![0; 64 * 1024];
    loop {
        let read = read_full(from, &mut block)?;
        if read == 0 {
            return into.set_len(size);
        }
        for part in block[..read].chunks(BLOCK) {
            if part.iter().all(|byte| *byte == 0) {
                into.seek(SeekFrom::Current(i64::try_from(part.len()).unwrap_or_default()))?;
            } else {
                into.write_all(part)?;
            }
        }
    }
}

fn read_full(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn refused(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::{
            fd::AsRawFd,
            unix::fs::{MetadataExt, PermissionsExt, symlink},
        },
    };

    use tempfile::TempDir;

    use super::*;
    use crate::{data_image, volume_mount::VolumeMount, volume_read};

    /// A volume of a module, mounted; its directory keeps it.
    fn volume(dir: &TempDir, name: &str) -> VolumeMount {
        let image = data_image::open_or_make(&dir.path().join(name), 8, 20_001).unwrap();
        VolumeMount::new(&image, false).expect("this test needs root and loop devices")
    }

    fn top(mount: &VolumeMount) -> PathBuf {
        format!("/proc/self/fd/{}", mount.root().as_raw_fd()).into()
    }

    #[test]
    fn what_a_module_wrote_comes_back_as_it_was_for_another_user() {
        let dir = tempfile::tempdir().unwrap();
        let from = volume(&dir, "from");
        let long = "n".repeat(200);
        fs::create_dir_all(top(&from).join("a/b")).unwrap();
        fs::write(top(&from).join("a/b").join(&long), "deep").unwrap();
        fs::write(top(&from).join("run"), "#!").unwrap();
        fs::set_permissions(top(&from).join("run"), fs::Permissions::from_mode(0o4750)).unwrap();
        symlink("/etc/passwd", top(&from).join("link")).unwrap();
        nix::unistd::mkfifo(&top(&from).join("fifo"), Mode::S_IRWXU).unwrap();
        // Larger than the volume, were it not for its hole.
        let mut sparse = File::create(top(&from).join("sparse")).unwrap();
        sparse.seek(SeekFrom::Start(64 << 20)).unwrap();
        sparse.write_all(b"end").unwrap();

        let tar = dir.path().join("data.tar");
        volume_read::write(from.root(), File::create(&tar).unwrap()).unwrap();
        let size = fs::metadata(&tar).unwrap().len();
        assert!(size < 1 << 20, "holes are not written: {size}");
        let into = volume(&dir, "into");
        fill(into.root(), 20_002, File::open(&tar).unwrap()).unwrap();

        let mut names: Vec<_> = fs::read_dir(top(&into)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "link", "lost+found", "run", "sparse"]);
        assert_eq!(fs::read_to_string(top(&into).join("a/b").join(&long)).unwrap(), "deep");
        let run = fs::metadata(top(&into).join("run")).unwrap();
        assert_eq!((run.mode() & 0o7777, run.uid(), run.gid()), (0o750, 20_002, 20_002), "no setuid bit comes back");
        assert_eq!(fs::read_link(top(&into).join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(top(&into).join("link").symlink_metadata().unwrap().uid(), 20_002);
        let sparse = fs::read(top(&into).join("sparse")).unwrap();
        assert_eq!((sparse.len(), &sparse[64 << 20..]), ((64 << 20) + 3, b"end".as_slice()));
    }

    #[test]
    fn a_hostile_tar_reaches_nothing_outside_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let outside_text = outside.to_str().unwrap().to_owned();
        let cases: Vec<Vec<(EntryType, String, String)>> = vec![
            vec![(EntryType::Regular, "../escaped".into(), "x".into())],
            vec![(EntryType::Regular, format!("{outside_text}/escaped"), "x".into())],
            vec![
                (EntryType::Symlink, "door".into(), outside_text.clone()),
                (EntryType::Regular, "door/escaped".into(), "x".into()),
            ],
            vec![
                (EntryType::Symlink, "file".into(), format!("{outside_text}/escaped")),
                (EntryType::Regular, "file".into(), "x".into()),
            ],
            vec![(EntryType::Link, "passwd".into(), "/etc/passwd".into())],
            vec![(EntryType::Block, "disk".into(), String::new())],
            vec![(EntryType::Char, "memory".into(), String::new())],
            vec![(EntryType::Regular, "nowhere/file".into(), "x".into())],
        ];
        for (number, entries) in cases.into_iter().enumerate() {
            let mount = volume(&dir, &format!("volume{number}"));
            let mut tar = tar::Builder::new(Vec::new());
            for (kind, path, text) in &entries {
                let mut header = tar::Header::new_gnu();
                header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
                header.set_entry_type(*kind);
                header.set_mode(0o777);
                header.set_mtime(0);
                let content = if *kind == EntryType::Regular { text.as_bytes() } else { &[] };
                if *kind != EntryType::Regular {
                    header.as_gnu_mut().unwrap().linkname[..text.len()].copy_from_slice(text.as_bytes());
                }
                header.set_size(content.len() as u64);
                header.set_cksum();
                tar.append(&header, content).unwrap();
            }
            let tar = tar.into_inner().unwrap();
            assert!(fill(mount.root(), 20_002, tar.as_slice()).is_err(), "{entries:?}");
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{entries:?}");
        }
    }

    #[test]
    fn more_than_the_volume_takes_ends_with_its_error_and_so_does_a_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mount = volume(&dir, "volume");
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(20 << 20);
        header.set_mode(0o600);
        header.set_mtime(0);
        tar.append_data(&mut header, "large", io::repeat(7).take(20 << 20)).unwrap();
        let tar = tar.into_inner().unwrap();
        let error = fill(mount.root(), 20_002, tar.as_slice()).expect_err("it has 8 MiB");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let other = volume(&dir, "other");
        assert!(fill(other.root(), 20_002, &tar[..1 << 20]).is_err(), "it is cut");
    }
}
