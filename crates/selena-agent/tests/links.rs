//! The agent shares no code with the core: a fault in shared code would be a fault of both.

use std::{collections::BTreeSet, process::Command};

/// What the whole program is made of, tests apart.
fn dependencies() -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments =
        ["tree", "--package", "selena-agent", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--locked"];
    let output =
        Command::new(cargo).current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_agent_links_nothing_of_the_core() {
    let all = dependencies();
    let ours: Vec<_> = all.iter().filter(|name| name.starts_with("selena")).map(String::as_str).collect();
    assert_eq!(ours, ["selena-agent", "selena-manifest", "selena-runtime"]);
    for foreign in ["rusqlite", "libsqlite3-sys", "bollard", "axum", "hyper", "reqwest", "rustls", "tower"] {
        assert!(!all.contains(foreign), "the agent links {foreign}");
    }
    assert!(all.contains("sha2") && all.contains("ed25519-dalek"), "the list is one: {all:?}");
}
