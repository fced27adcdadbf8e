//! Who asks: the listener a request came in by, and the token it bears (protocol, sections 1 and 5).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use selena_types::{ManifestEvents, ModuleName, ModulePort, ModuleType, OAuthProvider, Permission, Secret, TokenHash};

use crate::{
    ApiError,
    ports::RunId,
    rate_limit::{ByteBucket, ByteRate, RequestLimit},
    token,
};
use limits::StrangerLimits;

mod limits;
mod watch;
pub use limits::{ANONYMOUS_REQUESTS_PER_SEC, RequestLimits, TOKEN_REQUESTS_PER_SEC};
pub use watch::{DeniedSyscall, SyscallWatch};

/// Bytes of bodies that one module may send: 16 MiB at once, 4 MiB a second in the long run.
const MODULE_BYTES: ByteRate = ByteRate { burst: 16 * 1024 * 1024, per_second: 4 * 1024 * 1024 };

/// Where a request came in.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The listener in a module's namespace.
    Module(Arc<ModuleRun>),
    /// The host's listener.
    Host(Arc<HostListener>),
    /// The admin socket; its peer is a person.
    Admin {
        /// Who, by the peer's credentials, such as `uid 1000`.
        who: String,
    },
}

impl Origin {
    /// The listener's name, for the audit log.
    #[must_use]
    pub fn listener(&self) -> String {
        match self {
            Self::Module(run) => format!("listener of {}", run.name),
            Self::Host(_) => "host listener".to_owned(),
            Self::Admin { who } => who.clone(),
        }
    }

    fn strangers(&self) -> Option<&StrangerLimits> {
        match self {
            Self::Module(run) => Some(&run.strangers),
            Self::Host(listener) => Some(&listener.strangers),
            Self::Admin { .. } => None,
        }
    }

    /// Why a `GET /health` over the limit is refused: as part of a flood only if it is one of `GET /health` itself.
    pub(crate) fn refused_health(&self, error: ApiError) -> ApiError {
        match (error, self.strangers()) {
            (ApiError::Flooding, Some(strangers)) if strangers.refused_health.check().is_ok() => ApiError::RateLimited,
            (error, _) => error,
        }
    }
}

/// The host's listener.
#[derive(Debug)]
pub struct HostListener {
    strangers: StrangerLimits,
}

/// One start of a module: its token is valid on its own listener and nowhere else.
#[derive(Debug)]
pub struct ModuleRun {
    /// The module.
    pub name: ModuleName,
    /// Its type.
    pub module_type: ModuleType,
    /// Its port inside the namespace.
    pub port: Option<ModulePort>,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Which events it may subscribe to and publish.
    pub events: ManifestEvents,
    /// Where its tokens may go, by provider.
    pub oauth: BTreeMap<String, OAuthProvider>,
    /// The container run.
    pub run: RunId,
    /// Key of its webhooks.
    pub webhook_secret: Secret,
    token: TokenHash,
    boot: Mutex<Option<Secret>>,
    live: AtomicBool,
    limit: RequestLimit,
    bytes: ByteBucket,
    strangers: StrangerLimits,
    watch: Option<SyscallWatch>,
}

/// What a run is made of; see [`ModuleRun::new`].
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the field of `ModuleRun` of that name")]
pub struct NewRun {
    pub name: ModuleName,
    pub module_type: ModuleType,
    pub port: Option<ModulePort>,
    pub permissions: Vec<Permission>,
    pub events: ManifestEvents,
    pub oauth: BTreeMap<String, OAuthProvider>,
    pub run: RunId,
    pub webhook_secret: Secret,
    pub token: TokenHash,
    /// The environment of `GET /boot`: `KEY=VALUE`, each ended by NUL.
    pub boot: Secret,
}

impl ModuleRun {
    /// A run whose token is valid until [`ModuleRun::end`].
    #[must_use]
    pub fn new(new: NewRun, limits: RequestLimits) -> Self {
        Self {
            name: new.name,
            module_type: new.module_type,
            port: new.port,
            permissions: new.permissions,
            events: new.events,
            oauth: new.oauth,
            run: new.run,
            webhook_secret: new.webhook_secret,
            token: new.token,
            boot: Mutex::new(Some(new.boot)),
            live: AtomicBool::new(true),
            limit: RequestLimit::new(limits.per_token()),
            bytes: ByteBucket::new((limits == RequestLimits::Protocol).then_some(MODULE_BYTES)),
            strangers: StrangerLimits::new(limits),
            watch: None,
        }
    }

    /// The run of a trial, whose init tells what was denied.
    #[must_use]
    pub fn watched(self, watch: SyscallWatch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// The watch over its system calls, if it is a trial.
    #[must_use]
    pub fn watch(&self) -> Option<&SyscallWatch> {
        self.watch.as_ref()
    }

    /// The environment, the first time it is asked for (protocol, section 2, step 6).
    ///
    /// # Errors
    /// [`ApiError::Gone`] ever after.
    pub fn take_boot(&self) -> Result<Secret, ApiError> {
        self.boot.lock().expect("nothing panics while it holds the environment").take().ok_or(ApiError::Gone)
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::SeqCst)
    }

    /// Ends the run: after this returns its token is refused everywhere.
    pub fn end(&self) {
        self.live.store(false, Ordering::SeqCst);
    }
}

/// Who asks, once known.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody known.
    Anonymous,
    /// A module, by its run.
    Module(Arc<ModuleRun>),
    /// Whoever holds the development token (protocol, section 12).
    Development,
    /// A person.
    Person {
        /// Who, for the audit log.
        who: String,
    },
}

impl Caller {
    /// The source its events bear.
    #[must_use]
    pub fn source(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Module(run) => run.name.as_str(),
            Self::Development => "dev-module",
            Self::Person { .. } => "user",
        }
    }

    /// Whom the audit log names.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Person { who } => who,
            other => other.source(),
        }
    }

    /// Whether it has the rights of a `SYSTEM` module.
    #[must_use]
    pub fn is_system(&self) -> bool {
        match self {
            Self::Module(run) => run.module_type == ModuleType::System,
            Self::Development => true,
            Self::Anonymous | Self::Person { .. } => false,
        }
    }

    /// Counts the bytes of a body that came with the request.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if a module sends more than it may.
    pub fn count_bytes(&self, bytes: usize) -> Result<(), ApiError> {
        match self {
            Self::Module(run) if !run.bytes.pass(bytes) => Err(ApiError::RateLimited),
            _ => Ok(()),
        }
    }

    /// The module it is; the development token counts as one.
    #[must_use]
    pub fn module(&self) -> Option<ModuleName> {
        match self {
            Self::Module(run) => Some(run.name.clone()),
            Self::Development => Some(ModuleName::development()),
            Self::Anonymous | Self::Person { .. } => None,
        }
    }
}

/// The credentials of a request, as far as they were understood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// No `Authorization` header.
    None,
    /// More than one, another scheme than `Bearer`, or an empty token.
    Malformed,
    /// A bearer token.
    Bearer(&'a str),
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Malformed => "Malformed",
            Self::Bearer(_) => "Bearer([redacted])",
        })
    }
}

/// The tokens that are valid now.
#[derive(Debug)]
pub struct Identity {
    development: Option<TokenHash>,
    development_limit: RequestLimit,
    limits: RequestLimits,
    current: RwLock<HashMap<TokenHash, ModuleName>>,
}

impl Identity {
    /// With the development token, if there is one.
    #[must_use]
    pub fn new(development: Option<&Secret>, limits: RequestLimits) -> Self {
        Self {
            development: development.map(|token| token::hash(token.expose())),
            development_limit: RequestLimit::new(limits.per_token()),
            limits,
            current: RwLock::default(),
        }
    }

    /// How requests are limited.
    #[must_use]
    pub fn limits(&self) -> RequestLimits {
        self.limits
    }

    /// The origin of the host's listener.
    #[must_use]
    pub fn host_origin(&self) -> Origin {
        Origin::Host(Arc::new(HostListener { strangers: StrangerLimits::new(self.limits) }))
    }

    /// Makes a token the module's current one; the one before is refused from now on.
    pub fn set_current(&self, module: &ModuleName, token: TokenHash) {
        let mut current = self.current.write().expect("nothing panics while it holds the tokens");
        current.retain(|_, owner| owner != module);
        current.insert(token, module.clone());
    }

    /// Forgets a removed module's token.
    pub fn revoke(&self, module: &ModuleName) {
        self.current.write().expect("nothing panics while it holds the tokens").retain(|_, owner| owner != module);
    }

    /// Finds out who asks, and whether it may ask once more in this second.
    ///
    /// # Errors
    /// [`ApiError::Unauthenticated`], [`ApiError::WrongNamespace`], [`ApiError::RateLimited`] or [`ApiError::Flooding`].
    pub fn authenticate(&self, origin: &Origin, credentials: Credentials<'_>) -> Result<Caller, ApiError> {
        let hash = match (origin, credentials) {
            // The key of a trial's init gives no right but not to be counted with the module beside it.
            (Origin::Module(run), Credentials::Bearer(text)) if run.watch().is_some_and(|watch| watch.is_key(text)) => {
                return Ok(Caller::Anonymous);
            }
            (Origin::Admin { who }, _) => return Ok(Caller::Person { who: who.clone() }),
            (_, Credentials::Bearer(text)) => token::hash(text),
            (_, Credentials::None) => return Self::anonymous(origin, Ok(Caller::Anonymous)),
            (_, Credentials::Malformed) => return Self::anonymous(origin, Err(ApiError::Unauthenticated)),
        };
        match origin {
            Origin::Module(run) if token::same(&run.token, &hash) && run.is_live() => {
                run.limit.check().map(|()| Caller::Module(run.clone()))
            }
            Origin::Host(_) if self.is_development(&hash) => {
                self.development_limit.check().map(|()| Caller::Development)
            }
            _ => Self::anonymous(origin, Err(self.refusal(&hash))),
        }
    }

    fn is_development(&self, hash: &TokenHash) -> bool {
        self.development.as_ref().is_some_and(|development| token::same(development, hash))
    }

    /// Why a token that is not this listener's own is refused.
    fn refusal(&self, hash: &TokenHash) -> ApiError {
        let current = self.current.read().expect("nothing panics while it holds the tokens");
        if self.is_development(hash) || current.contains_key(hash) {
            ApiError::WrongNamespace
        } else {
            ApiError::Unauthenticated
        }
    }

    /// Counts a request against its listener that is refused before anybody asks who sent it.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] or [`ApiError::Flooding`].
    pub fn count_anonymous(origin: &Origin) -> Result<(), ApiError> {
        Self::anonymous(origin, Ok(Caller::Anonymous)).map(|_| ())
    }

    /// Counts a request without a valid token against its listener.
    fn anonymous(origin: &Origin, outcome: Result<Caller, ApiError>) -> Result<Caller, ApiError> {
        let Some(strangers) = origin.strangers() else { return outcome };
        strangers.requests.check().and(outcome)
    }
}

#[cfg(test)]
mod tests;
