//! Why the hub did not do what was asked; each has one status on the wire.

use selena_types::{ModuleName, Permission, Problems};

use crate::ports::{PackageError, SandboxError, StoreError};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No token, or one that is not valid any more: 401.
    #[error("a valid token is needed: send `Authorization: Bearer <token>`")]
    Unauthenticated,
    /// The token is another listener's: 403 `token_wrong_namespace`.
    #[error("this token is not valid on this listener")]
    WrongNamespace,
    /// The manifest does not grant it: 403 `permission_denied`.
    #[error("Permission '{0}' not granted in manifest.json")]
    PermissionMissing(Permission),
    /// It is refused to this caller, with a code of its own: 403.
    #[error("{detail}")]
    Forbidden {
        /// The machine's word.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// Nobody has connected the provider for this module: 404 `no_credentials`.
    #[error("this module has no credentials for `{0}`: a person connects it first, by POST /secrets/oauth/start")]
    NoCredentials(String),
    /// Too many of its requests run already: 429.
    #[error("{0}")]
    TooManyAtOnce(&'static str),
    /// Too many requests: 429.
    #[error("too many requests: wait a second and try again")]
    RateLimited,
    /// Too many requests, and too many since that was said: 429, which the wire may delay (series K, K09).
    #[error("too many requests: wait a second and try again")]
    Flooding,
    /// There is no such thing: 404.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The body breaks a rule: 422.
    #[error("{0}")]
    Invalid(Problems),
    /// The package breaks a rule of its own: 422 with this code.
    #[error("{detail}")]
    Unprocessable {
        /// The machine's word.
        code: String,
        /// For people.
        detail: String,
    },
    /// It does not go with what is there: 409.
    #[error("{detail}")]
    Conflict {
        /// The machine's word.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// It was there once: 410.
    #[error("this was fetched already; it is given once per container start")]
    Gone,
    /// The package's trial failed: 400 `sandbox_failed`.
    #[error("{detail}")]
    TrialFailed {
        /// For people.
        detail: String,
        /// The last 64 KiB of what the package printed.
        output: String,
        /// What the trial saw.
        report: Box<crate::modules::TrialReport>,
    },
    /// The module did not become healthy: 400 `health_timeout`.
    #[error("module `{name}` did not answer GET /health with 200: {detail}")]
    Unhealthy {
        /// The module.
        name: ModuleName,
        /// Why, for people.
        detail: String,
    },
    /// The container engine does not answer: 503 `engine_down`.
    #[error("the container engine does not answer; the hub tries again by itself. {0}")]
    EngineDown(String),
    /// The container could not be made or started: 400 `module_image_error` or `container_error`.
    #[error("module `{name}` could not be started: {detail}")]
    Container {
        /// The module.
        name: ModuleName,
        /// The machine's word.
        code: &'static str,
        /// Why, for people.
        detail: String,
    },
    /// A module, or a host outside, did not answer as it should: 502, or 504 `module_timeout` and `upstream_timeout`.
    #[error("{detail}")]
    Upstream {
        /// The machine's word.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// The job was stopped: 409 `job_cancelled`, or 504 `job_deadline`; what it began is undone.
    #[error("{detail}")]
    JobStopped {
        /// The machine's word.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// No disk space is left: 507.
    #[error("the disk is full: remove a module or data, then try again")]
    DiskFull,
    /// The hub is in SAFE MODE: 503 `safe_mode` (protocol, section 8.2).
    #[error("Core is in safe mode. Only read operations allowed.")]
    SafeMode,
    /// It would take what others were promised: 507 `disk_full`, with the numbers.
    #[error(
        "it needs {} MiB of the disk, and of {} MiB that are free {} MiB are promised to other modules and {} MiB kept for \
         the hub: remove a module or data (`selenactl disk` shows what is large), then try again",
        mib(*needed), free / MIB, mib(*promised), mib(*kept)
    )]
    NoRoom {
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes of them that others were promised.
        promised: u64,
        /// Bytes of them that the hub keeps for itself.
        kept: u64,
    },
    /// This hub does not have the part that was asked for: 503.
    #[error("{0} is not available here")]
    Unavailable(&'static str),
    /// Something failed inside: 500; the causes are in the journal.
    #[error("the hub could not do this; its journal says why")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

const MIB: u64 = 1024 * 1024;

/// Whole MiB, not fewer than it is.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

impl ApiError {
    /// An error of the hub's own.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Box::new(source))
    }

    /// The machine's word for it.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::WrongNamespace => "token_wrong_namespace",
            Self::PermissionMissing(_) => "permission_denied",
            Self::Forbidden { code, .. } | Self::Conflict { code, .. } | Self::Container { code, .. } => code,
            Self::Upstream { code, .. } | Self::JobStopped { code, .. } => code,
            Self::NoCredentials(_) => "no_credentials",
            Self::RateLimited | Self::Flooding | Self::TooManyAtOnce(_) => "rate_limited",
            Self::NotFound(_) => "not_found",
            Self::Invalid(_) => "validation_error",
            Self::Unprocessable { code, .. } => code,
            Self::Gone => "gone",
            Self::TrialFailed { .. } => "sandbox_failed",
            Self::Unhealthy { .. } => "health_timeout",
            Self::EngineDown(_) => "engine_down",
            Self::DiskFull | Self::NoRoom { .. } => "disk_full",
            Self::SafeMode => "safe_mode",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// A limit that is reached: 409 `limit_<what>`.
    pub(crate) fn limit(code: &'static str, detail: String) -> Self {
        Self::Conflict { code, detail }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull,
            other => Self::internal(other),
        }
    }
}

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        Self::Invalid(problems)
    }
}

impl From<crate::token::NoRandomness> for ApiError {
    fn from(error: crate::token::NoRandomness) -> Self {
        Self::internal(error)
    }
}

impl From<PackageError> for ApiError {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Refused { code, message } => Self::Unprocessable { code: code.to_owned(), detail: message },
            PackageError::DiskFull => Self::DiskFull,
            PackageError::Io(_) => Self::internal(error),
        }
    }
}

impl ApiError {
    /// What the sandbox said, about a module.
    pub(crate) fn sandbox(name: &ModuleName, error: SandboxError) -> Self {
        let detail = chain(&error);
        match error {
            SandboxError::EngineDown { .. } => Self::EngineDown(detail),
            SandboxError::DiskFull { .. } => Self::DiskFull,
            SandboxError::Image(_) | SandboxError::ImageMissing => {
                Self::Container { name: name.clone(), code: "module_image_error", detail }
            }
            SandboxError::DeviceChanged(_) => Self::Container { name: name.clone(), code: "device_changed", detail },
            SandboxError::RunEnded => Self::Unhealthy { name: name.clone(), detail },
            SandboxError::Engine { .. } | SandboxError::System { .. } => {
                Self::Container { name: name.clone(), code: "container_error", detail }
            }
        }
    }
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
