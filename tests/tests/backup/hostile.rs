//! What strangers send: each is refused with its reason, and the hub is as it was.

use std::fs;

use selena_backup::Part;
use selena_tests::{Hub, Package};
use serde_json::json;

use super::{IDENTITY, OTHER, all_there_is, backup, desk, files::Parts, form, send};

/// A change that makes a backup one that must not be taken.
type Change = fn(&mut Parts);

fn tar_with(path: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().expect("gnu").name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_size(1);
    header.set_cksum();
    tar.append(&header, b"x".as_slice()).expect("appended");
    tar.into_inner().expect("a tar")
}

const CASES: &[(&str, &str, Change)] = &[
    ("a database that is none", "backup_invalid", |parts| *parts.part("selena.db") = b"no database".to_vec()),
    ("a database that is cut", "backup_invalid", |parts| parts.part("selena.db").truncate(8192)),
    ("a database of a newer hub", "backup_newer", |parts| {
        // `user_version` of the header.
        parts.part("selena.db")[60..64].copy_from_slice(&999_u32.to_be_bytes());
    }),
    ("a list without the module of its database", "backup_invalid", |parts| {
        parts.index.modules[0].name = "thief".parse().expect("a name");
        for (part, _) in &mut parts.parts {
            match part {
                Part::Package(name) | Part::Data(name) => *name = "thief".parse().expect("a name"),
                _ => {}
            }
        }
    }),
    ("another version than its database has", "backup_invalid", |parts| {
        parts.index.modules[0].version = semver("9.9.9");
    }),
    ("a package that is another one", "backup_invalid", |parts| {
        *parts.part("package.zip") = Package::probe("victim", 8100).version("1.0.1").zip();
    }),
    ("a package that is no ZIP", "zip_corrupt", |parts| *parts.part("package.zip") = b"no ZIP".to_vec()),
    ("data that leads out of the volume", "backup_invalid", |parts| *parts.part("data.tar") = tar_with("../escaped")),
    ("data that is no tar", "backup_invalid", |parts| *parts.part("data.tar") = vec![7; 4096]),
    ("secrets that are none", "backup_invalid", |parts| *parts.part("secrets.json") = b"[".to_vec()),
    ("a token of a provider that leads elsewhere", "backup_invalid", |parts| {
        let text = r#"{"webhooks":[],"tokens":[{"module":"victim","provider":"../../evil","secret":"s"}]}"#;
        *parts.part("secrets.json") = text.as_bytes().to_vec();
    }),
    ("programs for another machine", "backup_architecture", |parts| parts.index.architecture = "riscv64".to_owned()),
    ("a part that is missing", "backup_invalid", |parts| {
        parts.parts.retain(|(part, _)| !matches!(part, Part::Secrets));
    }),
];

fn semver(text: &str) -> selena_backup::Version {
    text.parse().expect("a version")
}

#[test]
fn whatever_a_stranger_sends_is_refused_with_its_reason_and_changes_nothing() {
    let hub = Hub::unlimited();
    let victim = hub.install(&Package::probe("victim", 8100));
    victim.act(&json!({ "act": "write", "path": "/data/notes", "text": "precious" }));
    let (desk, _key) = desk();
    let good = fs::read(backup(&desk, &hub, "hub.age", &[])).expect("readable");
    let victim = hub.hears_again("victim", 20);
    let before = all_there_is(&hub);
    let as_before = |what: &str| {
        assert_eq!(all_there_is(&hub), before, "{what}");
        assert_eq!(hub.module("victim").container, victim.container, "{what}: it was not even stopped");
    };
    for (what, code, change) in CASES {
        let mut parts = Parts::of(&good);
        change(&mut parts);
        for path in ["/restore?replace=true", "/backup/check"] {
            let answer = send(&hub, path, IDENTITY, &parts.file());
            assert_eq!((answer.status, answer.code()), (422, (*code).to_owned()), "{what}: {}", answer.text());
            as_before(what);
        }
    }
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (what, file) in [("flipped", &flipped[..]), ("cut", &good[..good.len() - 100]), ("no age", b"hello\n")] {
        send(&hub, "/restore?replace=true", IDENTITY, file).refused(422, "backup_invalid");
        as_before(what);
    }
    send(&hub, "/restore?replace=true", "AGE-SECRET-KEY-1NONSENSE", &good).refused(422, "backup_key");
    assert!(!hub.audit("backup_invalid").is_empty(), "what is refused is recorded");
    assert_eq!(send(&hub, "/backup/check", IDENTITY, &good).expect(200).json()["status"], "GOOD");
}

#[test]
fn a_wrong_key_is_told_before_the_backup_is_sent_whole() {
    let hub = Hub::start();
    let (desk, _key) = desk();
    let good = fs::read(backup(&desk, &hub, "hub.age", &[])).expect("readable");
    // The header, and a promise of a GiB that never comes: whoever waits for it is not answered.
    let body = form(OTHER, &good[..300.min(good.len())]);
    let body = &body[..body.len() - "\r\n--a-boundary-that-stands-in-no-backup--\r\n".len()];
    let head = "POST /api/v1/restore HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1073741824\r\n\
                Content-Type: multipart/form-data; boundary=a-boundary-that-stands-in-no-backup\r\n\r\n";
    let answer = hub.admin().door().send_raw(&[head.as_bytes(), body].concat()).expect("a connection");
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("backup_key"), "{answer}");
    assert!(!hub.audit("backup_key").is_empty());
}
