//! `module new`.

use std::{
    env,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::Outcome;
use crate::{
    cli::{Language, NewArgs},
    error::CtlError,
    scaffold::{Scaffold, ScaffoldError, named_sdk, nearby_sdk, port_of},
    screen::Screen,
};

/// Makes the directory of a new module and tells how to go on.
pub(super) fn new(arguments: NewArgs, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let name = arguments.name.name;
    let dir = arguments.dir.unwrap_or_else(|| name.as_str().into());
    let scaffold = Scaffold {
        port: arguments.port.unwrap_or_else(|| port_of(&name)),
        sdk: sdk(arguments.language, arguments.sdk.as_deref(), &dir)?,
        module_type: arguments.module_type,
        language: arguments.language,
        name,
    };
    let files = scaffold.write(&dir)?;
    let steps = next_steps(&scaffold, &dir);
    let answer = json!({
        "name": scaffold.name, "type": scaffold.module_type, "port": scaffold.port,
        "directory": dir, "files": files, "sdk": scaffold.sdk, "next_steps": steps,
    });
    screen.answer(&answer, |screen| {
        let Scaffold { name, module_type, port, .. } = &scaffold;
        screen.line(&format!("{name} ({module_type}, port {port}) is in {}:", dir.display()))?;
        files.iter().try_for_each(|file| screen.line(&format!("  {file}")))?;
        screen.line("Next:")?;
        steps.iter().try_for_each(|step| screen.line(&format!("  {step}")))
    })?;
    Ok(Outcome::Done)
}

/// Where the SDK is that a new Rust module builds with.
fn sdk(language: Language, named: Option<&Path>, dir: &Path) -> Result<Option<PathBuf>, CtlError> {
    match (language, named) {
        (Language::Python, Some(_)) => Err(CtlError::Usage("--sdk is for `--language rust`".to_owned())),
        (Language::Python, None) => Ok(None),
        (Language::Rust, Some(path)) => Ok(Some(named_sdk(path)?)),
        (Language::Rust, None) => {
            let here = env::current_dir().map_err(|source| ScaffoldError::Write { path: dir.to_owned(), source })?;
            Ok(nearby_sdk(&here.join(dir)).or_else(|| nearby_sdk(&here)))
        }
    }
}

fn next_steps(scaffold: &Scaffold, dir: &Path) -> Vec<String> {
    let mut steps = vec![format!("cd {}", dir.display())];
    if scaffold.language == Language::Rust && scaffold.sdk.is_none() {
        let step = "put the path of selena-sdk into Cargo.toml: no clone of selena-hub was found (or: --sdk PATH)";
        steps.push(step.to_owned());
    }
    let (test, pack, package) = match scaffold.language {
        Language::Python => {
            ("python3 -B -m unittest discover -s tests", "selenactl module pack", "make a package of it")
        }
        Language::Rust => ("cargo test", "cat README.md", "how to build for a hub, and make a package of it"),
    };
    let others = [
        format!("{test}   # test it without a hub"),
        "selenactl module dev   # run it beside a development hub".to_owned(),
        format!("{pack}   # {package}"),
    ];
    steps.extend(others);
    steps
}
