//! Who uses the disk, so that a full one is told with its culprit.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde::Serialize;
use serde_json::{Value, json};

use super::{ModuleRecord, Modules, room::kept_bytes, staging::blocking};
use crate::{
    ApiError,
    disk_space::{allocated_bytes, ext4_used_bytes, space},
    error::chain,
    ports::{EngineUse, TableBytes},
    transact::read,
};

/// How many uses `core.disk_low` names.
const NAMED: usize = 5;

/// What one module, or one part of the hub, uses.
#[derive(Debug, Serialize)]
struct Use {
    /// `module` or `hub`.
    owner: &'static str,
    name: String,
    bytes: u64,
    parts: BTreeMap<&'static str, u64>,
    /// What is full of a module's data volume, all of whose size is taken in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_used_bytes: Option<u64>,
}

impl Use {
    fn new(owner: &'static str, name: impl Into<String>, parts: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        let parts: BTreeMap<_, _> = parts.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        Self { owner, name: name.into(), bytes: parts.values().sum(), parts, data_used_bytes: None }
    }
}

impl Modules {
    /// What uses the disk, the largest first. What only the engine knows is left out while it does not answer, and
    /// `engine` says so.
    ///
    /// # Errors
    /// The store's.
    pub async fn disk_use(self: &Arc<Self>) -> Result<Value, ApiError> {
        let tables = read(self.parts.api.store(), |rows| rows.table_bytes()).await?;
        let (engine, unknown) = match self.parts.sandbox.disk_use().await {
            Ok(uses) => (uses, None),
            Err(error) => (BTreeMap::new(), Some(chain(&error))),
        };
        let modules = self.clone();
        let uses = blocking(move || Ok(modules.uses(&engine, &tables))).await?;
        let (total, free) = space(&self.parts.config.data_dir).unwrap_or_default();
        Ok(json!({
            "total_bytes": total, "free_bytes": free, "promised_bytes": self.promised_bytes(None),
            "kept_free_bytes": kept_bytes(total), "engine": unknown, "uses": uses,
        }))
    }

    /// Those that use most, for an event.
    pub(super) async fn largest_uses(self: &Arc<Self>) -> Value {
        let uses = self.disk_use().await.map(|mut all| all["uses"].take());
        let uses = uses.ok().and_then(|uses| uses.as_array().cloned()).unwrap_or_default();
        let brief = |one: &Value| json!({ "owner": one["owner"], "name": one["name"], "bytes": one["bytes"] });
        uses.iter().take(NAMED).map(brief).collect()
    }

    fn uses(&self, engine: &BTreeMap<String, EngineUse>, tables: &TableBytes) -> Vec<Use> {
        let mut uses: Vec<_> = self.records().iter().map(|record| self.module_use(record, engine, tables)).collect();
        uses.extend(self.hub_uses(tables));
        uses.retain(|one| one.bytes > 0);
        uses.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
        uses
    }

    fn module_use(&self, record: &ModuleRecord, engine: &BTreeMap<String, EngineUse>, tables: &TableBytes) -> Use {
        let name = &record.name;
        let of_engine = engine.get(name.as_str()).cloned().unwrap_or_default();
        let [aside, previous] = self.shelf(name).leftovers();
        let volume = self.data_image(name);
        let mut parts = Use::new(
            "module",
            name.as_str(),
            [
                ("package", allocated_bytes(&self.package_dir(name))),
                ("data_volume", allocated_bytes(&volume)),
                ("previous_version", allocated_bytes(&previous) + allocated_bytes(&aside)),
                ("waiting_update", allocated_bytes(&self.pending_dir(name))),
                ("images", of_engine.image_bytes),
                ("logs", of_engine.log_bytes),
                ("device_histories", tables.device_histories.get(name.as_str()).copied().unwrap_or_default()),
            ],
        );
        parts.data_used_bytes = of_engine.data_used_bytes.or_else(|| ext4_used_bytes(&volume).ok());
        parts
    }

    fn hub_uses(&self, tables: &TableBytes) -> Vec<Use> {
        let data = &self.parts.config.data_dir;
        let of = |name: &str| allocated_bytes(&data.join(name));
        let installed = |name: &String| self.records().iter().any(|record| record.name.as_str() == *name);
        let others: u64 =
            tables.device_histories.iter().filter(|(name, _)| !installed(name)).map(|(_, bytes)| bytes).sum();
        let histories: u64 = tables.device_histories.values().sum();
        let files: u64 = ["selena.db", "selena.db-wal", "selena.db-shm"].map(of).iter().sum();
        let rest = files.saturating_sub(histories + tables.events + tables.audit);
        let database = [
            ("event_history", tables.events),
            ("audit_log", tables.audit),
            ("other_device_histories", others),
            ("rest", rest),
        ];
        vec![
            Use::new("hub", "database", database),
            Use::new("hub", "uploads", [("files", of("staging"))]),
            Use::new("hub", "laid aside as unknown", [("files", of("lost"))]),
            Use::new("hub", "other files", [("files", other_files(data))]),
        ]
    }
}

/// What lies in the data directory besides what is counted by name.
fn other_files(data: &Path) -> u64 {
    const COUNTED: [&str; 7] = ["modules", "volumes", "aside", "previous", "pending", "staging", "lost"];
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let others = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        !COUNTED.contains(&&*name) && !name.starts_with("selena.db")
    });
    others.map(|entry| allocated_bytes(&entry.path())).sum()
}
