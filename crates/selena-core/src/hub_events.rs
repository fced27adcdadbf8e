//! The types of events that the hub itself publishes (protocol, section 6).

/// Those that the core publishes, and nobody else with source `core`.
pub const PUBLISHED: &[&str] = &[
    "device.registered",
    "device.state_changed",
    "device.removed",
    "device.offline",
    "device.online",
    "device.discovered",
    "module.discovered",
    "module.installed",
    "module.started",
    "module.stopped",
    "module.crashed",
    "module.error",
    "module.unhealthy",
    "module.quarantined",
    "module.resource_warning",
    "module.updated",
    "module.removed",
    "core.startup",
    "core.startup_completed",
    "core.shutdown",
    "core.config_changed",
    "core.maintenance_started",
    "core.maintenance_completed",
    "core.integrity_violation",
    "core.integrity_restored",
    "core.safe_mode_entered",
    "core.safe_mode_exited",
    "core.oauth.completed",
    "core.oauth.denied",
    "core.oauth.expired",
    "core.disk_low",
];

/// Those that are kept free for parts of the hub that are not there yet: updates of the hub itself, and the cloud unit.
pub const KEPT_FREE: &[&str] =
    &["core.update.*", "sync.command_received", "sync.connection_lost", "sync.connection_restored"];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use selena_types::{EventPattern, EventType};

    use super::*;

    /// The list of section 6, as it stands there.
    const SECTION_6: &str = "device.registered device.state_changed device.removed device.offline device.online \
        device.discovered module.installed module.started module.stopped module.crashed module.error module.unhealthy \
        module.quarantined module.resource_warning module.discovered module.updated module.removed \
        core.startup core.startup_completed core.shutdown core.config_changed core.maintenance_started \
        core.maintenance_completed core.integrity_violation core.integrity_restored core.safe_mode_entered \
        core.safe_mode_exited core.oauth.completed core.disk_low core.update.* sync.command_received \
        sync.connection_lost sync.connection_restored";
    /// What is told besides: how else a sign-in ended.
    const BESIDES: [&str; 2] = ["core.oauth.denied", "core.oauth.expired"];

    #[test]
    fn the_list_is_that_of_section_6() {
        let ours: BTreeSet<_> = PUBLISHED.iter().chain(KEPT_FREE).copied().collect();
        assert_eq!(ours.len(), PUBLISHED.len() + KEPT_FREE.len(), "none stands there twice");
        assert_eq!(ours, SECTION_6.split_whitespace().chain(BESIDES).collect());
    }

    #[test]
    fn all_of_them_but_a_found_device_are_not_a_modules_to_publish() {
        for name in PUBLISHED {
            let event_type = EventType::new(name).expect("a good type");
            assert_eq!(event_type.is_core() || event_type.is_reserved(), *name != "device.discovered", "{name}");
        }
        for name in KEPT_FREE {
            assert!(EventPattern::new(name).expect("a good pattern").names_internal(), "{name}");
        }
    }

    /// `append` refuses in every test what is not in the list; this finds what is in the list and never published.
    #[test]
    fn each_is_named_where_it_is_published() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crates lie side by side");
        let mut text = String::new();
        for sources in ["selena-core/src", "selenad/src"] {
            read_all(&crates.join(sources), &mut text);
        }
        for name in PUBLISHED {
            assert!(text.contains(&format!("\"{name}\"")), "{name} is published nowhere");
        }
        for name in KEPT_FREE {
            let begin = format!("\"{}", name.trim_end_matches('*'));
            assert!(!text.contains(&begin), "{name} is published and should stand in the other list");
        }
    }

    /// Reads all sources below a directory but this one and the tests.
    fn read_all(directory: &Path, text: &mut String) {
        for entry in fs::read_dir(directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            if path.is_dir() {
                read_all(&path, text);
            } else if !["hub_events.rs", "tests.rs"].contains(&name) {
                let source = fs::read_to_string(&path).expect("a source");
                text.push_str(source.split("#[cfg(test)]").next().unwrap_or_default());
            }
        }
    }
}
