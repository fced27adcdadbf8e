//! The priority of the thread that hashes; the only unsafe code of the agent.
#![expect(
    unsafe_code,
    reason = "JUSTIFICATION: neither the standard library nor nix sets nice, scheduling class or IO class of a thread; three calls, kept alone in this file"
)]

use std::io;

use nix::libc;

/// `IOPRIO_WHO_PROCESS` of `linux/ioprio.h`: a thread; 0 is the caller.
const WHO_THREAD: libc::c_int = 1;
/// `IOPRIO_CLASS_NONE`: by the nice value.
const CLASS_BY_NICE: libc::c_int = 0;
/// `IOPRIO_CLASS_IDLE`, in the upper bits.
const CLASS_IDLE: libc::c_int = 3 << 13;

/// Lets everything else on the machine go first: this thread runs and reads when nobody else wants to.
///
/// # Errors
/// What the kernel says.
pub(crate) fn idle() -> io::Result<()> {
    set(libc::SCHED_IDLE, 19, CLASS_IDLE)
}

/// Takes part like everybody else again.
///
/// # Errors
/// What the kernel says; without `CAP_SYS_NICE` the nice value stays.
pub(crate) fn normal() -> io::Result<()> {
    set(libc::SCHED_OTHER, 0, CLASS_BY_NICE)
}

/// All three are per thread on Linux, and 0 is the calling one.
fn set(policy: libc::c_int, nice: libc::c_int, io_class: libc::c_int) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads one `sched_param`, which lives until it returns, and changes nothing of this process's memory.
    let scheduled = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    // SAFETY: the call takes three numbers and touches no memory.
    let niced = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    // SAFETY: as above; the C library has no wrapper for it.
    let classed = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_THREAD, 0, io_class) };
    if scheduled == -1 || niced == -1 || classed == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    /// Nice and scheduling policy of the calling thread, as the kernel tells.
    fn stat() -> (i32, i32) {
        let text = fs::read_to_string("/proc/thread-self/stat").expect("Linux");
        let fields: Vec<_> = text.rsplit(") ").next().expect("after the name").split(' ').collect();
        // Fields 19 and 41 of proc(5), of which two stand before the split.
        (fields[16].parse().expect("nice"), fields[38].parse().expect("policy"))
    }

    #[test]
    fn a_thread_is_idle_and_comes_back_and_its_process_never_was() {
        let idle = std::thread::spawn(|| {
            super::idle().expect("set");
            let idle = stat();
            super::normal().expect("set, as root");
            (idle, stat())
        });
        assert_eq!(idle.join().expect("ran"), ((19, 5), (0, 0)));
        assert_eq!(stat(), (0, 0));
    }
}
