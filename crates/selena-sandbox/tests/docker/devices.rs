//! Devices of the machine: what is told of them, and that a container gets what was granted and nothing else.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use nix::sys::stat::{Mode, SFlag, major, makedev, minor, mknod};
use selena_core::ports::{DeviceGrant, DeviceNumber, RunId, Sandbox, SandboxError};
use tokio::time::timeout;

use crate::hub::{Hub, with_hub_of};

/// Well below the time after which it is looked for devices without any news.
const SOON: Duration = Duration::from_secs(10);
/// A driver of every machine; what is made here with its number is never opened.
const MAJOR: u64 = 7;
const BY_ID: &str = "/dev/serial/by-id";

fn number(minor: u64) -> DeviceNumber {
    DeviceNumber { major: MAJOR, minor }
}

fn unique(directory: &str) -> PathBuf {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    Path::new(directory).join(format!("selena-test-{}x{number}", std::process::id()))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A kernel that takes our numbers for devices of a subsystem.
fn sysfs(dir: &Path, subsystem: &str, minors: std::ops::Range<u64>) -> PathBuf {
    for minor in minors {
        let device = dir.join(format!("dev/char/{}", number(minor)));
        fs::create_dir_all(&device).unwrap();
        symlink(format!("../../../class/{subsystem}"), device.join("subsystem")).unwrap();
    }
    dir.to_owned()
}

/// A file of `/dev` that goes when this is dropped, with its directory if that is empty then.
struct Made(PathBuf);

impl Made {
    fn node(path: PathBuf, minor: u64) -> Self {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = unique("/dev");
        mknod(&new, SFlag::S_IFCHR, Mode::empty(), makedev(MAJOR, minor)).expect("these tests need root");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o666)).unwrap();
        fs::rename(&new, &path).unwrap();
        Self(path)
    }

    fn link(node: &Path) -> Self {
        fs::create_dir_all(BY_ID).unwrap();
        let path = unique(BY_ID);
        symlink(Path::new("../..").join(node.file_name().unwrap()), &path).unwrap();
        Self(path)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _gone_already = fs::remove_file(&self.0);
        let directories = self.0.ancestors().skip(1).take_while(|directory| *directory != Path::new("/dev"));
        for directory in directories {
            let _has_others = fs::remove_dir(directory);
        }
    }
}

/// Waits until the sandbox tells these numbers for a path.
async fn told(hub: &Hub, path: &str, numbers: Option<Vec<DeviceNumber>>) {
    let mut devices = hub.sandbox.devices();
    let same = devices.wait_for(|devices| {
        devices.get(path).map(|device| device.numbers.as_ref().expect("it is not refused")) == numbers.as_ref()
    });
    timeout(SOON, same).await.unwrap_or_else(|_| panic!("not told: {path} is {numbers:?}")).unwrap();
}

/// What a file in a running container is to the kernel.
async fn number_inside(hub: &Hub, run: &RunId, path: &str) -> Option<DeviceNumber> {
    let pid = hub.docker.inspect_container(&run.0, None).await.unwrap().state.unwrap().pid.unwrap();
    let seen = fs::symlink_metadata(format!("/proc/{pid}/root{path}")).ok()?;
    Some(DeviceNumber { major: major(seen.rdev()), minor: minor(seen.rdev()) })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_plugged_in_swapped_and_unplugged_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let sysfs = sysfs(dir.path(), "tty", 200..202);
    with_hub_of(
        |config| config.sysfs = sysfs,
        async |hub| {
            let node = Made::node(unique("/dev"), 200);
            let link = Made::link(&node.0);
            let path = text(&link.0);
            told(hub, &path, Some(vec![number(200)])).await;
            let _other = Made::node(node.0.clone(), 201);
            told(hub, &path, Some(vec![number(201)])).await;
            fs::remove_file(&link.0).unwrap();
            told(hub, &path, None).await;
            // Its directories may have gone meanwhile, with the last link in them.
            drop(link);
            let again = Made::link(&node.0);
            told(hub, &text(&again.0), Some(vec![number(201)])).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_of_the_sound_cards_are_one_device() {
    let dir = tempfile::tempdir().unwrap();
    let sysfs = sysfs(dir.path(), "sound", 210..212);
    with_hub_of(
        |config| config.sysfs = sysfs,
        async |hub| {
            let nodes = [Made::node(unique("/dev/snd"), 211), Made::node(unique("/dev/snd"), 210)];
            // One that udev made beforehand, whose driver is not there.
            let _without_driver = Made::node(unique("/dev/snd"), 219);
            told(hub, "/dev/snd", Some(vec![number(210), number(211)])).await;
            let mut spec = hub.spec("player");
            spec.devices = vec![DeviceGrant { path: "/dev/snd".to_owned(), numbers: vec![number(210), number(211)] }];
            let started = hub.start(&spec).await;
            assert_eq!(number_inside(hub, &started.run, &text(&nodes[0].0)).await, Some(number(211)));
            assert_eq!(number_inside(hub, &started.run, &text(&nodes[1].0)).await, Some(number(210)));
            assert_eq!(number_inside(hub, &started.run, &text(&_without_driver.0)).await, None);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stick_swapped_while_a_container_is_made_is_never_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let sysfs = sysfs(dir.path(), "tty", 220..222);
    with_hub_of(
        |config| config.sysfs = sysfs,
        async |hub| {
            let node = Made::node(unique("/dev"), 220);
            let link = Made::link(&node.0);
            let mut spec = hub.spec("driver");
            spec.devices = vec![DeviceGrant { path: text(&link.0), numbers: vec![number(220)] }];
            let settled = AtomicBool::new(false);
            let (sandbox, path) = (&*hub, node.0.clone());
            let swaps = thread::scope(|scope| {
                let swapper = scope.spawn(|| {
                    let mut swaps = 0_u64;
                    while !settled.load(Ordering::Relaxed) {
                        std::mem::forget(Made::node(path.clone(), 220 + swaps % 2));
                        swaps += 1;
                    }
                    swaps
                });
                let runtime = tokio::runtime::Handle::current();
                let tried = tokio::task::block_in_place(|| {
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        runtime.block_on(async {
                            for _ in 0..12 {
                                match sandbox.try_start(&spec).await {
                                    Err(SandboxError::DeviceChanged(_)) => {}
                                    Err(error) => panic!("{}", crate::hub::with_causes(&error)),
                                    Ok(started) => {
                                        let inside = number_inside(sandbox, &started.run, &text(&link.0)).await;
                                        assert_eq!(inside, Some(number(220)), "another stick is in the container");
                                        sandbox.sandbox.remove(&started.run).await.unwrap();
                                    }
                                }
                            }
                        });
                    }))
                });
                settled.store(true, Ordering::Relaxed);
                let swaps = swapper.join().unwrap();
                tried.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                swaps
            });
            assert!(swaps > 100, "the stick was swapped {swaps} times only");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_as_granted_is_not_given() {
    let dir = tempfile::tempdir().unwrap();
    let sysfs = sysfs(dir.path(), "tty", 230..232);
    with_hub_of(
        |config| config.sysfs = sysfs,
        async |hub| {
            let node = Made::node(unique("/dev"), 230);
            let link = Made::link(&node.0);
            let mut spec = hub.spec("driver");
            for (path, numbers) in
                [(text(&link.0), vec![number(231)]), (text(&link.0), vec![]), (text(&unique(BY_ID)), vec![number(230)])]
            {
                spec.devices = vec![DeviceGrant { path, numbers }];
                assert!(
                    matches!(hub.try_start(&spec).await, Err(SandboxError::DeviceChanged(_))),
                    "{:?}",
                    spec.devices
                );
            }
            spec.devices = vec![DeviceGrant { path: text(&node.0), numbers: vec![number(230)] }];
            assert!(hub.try_start(&spec).await.is_err(), "a path that no manifest may name");
        },
    )
    .await;
}
