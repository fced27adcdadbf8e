//! Dependencies between our crates point downwards only: the table of `ARCHITECTURE.md`.

use super::{
    Violation,
    members::{Dependency, Member, Workspace},
};

/// What a crate may depend on.
struct Rule {
    name: &'static str,
    may: May,
    /// Why not on more.
    why: &'static str,
}

enum May {
    /// On these crates of ours.
    Only(&'static [&'static str]),
    /// On all of them.
    Any,
}
use May::{Any, Only};

/// The crate with fakes of the ports: tests of every crate may use it.
const TESTKIT: &str = "selena-testkit";
/// The crate that forges packages, for tests too.
const FORGE: &str = "selena-forge";

/// The crate with a disk that loses what was not flushed, for tests too.
const POWERCUT: &str = "selena-powercut";

/// The table. Who may know the core may know the types it speaks in.
const RULES: &[Rule] = &[
    rule("selena-types", Only(&[]), "names and bodies are the lowest layer: no IO, nothing below it"),
    rule("selena-manifest", Only(&[]), "the integrity agent shares this crate alone with the core"),
    rule("selena-ipc", Only(&["selena-types"]), "a wire carries types and knows nothing of who speaks"),
    rule(
        "selena-signature",
        Only(&["selena-types"]),
        "hub and command line check the same signatures, and neither is carried into the other",
    ),
    rule(
        "selena-backup",
        Only(&["selena-types"]),
        "what reads backups of strangers gives out bytes and must not reach anything else",
    ),
    rule(
        "selena-core",
        Only(&["selena-backup", "selena-killpoints", "selena-signature", "selena-types"]),
        "the core decides; what it needs of the world it declares as ports",
    ),
    rule(
        "selena-store",
        Only(&["selena-core", "selena-killpoints", "selena-signature", "selena-types"]),
        "SQL knows the core's port and nothing above it",
    ),
    rule("selena-package", Only(&["selena-types"]), "what reads packages of strangers must not reach anything else"),
    rule(
        "selena-channel",
        Only(&["selena-core", "selena-types"]),
        "the socket between core and sandbox knows the port at both ends and neither of them",
    ),
    rule(
        "selena-sandbox",
        Only(&[
            "selena-channel",
            "selena-core",
            "selena-killpoints",
            "selena-runtime",
            "selena-types",
            "selena-ipc",
            "selena-syscalls",
        ]),
        "what holds the power knows the core's port and no parser of strangers' input",
    ),
    rule(
        "selena-vault",
        Only(&["selena-core", "selena-types"]),
        "the vault knows the core's ports and nothing of who asks",
    ),
    rule("selena-http", Only(&["selena-core", "selena-types"]), "HTTP asks the core: no SQL, no Docker, no vault"),
    rule("selena-ui", Only(&["selena-core", "selena-types"]), "the page asks the core, as HTTP does"),
    rule("selena-runtime", Only(&[]), "what is around a program's work knows nothing of the work"),
    rule(
        "selenad",
        Only(&[
            "selena-types",
            "selena-ipc",
            "selena-signature",
            "selena-channel",
            "selena-core",
            "selena-store",
            "selena-package",
            "selena-sandbox",
            "selena-vault",
            "selena-http",
            "selena-ui",
            "selena-runtime",
        ]),
        "the hub wires its parts; the agent that watches it shares nothing with it but the runtime",
    ),
    rule(
        "selena-agent",
        Only(&["selena-manifest", "selena-runtime"]),
        "the agent must work when the core is broken: a fault in shared code would be a fault of both",
    ),
    rule("selena-cloud", Only(&["selena-types", "selena-runtime"]), "the cloud unit speaks to the core by HTTP only"),
    rule("selena-platform", Only(&["selena-types"]), "the platform is another machine"),
    rule("selenactl", Only(&["selena-signature", "selena-types"]), "the command line speaks to the hub by HTTP only"),
    rule("selena-sdk", Only(&["selena-types", "selena-ipc"]), "modules are strangers: they get the wires, not the hub"),
    rule("selena-killpoints", Only(&[]), "a point knows nothing of what changes there"),
    rule("selena-syscalls", Only(&[]), "a table of the kernel's calls knows nothing of who denies them"),
    rule(
        "selena-init",
        Only(&["selena-syscalls"]),
        "the first process of every container is small and shares with the hub only what both deny",
    ),
    rule(FORGE, Only(&[]), "what forges packages must not know how they are read"),
    rule(POWERCUT, Only(&[]), "a disk knows nothing of what is written to it"),
    rule("sample-*", Only(&["selena-sdk"]), "samples show what a module author can do, who has the SDK and no more"),
    rule(
        "selena-tests",
        Only(&[FORGE, POWERCUT, "selena-backup"]),
        "black-box tests go through the public doors; what strangers can make, they make with the format's own crate",
    ),
    rule("selena-test-probe", Only(&[]), "a module of the tests is a stranger, as every module"),
    rule(TESTKIT, Any, ""),
    rule("xtask", Any, ""),
];

const fn rule(name: &'static str, may: May, why: &'static str) -> Rule {
    Rule { name, may, why }
}

impl Rule {
    fn is_for(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.name,
        }
    }

    fn allows(&self, dependency: &Dependency) -> bool {
        match self.may {
            Any => true,
            Only(names) => {
                names.contains(&dependency.name.as_str())
                    || (dependency.dev && [TESTKIT, FORGE, POWERCUT].contains(&dependency.name.as_str()))
            }
        }
    }
}

/// Every crate stands in the table, and depends only on what it may.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.members.iter().flat_map(of).collect()
}

fn of(member: &Member) -> Vec<Violation> {
    let file = member.directory.join("Cargo.toml");
    let Some(rule) = RULES.iter().find(|rule| rule.is_for(&member.name)) else {
        let what = format!("crate `{}` is unknown: give it a row in the table of {}", member.name, file!());
        return vec![Violation::new(file, None, what)];
    };
    let forbidden = member.ours.iter().filter(|dependency| !rule.allows(dependency));
    let tell =
        |dependency: &Dependency| format!("`{}` must not depend on `{}`: {}", member.name, dependency.name, rule.why);
    forbidden.map(|dependency| Violation::new(&file, None, tell(dependency))).collect()
}
