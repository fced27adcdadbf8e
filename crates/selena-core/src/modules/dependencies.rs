//! Modules that need other modules (protocol, section 3, `dependencies`): what an install must find, who is started
//! first, who is stopped first, and why one has to wait, in words.
//!
//! A dependency is there when its version fits, and ready when it is healthy: `RUNNING`, or `READY` if it is started by
//! a call or a schedule. One that is stopped takes those that need it along; one that crashes does not.
//! An optional one has to fit only in the order of starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use selena_types::{Manifest, ModuleName, ModuleState, Problems, RuntimeMode};
use semver::VersionReq;

use super::{ModuleRecord, Modules, about, slot::Slot, work::CORE};
use crate::{ApiError, jobs::JobKind};

/// The code of a problem with a dependency.
const CODE: &str = "manifest_dependency";

/// What every module needs, by name.
#[derive(Debug, Default)]
struct Graph(BTreeMap<ModuleName, Vec<ModuleName>>);

impl Graph {
    fn of<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Self {
        let edges = |manifest: &Manifest| manifest.dependencies.keys().cloned().collect();
        Self(manifests.into_iter().map(|manifest| (manifest.name.clone(), edges(manifest))).collect())
    }

    fn needs(&self, name: &ModuleName) -> &[ModuleName] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// A way from a module back to itself, if there is one: `a → b → a`.
    fn circle(&self, from: &ModuleName) -> Option<Vec<ModuleName>> {
        let (mut seen, mut paths) = (BTreeSet::new(), vec![vec![from.clone()]]);
        while let Some(path) = paths.pop() {
            for next in path.last().map_or(&[][..], |last| self.needs(last)) {
                let mut longer = path.clone();
                longer.push(next.clone());
                if next == from {
                    return Some(longer);
                }
                if seen.insert(next.clone()) {
                    paths.push(longer);
                }
            }
        }
        None
    }

    /// All that need a module, also through others; each before what it needs itself.
    fn dependents(&self, name: &ModuleName) -> Vec<ModuleName> {
        let mut found: Vec<ModuleName> = Vec::new();
        let mut next = vec![name.clone()];
        while let Some(needed) = next.pop() {
            for (module, needs) in &self.0 {
                if needs.contains(&needed) && module != name && !found.contains(module) {
                    found.push(module.clone());
                    next.push(module.clone());
                }
            }
        }
        let levels = self.levels();
        let level = |module: &ModuleName| levels.iter().position(|level| level.contains(module));
        found.sort_by_key(|module| std::cmp::Reverse(level(module)));
        found
    }

    /// Modules that need nothing, those that need only them, and so on; a circle comes last.
    fn levels(&self) -> Vec<Vec<ModuleName>> {
        let mut left: BTreeSet<_> = self.0.keys().cloned().collect();
        let mut levels = Vec::new();
        while !left.is_empty() {
            let free =
                |module: &&ModuleName| !self.needs(module).iter().any(|need| left.contains(need) && need != *module);
            let mut level: Vec<_> = left.iter().filter(free).cloned().collect();
            if level.is_empty() {
                level = left.iter().cloned().collect();
            }
            left.retain(|module| !level.contains(module));
            levels.push(level);
        }
        levels
    }
}

impl Modules {
    /// Refuses a package whose dependencies are not installed, that would leave a module without its own, or that
    /// closes a circle; with every problem found.
    pub(super) fn check_dependencies(&self, manifest: &Manifest) -> Result<(), ApiError> {
        let records = self.records();
        let mut problems = Problems::default();
        let at = |name: &ModuleName| ["dependencies".into(), name.as_str().into()];
        for (name, wanted) in &manifest.dependencies {
            let there = records.iter().find(|record| record.name == *name && record.state != ModuleState::Removed);
            let problem = match there {
                None => format!("it needs module `{name}` {wanted}, which is not installed: install that first"),
                Some(record) if !wanted.matches(&record.version) => {
                    format!("it needs module `{name}` {wanted}; {} is installed: update that first", record.version)
                }
                Some(_) => continue,
            };
            problems.add(at(name), CODE, problem);
        }
        let others: Vec<_> = records.iter().filter(|record| record.name != manifest.name).collect();
        let mut manifests: Vec<_> = others.iter().filter_map(|record| self.manifest(record).ok()).collect();
        for other in &manifests {
            let wanted = other.dependencies.get(&manifest.name);
            if let Some(wanted) = wanted.filter(|wanted| !wanted.matches(&manifest.version)) {
                let problem = format!(
                    "module `{}` needs `{}` {wanted}, and this is {}: update `{}` first, or remove it",
                    other.name, manifest.name, manifest.version, other.name
                );
                problems.add(["version".into()], CODE, problem);
            }
        }
        manifests.push(manifest.clone());
        if let Some(circle) = Graph::of(&manifests).circle(&manifest.name) {
            let circle: Vec<_> = circle.iter().map(ModuleName::as_str).collect();
            problems.add(
                ["dependencies".into()],
                CODE,
                format!("modules need each other in a circle: {}", circle.join(" → ")),
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
    }

    /// Why a module has to wait for another one, if it has to.
    pub(super) fn waits_for(&self, record: &ModuleRecord) -> Option<String> {
        let manifest = self.manifest(record).ok()?;
        let must = manifest.dependencies.iter().find_map(|(name, wanted)| self.not_ready(name, wanted));
        // One that is about to start, and has nothing to wait for itself, comes first also if it is optional.
        let may = || {
            let optional =
                manifest.optional_dependencies.keys().filter_map(|name| Some(self.slot(name).ok()?.record()));
            optional.filter(|other| other.state == ModuleState::Ready && self.should_run(other)).find_map(|other| {
                let needs = self.manifest(&other).ok()?.dependencies;
                let free = !needs.iter().any(|(name, wanted)| self.not_ready(name, wanted).is_some());
                let starts = free && !self.manifest(&other).ok()?.optional_dependencies.contains_key(&record.name);
                starts.then(|| format!("it waits for module `{}`, which is being started", other.name))
            })
        };
        must.or_else(may)
    }

    fn not_ready(&self, name: &ModuleName, wanted: &VersionReq) -> Option<String> {
        let needs = format!("it needs module `{name}` {wanted}");
        let Ok(slot) = self.slot(name) else { return Some(format!("{needs}, which is not installed: install that")) };
        let other = slot.record();
        if !wanted.matches(&other.version) {
            return Some(format!("{needs}; {} is installed: update that", other.version));
        }
        let ready = match other.state {
            ModuleState::Running => true,
            ModuleState::Ready => other.runtime_mode != RuntimeMode::AlwaysOn,
            _ => false,
        };
        let why = other.error.map(|error| format!(" ({error})")).unwrap_or_default();
        (!ready).then(|| format!("{needs}, which is {}{why}", other.state))
    }

    /// Stores that a module waits for another one; once for each reason.
    pub(super) async fn save_waiting(&self, slot: &Slot, why: String) -> Result<(), ApiError> {
        let before = slot.record();
        if before.state == ModuleState::Ready && before.error.as_ref() == Some(&why) {
            return Ok(());
        }
        tracing::info!(module = %before.name, why, "a module waits for another one");
        self.save(slot, ModuleRecord { state: ModuleState::Ready, error: Some(why), ..before }, Vec::new()).await
    }

    /// Starts what a module needs, in order, as far as nobody decided otherwise.
    pub(super) async fn start_needs(self: &Arc<Self>, name: &ModuleName) {
        let graph = self.graph();
        let mut needed: BTreeSet<_> = graph.needs(name).iter().cloned().collect();
        let mut next: Vec<_> = needed.iter().cloned().collect();
        while let Some(module) = next.pop() {
            next.extend(graph.needs(&module).iter().filter(|need| needed.insert((*need).clone())).cloned());
        }
        for module in graph.levels().into_iter().flatten().filter(|module| needed.contains(module) && module != name) {
            let Ok(slot) = self.slot(&module) else { continue };
            let Ok(mut live) = self.exclusive(&slot).await else { return };
            if live.retry.is_some() || live.active.is_some() || !self.should_run(&slot.record()) {
                continue;
            }
            let job = self.job(JobKind::Start, &module, CORE);
            if let Err(error) = job.run(self.start_locked(&slot, &mut live, false)).await {
                self.after_failed_start(&slot, &mut live, &error).await;
            }
        }
    }

    /// Starts those that wait for a module that is now ready.
    pub(super) fn start_dependents(self: &Arc<Self>, name: &ModuleName) {
        for slot in self.all_slots() {
            let record = slot.record();
            let waits = record.state == ModuleState::Ready && self.should_run(&record);
            let needs = |manifest: Manifest| {
                manifest.dependencies.contains_key(name) || manifest.optional_dependencies.contains_key(name)
            };
            if waits && self.manifest(&record).is_ok_and(needs) {
                self.start_in_background(&slot);
            }
        }
    }

    /// Stops those that need a module, each before what it needs itself; they start again when it is back.
    pub(super) async fn hold_dependents(&self, name: &ModuleName, what: &str) -> Result<(), ApiError> {
        for dependent in self.graph().dependents(name) {
            let Ok(slot) = self.slot(&dependent) else { continue };
            let mut live = self.exclusive(&slot).await?;
            if let Some(retry) = live.retry.take() {
                retry.cancel();
            }
            let Some(active) = live.active.take() else { continue };
            self.end_or_later(&active).await;
            let why = format!("it needs module `{name}`, which was {what}");
            let held = ModuleRecord { state: ModuleState::Ready, error: Some(why.clone()), ..slot.record() };
            let event = ("module.stopped", about(&held, Some(&why)));
            match self.save(&slot, held.clone(), vec![event]).await {
                // A full disk must not keep anybody from removing what fills it.
                Err(ApiError::DiskFull) => slot.set_record(held),
                saved => saved?,
            }
        }
        Ok(())
    }

    /// All modules, those that nobody needs first: the order in which the hub's end stops them.
    pub(super) fn stop_order(&self) -> Vec<Vec<Arc<Slot>>> {
        let slots = |level: Vec<ModuleName>| level.iter().filter_map(|name| self.slot(name).ok()).collect();
        self.graph().levels().into_iter().rev().map(slots).collect()
    }

    fn graph(&self) -> Graph {
        let manifests: Vec<_> = self.records().iter().filter_map(|record| self.manifest(record).ok()).collect();
        Graph::of(&manifests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ModuleName {
        text.parse().expect("a name")
    }

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        Graph(edges.iter().map(|(from, to)| (name(from), to.iter().map(|to| name(to)).collect())).collect())
    }

    fn texts(names: &[ModuleName]) -> Vec<&str> {
        names.iter().map(ModuleName::as_str).collect()
    }

    #[test]
    fn starts_are_in_levels_and_those_who_need_one_stop_before_it() {
        let house =
            graph(&[("app", &["db", "log"]), ("db", &["log"]), ("log", &[]), ("lone", &[]), ("view", &["app"])]);
        let levels: Vec<_> = house.levels().iter().map(|level| texts(level).join(" ")).collect();
        assert_eq!(levels, ["log lone", "db", "app", "view"]);
        assert_eq!(texts(&house.dependents(&name("log"))), ["view", "app", "db"]);
        assert_eq!(texts(&house.dependents(&name("app"))), ["view"]);
        assert!(house.dependents(&name("lone")).is_empty());
    }

    #[test]
    fn a_circle_is_found_and_does_not_hang() {
        let circle = graph(&[("aa", &["bb"]), ("bb", &["cc"]), ("cc", &["aa"]), ("dd", &["aa"])]);
        assert_eq!(texts(&circle.circle(&name("aa")).expect("a circle")), ["aa", "bb", "cc", "aa"]);
        assert!(circle.circle(&name("dd")).is_none(), "it only looks into one");
        assert_eq!(circle.levels().iter().map(Vec::len).sum::<usize>(), 4);
        assert_eq!(circle.dependents(&name("aa")).len(), 3);
    }
}
