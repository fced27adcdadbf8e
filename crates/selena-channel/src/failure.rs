//! `SandboxError` over the wire: its kind stays, its causes become one text.

use std::{error::Error, io};

use selena_core::ports::SandboxError;

use crate::message::Failure;

/// What the sandbox said of a failure, with all its causes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// An error with its causes, for people.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// In the sandbox.
pub(crate) fn to_wire(error: &SandboxError) -> Failure {
    match error {
        SandboxError::EngineDown { .. } => Failure::EngineDown(chain(error)),
        SandboxError::Engine { .. } => Failure::Engine(chain(error)),
        SandboxError::Image(text) => Failure::Image(text.clone()),
        SandboxError::ImageMissing => Failure::ImageMissing,
        SandboxError::DiskFull { .. } => Failure::DiskFull,
        SandboxError::DeviceChanged(path) => Failure::DeviceChanged(path.clone()),
        SandboxError::RunEnded => Failure::RunEnded,
        SandboxError::System { .. } => Failure::System(chain(error)),
    }
}

/// In the core, of a call that attempted that.
pub(crate) fn from_wire(attempted: &'static str, failure: Failure) -> SandboxError {
    match failure {
        Failure::EngineDown(text) => SandboxError::EngineDown { attempted, source: Told(text).into() },
        Failure::Engine(text) => SandboxError::Engine { attempted, source: Told(text).into() },
        Failure::Image(text) => SandboxError::Image(text),
        Failure::ImageMissing => SandboxError::ImageMissing,
        Failure::DiskFull => SandboxError::DiskFull { attempted },
        Failure::DeviceChanged(path) => SandboxError::DeviceChanged(path),
        Failure::RunEnded => SandboxError::RunEnded,
        Failure::System(text) => system(attempted, io::Error::other(Told(text))),
        Failure::Refused { code, detail } => {
            let what = format!("the sandbox refused it ({code}): {detail}");
            system(attempted, io::Error::new(io::ErrorKind::PermissionDenied, what))
        }
        Failure::Busy => lost(attempted, "the sandbox has too much to do"),
        Failure::Late => lost(attempted, "the sandbox did not end it in time"),
    }
}

/// The sandbox cannot be asked: to the core this is as if the engine did not answer.
pub(crate) fn lost(attempted: &'static str, why: &str) -> SandboxError {
    SandboxError::EngineDown { attempted, source: Told(why.to_owned()).into() }
}

fn system(attempted: &'static str, source: io::Error) -> SandboxError {
    SandboxError::System { attempted, source }
}
