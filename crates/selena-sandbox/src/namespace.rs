//! A network namespace, held open by descriptor, and work inside it.
//!
//! Work is done by a thread that is made for it and ends after it: it never comes back to another namespace, so a panic
//! inside loses the thread and nothing else (fault R17). A namespace is known by device and inode from the moment it is
//! opened; a path or a process id that means something else by now is never followed (fault R16).

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
    sync::Arc,
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::statfs::{NSFS_MAGIC, fstatfs},
};
use tokio::sync::oneshot;

/// The calling thread's own network namespace.
const OWN: &str = "/proc/thread-self/ns/net";
/// Enough for a socket or a look at `/proc`; the default of 2 MiB is for programs.
const STACK_BYTES: usize = 256 * 1024;

/// Device and inode of a namespace: the only name of it that cannot be reused while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceId {
    device: u64,
    inode: u64,
}

impl NamespaceId {
    fn of_path(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::of(&fs::metadata(path)?))
    }

    fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A network namespace that is not the host's.
#[derive(Debug)]
pub(crate) struct Namespace {
    file: File,
    id: NamespaceId,
}

impl Namespace {
    /// Opens the namespace that is mounted at `path`; refuses what is no namespace, and the one of this process.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if fstatfs(&file)?.filesystem_type() != NSFS_MAGIC {
            return Err(io::Error::other("it is no namespace (any more)"));
        }
        let id = NamespaceId::of(&file.metadata()?);
        if id == NamespaceId::of_path(OWN)? {
            return Err(io::Error::other("it is the network namespace of this process"));
        }
        Ok(Self { file, id })
    }

    pub(crate) fn id(&self) -> NamespaceId {
        self.id
    }

    /// Moves the calling thread into the namespace, for good.
    fn enter(&self) -> io::Result<()> {
        setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
        if NamespaceId::of_path(OWN)? == self.id {
            Ok(())
        } else {
            Err(io::Error::other("the thread is in another network namespace than it entered"))
        }
    }

    /// Does `job` in a thread of its own, inside the namespace.
    pub(crate) async fn run<T: Send + 'static>(
        self: Arc<Self>,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (report, result) = oneshot::channel();
        let inside = move || {
            let done = self.enter().and_then(|()| job());
            // Nobody waits any more if the caller was dropped; then the result is dropped too.
            let _ = report.send(done);
        };
        thread::Builder::new().name("netns".to_owned()).stack_size(STACK_BYTES).spawn(inside)?;
        result.await.unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
    }

    /// The namespace of the test itself, for tests that only need one.
    #[cfg(test)]
    pub(crate) fn own_for_test() -> Self {
        let file = File::open(OWN).unwrap();
        let id = NamespaceId::of(&file.metadata().unwrap());
        Self { file, id }
    }
}

#[cfg(test)]
mod tests {
    use nix::sched::unshare;

    use super::*;

    /// A new network namespace; needs root.
    fn fresh() -> Arc<Namespace> {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root, to make a network namespace");
            File::open(OWN).unwrap()
        };
        let file = thread::spawn(make).join().unwrap();
        let id = NamespaceId::of(&file.metadata().unwrap());
        Arc::new(Namespace { file, id })
    }

    fn own() -> NamespaceId {
        NamespaceId::of_path("/proc/self/ns/net").unwrap()
    }

    #[tokio::test]
    async fn work_is_done_inside_and_nowhere_else() {
        let (before, namespace) = (own(), fresh());
        let inside = Arc::clone(&namespace).run(|| NamespaceId::of_path(OWN)).await.unwrap();
        assert_eq!((inside, own()), (namespace.id(), before));
        assert_ne!(inside, before);
    }

    #[tokio::test]
    async fn r17_a_panic_inside_loses_its_thread_only() {
        let (before, namespace) = (own(), fresh());
        let lost = Arc::clone(&namespace).run::<()>(|| panic!("on purpose")).await.unwrap_err();
        assert!(lost.to_string().contains("panicked"), "{lost}");
        assert_eq!(own(), before);
        assert_eq!(NamespaceId::of_path(OWN).unwrap(), before);
        assert!(namespace.run(|| Ok(())).await.is_ok(), "the namespace can be used again");
    }

    #[test]
    fn r16_only_a_foreign_namespace_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        fs::write(&plain, "").unwrap();
        for (path, word) in [
            (plain.as_path(), "no namespace"),
            (Path::new("/dev/null"), "no namespace"),
            (Path::new("/proc/self/ns/net"), "of this process"),
            (&dir.path().join("absent"), "No such file"),
        ] {
            let error = Namespace::open(path).unwrap_err();
            assert!(error.to_string().contains(word), "{path:?}: {error}");
        }
    }

    #[tokio::test]
    async fn r16_a_namespace_of_another_kind_is_not_entered() {
        let mount = Arc::new(Namespace::open(Path::new("/proc/self/ns/mnt")).unwrap());
        let before = own();
        assert!(mount.run(|| Ok(())).await.is_err());
        assert_eq!(own(), before);
    }

    #[tokio::test]
    async fn r16_work_is_refused_if_the_thread_landed_elsewhere() {
        let good = fresh();
        let id = NamespaceId { inode: good.id.inode + 1, ..good.id };
        let lying = Arc::new(Namespace { file: good.file.try_clone().unwrap(), id });
        let error = lying.run(|| Ok(())).await.unwrap_err();
        assert!(error.to_string().contains("another network namespace"), "{error}");
    }
}
