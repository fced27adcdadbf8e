//! What can go wrong, in words for people.

use std::{
    io,
    path::{Path, PathBuf},
};

use hyper::StatusCode;
use selena_types::Problem;
use serde_json::Value;

use crate::{dev::DevError, keys::KeyFileError, package::PackageError, scaffold::ScaffoldError, visible::visible};

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CtlError {
    /// The command line cannot be done as it is: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Standard output failed.
    #[error("cannot print")]
    Output(#[from] io::Error),
    /// A file of the command line could not be read.
    #[error("cannot read {}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the command line could not be written.
    #[error("cannot write {}", file.display())]
    Written {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The hub did not do it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A package could not be read or made.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A key could not be read or made.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A new module could not be made.
    #[error(transparent)]
    Scaffold(#[from] ScaffoldError),
    /// A module could not be run here.
    #[error(transparent)]
    Dev(#[from] DevError),
}

/// Why the hub did not answer as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody listens on the socket.
    #[error("{}", unreachable(socket, source))]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("the hub's answer broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It did not answer in time.
    #[error("the hub did not answer within {0} s")]
    Late(u64),
    /// The hub refused.
    #[error("{}", refusal(*status, body))]
    Refused {
        /// The status.
        status: StatusCode,
        /// The body; not an object if it is no JSON.
        body: Value,
    },
    /// The answer is not what the protocol says.
    #[error("the hub's answer is not understood: {0}")]
    Malformed(String),
    /// The hub ended a stream.
    #[error("the hub ended the stream; it may have been stopped")]
    StreamEnded,
}

impl CtlError {
    /// Whether nobody reads our output any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The hub's own words, if it said any.
    pub(crate) fn answer(&self) -> Option<&Value> {
        match self {
            Self::Call(CallError::Refused { body, .. }) if body.is_object() => Some(body),
            _ => None,
        }
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("you may not use the hub's socket {socket}: it is for root and the group `selena-admin`")
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "no hub listens on {socket}: start it (`systemctl start selena-core`), or name another socket with \
             `--socket PATH` or SELENA_ADMIN_SOCKET"
        ),
        _ => format!("the hub's socket {socket} cannot be used"),
    }
}

/// The `detail` of an error with its code; of a validation error every problem on a line of its own.
/// A line break that is not ours is escaped, so that nobody can add lines.
fn refusal(status: StatusCode, body: &Value) -> String {
    let code = body["code"].as_str().map(|code| format!(" ({code})")).unwrap_or_default();
    match &body["detail"] {
        Value::String(detail) => format!("{}{code}", visible(detail)),
        Value::Array(problems) => {
            let lines: Vec<_> = problems.iter().map(|one| format!("\n  {}", visible(&problem(one)))).collect();
            format!("the hub found {} problem(s){code}:{}", problems.len(), lines.concat())
        }
        _ => format!("the hub answered {status}{code}"),
    }
}

fn problem(problem: &Value) -> String {
    match serde_json::from_value::<Problem>(problem.clone()) {
        Ok(problem) => format!("{problem} ({})", problem.code),
        Err(_) => problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_of_a_validation_error_has_its_line() {
        let body = json!({"code": "manifest_invalid", "detail": [
            {"loc": ["permissions", 0], "msg": "unknown permission", "type": "manifest_permission"},
            {"odd": true},
        ]});
        assert_eq!(
            refusal(StatusCode::UNPROCESSABLE_ENTITY, &body),
            "the hub found 2 problem(s) (manifest_invalid):\n  permissions[0]: unknown permission \
             (manifest_permission)\n  {\"odd\":true}"
        );
    }

    #[test]
    fn a_detail_is_shown_with_its_code_and_an_empty_answer_by_its_status() {
        let body = json!({"detail": "module not found", "code": "not_found"});
        assert_eq!(refusal(StatusCode::NOT_FOUND, &body), "module not found (not_found)");
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, &Value::Null), "the hub answered 502 Bad Gateway");
    }
}
