//! Archives: what is written is read, and what a stranger wrote is refused with a reason.

use std::io::{Read, Write};

use selena_backup::{
    ArchiveReader, ArchiveWriter, BackupError, FORMAT, Index, IndexedModule, Part, PartVisitor, Scope,
    age::{AgeError, Encrypting, Identity, Key, Lock},
};
use selena_types::ModuleName;
use serde_json::json;

const IDENTITY: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";
const OTHER: &str = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6";

fn key(text: &str) -> Key {
    Key::Identity(text.parse().expect("an identity"))
}

fn lock() -> Lock {
    Lock::Recipient(IDENTITY.parse::<Identity>().expect("an identity").recipient())
}

fn name(text: &str) -> ModuleName {
    ModuleName::new(text).expect("a name")
}

fn index(modules: &[&str]) -> Index {
    let module = |module: &&str| IndexedModule {
        name: name(module),
        version: semver::Version::new(1, 0, 0),
        data: None,
        previous: None,
        previous_data: None,
    };
    Index {
        format: FORMAT,
        scope: Scope::Hub,
        hub_version: semver::Version::new(1, 0, 0),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        architecture: "x86_64".to_owned(),
        modules: modules.iter().map(module).collect(),
    }
}

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Vec<(Part, Vec<u8>)>);

impl PartVisitor for Kept {
    type Error = BackupError;

    fn index(&mut self, _index: &Index) -> Result<(), BackupError> {
        Ok(())
    }

    fn part(&mut self, part: &Part, bytes: u64, content: &mut dyn Read) -> Result<(), BackupError> {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        assert_eq!(kept.len() as u64, bytes);
        self.0.push((part.clone(), kept));
        Ok(())
    }
}

fn read(file: &[u8]) -> Result<Vec<(Part, Vec<u8>)>, BackupError> {
    let mut kept = Kept::default();
    ArchiveReader::open(file, &key(IDENTITY))?.read(&mut kept)?;
    Ok(kept.0)
}

fn good() -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new(), &lock(), &index(&["lamp"])).expect("begun");
    for (part, text) in [(Part::Database, "db"), (Part::Secrets, "{}"), (Part::Package(name("lamp")), "zip")] {
        writer.add(&part, text.len() as u64, text.as_bytes()).expect("added");
    }
    let data = vec![7; 200_000];
    writer.add(&Part::Data(name("lamp")), 200_000, data.as_slice()).expect("added");
    writer.finish().expect("finished")
}

#[test]
fn what_is_written_is_read_and_a_passphrase_opens_as_a_key_does() {
    let parts = read(&good()).expect("readable");
    let names: Vec<_> = parts.iter().map(|(part, _)| part.to_string()).collect();
    assert_eq!(names, ["selena.db", "secrets.json", "modules/lamp/package.zip", "modules/lamp/data.tar"]);
    assert_eq!(parts[3].1, vec![7; 200_000]);
    let locked = Encrypting::new(Vec::new(), &Lock::passphrase("correct horse\n").expect("a passphrase"));
    let locked = locked.expect("begun").finish().expect("finished");
    assert!(ArchiveReader::open(locked.as_slice(), &Key::passphrase("correct horse").expect("good")).is_ok());
    let wrong = ArchiveReader::open(locked.as_slice(), &Key::passphrase("correct house").expect("good"));
    assert!(matches!(wrong, Err(BackupError::Age(AgeError::WrongKey(_)))));
}

/// Gives the header, and fails the test if more than that and a buffer is asked for.
struct HeaderOnly<'a>(&'a [u8]);

impl Read for HeaderOnly<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        assert!(!self.0.is_empty(), "it reads on behind the header");
        self.0.read(into)
    }
}

#[test]
fn a_wrong_key_is_told_before_anything_but_the_header_is_read() {
    let file = good();
    let end = file.windows(5).position(|bytes| bytes == b"\n--- ").expect("an end") + 5 + 44;
    let from = std::io::BufReader::new(HeaderOnly(&file[..end]));
    let told = ArchiveReader::open(from, &key(OTHER));
    assert!(matches!(told, Err(BackupError::Age(AgeError::WrongKey(_)))), "{told:?}");
}

#[test]
fn a_file_that_is_cut_or_changed_anywhere_is_refused() {
    let file = good();
    for end in (0..file.len()).step_by(997).chain([file.len() - 1]) {
        assert!(read(&file[..end]).is_err(), "cut at {end}");
    }
    for at in (0..file.len()).step_by(991) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(read(&changed).is_err(), "changed at {at}");
    }
    let mut longer = file;
    longer.push(0);
    assert!(read(&longer).is_err());
}

/// An archive of these entries: type, name, content. Its author has the public key, as anybody may.
fn forged(entries: &[(tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Encrypting::new(Vec::new(), &lock()).expect("begun"));
    for (kind, path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("gnu").name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, *content).expect("appended");
    }
    tar.into_inner().expect("a tar").finish().expect("finished")
}

/// Kind, path and content of an entry.
type Entry<'a> = (tar::EntryType, &'a str, &'a [u8]);

#[test]
fn every_name_kind_order_and_size_that_does_not_belong_there_is_refused() {
    use tar::EntryType::{Block, Directory, GNULongName, Link, Regular, Symlink, XHeader};
    let index = serde_json::to_vec(&index(&["lamp"])).expect("JSON");
    let newer = json!({ "format": 2, "anything": true }).to_string();
    let db: Entry<'_> = (Regular, "selena.db", b"db");
    let secrets: Entry<'_> = (Regular, "secrets.json", b"{}");
    let package: Entry<'_> = (Regular, "modules/lamp/package.zip", b"zip");
    let begin: Entry<'_> = (Regular, "backup.json", &index);
    let cases: &[(&str, &[Entry<'_>])] = &[
        ("it is empty", &[]),
        ("does not begin with", &[db, begin]),
        ("its backup.json", &[(Regular, "backup.json", b"{")]),
        ("update the hub first", &[(Regular, "backup.json", newer.as_bytes())]),
        ("does not belong there", &[begin, (Regular, "../../etc/passwd", b"x")]),
        ("does not belong there", &[begin, (Regular, "/etc/passwd", b"x")]),
        ("does not belong there", &[begin, (Regular, "modules/../lamp/package.zip", b"x")]),
        ("does not belong there", &[begin, (Regular, "modules/LAMP/package.zip", b"x")]),
        ("does not belong there", &[begin, (Symlink, "selena.db", b"")]),
        ("does not belong there", &[begin, (Link, "selena.db", b"")]),
        ("does not belong there", &[begin, (Directory, "selena.db", b"")]),
        ("does not belong there", &[begin, (Block, "selena.db", b"")]),
        ("does not belong there", &[begin, (GNULongName, "././@LongLink", b"selena.db")]),
        ("does not belong there", &[begin, (XHeader, "pax", b"20 path=selena.db\n")]),
        ("list does not have", &[begin, db, secrets, (Regular, "modules/thief/package.zip", b"x")]),
        ("list does not have", &[begin, db, secrets, package, (Regular, "modules/lamp/previous/package.zip", b"x")]),
        ("twice", &[begin, db, db]),
        ("twice", &[begin, secrets, db]),
        ("twice", &[begin, begin]),
        ("a part of it is missing", &[begin, db, secrets]),
        ("a part of it is missing", &[begin, secrets, package]),
    ];
    for (reason, entries) in cases {
        let told = read(&forged(entries)).expect_err("it must be refused").to_string();
        assert!(told.contains(reason), "{told} is not {reason}");
    }
    assert!(read(&forged(&[begin, db, secrets, package])).is_ok());
}

#[test]
fn a_size_that_is_claimed_is_checked_before_it_is_believed() {
    let index = serde_json::to_vec(&index(&[])).expect("JSON");
    let mut out = Encrypting::new(Vec::new(), &lock()).expect("begun");
    for (path, size) in [("backup.json", index.len() as u64), ("secrets.json", 1 << 40)] {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).expect("short");
        header.set_size(size);
        header.set_cksum();
        out.write_all(header.as_bytes()).expect("written");
        if path == "backup.json" {
            out.write_all(&index).expect("written");
            out.write_all(&vec![0; 512 - index.len() % 512]).expect("written");
        }
    }
    let told = read(&out.finish().expect("finished")).expect_err("it must be refused").to_string();
    assert!(told.contains("larger than it may be"), "{told}");
}
