//! Tells the program what it was built from: the commit and its time, so that equal sources give equal programs.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../../.git/HEAD");
    println!("cargo:rerun-if-changed=../../.git/logs/HEAD");
    println!("cargo:rustc-env=SELENA_COMMIT={}", git(&["rev-parse", "HEAD"]));
    println!("cargo:rustc-env=SELENA_BUILD_TIME={}", git(&["log", "-1", "--format=%cI"]));
}

/// What git says, or `unknown` outside a checkout.
fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success());
    output.map_or_else(|| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
