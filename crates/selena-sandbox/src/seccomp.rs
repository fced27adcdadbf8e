//! The hub's own seccomp profile: the system calls a module may make. What is not named here answers EPERM.
//!
//! Modules are ordinary programs (glibc, musl, Python, tokio, a JVM). They need files, memory, threads, sockets and
//! clocks; they do not need to change the system, to look into other processes, or parts of the kernel that keep
//! having holes. The rules that look at arguments are in `argument_rules`.
//!
//! In a trial the calls of [`selena_syscalls`] are denied by `SCMP_ACT_TRACE` instead of an error: the filter of the
//! trial's first process, which counts them and answers the very same error, is then the stronger one (an error would
//! win over it, and nobody would hear of the call). Without that filter nothing is let through either: a traced call
//! that nobody traces answers ENOSYS and is not made, and nobody in the container can trace, since `ptrace` is one of them.

use selena_core::ports::ContainerPurpose;
use selena_syscalls::{ALLOWED_FAMILIES, DENIED};
use serde_json::{Value, json};

const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = selena_syscalls::EAFNOSUPPORT.cast_unsigned();

/// All flags of `clone` that make a namespace.
const CLONE_NAMESPACES: u64 = selena_syscalls::CLONE_NAMESPACES as u64;
/// Socket families.
const AF_UNIX: u64 = selena_syscalls::AF_UNIX as u64;
const AF_INET: u64 = selena_syscalls::AF_INET as u64;
const AF_INET6: u64 = selena_syscalls::AF_INET6 as u64;
const AF_NETLINK: u64 = selena_syscalls::AF_NETLINK as u64;
/// Pushes characters into a terminal as if they were typed.
const TIOCSTI: u64 = 0x5412;
/// Personalities that do not weaken a program: Linux, UNAME26, LINUX32, both, and "only ask".
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// The usual one, ICMP, TCP, UDP, ICMPv6. For others the kernel would load a module of its own, by anybody's wish.
const INTERNET_PROTOCOLS: [u64; 5] = [0, 1, 6, 17, 58];
const FILE_TYPE_MASK: u64 = 0o170_000;
const FIFO: u64 = 0o010_000;

/// The calls that are allowed with any argument, by what they are for.
const ALLOWED: &[(&str, &str)] = &[
    (
        "to read, write and wait for descriptors; not `sync`, which flushes everybody's files, nor the old asynchronous \
         calls, whose number is the whole machine's",
        "close close_range copy_file_range dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait \
         epoll_pwait2 epoll_wait eventfd eventfd2 fcntl fdatasync flock fsync lseek pipe pipe2 poll ppoll pread64 preadv preadv2 \
         pselect6 pwrite64 pwritev pwritev2 read readahead readv select sendfile splice sync_file_range \
         syncfs write writev",
    ),
    (
        "to work with files; owners, modes and links are held by the kernel's own checks",
        "access chdir chmod chown creat cachestat faccessat faccessat2 fadvise64 fallocate fchdir fchmod \
         fchmodat fchmodat2 fchown fchownat fgetxattr flistxattr fremovexattr fsetxattr fstat fstatfs \
         ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init \
         inotify_init1 inotify_rm_watch lchown lgetxattr link linkat listxattr listxattrat llistxattr \
         lremovexattr lsetxattr lstat mkdir mkdirat newfstatat open openat openat2 readlink readlinkat \
         removexattr removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat statfs statx \
         symlink symlinkat truncate umask unlink unlinkat utime utimensat utimes",
    ),
    (
        "to manage the process's own memory; its size is held by the cgroup",
        "brk get_mempolicy madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall \
         mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect",
    ),
    (
        "to start, name, schedule and wait for threads and processes; their number is held by the cgroup",
        "arch_prctl execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv \
         futex_wake get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid getpriority \
         getrlimit getrusage getsid gettid ioprio_get ioprio_set kill pidfd_open pidfd_send_signal prctl \
         prlimit64 restart_syscall rseq sched_get_priority_max sched_get_priority_min sched_getaffinity \
         sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity \
         sched_setattr sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area \
         set_tid_address setpgid setpriority setrlimit setsid tgkill tkill vfork wait4 waitid",
    ),
    (
        "to handle signals",
        "pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
         rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4",
    ),
    (
        "to talk over sockets that `argument_rules` let it make",
        "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg \
         sendmmsg sendmsg sendto setsockopt shutdown socketpair",
    ),
    (
        "to read clocks and set timers; setting a clock is not here",
        "alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time \
         timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create \
         timerfd_gettime timerfd_settime times",
    ),
    (
        "to share memory and messages inside its own IPC namespace",
        "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd \
         semctl semget semop semtimedop shmat shmctl shmdt shmget",
    ),
    (
        "to ask and lower what it is and may; without capabilities nothing can be raised",
        "capget capset getegid geteuid getgid getgroups getrandom getresgid getresuid getuid \
         landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp setfsgid setfsuid setgid \
         setgroups setregid setresgid setresuid setreuid setuid sysinfo uname",
    ),
];

/// The profile as the engine takes it, for the processor this is built for.
pub(crate) fn profile(purpose: ContainerPurpose) -> String {
    let allowed = ALLOWED.iter().map(|(_, names)| json!({"names": words(names), "action": "SCMP_ACT_ALLOW"}));
    let mut syscalls: Vec<Value> = allowed.chain(argument_rules()).collect();
    match purpose {
        ContainerPurpose::Module => {
            syscalls.extend(family_rules(|conditions| refuse("socket", EAFNOSUPPORT, conditions)))
        }
        ContainerPurpose::Trial => syscalls.extend(watched_rules()),
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": [architecture()],
        "syscalls": syscalls,
    })
    .to_string()
}

fn words(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace().collect()
}

/// Only the native one: the 32-bit calls are another, older set with other numbers.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" }
}

/// Rules for the calls whose harm is in an argument.
fn argument_rules() -> Vec<Value> {
    let mut rules = vec![
        allow("clone", &[masked(0, CLONE_NAMESPACES, 0)]),
        // Its flags are behind a pointer, where no filter sees them. C libraries fall back to `clone`.
        refuse("clone3", ENOSYS, &[]),
        allow("mknod", &[masked(1, FILE_TYPE_MASK, FIFO)]),
        allow("mknodat", &[masked(2, FILE_TYPE_MASK, FIFO)]),
    ];
    rules.extend(PERSONALITIES.map(|personality| allow("personality", &[equal(0, personality)])));
    rules.extend(socket_rules());
    rules.extend(all_but("ioctl", 1, TIOCSTI));
    rules
}

/// Families that are confined by the network namespace. AF_VSOCK is not, AF_ALG and AF_PACKET are the kernel's inside.
/// Of netlink only routing (protocol 0), which C libraries ask for the names and addresses of interfaces.
fn socket_rules() -> Vec<Value> {
    let mut rules = vec![allow("socket", &[equal(0, AF_UNIX)])];
    for protocol in INTERNET_PROTOCOLS {
        rules.extend([AF_INET, AF_INET6].map(|family| allow("socket", &[equal(0, family), equal(2, protocol)])));
    }
    rules.push(allow("socket", &[equal(0, AF_NETLINK), equal(2, 0)]));
    rules
}

/// A rule for each range of families that `socket_rules` does not allow.
fn family_rules(rule: impl Fn(&[Value]) -> Value) -> impl Iterator<Item = Value> {
    let between =
        (0..AF_NETLINK).filter(|family| !ALLOWED_FAMILIES.iter().any(|allowed| u64::from(*allowed) == *family));
    let conditions = between.map(|family| equal(0, family)).chain([condition(0, "SCMP_CMP_GT", AF_NETLINK, 0)]);
    conditions.map(move |condition| rule(&[condition]))
}

/// What the filter of a trial's first process takes over; all of it is denied by the usual profile too.
fn watched_rules() -> Vec<Value> {
    let names: Vec<_> = DENIED.iter().filter(|call| call.number().is_some()).map(|call| call.name).collect();
    let mut rules = vec![json!({"names": names, "action": "SCMP_ACT_TRACE"})];
    let flags = (0..u64::BITS).map(|bit| 1 << bit).filter(|flag| CLONE_NAMESPACES & flag != 0);
    rules.extend(flags.map(|flag| watch("clone", &[masked(0, flag, flag)])));
    rules.push(watch("socket", &[equal(0, AF_NETLINK), condition(2, "SCMP_CMP_NE", 0, 0)]));
    rules.extend(family_rules(|conditions| watch("socket", conditions)));
    rules
}

/// Allows a call if the low half of an argument is not `refused`, that is, if any of its 32 bits differs.
///
/// "Not equal" would compare all 64 bits, of which the kernel looks at 32: a bit in the upper half would pass the filter.
fn all_but(name: &str, argument: u32, refused: u64) -> impl Iterator<Item = Value> {
    (0..32).map(move |bit| {
        let mask = 1 << bit;
        allow(name, &[masked(argument, mask, !refused & mask)])
    })
}

fn allow(name: &str, conditions: &[Value]) -> Value {
    json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": conditions})
}

fn refuse(name: &str, errno: u32, conditions: &[Value]) -> Value {
    json!({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": conditions})
}

fn watch(name: &str, conditions: &[Value]) -> Value {
    json!({"names": [name], "action": "SCMP_ACT_TRACE", "args": conditions})
}

fn equal(argument: u32, value: u64) -> Value {
    condition(argument, "SCMP_CMP_EQ", value, 0)
}

fn masked(argument: u32, mask: u64, value: u64) -> Value {
    condition(argument, "SCMP_CMP_MASKED_EQ", mask, value)
}

fn condition(argument: u32, comparison: &str, value: u64, value_two: u64) -> Value {
    json!({"index": argument, "op": comparison, "value": value, "valueTwo": value_two})
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Dangerous in a container, or of no use to a module.
    const FORBIDDEN: &str = "io_uring_setup io_uring_enter io_uring_register userfaultfd unshare setns mount umount umount2 \
        move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr pivot_root chroot keyctl add_key request_key bpf \
        perf_event_open ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kexec_load \
        kexec_file_load init_module finit_module delete_module create_module reboot swapon swapoff settimeofday \
        clock_settime clock_adjtime adjtimex stime open_by_handle_at name_to_handle_at lookup_dcookie quotactl \
        quotactl_fd nfsservctl acct iopl ioperm vm86 vm86old fanotify_init fanotify_mark syslog sethostname setdomainname \
        vhangup kcmp pidfd_getfd migrate_pages move_pages mbind set_mempolicy modify_ldt uselib ustat sysfs _sysctl \
        get_kernel_syms query_module memfd_secret statmount listmount";

    /// What every C library, Python, tokio or a JVM makes in its first second.
    const REQUIRED: &str = "execve brk mmap mprotect munmap openat read write close newfstatat statx rt_sigaction \
        rt_sigprocmask set_tid_address set_robust_list rseq prlimit64 getrandom futex epoll_create1 epoll_ctl epoll_pwait \
        eventfd2 accept4 bind listen connect getsockopt setsockopt sendto recvfrom sendmsg recvmsg socketpair \
        clock_gettime clock_nanosleep wait4 exit_group pipe2 dup3 fcntl getdents64 readlinkat rename unlinkat mkdirat \
        sched_getaffinity sched_yield membarrier madvise sigaltstack tgkill signalfd4 timerfd_create inotify_init1 fsync \
        fdatasync ftruncate fallocate flock sysinfo uname getuid vfork memfd_create";

    fn rules_in(purpose: ContainerPurpose) -> Vec<Value> {
        serde_json::from_str::<Value>(&profile(purpose)).unwrap()["syscalls"].as_array().unwrap().clone()
    }

    fn rules() -> Vec<Value> {
        rules_in(ContainerPurpose::Module)
    }

    fn named() -> HashSet<String> {
        let names = |rule: &Value| rule["names"].as_array().unwrap().clone();
        rules().iter().flat_map(names).map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn no_forbidden_call_is_named() {
        let named = named();
        for call in FORBIDDEN.split_whitespace() {
            assert!(!named.contains(call), "{call}");
        }
    }

    #[test]
    fn every_required_call_is_named() {
        let named = named();
        for call in REQUIRED.split_whitespace() {
            assert!(named.contains(call), "{call}");
        }
    }

    #[test]
    fn a_call_with_argument_rules_is_not_allowed_without() {
        let free: Vec<&str> = ALLOWED.iter().flat_map(|(_, names)| words(names)).collect();
        for call in ["clone", "clone3", "socket", "ioctl", "personality", "mknod", "mknodat"] {
            assert!(!free.contains(&call), "{call}");
        }
        let once: HashSet<&str> = free.iter().copied().collect();
        assert_eq!(once.len(), free.len(), "a call is named twice");
    }

    /// What the rules of `call` answer to these arguments; as the kernel's filter does it, but for its order.
    fn verdict(call: &str, arguments: &[u64]) -> String {
        verdict_in(ContainerPurpose::Module, call, arguments)
    }

    fn verdict_in(purpose: ContainerPurpose, call: &str, arguments: &[u64]) -> String {
        let holds = |condition: &Value| {
            let number = |field: &str| condition[field].as_u64().unwrap();
            let argument = arguments[usize::try_from(number("index")).unwrap()];
            match condition["op"].as_str().unwrap() {
                "SCMP_CMP_EQ" => argument == number("value"),
                "SCMP_CMP_GT" => argument > number("value"),
                "SCMP_CMP_NE" => argument != number("value"),
                "SCMP_CMP_MASKED_EQ" => argument & number("value") == number("valueTwo"),
                other => panic!("{other}"),
            }
        };
        let of_call = |rule: &&Value| rule["names"].as_array().unwrap().iter().any(|name| name == call);
        let fits = |rule: &&Value| rule["args"].as_array().is_none_or(|conditions| conditions.iter().all(holds));
        match rules_in(purpose).iter().filter(of_call).find(fits) {
            Some(rule) if rule["action"] == "SCMP_ACT_ALLOW" => "allowed".to_owned(),
            Some(rule) if rule["action"] == "SCMP_ACT_TRACE" => "watched".to_owned(),
            Some(rule) => rule["errnoRet"].to_string(),
            None => "1".to_owned(),
        }
    }

    #[test]
    fn arguments_decide() {
        const UPPER: u64 = 1 << 32;
        for (call, arguments, expected) in [
            ("socket", [1, 1, 0], "allowed"),
            ("socket", [2, 1, 0], "allowed"),
            ("socket", [10, 2, 0], "allowed"),
            ("socket", [16, 3, 0], "allowed"),
            ("socket", [16, 3, 9], "1"),
            ("socket", [40, 1, 0], "97"),
            ("socket", [38, 5, 0], "97"),
            ("socket", [17, 3, 0], "97"),
            ("socket", [3, 1, 0], "97"),
            ("socket", [UPPER | 40, 1, 0], "97"),
            ("clone", [0x003d_0f00, 0, 0], "allowed"),
            ("clone", [0x1000_0000, 0, 0], "1"),
            ("clone", [0x4000_0011, 0, 0], "1"),
            ("clone", [0x0002_0000, 0, 0], "1"),
            ("clone3", [0, 0, 0], "38"),
            ("ioctl", [0, 0x5401, 0], "allowed"),
            ("ioctl", [0, 0x5412, 0], "1"),
            ("ioctl", [0, UPPER | 0x5412, 0], "1"),
            ("personality", [0xffff_ffff, 0, 0], "allowed"),
            ("personality", [0x0400_0000, 0, 0], "1"),
            ("mknodat", [0, 0, 0o010_644], "allowed"),
            ("mknodat", [0, 0, 0o020_644], "1"),
            ("mknod", [0, 0o060_644, 0], "1"),
        ] {
            assert_eq!(verdict(call, &arguments), expected, "{call} {arguments:x?}");
        }
    }

    #[test]
    fn a_trial_allows_what_a_module_is_allowed_and_nothing_else() {
        let allowed = |purpose| {
            let all = rules_in(purpose).into_iter();
            all.filter(|rule| rule["action"] == "SCMP_ACT_ALLOW").map(|rule| rule.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(allowed(ContainerPurpose::Trial), allowed(ContainerPurpose::Module));
        assert!(rules().iter().all(|rule| rule["action"] != "SCMP_ACT_TRACE"), "a module is not traced");
    }

    #[test]
    fn what_a_trial_watches_is_denied_to_modules() {
        let named = named();
        for call in DENIED {
            assert!(!named.contains(call.name), "{}", call.name);
            if call.number().is_some() {
                assert_eq!(verdict_in(ContainerPurpose::Trial, call.name, &[0; 6]), "watched", "{}", call.name);
            }
        }
        for (call, arguments) in [
            ("socket", [40, 1, 0]),
            ("socket", [38, 5, 0]),
            ("socket", [3, 1, 0]),
            ("socket", [1 << 32 | 40, 1, 0]),
            ("socket", [16, 3, 9]),
            ("clone", [0x1000_0000, 0, 0]),
            ("clone", [0x4000_0011, 0, 0]),
            ("clone", [0x0002_0000, 0, 0]),
        ] {
            assert_eq!(verdict_in(ContainerPurpose::Trial, call, &arguments), "watched", "{call} {arguments:x?}");
            assert_ne!(verdict(call, &arguments), "allowed", "{call} {arguments:x?}");
        }
    }
}
