//! From the engine client's errors, and those of the system, to the port's.

use std::io;

use bollard::errors::Error as DockerError;
use selena_core::ports::SandboxError;

/// What the engine's client reported while `attempted`.
pub(crate) fn engine(attempted: &'static str, source: DockerError) -> SandboxError {
    match &source {
        DockerError::DockerResponseServerError { message, .. } if message.contains("no space left on device") => {
            SandboxError::DiskFull { attempted }
        }
        DockerError::DockerStreamError { error } if error.contains("no space left on device") => {
            SandboxError::DiskFull { attempted }
        }
        source_is if is_no_answer(source_is) => SandboxError::EngineDown { attempted, source: Box::new(source) },
        _ => SandboxError::Engine { attempted, source: Box::new(source) },
    }
}

/// The engine answered, but without what was needed.
pub(crate) fn incomplete(attempted: &'static str, missing: &'static str) -> SandboxError {
    SandboxError::Engine { attempted, source: format!("its answer has no {missing}").into() }
}

/// The operating system failed while `attempted`.
pub(crate) fn system(attempted: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |source| match source.kind() {
        io::ErrorKind::InvalidInput => refused(attempted, source.to_string()),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SandboxError::DiskFull { attempted },
        _ => SandboxError::System { attempted, source },
    }
}

/// Something is not as it has to be; `what` says so in words. It may be the core that asks for what it must not have, so
/// the journal keeps it.
pub(crate) fn refused(attempted: &'static str, what: impl Into<String>) -> SandboxError {
    let what = what.into();
    tracing::warn!(refusal = "sandbox", attempted, detail = what, "the sandbox refused something");
    SandboxError::System { attempted, source: io::Error::new(io::ErrorKind::InvalidInput, what) }
}

/// Whether the engine answered with this status.
pub(crate) fn has_status(error: &DockerError, status: u16) -> bool {
    matches!(error, DockerError::DockerResponseServerError { status_code, .. } if *status_code == status)
}

/// Nobody answered, or not to the end; in contrast to an answer that says no.
fn is_no_answer(error: &DockerError) -> bool {
    matches!(
        error,
        DockerError::IOError { .. }
            | DockerError::HyperResponseError { .. }
            | DockerError::HyperLegacyError { .. }
            | DockerError::RequestTimeoutError
            | DockerError::SocketNotFoundError(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16, message: &str) -> DockerError {
        DockerError::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn r03_an_answer_that_says_no_is_told_from_no_answer() {
        assert!(matches!(engine("x", answer(500, "broken")), SandboxError::Engine { .. }));
        assert!(matches!(engine("x", DockerError::RequestTimeoutError), SandboxError::EngineDown { .. }));
        assert!(matches!(engine("x", io::Error::other("reset").into()), SandboxError::EngineDown { .. }));
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = answer(500, "write /x: no space left on device");
        assert!(matches!(engine("x", full), SandboxError::DiskFull { .. }));
        assert!(matches!(system("x")(io::ErrorKind::StorageFull.into()), SandboxError::DiskFull { .. }));
    }
}
