//! The system calls that are denied to every module and that a trial watches for (protocol, section 2, step 3).
//!
//! Entry points: [`DENIED`], and for the two calls whose harm is in an argument [`CLONE`] and [`SOCKET`].
//! The container's profile and the filter of its first process are both made from this table, so that they cannot differ:
//! what the filter takes for a denied call, the profile denies. The calls are those by which a program tries to leave its
//! container or to change the machine; a call that is merely of no use to a module is denied too, but not watched.
//!
//! This crate knows numbers and names. It makes no system call, and depends on nothing.

/// `Operation not permitted`: what a denied call answers.
pub const EPERM: i32 = 1;
/// `Address family not supported`: what `socket` answers to a denied family.
pub const EAFNOSUPPORT: i32 = 97;

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name, as the kernel's manual has it.
    pub name: &'static str,
    x86_64: Option<u32>,
    aarch64: Option<u32>,
}

impl Call {
    /// Its number on the processor this is built for; `None` if that has no such call.
    #[must_use]
    pub const fn number(&self) -> Option<u32> {
        if cfg!(target_arch = "aarch64") { self.aarch64 } else { self.x86_64 }
    }
}

/// Makes a process; denied if it makes a namespace too.
pub const CLONE: Call = Call { name: "clone", x86_64: Some(56), aarch64: Some(220) };
/// All flags of `clone` that make a namespace: mount, cgroup, UTS, IPC, user, PID, network.
pub const CLONE_NAMESPACES: u32 = 0x7E02_0000;

/// Makes a socket; denied but for the families that are confined by the network namespace.
pub const SOCKET: Call = Call { name: "socket", x86_64: Some(41), aarch64: Some(198) };
/// Local sockets.
pub const AF_UNIX: u32 = 1;
/// IPv4.
pub const AF_INET: u32 = 2;
/// IPv6.
pub const AF_INET6: u32 = 10;
/// Netlink, of which only routing (protocol 0) is allowed.
pub const AF_NETLINK: u32 = 16;
/// The families that are allowed; netlink is the last.
pub const ALLOWED_FAMILIES: [u32; 4] = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK];

/// The kernel's word for an address family; `None` for those nobody has heard of.
#[must_use]
pub const fn family_name(family: u32) -> Option<&'static str> {
    Some(match family {
        AF_NETLINK => "AF_NETLINK",
        3 => "AF_AX25",
        4 => "AF_IPX",
        9 => "AF_X25",
        15 => "AF_KEY",
        17 => "AF_PACKET",
        21 => "AF_RDS",
        24 => "AF_PPPOX",
        29 => "AF_CAN",
        30 => "AF_TIPC",
        31 => "AF_BLUETOOTH",
        33 => "AF_RXRPC",
        38 => "AF_ALG",
        39 => "AF_NFC",
        40 => "AF_VSOCK",
        41 => "AF_KCM",
        42 => "AF_QIPCRTR",
        43 => "AF_SMC",
        44 => "AF_XDP",
        _ => return None,
    })
}

/// The calls that are denied whatever their arguments are, by name.
#[rustfmt::skip]
pub const DENIED: &[Call] = &[
    Call { name: "acct", x86_64: Some(163), aarch64: Some(89) },
    Call { name: "add_key", x86_64: Some(248), aarch64: Some(217) },
    Call { name: "adjtimex", x86_64: Some(159), aarch64: Some(171) },
    Call { name: "bpf", x86_64: Some(321), aarch64: Some(280) },
    Call { name: "chroot", x86_64: Some(161), aarch64: Some(51) },
    Call { name: "clock_adjtime", x86_64: Some(305), aarch64: Some(266) },
    Call { name: "clock_settime", x86_64: Some(227), aarch64: Some(112) },
    Call { name: "delete_module", x86_64: Some(176), aarch64: Some(106) },
    Call { name: "fanotify_init", x86_64: Some(300), aarch64: Some(262) },
    Call { name: "fanotify_mark", x86_64: Some(301), aarch64: Some(263) },
    Call { name: "finit_module", x86_64: Some(313), aarch64: Some(273) },
    Call { name: "fsconfig", x86_64: Some(431), aarch64: Some(431) },
    Call { name: "fsmount", x86_64: Some(432), aarch64: Some(432) },
    Call { name: "fsopen", x86_64: Some(430), aarch64: Some(430) },
    Call { name: "fspick", x86_64: Some(433), aarch64: Some(433) },
    Call { name: "init_module", x86_64: Some(175), aarch64: Some(105) },
    Call { name: "io_uring_enter", x86_64: Some(426), aarch64: Some(426) },
    Call { name: "io_uring_register", x86_64: Some(427), aarch64: Some(427) },
    Call { name: "io_uring_setup", x86_64: Some(425), aarch64: Some(425) },
    Call { name: "ioperm", x86_64: Some(173), aarch64: None },
    Call { name: "iopl", x86_64: Some(172), aarch64: None },
    Call { name: "kcmp", x86_64: Some(312), aarch64: Some(272) },
    Call { name: "kexec_file_load", x86_64: Some(320), aarch64: Some(294) },
    Call { name: "kexec_load", x86_64: Some(246), aarch64: Some(104) },
    Call { name: "keyctl", x86_64: Some(250), aarch64: Some(219) },
    Call { name: "lookup_dcookie", x86_64: Some(212), aarch64: Some(18) },
    Call { name: "memfd_secret", x86_64: Some(447), aarch64: Some(447) },
    Call { name: "modify_ldt", x86_64: Some(154), aarch64: None },
    Call { name: "mount", x86_64: Some(165), aarch64: Some(40) },
    Call { name: "mount_setattr", x86_64: Some(442), aarch64: Some(442) },
    Call { name: "move_mount", x86_64: Some(429), aarch64: Some(429) },
    Call { name: "name_to_handle_at", x86_64: Some(303), aarch64: Some(264) },
    Call { name: "open_by_handle_at", x86_64: Some(304), aarch64: Some(265) },
    Call { name: "open_tree", x86_64: Some(428), aarch64: Some(428) },
    Call { name: "perf_event_open", x86_64: Some(298), aarch64: Some(241) },
    Call { name: "pidfd_getfd", x86_64: Some(438), aarch64: Some(438) },
    Call { name: "pivot_root", x86_64: Some(155), aarch64: Some(41) },
    Call { name: "process_madvise", x86_64: Some(440), aarch64: Some(440) },
    Call { name: "process_mrelease", x86_64: Some(448), aarch64: Some(448) },
    Call { name: "process_vm_readv", x86_64: Some(310), aarch64: Some(270) },
    Call { name: "process_vm_writev", x86_64: Some(311), aarch64: Some(271) },
    Call { name: "ptrace", x86_64: Some(101), aarch64: Some(117) },
    Call { name: "quotactl", x86_64: Some(179), aarch64: Some(60) },
    Call { name: "quotactl_fd", x86_64: Some(443), aarch64: Some(443) },
    Call { name: "reboot", x86_64: Some(169), aarch64: Some(142) },
    Call { name: "request_key", x86_64: Some(249), aarch64: Some(218) },
    Call { name: "setdomainname", x86_64: Some(171), aarch64: Some(162) },
    Call { name: "sethostname", x86_64: Some(170), aarch64: Some(161) },
    Call { name: "setns", x86_64: Some(308), aarch64: Some(268) },
    Call { name: "settimeofday", x86_64: Some(164), aarch64: Some(170) },
    Call { name: "swapoff", x86_64: Some(168), aarch64: Some(225) },
    Call { name: "swapon", x86_64: Some(167), aarch64: Some(224) },
    Call { name: "syslog", x86_64: Some(103), aarch64: Some(116) },
    Call { name: "umount2", x86_64: Some(166), aarch64: Some(39) },
    Call { name: "unshare", x86_64: Some(272), aarch64: Some(97) },
    Call { name: "userfaultfd", x86_64: Some(323), aarch64: Some(282) },
    Call { name: "vhangup", x86_64: Some(153), aarch64: Some(58) },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_call_stands_there_twice_on_any_processor() {
        let all = || DENIED.iter().chain([&CLONE, &SOCKET]);
        let distinct = |numbers: Vec<u32>| numbers.iter().collect::<HashSet<_>>().len() == numbers.len();
        assert!(distinct(all().filter_map(|call| call.x86_64).collect()));
        assert!(distinct(all().filter_map(|call| call.aarch64).collect()));
        assert!(DENIED.is_sorted_by_key(|call| call.name));
    }

    #[test]
    fn the_families_that_get_out_of_a_namespace_have_names() {
        for (family, name) in [(40, "AF_VSOCK"), (38, "AF_ALG"), (17, "AF_PACKET"), (16, "AF_NETLINK")] {
            assert_eq!(family_name(family), Some(name));
        }
        assert_eq!(family_name(45), None);
    }
}
