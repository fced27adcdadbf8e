//! Packages of strangers, uploaded to a real hub: series Z of the faults.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, Instant},
};

use selena_tests::{Hub, Options, Package, http::Request, wait};
use serde_json::json;

/// What series Z may add to the core's memory.
const GROWTH_KIB: u64 = 64 * 1024;

fn install(zip: &[u8]) -> Request {
    Request::new("POST", "/modules/install").body("application/zip", zip)
}

fn staged(hub: &Hub) -> usize {
    fs::read_dir(hub.data_dir().join("staging")).map_or(0, Iterator::count)
}

/// A number of `/proc/PID/status` in KiB.
fn memory_kib(hub: &Hub, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let found = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn z_each_archive_of_series_z_is_refused_recorded_and_forgotten() {
    let mut hub = Hub::unlimited();
    let before = memory_kib(&hub, "VmRSS:");
    let mut codes = BTreeSet::new();
    for case in selena_forge::series() {
        let what = format!("{}: {}", case.id, case.what);
        let begun = Instant::now();
        let answer = hub.client().send(&install(&case.archive)).expect(422);
        assert!(begun.elapsed() < Duration::from_secs(5), "{what} took {:?}", begun.elapsed());
        // What the unpacker takes has no good manifest.
        let good = case.code.map_or_else(|| answer.code().starts_with("manifest_"), |code| answer.code() == code);
        assert!(good, "{what}: {}", answer.text());
        codes.insert(answer.code());
    }
    let grown = memory_kib(&hub, "VmHWM:").saturating_sub(before);
    assert!(grown < GROWTH_KIB, "the core's memory grew by {grown} KiB");
    wait::until("staging is empty", 10, || staged(&hub) == 0);
    for code in codes {
        wait::until(&format!("there is a record of {code}"), 10, || !hub.audit(&code).is_empty());
    }
    assert!(hub.lives());
    assert_eq!(fs::read_dir(hub.data_dir().join("modules")).map_or(0, Iterator::count), 0);
}

/// An upload whose head promises what does not come, on a connection that stays open.
fn begin_upload(hub: &Hub, promise: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", hub.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (port, token) = (hub.port(), hub.token());
    let head = format!(
        "POST /api/v1/modules/install HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/zip\r\n{promise}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The first line that comes back.
fn first_line(stream: &mut TcpStream) -> String {
    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    while !answer.contains(&b'\n') {
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => answer.extend_from_slice(&piece[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn z26_an_upload_that_stops_is_refused_and_its_staging_goes() {
    let hub = Hub::start();
    let mut longer = begin_upload(&hub, "Content-Length: 1000000");
    longer.write_all(&[b'x'; 500_000]).unwrap();
    let mut chunked = begin_upload(&hub, "Transfer-Encoding: chunked");
    chunked.write_all(b"5\r\nPK\x03\x04x\r\n").unwrap();
    wait::until("both uploads have begun", 10, || staged(&hub) == 2);
    let begun = Instant::now();
    for mut stopped in [longer, chunked] {
        let line = first_line(&mut stopped);
        assert!(line.starts_with("HTTP/1.1 408"), "{line}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    wait::until("staging is empty", 10, || staged(&hub) == 0);
    wait::until("it is recorded", 10, || !hub.audit("upload_cut").is_empty());
}

#[test]
fn z26_an_upload_without_end_is_cut_at_the_limit() {
    const MOST: usize = 80 * 1024 * 1024;
    let hub = Hub::start();
    let mut endless = begin_upload(&hub, "Transfer-Encoding: chunked");
    let mut reader = endless.try_clone().unwrap();
    let answer = thread::spawn(move || first_line(&mut reader));
    let piece = [b"100000\r\n".as_slice(), &[0; 0x10_0000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < MOST && endless.write_all(&piece).is_ok() {
        sent += 0x10_0000;
    }
    assert!(sent < MOST, "the hub took {sent} bytes");
    let line = answer.join().unwrap();
    // The answer may be lost with the connection: bytes that nobody read were still under way.
    assert!(line.is_empty() || line.starts_with("HTTP/1.1 413"), "{line}");
    wait::until("staging is empty", 10, || staged(&hub) == 0);
    wait::until("it is recorded", 10, || !hub.audit("package_too_large").is_empty());
}

#[test]
fn z26_a_length_that_is_too_small_makes_no_package_of_what_follows() {
    let hub = Hub::start();
    let zip = Package::probe("longer", 8100).zip();
    let mut stream = begin_upload(&hub, "Content-Length: 1000");
    // What follows the thousand bytes is no request, and the hub may close before it has all.
    let _closed_before_the_end = stream.write_all(&zip);
    let line = first_line(&mut stream);
    assert!(line.is_empty() || line.starts_with("HTTP/1.1 422"), "{line}");
    wait::until("it is recorded", 10, || !hub.audit("zip_corrupt").is_empty());
    wait::until("staging is empty", 10, || staged(&hub) == 0);
    hub.client().get("/modules/longer").refused(404, "not_found");
}

#[test]
fn z27_nobody_else_reaches_a_package_between_its_check_and_its_unpacking() {
    let hub = Hub::start();
    let mut open = begin_upload(&hub, "Content-Length: 1000");
    open.write_all(b"PK\x03\x04").unwrap();
    wait::until("the upload has begun", 10, || staged(&hub) == 1);
    let mode = fs::metadata(hub.data_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}: others can enter the directory that holds staging");
}

#[test]
fn z28_a_full_disk_is_told_and_the_old_version_still_runs() {
    let hub = Hub::with(Options { data_mib: Some(40), ..Options::default() });
    let before = hub.install(&Package::probe("full", 8100));
    let (random, text) = (noise(35_000_000), b"some text, of which there is a lot. ".repeat(1_700_000));
    let plain = Package::probe("full", 8100).version("1.1.0");
    let manifest = plain.manifest().to_string();
    let unpacks_to_more = selena_forge::Zip::bare().file("manifest.json", manifest.as_bytes());
    // No file is a bomb by itself: each has less than a hundred times its packed size.
    let many = text.chunks(1_000_000).enumerate();
    let unpacks_to_more = many.fold(unpacks_to_more, |zip, (index, part)| zip.deflated(format!("{index}"), part));
    for (what, zip) in [
        ("the upload does not fit", plain.file("large", &random, 0o644).zip()),
        ("what is in it does not fit", unpacks_to_more.build()),
    ] {
        let answer = hub.client().send(&install(&zip));
        assert_eq!((answer.status, answer.code().as_str()), (507, "disk_full"), "{what}: {}", answer.text());
        wait::until("staging is empty", 10, || staged(&hub) == 0);
        let now = hub.hears_again("full", 10);
        assert_eq!(now.container, before.container, "{what}: the old version runs on");
        assert_eq!(hub.details("full")["version"], "1.0.0", "{what}");
    }
    wait::until("it is recorded", 10, || !hub.audit("disk_full").is_empty());
    // With room again the same update is taken.
    let small = hub.try_install(&Package::probe("full", 8100).version("1.1.0")).expect(201).json();
    assert_eq!(small["status"], "RUNNING");
}

/// Bytes that do not pack.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..count.div_ceil(8)).flat_map(|_| next()).take(count).collect()
}

#[test]
fn m01_a_package_without_a_manifest_is_refused() {
    let hub = Hub::start();
    let zip = |name: &str| selena_forge::Zip::bare().file(name, br#"{"name":"lamp"}"#).build();
    for name in ["manifest.yml", "lamp/manifest.json", "MANIFEST.JSON"] {
        hub.client().send(&install(&zip(name))).refused(422, "manifest_invalid");
    }
    wait::until("it is recorded", 10, || !hub.audit("manifest_invalid").is_empty());
}

#[test]
fn m05_a_version_that_is_not_higher_is_refused() {
    let hub = Hub::start();
    let running = hub.install(&Package::probe("ages", 8100).version("1.1.0"));
    for version in ["1.1.0", "1.0.9", "1.1.0-rc.1", "1.1.0+later"] {
        hub.try_install(&Package::probe("ages", 8100).version(version)).refused(409, "manifest_version");
    }
    assert_eq!(hub.details("ages")["version"], "1.1.0");
    assert_eq!(hub.hears_again("ages", 10).container, running.container, "it was not touched");
}

#[test]
fn m13_a_module_for_a_newer_core_is_refused() {
    let hub = Hub::start();
    let newer = Package::probe("newer", 8100).with("min_core_version", json!("999.0.0"));
    hub.try_install(&newer).refused(422, "manifest_incompatible");
    hub.client().get("/modules/newer").refused(404, "not_found");
}
