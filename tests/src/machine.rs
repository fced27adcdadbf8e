//! Devices that a test plugs into the machine: real character devices of the kernel, with a side of the test's own.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::{
    fcntl::{Flock, FlockArg},
    libc,
    sys::stat::{Mode, SFlag, makedev, mknod},
};
use tempfile::TempDir;

use crate::wait;

/// The group that sticks are open to; no user of a machine is in it.
pub const STICK_GROUP: u32 = 65_011;
/// The kernel's number for the screens of virtual consoles.
const SCREENS: u32 = 7;
/// Consoles that no machine shows.
const CONSOLES: std::ops::RangeInclusive<u32> = 20..=60;
/// How often a directory may be removed by another test while a link is made in it.
const ATTEMPTS: usize = 50;

/// What the kernel says of devices, to one hub. Sticks are no serial ports to the real one.
#[derive(Debug)]
pub struct Sysfs(TempDir);

impl Default for Sysfs {
    fn default() -> Self {
        Self::new()
    }
}

impl Sysfs {
    /// A kernel that knows no devices yet.
    ///
    /// # Panics
    /// If there is no temporary directory.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// From now on that device is of that subsystem.
    ///
    /// # Panics
    /// If the directory cannot be written.
    pub fn add(&self, major: u32, minor: u32, subsystem: &str) {
        let device = self.path().join(format!("dev/char/{major}:{minor}"));
        fs::create_dir_all(&device).expect("the directory can be written");
        let _said_before = fs::remove_file(device.join("subsystem"));
        symlink(format!("../../../class/{subsystem}"), device.join("subsystem")).expect("the link can be made");
    }
}

/// A device that gives back what was written to it: the screen of a console that nobody sees. Removed when dropped.
#[derive(Debug)]
pub struct Stick {
    node: PathBuf,
    number: u32,
    /// The console has a screen as long as it is open, and belongs to this test as long as it is locked.
    _console: Flock<File>,
}

impl Stick {
    /// A serial port to the hub with that `sysfs`, open to [`STICK_GROUP`].
    ///
    /// # Panics
    /// Without root, or on a machine without virtual consoles.
    #[must_use]
    pub fn new(sysfs: &Sysfs) -> Self {
        let (number, console) = CONSOLES.clone().find_map(console).expect("this test needs root and a free console");
        let node = PathBuf::from(format!("/dev/{}", unique("stick")));
        let rights = Mode::from_bits_truncate(0o660);
        mknod(&node, SFlag::S_IFCHR, rights, makedev(SCREENS.into(), number.into())).expect("root can make a node");
        let stick = Self { node, number, _console: console };
        stick.give_to(STICK_GROUP, 0o660);
        sysfs.add(SCREENS, number, "tty");
        stick
    }

    /// Changes the group and the mode of its node, as a udev rule does.
    ///
    /// # Panics
    /// If root may not.
    pub fn give_to(&self, group: u32, mode: u32) {
        chown(&self.node, Some(0), Some(group)).expect("root can change the group");
        fs::set_permissions(&self.node, fs::Permissions::from_mode(mode)).expect("root can change the mode");
    }

    /// Makes another node of the same device, open to everybody.
    ///
    /// # Panics
    /// If root may not.
    pub fn copy_to(&self, node: &Path) {
        let number = makedev(SCREENS.into(), self.number.into());
        mknod(node, SFlag::S_IFCHR, Mode::empty(), number).expect("root can make a node");
        fs::set_permissions(node, fs::Permissions::from_mode(0o666)).expect("root can change the mode");
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// Writes to its beginning.
    ///
    /// # Panics
    /// If the device does not take it.
    pub fn write(&self, text: &str) {
        let device = OpenOptions::new().write(true).open(&self.node).expect("the device opens");
        device.write_all_at(text.as_bytes(), 0).expect("the device takes it");
    }

    /// Reads what is at its beginning.
    ///
    /// # Panics
    /// If the device does not give it.
    #[must_use]
    pub fn read(&self, bytes: usize) -> String {
        let mut text = vec![0; bytes];
        let device = File::open(&self.node).expect("the device opens");
        device.read_exact_at(&mut text, 0).expect("the device gives it");
        String::from_utf8_lossy(&text).into_owned()
    }

    /// What it is to the kernel.
    #[must_use]
    pub fn number(&self) -> String {
        format!("{SCREENS}:{}", self.number)
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        let _gone_already = fs::remove_file(&self.node);
    }
}

/// Takes a console that no other test has, and waits for its screen.
fn console(number: u32) -> Option<(u32, Flock<File>)> {
    let path = format!("/dev/tty{number}");
    let console = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).ok()?;
    let console = Flock::lock(console, FlockArg::LockExclusiveNonblock).ok()?;
    wait::until("the console has a screen", 5, || Path::new(&format!("/dev/vcs{number}")).exists());
    Some((number, console))
}

/// A name that no other test and no device has.
#[must_use]
pub fn unique(what: &str) -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    format!("selena-test-{what}-{}-{}", process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

/// A name for a file of a test's own; whatever is there is removed when this is dropped.
#[derive(Debug)]
pub struct Scrap(pub PathBuf);

impl Scrap {
    /// A name in a directory; nothing is there yet.
    #[must_use]
    pub fn within(directory: &str) -> Self {
        Self(Path::new(directory).join(unique("scrap")))
    }
}

impl Drop for Scrap {
    fn drop(&mut self) {
        let _never_made = fs::remove_file(&self.0);
    }
}

/// A link as udev makes it. Removed when dropped, with directories that are empty then.
#[derive(Debug)]
pub struct Link(PathBuf);

impl Link {
    /// A name in a directory of udev's, such as `serial/by-id`; nothing is there yet.
    #[must_use]
    pub fn new(directory: &str) -> Self {
        Self(Path::new("/dev").join(directory).join(unique("link")))
    }

    /// Its path, as a manifest names it.
    ///
    /// # Panics
    /// Never: it is made of text.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.to_str().expect("it is made of text")
    }

    /// Makes it lead to a node below `/dev`, at once, whatever it led to before.
    #[track_caller]
    pub fn plug(&self, node: &Path) {
        let below = node.strip_prefix("/dev").expect("nodes lie below /dev");
        self.lead_to(&Path::new("../..").join(below));
    }

    /// Makes it lead anywhere.
    ///
    /// # Panics
    /// If it cannot be made.
    #[track_caller]
    pub fn lead_to(&self, target: &Path) {
        let made = (0..ATTEMPTS).map(|_| self.replace(target)).find(Result::is_ok);
        assert!(made.is_some(), "{} cannot be made", self.path());
    }

    fn replace(&self, target: &Path) -> io::Result<()> {
        let directory = self.0.parent().unwrap_or(Path::new("/dev"));
        fs::create_dir_all(directory)?;
        let new = directory.join(format!(".{}", unique("new")));
        symlink(target, &new)?;
        fs::rename(&new, &self.0)
    }

    /// Removes it.
    pub fn unplug(&self) {
        let _gone_already = fs::remove_file(&self.0);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.unplug();
        let directories = self.0.ancestors().skip(1).take_while(|directory| *directory != Path::new("/dev"));
        for directory in directories {
            let _has_other_links = fs::remove_dir(directory);
        }
    }
}
