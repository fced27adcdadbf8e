//! The kernel's side of a trial: the filter in force, and the denied calls that wait for their answer.
//!
//! JUSTIFICATION: neither the standard library nor nix has `seccomp(2)` or its ioctls. Each call here passes only
//! memory of its own that lives longer than the call.
#![expect(unsafe_code, reason = "see JUSTIFICATION above")]

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    libc::{
        self, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, SECCOMP_SET_MODE_FILTER,
        SYS_seccomp, c_ulong, seccomp_notif, seccomp_notif_resp, sock_fprog,
    },
};

use crate::filter;

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`: who asks and who answers take turns on one processor.
const SYNC_WAKE_UP: i32 = 1;

nix::ioctl_readwrite!(receive, b'!', 0, seccomp_notif);
nix::ioctl_readwrite!(send, b'!', 1, seccomp_notif_resp);
nix::ioctl_write_int_bad!(set_flags, nix::request_code_write!(b'!', 4, mem::size_of::<u64>()));

/// A denied call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    id: u64,
    /// Its number.
    pub(crate) number: u32,
    /// Its first argument.
    pub(crate) argument: u64,
}

/// The receiving end of the filter. While it is open, a denied call waits until it is answered; closed, it answers ENOSYS.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Puts the filter in force for this process and all that it starts from now on, for good.
    ///
    /// This process must never make a call that the filter takes: nobody would answer it.
    pub(crate) fn install() -> io::Result<Self> {
        let mut instructions = filter::program();
        let program = sock_fprog {
            len: u16::try_from(instructions.len()).map_err(io::Error::other)?,
            filter: instructions.as_mut_ptr(),
        };
        // The second flag is of Linux 5.19. Without it a signal makes the kernel ask twice for one call.
        let flags = [
            SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
            SECCOMP_FILTER_FLAG_NEW_LISTENER,
        ];
        let fd = match seccomp(flags[0], &program) {
            Err(Errno::EINVAL) => seccomp(flags[1], &program)?,
            other => other?,
        };
        // SAFETY: the descriptor was made by the call above, so it is this process's, and nothing else owns it.
        let listener = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: the request takes a number. Kernels before 6.6 do not know it, and are only slower.
        let _ = unsafe { set_flags(listener.0.as_raw_fd(), SYNC_WAKE_UP) };
        Ok(listener)
    }

    /// The next call that waits; none if who made it has ended meanwhile.
    pub(crate) fn receive(&self) -> io::Result<Option<Attempt>> {
        // SAFETY: the structure consists of integers, and the kernel wants it zeroed.
        let mut seen: seccomp_notif = unsafe { mem::zeroed() };
        // SAFETY: `seen` is a `seccomp_notif` of this function, which the kernel fills.
        match unsafe { receive(self.0.as_raw_fd(), &raw mut seen) } {
            Ok(_) => {
                let number = seen.data.nr.cast_unsigned();
                Ok(Some(Attempt { id: seen.id, number, argument: seen.data.args[0] }))
            }
            Err(Errno::ENOENT | Errno::EINTR | Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Answers a call with an error; it is never made.
    pub(crate) fn deny(&self, attempt: Attempt, errno: i32) -> io::Result<()> {
        let mut answer = seccomp_notif_resp { id: attempt.id, val: 0, error: -errno, flags: 0 };
        // SAFETY: `answer` is a `seccomp_notif_resp` of this function, which the kernel reads.
        match unsafe { send(self.0.as_raw_fd(), &raw mut answer) } {
            // Who made the call has ended.
            Ok(_) | Err(Errno::ENOENT | Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn seccomp(flags: c_ulong, program: &sock_fprog) -> Result<i32, Errno> {
    // SAFETY: `program` names as many instructions as there are, in memory that lives beyond this call, which copies them.
    let answer = unsafe { libc::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(program)) };
    Errno::result(answer).map(|fd| i32::try_from(fd).unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use nix::sched::{CloneFlags, unshare};
    use selena_syscalls::DENIED;

    use super::*;

    /// The filter of a thread is no other thread's, so that this test can be both sides. Needs root.
    #[test]
    fn a_denied_call_is_taken_and_answered_and_not_made() {
        let (give, take) = mpsc::channel();
        let module = thread::spawn(move || {
            let namespace = || std::fs::read_link("/proc/thread-self/ns/uts").unwrap();
            let before = namespace();
            give.send(Listener::install().expect("this test needs root, or `no_new_privs`")).unwrap();
            let answers = [unshare(CloneFlags::CLONE_NEWUTS), unshare(CloneFlags::CLONE_NEWUTS)];
            assert_eq!(namespace(), before);
            let second = Listener::install().unwrap_err();
            assert_eq!(second.raw_os_error(), Some(Errno::EBUSY as i32), "another listener took the place: {second}");
            answers
        });
        let listener = take.recv().unwrap();
        for errno in [1, 97] {
            let attempt = listener.receive().unwrap().expect("the call waits");
            let call = DENIED.iter().find(|call| call.number() == Some(attempt.number)).unwrap();
            assert_eq!((call.name, attempt.argument), ("unshare", 0x0400_0000));
            listener.deny(attempt, errno).unwrap();
        }
        assert_eq!(module.join().unwrap(), [Err(Errno::EPERM), Err(Errno::EAFNOSUPPORT)]);
    }
}
