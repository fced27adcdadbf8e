//! A module's directory, and the program run in it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake_hub::Ran;

/// An ELF program that names no loader.
pub(crate) const STATIC_PROGRAM: &[u8] = b"\x7fELF\x02\x01\x01 and more";

/// A directory that is removed at the end.
pub(crate) struct Directory(TempDir);

impl Directory {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// One that holds a good module, `lamp`, with an executable.
    pub(crate) fn lamp() -> Self {
        let directory = Self::new();
        directory.file("manifest.json", manifest(json!({})));
        directory.executable("lamp", STATIC_PROGRAM);
        directory
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().expect("a file lies in a directory")).expect("a directory");
        fs::write(&file, content).expect("a file");
        file
    }

    /// Writes a file as good editors do: whole from one moment to the next.
    pub(crate) fn replace(&self, path: &str, content: impl AsRef<[u8]>) {
        let new = self.file(".new", content);
        fs::rename(new, self.path().join(path)).expect("the same disk");
    }

    pub(crate) fn executable(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.file(path, content);
        fs::set_permissions(file, fs::Permissions::from_mode(0o775)).expect("a file");
    }

    /// Runs `selenactl` here. No hub listens where it looks for one.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selenactl"));
        command.args(arguments).env("SELENA_ADMIN_SOCKET", "absent.sock");
        self.run(command)
    }

    /// Runs Python here.
    pub(crate) fn python(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("python3");
        command.args(arguments);
        self.run(command)
    }

    /// Runs a program here to its end.
    pub(crate) fn run(&self, mut command: Command) -> Ran {
        let output = command.current_dir(self.path()).stdin(Stdio::null()).output().expect("the program starts");
        output.into()
    }
}

/// The manifest of a good module, `lamp`, with these fields changed or added.
pub(crate) fn manifest(changes: Value) -> String {
    let mut manifest = json!({
        "name": "lamp", "version": "1.2.0", "type": "DRIVER", "api_version": "1.0", "port": port(), "permissions": [],
    });
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    manifest.as_object_mut().expect("an object").extend(changes);
    manifest.to_string()
}

/// A port of modules that no other test has and nobody listens on.
pub(crate) fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let ports = std::iter::from_fn(|| Some(8100 + NEXT.fetch_add(1, Ordering::Relaxed) % 101)).take(101);
    ports
        .into_iter()
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of the ports of modules is free")
}
