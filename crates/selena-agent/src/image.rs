//! Whether the root is one that the kernel verifies: that one is never written.

use std::{
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
};

/// What on the kernel's command line says that the root is verified (`systemd-veritysetup-generator(8)`).
const VERITY_ARGUMENTS: [&str; 3] = ["roothash=", "usrhash=", "systemd.verity_root_hash="];

/// The root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// Like any other.
    Plain,
    /// Verified by the kernel, block by block.
    Verified {
        /// The device of its file system.
        device: u64,
    },
}

impl Root {
    /// What this machine's root is.
    pub(crate) fn of_this_machine() -> Self {
        let arguments = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        match fs::metadata("/") {
            Ok(root) if is_verified(&arguments) => Self::Verified { device: root.dev() },
            _ => Self::Plain,
        }
    }

    /// Whether a directory lies on a root that is verified.
    pub(crate) fn is_on(self, directory: &OwnedFd) -> bool {
        let Self::Verified { device } = self else { return false };
        let metadata = directory.as_fd().try_clone_to_owned().and_then(|fd| fs::File::from(fd).metadata());
        metadata.is_ok_and(|metadata| metadata.dev() == device)
    }
}

fn is_verified(arguments: &str) -> bool {
    arguments
        .split_ascii_whitespace()
        .any(|argument| VERITY_ARGUMENTS.iter().any(|verity| argument.starts_with(verity)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verified_root_is_known_by_the_command_line() {
        assert!(is_verified("quiet roothash=00ff systemd.volatile=no"));
        assert!(!is_verified("quiet root=/dev/vda1 noroothash=1") && !is_verified(""));
    }

    #[test]
    fn what_lies_on_it_is_known_by_its_device() {
        let here = std::env::current_dir().expect("somewhere");
        let device = fs::metadata(&here).expect("there").dev();
        let directory = OwnedFd::from(fs::File::open(&here).expect("opened"));
        assert!(Root::Verified { device }.is_on(&directory));
        assert!(!Root::Verified { device: device + 1 }.is_on(&directory) && !Root::Plain.is_on(&directory));
    }
}
