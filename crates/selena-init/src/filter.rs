//! The filter of a trial: which system calls are taken to the init instead of being made. Classic BPF, as seccomp takes it.
//!
//! It lets through whatever [`selena_syscalls`] does not name; the container's own profile decides on that.

use nix::libc::{
    BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF,
    sock_filter,
};
use selena_syscalls::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, CLONE, CLONE_NAMESPACES, DENIED, SOCKET};

/// Places in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
/// The kernel's word for the processor (`AUDIT_ARCH_X86_64`, `AUDIT_ARCH_AARCH64`).
const NATIVE: u32 = if cfg!(target_arch = "aarch64") { 0xC000_00B7 } else { 0xC000_003E };

/// The whole filter. Every jump goes forward by one instruction or over one block.
pub(crate) fn program() -> Vec<sock_filter> {
    let mut program = vec![load(ARCHITECTURE), unless_equal(NATIVE), give(SECCOMP_RET_ALLOW), load(NUMBER)];
    for number in DENIED.iter().filter_map(selena_syscalls::Call::number) {
        program.extend([if_equal(number, 1), give(SECCOMP_RET_USER_NOTIF)]);
    }
    for (call, block) in [(CLONE, clone_block()), (SOCKET, socket_block())] {
        if let (Some(number), Ok(length)) = (call.number(), u8::try_from(block.len())) {
            program.push(if_equal(number, length));
            program.extend(block);
        }
    }
    program.push(give(SECCOMP_RET_ALLOW));
    program
}

fn clone_block() -> Vec<sock_filter> {
    vec![
        load(low(0)),
        instruction(BPF_JMP | BPF_JSET | BPF_K, 0, 1, CLONE_NAMESPACES),
        give(SECCOMP_RET_USER_NOTIF),
        give(SECCOMP_RET_ALLOW),
    ]
}

/// All 64 bits are compared, as the profile does it.
fn socket_block() -> Vec<sock_filter> {
    let mut block = vec![load(high(0)), unless_equal(0), give(SECCOMP_RET_USER_NOTIF), load(low(0))];
    for family in [AF_UNIX, AF_INET, AF_INET6] {
        block.extend([if_equal(family, 1), give(SECCOMP_RET_ALLOW)]);
    }
    block.extend([unless_equal(AF_NETLINK), give(SECCOMP_RET_USER_NOTIF)]);
    for half in [low(2), high(2)] {
        block.extend([load(half), unless_equal(0), give(SECCOMP_RET_USER_NOTIF)]);
    }
    block.push(give(SECCOMP_RET_ALLOW));
    block
}

/// The lower half of an argument; both processors have it first.
const fn low(argument: u32) -> u32 {
    ARGUMENTS + 8 * argument
}

const fn high(argument: u32) -> u32 {
    low(argument) + 4
}

const fn load(offset: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset)
}

/// Goes on if it is equal, and else passes over what follows.
const fn if_equal(value: u32, passed_over: u8) -> sock_filter {
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, passed_over, value)
}

/// Passes over the next instruction if it is equal.
const fn unless_equal(value: u32) -> sock_filter {
    instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, value)
}

const fn give(action: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, 0, 0, action)
}

#[expect(clippy::cast_possible_truncation, reason = "the operations of classic BPF are 16 bits wide")]
const fn instruction(code: u32, if_true: u8, if_false: u8, value: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: if_true, jf: if_false, k: value }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    /// What the kernel would make of a call, by running the program as its interpreter does.
    fn verdict(architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(architecture.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        let word = |at: u32| {
            let at = usize::try_from(at).unwrap();
            u32::from_le_bytes(data[at..at + 4].try_into().unwrap())
        };
        let (program, mut accumulator, mut at) = (program(), 0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            let jump = |taken: bool| usize::from(if taken { jt } else { jf });
            at += 1;
            match u32::from(code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => accumulator = word(k),
                code if code == BPF_JMP | BPF_JEQ | BPF_K => at += jump(accumulator == k),
                code if code == BPF_JMP | BPF_JSET | BPF_K => at += jump(accumulator & k != 0),
                code if code == BPF_RET | BPF_K => return k,
                code => panic!("no instruction of this program: {code:#x}"),
            }
        }
    }

    fn is_taken(number: libc::c_long, arguments: [u64; 6]) -> bool {
        match verdict(NATIVE, u32::try_from(number).unwrap(), arguments) {
            SECCOMP_RET_USER_NOTIF => true,
            SECCOMP_RET_ALLOW => false,
            other => panic!("{other:#x}"),
        }
    }

    #[test]
    fn the_numbers_of_the_table_are_the_kernels() {
        for (name, number) in [
            ("mount", libc::SYS_mount),
            ("umount2", libc::SYS_umount2),
            ("pivot_root", libc::SYS_pivot_root),
            ("unshare", libc::SYS_unshare),
            ("setns", libc::SYS_setns),
            ("ptrace", libc::SYS_ptrace),
            ("process_vm_readv", libc::SYS_process_vm_readv),
            ("process_vm_writev", libc::SYS_process_vm_writev),
            ("keyctl", libc::SYS_keyctl),
            ("add_key", libc::SYS_add_key),
            ("request_key", libc::SYS_request_key),
            ("bpf", libc::SYS_bpf),
            ("perf_event_open", libc::SYS_perf_event_open),
            ("io_uring_setup", libc::SYS_io_uring_setup),
            ("userfaultfd", libc::SYS_userfaultfd),
            ("init_module", libc::SYS_init_module),
            ("finit_module", libc::SYS_finit_module),
            ("delete_module", libc::SYS_delete_module),
            ("kexec_load", libc::SYS_kexec_load),
            ("reboot", libc::SYS_reboot),
            ("swapon", libc::SYS_swapon),
            ("swapoff", libc::SYS_swapoff),
            ("open_by_handle_at", libc::SYS_open_by_handle_at),
            ("name_to_handle_at", libc::SYS_name_to_handle_at),
            ("quotactl", libc::SYS_quotactl),
            ("acct", libc::SYS_acct),
            ("settimeofday", libc::SYS_settimeofday),
            ("clock_settime", libc::SYS_clock_settime),
            ("clock_adjtime", libc::SYS_clock_adjtime),
            ("adjtimex", libc::SYS_adjtimex),
            ("sethostname", libc::SYS_sethostname),
            ("setdomainname", libc::SYS_setdomainname),
            ("syslog", libc::SYS_syslog),
            ("fanotify_init", libc::SYS_fanotify_init),
            ("lookup_dcookie", libc::SYS_lookup_dcookie),
            ("pidfd_getfd", libc::SYS_pidfd_getfd),
            ("clone", libc::SYS_clone),
            ("socket", libc::SYS_socket),
        ] {
            let call = DENIED.iter().chain([&CLONE, &SOCKET]).find(|call| call.name == name).unwrap();
            assert_eq!(call.number().map(i64::from), Some(number), "{name}");
        }
    }

    #[test]
    fn every_denied_call_is_taken_and_a_usual_one_is_not() {
        for call in DENIED {
            if let Some(number) = call.number() {
                assert_eq!(verdict(NATIVE, number, [0; 6]), SECCOMP_RET_USER_NOTIF, "{}", call.name);
            }
        }
        for number in [libc::SYS_read, libc::SYS_execve, libc::SYS_connect, libc::SYS_seccomp, libc::SYS_exit_group] {
            assert!(!is_taken(number, [u64::MAX; 6]), "{number}");
        }
    }

    #[test]
    fn arguments_decide_on_processes_and_sockets() {
        const UPPER: u64 = 1 << 32;
        for (number, arguments, taken) in [
            (libc::SYS_clone, [0x003d_0f00, 0, 0], false),
            (libc::SYS_clone, [0x4111, 0, 0], false),
            (libc::SYS_clone, [0x1000_0000, 0, 0], true),
            (libc::SYS_clone, [0x4000_0011, 0, 0], true),
            (libc::SYS_clone, [0x0002_0000, 0, 0], true),
            (libc::SYS_socket, [1, 1, 0], false),
            (libc::SYS_socket, [2, 1, 6], false),
            (libc::SYS_socket, [10, 2, 17], false),
            (libc::SYS_socket, [16, 3, 0], false),
            (libc::SYS_socket, [16, 3, 9], true),
            (libc::SYS_socket, [16, 3, UPPER], true),
            (libc::SYS_socket, [40, 1, 0], true),
            (libc::SYS_socket, [0, 1, 0], true),
            (libc::SYS_socket, [UPPER | 2, 1, 0], true),
        ] {
            let [first, second, third] = arguments;
            assert_eq!(is_taken(number, [first, second, third, 0, 0, 0]), taken, "{number} {arguments:x?}");
        }
    }

    #[test]
    fn the_calls_of_another_processor_are_left_to_the_profile() {
        let mount = DENIED.iter().find(|call| call.name == "mount").unwrap().number().unwrap();
        assert_eq!(verdict(0x4000_0003, mount, [0; 6]), SECCOMP_RET_ALLOW);
    }
}
