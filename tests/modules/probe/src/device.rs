//! Devices, as a module uses them.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
};

use nix::{
    libc,
    sys::stat::{Mode, SFlag, major, makedev, minor, mknod},
};
use serde_json::{Value, json};

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path)
}

/// The number of the device that was really opened.
pub(crate) fn number(path: &str) -> io::Result<Value> {
    let rdev = open(path)?.metadata()?.rdev();
    Ok(json!(format!("{}:{}", major(rdev), minor(rdev))))
}

/// Writes to the beginning of a device.
pub(crate) fn write(path: &str, text: &str) -> io::Result<Value> {
    open(path)?.write_all_at(text.as_bytes(), 0)?;
    Ok(json!(true))
}

/// Reads from the beginning of a device.
pub(crate) fn read(path: &str, bytes: u64) -> io::Result<Value> {
    let mut text = vec![0; usize::try_from(bytes).unwrap_or(0).min(1 << 16)];
    open(path)?.read_exact_at(&mut text, 0)?;
    Ok(json!(String::from_utf8_lossy(&text)))
}

/// Makes a node of its own.
pub(crate) fn make(path: &str, number: &Value) -> io::Result<Value> {
    let part = |place: usize| number[place].as_u64().unwrap_or(0);
    mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(part(0), part(1)))?;
    Ok(json!(true))
}
