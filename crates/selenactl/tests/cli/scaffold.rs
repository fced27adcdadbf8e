//! A new module in Rust, built and tested as its author would.

use std::{fs, path::Path, process::Command};

use crate::directory::Directory;

#[test]
fn a_new_rust_module_of_every_kind_is_built_and_passes_its_test() {
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project");
    let clone = clone.to_str().expect("UTF-8");
    let here = Directory::new();
    for (kind, name) in [("DRIVER", "a-driver"), ("AUTOMATION", "auto7"), ("UI", "ui-page")] {
        let ran = here.ctl(&["module", "new", name, "-l", "rust", "-t", kind, "--sdk", clone]);
        assert_eq!((ran.code, ran.out.contains("put the path")), (Some(0), false), "{ran:?}");
        // The project's own versions, which are there already.
        fs::copy(format!("{clone}/Cargo.lock"), here.path().join(name).join("Cargo.lock")).expect("a file");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--quiet", "--offline", "--manifest-path"]).arg(format!("{name}/Cargo.toml"));
        // Kept from run to run and shared, so that all dependencies are built once.
        cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold"));
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("RUSTFLAGS", "-Dwarnings");
        let ran = here.run(cargo);
        assert_eq!(ran.code, Some(0), "{kind}: {} {}", ran.out, ran.err);
    }
}
