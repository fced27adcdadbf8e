//! Signals as a file descriptor: blocked everywhere in this process, read where there is time for them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, SigmaskHow, Signal, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// Signals that the kernel sends for a fault of this process itself; blocking them would turn a crash into a hang.
const OWN_FAULTS: [Signal; 7] =
    [Signal::SIGABRT, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGSEGV, Signal::SIGSYS, Signal::SIGTRAP];

/// What can be read without waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) signal: bool,
    pub(crate) first: bool,
    pub(crate) second: bool,
}

/// All signals of this process but its own faults.
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals and opens a descriptor that delivers them.
    pub(crate) fn block_all() -> io::Result<Self> {
        let mut set = SigSet::all();
        for fault in OWN_FAULTS {
            set.remove(fault);
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None)?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The next signal that waits, if any. Numbers that nix has no name for (real-time signals) are passed over.
    pub(crate) fn take(&mut self) -> io::Result<Option<Signal>> {
        while let Some(info) = self.0.read_signal()? {
            if let Some(signal) = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }

    /// Waits until a signal is there.
    pub(crate) fn wait(&self) -> io::Result<()> {
        wait_for(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)
    }

    /// Waits until a signal is there or one of two others can be read, or was closed.
    pub(crate) fn wait_with(&self, first: BorrowedFd<'_>, second: Option<BorrowedFd<'_>>) -> io::Result<Ready> {
        let mut all = [self.0.as_fd(), first, second.unwrap_or(first)].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        wait_for(&mut all, PollTimeout::NONE)?;
        let [signal, first, other] = all.map(|fd| fd.any().unwrap_or_default());
        Ok(Ready { signal, first, second: second.is_some() && other })
    }

    /// Waits until a signal is there or the time is over.
    pub(crate) fn wait_at_most(&self, limit: Duration) -> io::Result<()> {
        wait_for(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], rounded_up(limit))
    }

    /// Waits until a signal is there, `other` can be read, or the time is over.
    pub(crate) fn wait_or_readable(&self, other: &impl AsFd, limit: Duration) -> io::Result<()> {
        let mut both = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN), PollFd::new(other.as_fd(), PollFlags::POLLIN)];
        wait_for(&mut both, rounded_up(limit))
    }
}

fn wait_for(what: &mut [PollFd<'_>], limit: PollTimeout) -> io::Result<()> {
    match poll(what, limit) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// `poll` counts whole milliseconds; zero would make a busy loop of the last one.
fn rounded_up(limit: Duration) -> PollTimeout {
    PollTimeout::try_from(limit.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
}

/// Exit code that tells of a signal, as shells and the container engine do it.
pub(crate) fn exit_code_of(signal: Signal) -> u8 {
    128_u8.saturating_add(u8::try_from(signal as i32).unwrap_or(u8::MAX))
}
