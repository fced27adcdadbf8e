//! The crates of the workspace and what they depend on.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use toml::{Table, Value};

/// The workspace.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) members: Vec<Member>,
}

/// A crate of the workspace.
#[derive(Debug)]
pub(super) struct Member {
    /// Name of the package.
    pub(super) name: String,
    /// Its directory, relative to the root.
    pub(super) directory: PathBuf,
    /// The crates of ours it depends on, for whatever purpose.
    pub(super) ours: Vec<Dependency>,
}

/// A dependency on a crate of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dependency {
    /// Name of the package.
    pub(super) name: String,
    /// Whether only tests need it.
    pub(super) dev: bool,
}

/// Reads the `Cargo.toml` of the root and of every member.
pub(super) fn read(root: &Path) -> anyhow::Result<Workspace> {
    let manifest = table(&root.join("Cargo.toml"))?;
    let listed = manifest.get("workspace").and_then(|workspace| workspace.get("members")).and_then(Value::as_array);
    let mut packages = Vec::new();
    for directory in listed.context("Cargo.toml of the root has no workspace.members")? {
        let directory = PathBuf::from(directory.as_str().context("a workspace member is no text")?);
        let package = table(&root.join(&directory).join("Cargo.toml"))?;
        let name = package.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        let name = name.with_context(|| format!("{} has no package.name", directory.display()))?.to_owned();
        packages.push((name, directory, package));
    }
    let mut known: BTreeSet<_> = packages.iter().map(|(name, ..)| name.clone()).collect();
    known.extend(with_path(&manifest));
    let member = |(name, directory, package)| Member { name, directory, ours: ours(&package, &known) };
    Ok(Workspace { members: packages.into_iter().map(member).collect() })
}

fn table(path: &Path) -> anyhow::Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is no TOML", path.display()))
}

/// Names in `[workspace.dependencies]` that are crates of this tree.
fn with_path(root: &Table) -> impl Iterator<Item = String> {
    let shared = root.get("workspace").and_then(|workspace| workspace.get("dependencies")).and_then(Value::as_table);
    let ours = |(name, spec): (&String, &Value)| spec.get("path").map(|_| package_name(name, spec));
    shared.into_iter().flatten().filter_map(ours).collect::<Vec<_>>().into_iter()
}

fn ours(package: &Table, known: &BTreeSet<String>) -> Vec<Dependency> {
    let mut found = BTreeSet::new();
    for table in [Some(package)].into_iter().flatten().chain(targets(package)) {
        for (key, dev) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
            for (name, spec) in table.get(key).and_then(Value::as_table).into_iter().flatten() {
                let name = package_name(name, spec);
                if known.contains(&name) || spec.get("path").is_some() {
                    found.insert(Dependency { name, dev });
                }
            }
        }
    }
    found.into_iter().collect()
}

/// The tables `[target.…]`, which hold dependencies too.
fn targets(package: &Table) -> impl Iterator<Item = &Table> {
    let targets = package.get("target").and_then(Value::as_table);
    targets.into_iter().flat_map(Table::values).filter_map(Value::as_table)
}

/// A dependency may be called otherwise than its package.
fn package_name(name: &str, spec: &Value) -> String {
    spec.get("package").and_then(Value::as_str).unwrap_or(name).to_owned()
}
