//! What a module sees and can do, looked at from inside (protocol, sections 1 and 4).

use std::net::{TcpListener as StdListener, TcpStream as StdStream};

use bollard::query_parameters::InspectContainerOptions;
use futures_util::FutureExt;
use selena_core::ports::{Command, ContainerPurpose, ExitCause, Sandbox};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket},
    time::timeout,
};

use crate::hub::{PATIENCE, UID, boot, listener, value, with_hub};

const EPERM: &str = "1";
const EACCES: &str = "13";
const EROFS: &str = "30";
const ENOSYS: &str = "38";
const EAFNOSUPPORT: &str = "97";
const ENETUNREACH: &str = "101";

#[tokio::test(flavor = "multi_thread")]
async fn a_module_sees_and_may_what_the_protocol_says() {
    with_hub(async |hub| {
        let spec = hub.spec("looker");
        let (_, log) = hub.run(&spec, "look").await;
        let user = format!("{UID}\t{UID}\t{UID}\t{UID}");
        for (name, expected) in [
            ("Uid", user.as_str()),
            ("Gid", &user),
            ("CapInh", "0000000000000000"),
            ("CapPrm", "0000000000000000"),
            ("CapEff", "0000000000000000"),
            ("CapBnd", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
            ("interfaces", "lo"),
            ("hostname", "looker"),
            ("directory", "/app"),
            ("home", "/data"),
            ("passwd", "true"),
            ("core_limit", "0"),
            ("oom_score", "500"),
            ("shm", "2"),
            ("write_root", EROFS),
            ("write_app", EROFS),
            ("write_etc", EROFS),
            ("write_data", "ok"),
            ("write_tmp", "ok"),
            ("run_data", EACCES),
            ("run_tmp", EACCES),
            ("call_vsock", EAFNOSUPPORT),
            ("call_alg", EAFNOSUPPORT),
            ("call_packet", EAFNOSUPPORT),
            ("call_netlink_route", "ok"),
            ("call_netlink_audit", EPERM),
            ("call_unix", "ok"),
            ("call_unshare", EPERM),
            ("call_io_uring", EPERM),
            ("call_keyctl", EPERM),
            ("call_ptrace", EPERM),
            ("call_clone3", ENOSYS),
            ("localhost", "ok"),
            ("internet", ENETUNREACH),
        ] {
            assert_eq!(value(&log, name), expected, "{name} in:\n{log}");
        }
        assert_ne!(value(&log, "pid"), "1", "the init stays the first process");
    })
    .await;
}

/// In a trial the init's filter answers denied calls. This one gets no key, so its init installs none: the profile
/// alone must still make none of the calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_nobody_watches_denies_all_the_same() {
    with_hub(async |hub| {
        let mut spec = hub.spec("unwatched");
        spec.purpose = ContainerPurpose::Trial;
        let (_, log) = hub.run(&spec, "look").await;
        for name in ["vsock", "alg", "packet", "netlink_audit", "unshare", "io_uring", "keyctl", "ptrace", "clone3"] {
            assert_eq!(value(&log, &format!("call_{name}")), ENOSYS, "{name} in:\n{log}");
        }
        for name in ["unix", "netlink_route"] {
            assert_eq!(value(&log, &format!("call_{name}")), "ok", "{name} in:\n{log}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_reaches_the_module_and_nothing_else() {
    with_hub(async |hub| {
        let spec = hub.spec("secretive");
        let (_, log) = hub.run(&spec, "look").await;
        assert_eq!(value(&log, "secret"), "canary");
        for closed in ["init_environment", "init_memory", "init_files"] {
            assert_eq!(value(&log, closed), EACCES, "{closed} in:\n{log}");
        }
        let name = hub.config.name_prefix.clone() + "selena-module-secretive";
        let seen = hub.docker.inspect_container(&name, None::<InspectContainerOptions>).await.unwrap();
        assert!(!format!("{seen:?}").contains("canary"));
        let labels = seen.config.unwrap().labels.unwrap();
        for (label, expected) in [("selena.module", "secretive"), ("selena.port", "8101"), ("selena.version", "1.0.0")]
        {
            assert_eq!(labels.get(label).map(String::as_str), Some(expected));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_is_the_modules_and_not_the_hosts() {
    with_hub(async |hub| {
        let host = std::fs::read_link("/proc/self/ns/net").unwrap();
        let listener = StdListener::from(hub.start(&hub.spec("listened")).await.listener);
        assert_eq!(listener.local_addr().unwrap().to_string(), "127.0.0.1:7070");
        assert_eq!(std::fs::read_link("/proc/self/ns/net").unwrap(), host);
        // Whatever the host has on that port, it is not this listener.
        let from_host = StdStream::connect("127.0.0.1:7070").and_then(|connection| connection.local_addr());
        let listener = TcpListener::from_std(listener).unwrap();
        let (_init, peer) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        assert_ne!(Some(peer), from_host.ok());
        assert!(listener.accept().now_or_never().is_none(), "somebody else came in");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_reaches_a_port_inside_and_sees_what_is_open() {
    with_hub(async |hub| {
        let spec = hub.spec("server");
        let (run, _listener) = hub.launch(&spec, "serve:8101").await;
        hub.wait_for_log(&spec, "serving=8101").await;
        let socket = TcpSocket::from_std_stream(hub.sandbox.socket(&run).await.unwrap().into());
        let mut connection = socket.connect("127.0.0.1:8101".parse().unwrap()).await.unwrap();
        let mut said = String::new();
        connection.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "hello");
        let usage = hub.sandbox.usage(&run).await.unwrap();
        assert_eq!(usage.open_ports, [8101]);
        assert!(usage.peak_memory_bytes.is_some_and(|peak| (100_000..64 << 20).contains(&peak)), "{usage:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_listener_is_in_the_namespace_if_egress_was_granted() {
    with_hub(async |hub| {
        let mut spec = hub.spec("server");
        assert!(hub.start(&spec).await.egress_listener.is_none(), "it was not granted");
        spec.egress = true;
        let started = hub.start(&spec).await;
        let egress = listener(started.egress_listener.expect("it was granted"));
        assert_eq!(egress.local_addr().unwrap(), "127.0.0.1:7071".parse().unwrap());
        boot(&listener(started.listener), &[("PROBE", "serve:8101")]).await;
        let socket = TcpSocket::from_std_stream(hub.sandbox.socket(&started.run).await.unwrap().into());
        let inside = socket.connect("127.0.0.1:7071".parse().unwrap()).await.unwrap();
        let (_, peer) = timeout(PATIENCE, egress.accept()).await.unwrap().unwrap();
        assert_eq!(peer, inside.local_addr().unwrap());
        assert!(StdStream::connect("127.0.0.1:7071").is_err(), "it is not on the host");
        spec.purpose = ContainerPurpose::Trial;
        assert!(hub.try_start(&spec).await.is_err(), "never in a trial");
    })
    .await;
}

/// Needs the hub's Python base image, and fails without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_python_module_runs_under_the_same_rules() {
    with_hub(async |hub| {
        let mut spec = hub.spec("pythonic");
        let program = "import getpass, json, socket, ssl, threading, multiprocessing, asyncio, subprocess, tempfile, sqlite3\n\
            threading.Thread(target=lambda: None).start()\n\
            asyncio.run(asyncio.sleep(0))\n\
            sqlite3.connect('/data/base').execute('create table t (c)')\n\
            tempfile.TemporaryFile().write(b'x')\n\
            print('user=' + getpass.getuser())\n\
            print('lo=' + str(socket.if_nametoindex('lo')))\n\
            print('child=' + subprocess.run(['/usr/bin/python3', '-c', 'print(7)'], capture_output=True, text=True).stdout.strip())\n";
        std::fs::write(spec.package_dir.join("main.py"), program).unwrap();
        spec.command = Command::Python3("main.py".to_owned());
        let (cause, log) = hub.run(&spec, "").await;
        assert_eq!(cause, ExitCause::Code(0), "{log}");
        for (name, expected) in [("user", "module"), ("lo", "1"), ("child", "7")] {
            assert_eq!(value(&log, name), expected, "{log}");
        }
    })
    .await;
}
