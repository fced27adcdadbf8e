//! 500 random changes: each is found and put right, and nothing else is told.

mod support;

use std::{
    fs::{self, File, FileTimes, Permissions},
    os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink},
    path::PathBuf,
};

use support::{Place, Random, open_to_change};

/// All kinds of change; what a check has to call each.
const KINDS: [(&str, &[&str]); 15] = [
    ("create", &["unexpected"]),
    ("create directory", &["unexpected"]),
    ("create pipe", &["unexpected"]),
    ("create with a name that is no text", &["unexpected"]),
    ("delete", &["missing"]),
    ("rename", &["missing", "unexpected"]),
    ("truncate", &["changed"]),
    ("flip a bit and keep the time", &["changed"]),
    ("append", &["changed"]),
    ("mode", &["mode"]),
    ("owner", &["owner"]),
    ("second name", &["links"]),
    ("link in place of a file", &["type"]),
    ("directory in place of a file", &["type"]),
    ("link to elsewhere", &["link_target"]),
];

fn place(random: &mut Random) -> (Place, Vec<PathBuf>) {
    let place = Place::new();
    let mut files = Vec::new();
    for number in 0..40 {
        let name = format!("watched/{}/file-{number}", ["a", "a/b", "c"][number % 3]);
        let bytes: Vec<u8> = (0..1 + random.below(2000)).map(|_| random.next().to_le_bytes()[0]).collect();
        place.write(&name, &bytes);
        files.push(place.path(&name));
    }
    symlink("a/file-0", place.path("watched/link")).expect("linked");
    place.baseline();
    (place, files)
}

fn change(kind: &str, place: &Place, file: &PathBuf, random: &mut Random) {
    let fresh = |name: &str| file.parent().expect("in a directory").join(name);
    let done = match kind {
        "create" => fs::write(fresh("new"), "new"),
        "create directory" => {
            fs::create_dir_all(fresh("new/within")).and_then(|()| fs::write(fresh("new/within/x"), "x"))
        }
        "create pipe" => nix::unistd::mkfifo(&fresh("pipe"), nix::sys::stat::Mode::S_IRWXU).map_err(Into::into),
        "create with a name that is no text" => {
            use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
            fs::write(file.parent().expect("in a directory").join(OsStr::from_bytes(b"a\xff\nb")), "x")
        }
        "delete" => fs::remove_file(file),
        "rename" => fs::rename(file, fresh("renamed")),
        "truncate" => open_to_change(file).set_len(fs::metadata(file).expect("there").len() / 2),
        "flip a bit and keep the time" => flip(file, random),
        "append" => fs::read(file).and_then(|bytes| fs::write(file, [&bytes[..], b"x"].concat())),
        "mode" => fs::set_permissions(file, Permissions::from_mode([0o600, 0o755, 0o4755, 0o666][random.below(4)])),
        "owner" => chown(file, Some(random.below(2).try_into().expect("small")), Some(12345)),
        "second name" => fs::hard_link(file, place.path("elsewhere")),
        "link in place of a file" => {
            let copy = place.path("copy");
            fs::copy(file, &copy).and_then(|_| fs::remove_file(file)).and_then(|()| symlink(copy, file))
        }
        "directory in place of a file" => fs::remove_file(file).and_then(|()| fs::create_dir_all(file.join("within"))),
        "link to elsewhere" => {
            let link = place.path("watched/link");
            fs::remove_file(&link)
                .and_then(|()| symlink("a/file-3", &link))
                .and_then(|()| lchown(&link, Some(0), Some(0)))
        }
        other => panic!("no such change: {other}"),
    };
    done.unwrap_or_else(|error| panic!("{kind} {}: {error}", file.display()));
}

/// As one would who wants not to be seen.
fn flip(path: &PathBuf, random: &mut Random) -> std::io::Result<()> {
    let metadata = fs::metadata(path)?;
    let mut bytes = fs::read(path)?;
    let at = random.below(bytes.len());
    bytes[at] ^= 1 << random.below(8);
    let file: File = open_to_change(path);
    file.write_all_at(&bytes, 0)?;
    file.set_times(FileTimes::new().set_modified(metadata.modified()?).set_accessed(metadata.accessed()?))
}

#[test]
fn five_hundred_changes_are_found_and_restored_and_nothing_else_is_told() {
    let mut random = Random(0x5e1e_4a20_2600_0001);
    let (place, files) = place(&mut random);
    let before = place.snapshot();
    assert_eq!(place.check().0, 0, "nothing is told of what was just recorded");
    for number in 0..500 {
        let (kind, told) = KINDS[number % KINDS.len()];
        let file = &files[random.below(files.len())];
        change(kind, &place, file, &mut random);
        let found: Vec<_> = place.found().into_iter().map(|(kind, _)| kind).collect();
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(sorted, told, "{number}: {kind} {}", file.display());
        let (code, report) = place.restore();
        assert_eq!((code, &report["status"]), (0, &"OK".into()), "{number}: {kind}: {report}");
        assert!(place.snapshot() == before, "{number}: {kind}: the files are not what they were");
        for beside in ["elsewhere", "copy"] {
            let _not_there = fs::remove_file(place.path(beside));
        }
    }
}
