//! Backup and restore (protocol, section 2: what a module has; faults D13, W11): real hubs, real containers, real files.

mod files;
mod hostile;
mod hub;
mod jobs;
mod module;

use std::{fs, path::PathBuf};

use selena_backup::age::Identity;
use selena_tests::{Answer, Desk, Hub, Ran, http::Request};
use serde_json::Value;

/// A private key of age-keygen that opens nothing of worth, and its public half.
const IDENTITY: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";
/// Another one.
const OTHER: &str = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6";
const NOTES: &str = "/data/notes";

/// The public half of [`IDENTITY`].
fn recipient() -> String {
    IDENTITY.parse::<Identity>().expect("an identity").recipient().to_string()
}

/// A desk with the key's file.
fn desk() -> (Desk, String) {
    let desk = Desk::default();
    let key = desk.path().join("key.txt");
    fs::write(&key, format!("# created: today\n{IDENTITY}\n")).expect("written");
    (desk, key.to_str().expect("a path").to_owned())
}

/// Makes a backup with the command line; its file.
fn backup(desk: &Desk, hub: &Hub, name: &str, more: &[&str]) -> PathBuf {
    let recipient = recipient();
    let arguments = [&["backup", "create", "--recipient", &recipient, "-o", name], more].concat();
    let _made = desk.ctl(hub, &arguments).done();
    desk.path().join(name)
}

fn restore(desk: &Desk, hub: &Hub, key: &str, name: &str, more: &[&str]) -> Ran {
    desk.ctl(hub, &[&["--json", "backup", "restore", name, "-i", key], more].concat())
}

const BOUNDARY: &str = "a-boundary-that-stands-in-no-backup";

/// The form that a backup is sent in.
fn form(key: &str, file: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"identity\"\r\n\r\n{key}\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"backup\"; filename=\"b\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Sends a backup as any client may.
fn send(hub: &Hub, path: &str, key: &str, file: &[u8]) -> Answer {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    hub.admin().send(&Request::new("POST", path).body(&kind, form(key, file)))
}

/// What the hub has of modules: names, versions and states, and the files of its directories.
fn all_there_is(hub: &Hub) -> (Value, Vec<String>) {
    let modules = hub.admin().get("/modules").expect(200).json();
    let mut files = Vec::new();
    for dir in
        ["modules", "volumes", "aside", "previous", "pending", "staging", "restoring", "restore", "secure/tokens"]
    {
        let entries = fs::read_dir(hub.data_dir().join(dir)).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| format!("{dir}/{}", entry.file_name().to_string_lossy())));
    }
    files.sort();
    (modules, files)
}
