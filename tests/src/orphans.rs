//! What a hub may leave behind, of every kind, and must not: what belongs to no module that it knows.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::{Hub, http::Request, wait};

/// How long a hub may take to be in order again, whatever was killed.
const SECS: u64 = 60;
/// States that stay as they are by themselves.
const STEADY: [&str; 4] = ["RUNNING", "STOPPED", "AWAITING_CONSENT", "QUARANTINED"];
/// Who owns devices in development without being a module.
const DEVELOPMENT: &str = "dev-module";
/// Tables that keep what was: history, and the hashes of tokens, which are kept for audit.
const KEPT: [&str; 3] = ["events", "audit", "tokens"];

/// A module as the hub tells it.
struct Known {
    name: String,
    status: String,
    version: String,
    /// The version it can go back to; its image is kept.
    previous: Option<String>,
    /// The version of an update that waits for a person; its image is there since its trial.
    waiting: Option<String>,
}

impl Hub {
    /// Waits until every module is in a steady state and there is no orphan of any kind.
    ///
    /// # Panics
    /// If that takes longer than 60 s; with what is there that should not be.
    #[track_caller]
    pub fn settles(&self, when: &str) {
        let deadline = Instant::now() + Duration::from_secs(SECS);
        wait::until(when, 2 * SECS, || {
            let left = self.orphans();
            assert!(left.is_empty() || Instant::now() < deadline, "{when}: not in order within {SECS} s: {left:#?}");
            left.is_empty()
        });
    }

    /// Everything of this hub that is there and belongs to no module it knows; and each module that is not in a steady
    /// state. Containers, images, volumes, mounts, loop devices, sockets, files, and rows of the database.
    #[must_use]
    pub fn orphans(&self) -> Vec<String> {
        let Some(known) = known(self) else { return vec!["the hub does not answer".to_owned()] };
        let unsteady = known.iter().filter(|module| !STEADY.contains(&module.status.as_str()));
        let unsteady = unsteady.map(|module| format!("module {} is {}", module.name, module.status));
        let rows = rows(&self.data_dir().join("selena.db"), &known)
            .unwrap_or_else(|error| vec![format!("the database cannot be read: {error}")]);
        unsteady
            .chain(in_engine(self, &known))
            .chain(in_kernel(&self.data_dir(), &known))
            .chain(files(&self.data_dir(), &known))
            .chain(rows)
            .collect()
    }
}

fn known(hub: &Hub) -> Option<Vec<Known>> {
    let ask = |path: &str| hub.admin().try_send(&Request::new("GET", path)).ok();
    let all = ask("/modules").filter(|answer| answer.status == 200)?.json();
    let module = |module: &Value| {
        let name = module["name"].as_str()?.to_owned();
        let details = ask(&format!("/modules/{name}"))?.json();
        let status = details["status"].as_str()?.to_owned();
        // Asked only if there may be something: a refusal is a record, and that a commit of the hub.
        let may_wait = hub.data_dir().join("pending").join(&name).exists();
        let asked = may_wait.then(|| ask(&format!("/modules/{name}/consent"))).flatten();
        let asked = asked.filter(|asked| asked.status == 200 && status != "AWAITING_CONSENT");
        Some(Known {
            version: details["version"].as_str()?.to_owned(),
            previous: details["previous_version"].as_str().map(str::to_owned),
            waiting: asked.map(|asked| text(&asked.json()["version"])),
            name,
            status,
        })
    };
    all["modules"].as_array()?.iter().map(module).collect()
}

/// Containers, images and volumes, by the hub's label and by its names.
fn in_engine(hub: &Hub, known: &[Known]) -> Vec<String> {
    let engine = hub.engine();
    let label = match setting(&hub.data_dir().join("selena.db"), "hub_id") {
        Ok(id) => format!("selena.hub={id}"),
        Err(error) => return vec![format!("the database has no hub's id: {error}")],
    };
    let mut left = Vec::new();
    let by_name = engine.containers(hub.prefix()).into_iter().chain(engine.labelled(&label));
    let containers: BTreeSet<_> = by_name.map(|one| (text(&one["Names"][0]), text(&one["State"]))).collect();
    let is_right = |module: &Known, state: &str| (state == "running") == (module.status == "RUNNING");
    for (name, state) in &containers {
        let module = known.iter().find(|module| name.trim_start_matches('/') == hub.container(&module.name));
        if module.is_none_or(|module| !is_right(module, state)) {
            left.push(format!("container {name}, {state}"));
        }
    }
    let runs =
        |module: &&Known| containers.contains(&(format!("/{}", hub.container(&module.name)), "running".to_owned()));
    let running = known.iter().filter(|module| module.status == "RUNNING");
    left.extend(running.filter(|module| !runs(module)).map(|module| format!("no container of {}", module.name)));
    let images = engine.images(hub.prefix()).into_iter().chain(engine.labelled_images(&label));
    // One image may have several names, or none.
    let names = |image: Value| {
        let id = text(&image["Id"]);
        let tags: Vec<_> = image["RepoTags"].as_array().into_iter().flatten().map(text).collect();
        let tags = if tags.is_empty() { vec![String::new()] } else { tags };
        tags.into_iter().map(move |tag| (id.clone(), tag))
    };
    let images: BTreeSet<_> = images.flat_map(names).collect();
    let is_of = |module: &Known, tag: &str| {
        let versions = [Some(&module.version), module.previous.as_ref(), module.waiting.as_ref()];
        versions
            .into_iter()
            .flatten()
            .any(|version| tag == format!("{}:{}", hub.container(&module.name), version.replace('+', "_")))
    };
    let unknown = images.iter().filter(|(_, tag)| !known.iter().any(|module| is_of(module, tag)));
    left.extend(unknown.map(|(id, tag)| format!("image {tag} {id}")));
    for volume in engine.volumes(&label) {
        let module = text(&volume["Labels"]["selena.module"]);
        // A container that ended stays for its log, and keeps its volume.
        if !containers.iter().any(|(name, _)| name.trim_start_matches('/') == hub.container(&module)) {
            left.push(format!("volume {} of {module}", text(&volume["Name"])));
        }
    }
    left
}

/// Loop devices and mounts of what lies in the hub's directory.
fn in_kernel(data: &Path, known: &[Known]) -> Vec<String> {
    let mut left = Vec::new();
    let running = known.iter().filter(|module| module.status == "RUNNING");
    let mut expected: BTreeSet<_> =
        running.map(|module| data.join(format!("volumes/{}.ext4", module.name)).display().to_string()).collect();
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut own = Vec::new();
    for device in devices {
        let backing = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        let backing = backing.trim_end();
        if !backing.starts_with(&format!("{}/", data.display())) {
            continue;
        }
        own.push(format!("/dev/{}", device.file_name().to_string_lossy()));
        if !expected.remove(backing) {
            left.push(format!("loop device {} of {backing}", device.file_name().to_string_lossy()));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let inside = format!("{}/", data.display());
    let mut volumes = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (source, target) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let is_second = own.iter().any(|device| device == source) && volumes.contains(&source);
        if target.starts_with(&inside) || is_second {
            left.push(format!("mount of {source} at {target}"));
        }
        volumes.push(source);
    }
    left
}

/// Files where only what belongs to a module may lie, and sockets anywhere.
fn files(data: &Path, known: &[Known]) -> Vec<String> {
    let names = |keep: fn(&Known) -> bool, suffix: &str| -> BTreeSet<String> {
        known.iter().filter(|module| keep(module)).map(|module| format!("{}{suffix}", module.name)).collect()
    };
    let all = |_: &Known| true;
    let places = [
        ("staging", BTreeSet::new(), false),
        ("aside", BTreeSet::new(), false),
        ("restore", BTreeSet::new(), false),
        ("restoring", BTreeSet::new(), false),
        ("lost", BTreeSet::new(), false),
        ("modules", names(all, ""), true),
        ("volumes", names(all, ".ext4"), false),
        ("previous", names(|module| module.previous.is_some(), ""), true),
        ("pending", names(|module| module.waiting.is_some(), ""), true),
        ("sandbox/passwd", names(all, ""), false),
        ("secure/tokens", names(all, ""), false),
        ("run", BTreeSet::from(["admin.sock".to_owned()]), true),
    ];
    let mut left = Vec::new();
    for (dir, may, must) in places {
        let there = entries(&data.join(dir));
        left.extend(there.difference(&may).map(|name| format!("file {dir}/{name}")));
        if must {
            left.extend(may.difference(&there).map(|name| format!("no file {dir}/{name}")));
        }
    }
    let mut sockets = Vec::new();
    find_sockets(data, &mut sockets);
    sockets.retain(|socket| *socket != data.join("run/admin.sock"));
    left.extend(sockets.into_iter().map(|socket| format!("socket {}", socket.display())));
    left
}

fn entries(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn find_sockets(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => find_sockets(&entry.path(), found),
            Ok(kind) if kind.is_socket() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// Rows that name a module that is not there, in whatever table; and modules that are in one place only.
fn rows(database: &Path, known: &[Known]) -> rusqlite::Result<Vec<String>> {
    let rows = open(database)?;
    let list = |sql: &str| -> rusqlite::Result<Vec<String>> {
        let mut statement = rows.prepare(sql)?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let mut left = Vec::new();
    let names: BTreeSet<_> = known.iter().map(|module| module.name.clone()).collect();
    let stored: BTreeSet<_> = list("SELECT name FROM modules")?.into_iter().collect();
    left.extend(stored.symmetric_difference(&names).map(|name| format!("row and module {name} are not both there")));
    for table in list("SELECT name FROM sqlite_master WHERE type = 'table'")? {
        if KEPT.contains(&table.as_str()) {
            continue;
        }
        let columns = format!("SELECT name FROM pragma_table_info('{table}') WHERE name IN ('module', 'module_id')");
        for column in list(&columns)? {
            let values = list(&format!("SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"))?;
            let unknown = values.into_iter().filter(|value| value != DEVELOPMENT && !names.contains(value));
            left.extend(unknown.map(|value| format!("rows of {value} in {table}")));
        }
    }
    Ok(left)
}

fn setting(database: &Path, key: &str) -> rusqlite::Result<String> {
    open(database)?.query_row("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0))
}

fn open(database: &Path) -> rusqlite::Result<Connection> {
    let rows = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    rows.busy_timeout(Duration::from_secs(5))?;
    Ok(rows)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
