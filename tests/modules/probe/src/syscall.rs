//! Calls of the kernel by number, as a hostile program makes them.
#![expect(unsafe_code, reason = "what is tried here has no safe form: the calls are meant to be refused")]

use nix::{errno::Errno, libc};

/// Makes a system call with integers as arguments; the name of its error, or `None` if it was done.
pub(crate) fn call(number: i64, arguments: [i64; 4]) -> Option<String> {
    let [first, second, third, fourth] = arguments;
    // SAFETY: the tests pass null pointers and flags only, so that a call which is let through answers EFAULT or
    // EINVAL, or changes nothing but the state of this process, which is thrown away after the test.
    let answer = unsafe { libc::syscall(number, first, second, third, fourth) };
    (answer < 0).then(|| format!("{:?}", Errno::last()))
}

/// Lets another process of the same user open no more files; the name of the error, or `None` if it was done.
pub(crate) fn take_descriptors(pid: i32) -> Option<String> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` lives beyond the call, which only reads it; no old limit is asked for.
    let answer = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const none, std::ptr::null_mut()) };
    (answer < 0).then(|| format!("{:?}", Errno::last()))
}
