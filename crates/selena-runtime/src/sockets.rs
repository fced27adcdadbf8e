//! Listening sockets that systemd made and handed over (`sd_listen_fds(3)`), by the name of their unit or of
//! `FileDescriptorName=`.
#![expect(unsafe_code, reason = "systemd passes descriptors as numbers; the block says why they are ours")]

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

/// The sockets that were handed over and are not taken yet.
#[derive(Debug, Default)]
pub struct PassedSockets(Vec<(String, OwnedFd)>);

impl PassedSockets {
    /// The sockets of this process. To be called once, at the begin of `main`; they are closed in programs it starts.
    ///
    /// # Errors
    /// If what the environment says is malformed.
    pub fn receive() -> io::Result<Self> {
        // What was meant for another process still names its sockets in the environment, and is nothing to this one.
        if sd_notify::listen_fds()?.len() == 0 {
            return Ok(Self::default());
        }
        let passed = sd_notify::listen_fds_with_names()?;
        // JUSTIFICATION: the numbers come from the environment, by systemd's protocol.
        // SAFETY: `LISTEN_PID` is this process, so descriptors 3 to 3 + n were open when it began and belong to nobody in
        // it; this runs once, before anything else of the program opens or closes one, so each gets one owner.
        let own = |(number, name)| (name, unsafe { OwnedFd::from_raw_fd(number) });
        Ok(Self(passed.map(own).collect()))
    }

    /// Takes the socket of that name, if there is one.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Names of those that nobody took: a unit names something wrong.
    #[must_use]
    pub fn left(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}
