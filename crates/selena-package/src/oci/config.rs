//! An image's configuration: what of it counts (protocol, section 4), and for which machine it is.

use std::env::consts::ARCH;

use serde::Deserialize;

use super::{ImageError, ImageLimits, archive::read_json, digest::Digest};
use crate::error::shown;

/// What an image starts: all that counts of its configuration (protocol, section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Entry point and command, one after the other; not empty.
    pub argv: Vec<String>,
    /// `KEY=VALUE` each.
    pub env: Vec<String>,
    /// An absolute path.
    pub working_dir: String,
}

#[derive(Deserialize)]
struct Config {
    architecture: String,
    os: String,
    config: Option<Container>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Container {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    volumes: Option<serde_json::Map<String, serde_json::Value>>,
    user: Option<String>,
    healthcheck: Option<serde_json::Value>,
    on_build: Option<Vec<String>>,
    stop_signal: Option<String>,
}

/// A configuration that was read.
#[derive(Debug)]
pub(crate) struct ImageConfig {
    pub(crate) program: Program,
    /// Digests of the layers, unpacked.
    pub(crate) diff_ids: Vec<Digest>,
    /// What it asks for and does not get, in the words of a Dockerfile.
    pub(crate) ignored: Vec<&'static str>,
}

/// Reads a configuration, and refuses one for another machine.
pub(crate) fn read(text: &[u8], limits: &ImageLimits) -> Result<ImageConfig, ImageError> {
    let config: Config = read_json("configuration", text)?;
    if !is_for_this_hub(&config.os, &config.architecture) {
        return Err(other_platform(&format!("{}/{}", config.os, config.architecture)));
    }
    let diff_id = |text: &String| {
        let bad = || ImageError::corrupt(format!("{} is no SHA-256 digest", shown(text.as_bytes())));
        Digest::parse(text).ok_or_else(bad)
    };
    let diff_ids = config.rootfs.diff_ids.iter().map(diff_id).collect::<Result<_, _>>()?;
    let container = config.config.unwrap_or_default();
    let ignored = ignored(&container);
    Ok(ImageConfig { program: program(container, limits)?, diff_ids, ignored })
}

fn program(container: Container, limits: &ImageLimits) -> Result<Program, ImageError> {
    let mut argv = container.entrypoint.unwrap_or_default();
    argv.extend(container.cmd.unwrap_or_default());
    let env = container.env.unwrap_or_default();
    let given = container.working_dir.filter(|dir| !dir.is_empty());
    let working_dir = given.unwrap_or_else(|| "/".to_owned());
    let all = || argv.iter().chain(&env).chain([&working_dir]);
    if argv.first().is_none_or(String::is_empty) {
        return Err(ImageError::Config("it names no program: give the image an ENTRYPOINT or a CMD"));
    }
    if all().any(|text| text.contains('\0')) {
        return Err(ImageError::Config("a text of it has a NUL byte"));
    }
    if all().map(|text| text.len() + 1).sum::<usize>() > limits.command_bytes {
        return Err(ImageError::Config("its command and environment are too long"));
    }
    if env.iter().any(|pair| pair.split_once('=').is_none_or(|(name, _)| name.is_empty())) {
        return Err(ImageError::Config("a variable of its environment is not KEY=VALUE"));
    }
    if !working_dir.starts_with('/') || working_dir.split('/').any(|part| part == "..") {
        return Err(ImageError::Config("its working directory is no absolute path without `..`"));
    }
    Ok(Program { argv, env, working_dir })
}

/// What would change how the container runs and is the hub's to decide.
fn ignored(container: &Container) -> Vec<&'static str> {
    let has_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let asked = [
        ("VOLUME", container.volumes.as_ref().is_some_and(|volumes| !volumes.is_empty())),
        ("USER", has_text(&container.user)),
        ("HEALTHCHECK", container.healthcheck.as_ref().is_some_and(|check| !check.is_null())),
        ("ONBUILD", container.on_build.as_ref().is_some_and(|steps| !steps.is_empty())),
        ("STOPSIGNAL", has_text(&container.stop_signal)),
    ];
    asked.into_iter().filter(|(_, is_asked)| *is_asked).map(|(word, _)| word).collect()
}

/// This machine's architecture in the words of images (those of Go).
fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Whether an image of this platform can run here.
pub(crate) fn is_for_this_hub(os: &str, image_architecture: &str) -> bool {
    os == "linux" && image_architecture == architecture()
}

/// The error for an image of another platform.
pub(crate) fn other_platform(found: &str) -> ImageError {
    ImageError::Platform { expected: architecture().to_owned(), found: shown(found.as_bytes()) }
}
