//! Every rule holds here, and is seen to fail on a tree that breaks it.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{length, *};

#[test]
fn this_project_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let violations: Vec<_> = check(&root).unwrap().iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

const ROOT: (&str, &str) = (
    "Cargo.toml",
    "[workspace]\nmembers = [\"crates/selena-types\", \"crates/selena-http\"]\n\
     [workspace.dependencies]\nselena-store = { path = \"crates/selena-store\" }\nserde = \"1\"\n",
);
const TYPES: (&str, &str) = ("crates/selena-types/Cargo.toml", "[package]\nname = \"selena-types\"\n");
const TYPES_LIB: (&str, &str) = ("crates/selena-types/src/lib.rs", "//! Types.\n");
const HTTP: (&str, &str) = (
    "crates/selena-http/Cargo.toml",
    "[package]\nname = \"selena-http\"\n[dependencies]\nserde.workspace = true\nselena-types.workspace = true\n",
);
const HTTP_LIB: (&str, &str) = ("crates/selena-http/src/lib.rs", "//! HTTP.\n");

/// What breaks a rule in a good tree with these files put over it.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    for (path, text) in [ROOT, TYPES, TYPES_LIB, HTTP, HTTP_LIB].iter().chain(files) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    check(dir.path()).unwrap().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn broken(files: &[(&str, &str)], wanted: &str) {
    let found = found(files);
    assert!(found.len() == 1 && found[0].contains(wanted), "wanted {wanted:?}, found {found:#?}");
}

#[test]
fn a_good_tree_breaks_no_rule() {
    assert_eq!(found(&[("target/debug/x.rs", &marks_text())]), [""; 0]);
}

#[test]
fn a_forbidden_arrow_is_told_with_its_reason() {
    for dependency in [
        "[dependencies]\nselena-store.workspace = true\n",
        "[dependencies]\nstore = { package = \"selena-store\", workspace = true }\n",
        "[dependencies]\nselena-store = { path = \"../selena-store\" }\n",
        "[dev-dependencies]\nselena-store.workspace = true\n",
        "[build-dependencies]\nselena-store.workspace = true\n",
        "[target.'cfg(unix)'.dependencies]\nselena-store.workspace = true\n",
    ] {
        let manifest = format!("[package]\nname = \"selena-http\"\n{dependency}");
        let wanted =
            "crates/selena-http/Cargo.toml: `selena-http` must not depend on `selena-store`: HTTP asks the core";
        broken(&[(HTTP.0, &manifest)], wanted);
    }
}

#[test]
fn an_arrow_upwards_is_forbidden_too() {
    let manifest = "[package]\nname = \"selena-types\"\n[dependencies]\nselena-http = { path = \"../selena-http\" }\n";
    broken(&[(TYPES.0, manifest)], "`selena-types` must not depend on `selena-http`");
}

#[test]
fn samples_and_the_first_process_depend_on_none_of_our_crates() {
    for name in ["sample-lamp", "selena-init"] {
        let root = "[workspace]\nmembers = [\"crates/selena-types\", \"crates/x\"]\n";
        let manifest = format!("[package]\nname = \"{name}\"\n[dependencies]\nselena-types.workspace = true\n");
        let files = [(ROOT.0, root), ("crates/x/Cargo.toml", &manifest), ("crates/x/src/main.rs", "//! X.\n")];
        broken(&files, &format!("`{name}` must not depend on `selena-types`"));
    }
}

#[test]
fn only_tests_may_use_the_testkit() {
    let with = |kind: &str| {
        let testkit = "selena-testkit = { path = \"../selena-testkit\" }";
        found(&[(HTTP.0, &format!("[package]\nname = \"selena-http\"\n[{kind}]\n{testkit}\n"))]).len()
    };
    assert_eq!((with("dev-dependencies"), with("dependencies")), (0, 1));
}

#[test]
fn an_unknown_crate_has_to_be_placed() {
    broken(&[(HTTP.0, "[package]\nname = \"selena-utils\"\n")], "crate `selena-utils` is unknown");
}

#[test]
fn a_long_file_needs_a_reason_and_a_reason_needs_a_long_file() {
    let long = "//! Long.\n".repeat(401);
    broken(&[(HTTP_LIB.0, &long)], "crates/selena-http/src/lib.rs: 401 lines of at most 400");
    assert_eq!(found(&[(HTTP_LIB.0, &long[10..]), ("long.md", &long)]), [""; 0]);

    let file = |text: &str| [TextFile { path: "a.rs".to_owned(), text: text.to_owned() }];
    let listed = [("a.rs", "a table")];
    assert_eq!(length::check(&file(&long), &listed), []);
    assert!(length::check(&file("short"), &listed)[0].what.contains("is none"));
}

#[test]
fn a_crate_without_words_about_itself_is_told() {
    for text in ["", "\n//! Late.\n", "// HTTP.\n", "mod x;\n//! HTTP.\n"] {
        broken(&[(HTTP_LIB.0, text)], "crates/selena-http/src/lib.rs:1: does not begin with `//!`");
    }
    broken(&[("crates/selena-http/src/main.rs", "fn main() {}\n")], "src/main.rs:1: does not begin");
}

/// A text with every mark and path, in pieces, since this file is checked too.
fn marks_text() -> String {
    ["TO", "DO: a\nFIX", "ME\nXX", "X\n(/wo", "rk/x)\n/ro", "ot/y\n"].concat()
}

#[test]
fn marks_and_paths_are_told_with_their_lines_in_every_kind_of_file() {
    for path in ["crates/selena-http/src/x.rs", "docs/a.md", "scripts/run"] {
        let told = found(&[(path, &marks_text())]);
        assert_eq!(told.len(), 5, "{told:#?}");
        for (number, line) in (1..).zip(&told) {
            assert!(line.starts_with(&format!("{path}:{number}: ")), "{line}");
        }
    }
}

#[test]
fn words_and_paths_that_only_look_like_it_are_fine() {
    let fine = ["mktemp x.XX", "XXXX\nTO", "DOS\nhttps://example.com/wo", "rk/x\n$DIR/ro", "ot/y\na/ro", "ot/b\n"];
    assert_eq!(found(&[("a.txt", &fine.concat())]), [""; 0]);
}
