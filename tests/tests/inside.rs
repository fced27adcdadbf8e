//! What a module sees of the machine from inside: nothing but `lo` and the core (protocol, sections 1 and 4).

use std::{fs, net::UdpSocket};

use nix::libc;
use selena_tests::{Hub, Module, Package};
use serde_json::{Value, json};

fn connects(module: &Module, to: &str) -> bool {
    module.act(&json!({ "act": "connect", "to": to }))["done"] == true
}

fn error(module: &Module, act: &Value) -> String {
    let seen = module.act(act);
    assert!(seen["done"].is_null(), "{act} was let through: {seen}");
    seen["error"].as_str().unwrap_or_default().to_owned()
}

/// An address of this machine that others reach.
fn host_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn name_servers() -> Vec<String> {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers =
        text.lines().filter_map(|line| line.strip_prefix("nameserver ")).map(|server| server.trim().to_owned());
    servers.filter(|server| !server.contains(':')).chain(["127.0.0.11".to_owned(), "8.8.8.8".to_owned()]).collect()
}

#[test]
fn only_lo_and_the_core_are_there() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("inside", 8100));
    assert_eq!(module.act(&json!({ "act": "interfaces" })), json!(["lo"]));
    assert!(connects(&module, "127.0.0.1:7070"), "the core");
    let health = module.core_without_token().get("/health").expect(200).json();
    let of_the_host = hub.anonymous().get("/health").expect(200).json();
    assert_eq!(health["version"], of_the_host["version"], "127.0.0.1:7070 is the core");
    assert!(module.act(&json!({ "act": "connect", "to": "127.0.0.1:7071" }))["error"] == "ECONNREFUSED", "no proxy");

    let port = hub.port();
    let mut elsewhere =
        vec![format!("127.0.0.1:{port}"), "127.0.0.1:22".into(), "169.254.169.254:80".into(), "1.1.1.1:443".into()];
    elsewhere.extend(host_address().map(|address| format!("{address}:{port}")));
    for to in elsewhere {
        assert!(!connects(&module, &to), "{to}");
    }
    for server in name_servers() {
        let refused = error(&module, &json!({ "act": "datagram", "to": format!("{server}:53") }));
        assert!(["ENETUNREACH", "ECONNREFUSED"].contains(&refused.as_str()), "DNS at {server}: {refused}");
    }
    let routes = module.act(&json!({ "act": "read", "path": "/proc/net/route" }));
    assert_eq!(routes["done"].as_str().map(|text| text.lines().count()), Some(1), "no route: {routes}");
}

#[test]
fn another_module_is_out_of_reach() {
    let hub = Hub::start();
    let one = hub.install(&Package::probe("one", 8100));
    let two = hub.install(&Package::probe("two", 8101));
    for (module, own, other) in [(&one, 8100, 8101), (&two, 8101, 8100)] {
        assert!(connects(module, &format!("127.0.0.1:{own}")));
        assert!(!connects(module, &format!("127.0.0.1:{other}")));
    }
    let processes = one.act(&json!({ "act": "list", "path": "/proc" }));
    let numbers = processes["done"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|name| name.as_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())));
    assert_eq!(numbers.count(), 2, "its init and itself: {processes}");
}

#[test]
fn dangerous_calls_of_the_kernel_are_refused() {
    const STREAM: i64 = libc::SOCK_STREAM as i64;
    const RAW: i64 = libc::SOCK_RAW as i64;
    let namespace = |flag: i32| i64::from(flag);
    let calls = [
        ("AF_VSOCK", libc::SYS_socket, [libc::AF_VSOCK.into(), STREAM, 0, 0]),
        ("AF_ALG", libc::SYS_socket, [libc::AF_ALG.into(), libc::SOCK_SEQPACKET.into(), 0, 0]),
        ("AF_PACKET", libc::SYS_socket, [libc::AF_PACKET.into(), RAW, 0, 0]),
        ("a raw socket", libc::SYS_socket, [libc::AF_INET.into(), RAW, 1, 0]),
        ("io_uring", libc::SYS_io_uring_setup, [8, 0, 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0, 0]),
        ("a user namespace", libc::SYS_unshare, [namespace(libc::CLONE_NEWUSER), 0, 0, 0]),
        ("a network namespace", libc::SYS_unshare, [namespace(libc::CLONE_NEWNET), 0, 0, 0]),
        ("a mount namespace", libc::SYS_unshare, [namespace(libc::CLONE_NEWNS), 0, 0, 0]),
        ("a child in a user namespace", libc::SYS_clone, [namespace(libc::CLONE_NEWUSER), 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [0, 0, 0, 0]),
        ("setns", libc::SYS_setns, [0, 0, 0, 0]),
        ("mount", libc::SYS_mount, [0, 0, 0, 0]),
        ("pivot_root", libc::SYS_pivot_root, [0, 0, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0, 0]),
        ("keyctl", libc::SYS_keyctl, [0, 0, 0, 0]),
        ("bpf", libc::SYS_bpf, [0, 0, 0, 0]),
        ("perf_event_open", libc::SYS_perf_event_open, [0, 0, -1, -1]),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [0, 0, 0, 0]),
        ("init_module", libc::SYS_init_module, [0, 0, 0, 0]),
        ("reboot", libc::SYS_reboot, [0, 0, 0, 0]),
    ];
    let hub = Hub::start();
    let module = hub.install(&Package::probe("inside", 8100));
    for (name, number, arguments) in calls {
        let refused = error(&module, &json!({ "act": "syscall", "number": number, "arguments": arguments }));
        // EFAULT or EINVAL would tell that the kernel looked at the arguments.
        assert!(["EPERM", "EAFNOSUPPORT", "ENOSYS"].contains(&refused.as_str()), "{name}: {refused}");
    }
}

#[test]
fn it_is_nobody_and_can_become_nobody_else() {
    let hub = Hub::start();
    let status = |module: &Module| {
        let text =
            module.act(&json!({ "act": "read", "path": "/proc/self/status" }))["done"].as_str().unwrap().to_owned();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_whitespace().next().unwrap_or_default().to_owned()
        };
        ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid"].map(field)
    };
    let one = status(&hub.install(&Package::probe("one", 8100)));
    let two = status(&hub.install(&Package::probe("two", 8101)));
    for seen in [&one, &two] {
        let [capabilities @ .., no_new_privileges, seccomp, uid, gid] = seen;
        assert!(capabilities.iter().all(|set| *set == "0000000000000000"), "{seen:?}");
        assert_eq!((no_new_privileges.as_str(), seccomp.as_str()), ("1", "2"));
        assert!(uid != "0" && gid != "0", "{seen:?}");
    }
    assert_ne!(one[7], two[7], "each module has a user of its own");
}

#[test]
fn the_first_process_is_closed_to_the_module_beside_it() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("inside", 8100));
    for path in ["/proc/1/environ", "/proc/1/mem", "/proc/1/maps"] {
        assert_eq!(error(&module, &json!({ "act": "read", "path": path })), "EACCES", "{path}");
    }
    assert_eq!(error(&module, &json!({ "act": "list", "path": "/proc/1/fd" })), "EACCES");
}

#[test]
fn r10_files_are_read_only_but_for_data_and_tmp_which_are_small() {
    const MIB: u64 = 1024 * 1024;
    let hub = Hub::start();
    let package = Package::probe("inside", 8100).with("resources", json!({ "memory_mb": 128, "data_mb": 8 }));
    let module = hub.install(&package);
    for path in ["/x", "/app/x", "/app/manifest.json", "/etc/passwd", "/selena/init", "/sys/x"] {
        let refused = error(&module, &json!({ "act": "write", "path": path, "text": "x" }));
        assert!(["EROFS", "EACCES", "EPERM"].contains(&refused.as_str()), "{path}: {refused}");
    }
    for dir in ["/data", "/tmp"] {
        assert_eq!(
            module.act(&json!({ "act": "write", "path": format!("{dir}/x"), "text": "x" }))["done"],
            true,
            "{dir}"
        );
        let refused = error(&module, &json!({ "act": "run_copy", "path": format!("{dir}/program") }));
        assert_eq!(refused, "EACCES", "a program in {dir} was run");
    }
    for (dir, limit) in [("/data", 8 * MIB), ("/tmp", 32 * MIB)] {
        let filled = module.act(&json!({ "act": "fill", "path": format!("{dir}/filler"), "bytes": 64 * MIB }));
        assert_eq!(filled["ended"]["error"], "ENOSPC", "{dir}: {filled}");
        assert!(filled["written"].as_u64().is_some_and(|bytes| bytes < limit), "{dir}: {filled}");
    }
    assert_eq!(hub.status("inside"), "RUNNING");
    hub.device("sensor");
}

#[test]
fn r10_a_million_files_end_inside_the_module() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("inside", 8100));
    let _bystander = hub.install(&Package::probe("bystander", 8101));
    let inodes = || nix::sys::statvfs::statvfs(&hub.data_dir()).expect("the disk is there").files_free();
    let before = inodes();
    let made = module.act(&json!({ "act": "make_files", "path": "/data", "count": 1_000_000 }));
    assert_eq!(made["ended"]["error"], "ENOSPC", "/data: {made}");
    assert!(made["made"].as_u64().is_some_and(|made| made < 20_000), "/data: {made}");
    assert!(before.saturating_sub(inodes()) < 1000, "its files are none of the hub's");
    assert_eq!(module.act(&json!({ "act": "list", "path": "/app" }))["error"], json!(null), "it works on");
    hub.device("sensor");
    let _heard = hub.hears_again("bystander", 10);
    let _gone = hub.client().delete("/modules/inside").expect(204);
    hub.settles("R10: the files go with their module");
}

#[test]
fn the_environment_is_that_of_the_protocol_and_was_given_once() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("inside", 8100));
    for path in ["/boot", "/api/v1/boot"] {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: localhost:7070\r\nConnection: close\r\n\r\n");
        let answer = module.door(7070).send_raw(raw.as_bytes()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 410"), "{answer}");
    }
    let seen = module.act(&json!({ "act": "environment" }));
    let token = seen["SELENA_MODULE_TOKEN"].as_str().unwrap();
    let secret = seen["SELENA_WEBHOOK_SECRET"].as_str().unwrap();
    assert!(
        token.len() == 64 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
        "base64url"
    );
    assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()), "hex");
    for (name, value) in [
        ("MODULE_TOKEN", token),
        ("SELENA_CORE_URL", "http://localhost:7070/api/v1"),
        ("SELENA_CORE_API", "http://localhost:7070/api/v1"),
        ("SELENA_MODULE_NAME", "inside"),
        ("SELENA_MODULE_PORT", "8100"),
        ("SELENA_INSTALL_PATH", "/app"),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    assert_eq!(hub.anonymous().get("/boot").status, 404, "the host has no environment to give");
}
