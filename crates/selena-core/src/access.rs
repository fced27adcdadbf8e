//! Who may do what: the one permission table of both wires (protocol, section 3).
//!
//! Every operation of the hub is an [`Operation`]; [`Operation::rule`] is exhaustive, so one without a rule does not compile,
//! and a route is registered only together with its operation.

use selena_types::{ModuleType, Permission};

use crate::{ApiError, identity::Caller};

/// Whether a caller may have a module replaced by a lower version (fault M05): a person, and who holds the development
/// token. No module and no service of the hub may, whatever else it installs: of an old version the weaknesses are known.
///
/// # Errors
/// [`ApiError::Forbidden`] with `downgrade_needs_person`.
pub fn may_downgrade(caller: &Caller) -> Result<(), ApiError> {
    match caller {
        Caller::Person { .. } | Caller::Development => Ok(()),
        Caller::Anonymous | Caller::Module(_) => Err(ApiError::Forbidden {
            code: "downgrade_needs_person",
            detail: "only a person may allow a version that is lower than the one that is installed".to_owned(),
        }),
    }
}

/// Something a caller can ask of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named as its route in section 5 of the protocol")]
pub enum Operation {
    Boot,
    BootDenied,
    OpenApi,
    Health,
    SystemInfo,
    DeviceList,
    DeviceGet,
    DeviceHistory,
    DeviceRegister,
    DeviceSetState,
    DeviceDelete,
    EventPublish,
    EventSubscribe,
    EventUnsubscribe,
    EventList,
    EventStream,
    ModuleList,
    ModuleInstall,
    ModuleStop,
    ModuleGet,
    ModuleStart,
    ModuleRestart,
    ModuleRollback,
    ModuleRemove,
    ModuleLogs,
    ModuleStatusStream,
    ConsentShow,
    ConsentGive,
    ConsentRefuse,
    ModuleConfigGet,
    ModuleConfigSet,
    ModuleCommand,
    IntentRegister,
    IntentList,
    IntentDelete,
    IntegrityStatus,
    IntegrityViolation,
    IntegrityRestored,
    SafeModeExit,
    AuditList,
    PublisherList,
    PublisherAdd,
    PublisherTrust,
    PublisherRevoke,
    PublisherRotate,
    BackupCreate,
    BackupCheck,
    BackupRestore,
    BackupStatusStream,
    BackupCancel,
    SecretsProxy,
    HostDeviceList,
    OAuthStart,
    OAuthStatus,
    DiskUse,
    JobList,
    JobCancel,
}

/// What a type of module needs for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// It never may.
    No,
    /// It may with this permission.
    With(Permission),
    /// It may for itself: what it names must be its own.
    Own,
}

/// Who may do an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Also without a token; the answer may then say less.
    pub public: bool,
    /// `INTEGRATION` modules.
    pub integration: Right,
    /// `DRIVER` and `IMPORT_SOURCE` modules.
    pub driver: Right,
    /// `AUTOMATION` and `UI` modules.
    pub automation: Right,
    /// `SYSTEM` modules and the development token.
    pub system: bool,
    /// People.
    pub people: bool,
    /// The permission a refusal names.
    pub names: Permission,
}

impl Rule {
    const fn modules(permission: Permission) -> Self {
        let with = Right::With(permission);
        Self {
            public: false,
            integration: with,
            driver: with,
            automation: with,
            system: true,
            people: true,
            names: permission,
        }
    }

    const fn own(permission: Permission) -> Self {
        Self { integration: Right::Own, driver: Right::Own, automation: Right::Own, ..Self::modules(permission) }
    }

    const fn hub(permission: Permission) -> Self {
        Self { integration: Right::No, driver: Right::No, automation: Right::No, ..Self::modules(permission) }
    }
}

impl Operation {
    /// Every operation.
    pub const ALL: &'static [Self] = &[
        Self::Boot,
        Self::BootDenied,
        Self::OpenApi,
        Self::Health,
        Self::SystemInfo,
        Self::DeviceList,
        Self::DeviceGet,
        Self::DeviceHistory,
        Self::DeviceRegister,
        Self::DeviceSetState,
        Self::DeviceDelete,
        Self::EventPublish,
        Self::EventSubscribe,
        Self::EventUnsubscribe,
        Self::EventList,
        Self::EventStream,
        Self::ModuleList,
        Self::ModuleInstall,
        Self::ModuleStop,
        Self::ModuleGet,
        Self::ModuleStart,
        Self::ModuleRestart,
        Self::ModuleRollback,
        Self::ModuleRemove,
        Self::ModuleLogs,
        Self::ModuleStatusStream,
        Self::ConsentShow,
        Self::ConsentGive,
        Self::ConsentRefuse,
        Self::ModuleConfigGet,
        Self::ModuleConfigSet,
        Self::ModuleCommand,
        Self::IntentRegister,
        Self::IntentList,
        Self::IntentDelete,
        Self::IntegrityStatus,
        Self::IntegrityViolation,
        Self::IntegrityRestored,
        Self::SafeModeExit,
        Self::AuditList,
        Self::PublisherList,
        Self::PublisherAdd,
        Self::PublisherTrust,
        Self::PublisherRevoke,
        Self::PublisherRotate,
        Self::BackupCreate,
        Self::BackupCheck,
        Self::BackupRestore,
        Self::BackupStatusStream,
        Self::BackupCancel,
        Self::SecretsProxy,
        Self::HostDeviceList,
        Self::OAuthStart,
        Self::OAuthStatus,
        Self::DiskUse,
        Self::JobList,
        Self::JobCancel,
    ];

    /// The operation's row of the table in section 3.
    #[must_use]
    pub const fn rule(self) -> Rule {
        use Permission::{
            DeviceRead, DeviceWrite, EventsPublish, EventsSubscribe, IntegrityRead, ModulesManage, ModulesRead,
            SecretsOauth, SecretsProxy, SystemRead,
        };
        match self {
            // A key of its own decides on the second one.
            Self::Boot | Self::BootDenied | Self::OpenApi | Self::Health => {
                Rule { public: true, ..Rule::modules(SystemRead) }
            }
            Self::SystemInfo => Rule { public: true, ..Rule::hub(SystemRead) },
            Self::DeviceList | Self::DeviceGet | Self::DeviceHistory => Rule::modules(DeviceRead),
            Self::DeviceRegister | Self::DeviceSetState => Rule { automation: Right::No, ..Rule::modules(DeviceWrite) },
            Self::DeviceDelete => Rule { integration: Right::No, automation: Right::No, ..Rule::modules(DeviceWrite) },
            Self::EventPublish => Rule::modules(EventsPublish),
            Self::EventSubscribe | Self::EventUnsubscribe => Rule { people: false, ..Rule::modules(EventsSubscribe) },
            Self::EventList | Self::EventStream => Rule::modules(EventsSubscribe),
            Self::ModuleList => Rule::hub(ModulesRead),
            Self::AuditList | Self::HostDeviceList | Self::DiskUse => Rule { system: false, ..Rule::hub(SystemRead) },
            Self::JobList | Self::JobCancel => Rule { system: false, ..Rule::hub(ModulesManage) },
            // Whom to believe is for people alone: not for the development token, and not for parts of the hub.
            Self::PublisherList
            | Self::PublisherAdd
            | Self::PublisherTrust
            | Self::PublisherRevoke
            | Self::PublisherRotate => Rule { system: false, ..Rule::hub(ModulesManage) },
            // All there is goes out and comes in: for people, and on a development hub for its developer.
            Self::BackupCreate
            | Self::BackupCheck
            | Self::BackupRestore
            | Self::BackupStatusStream
            | Self::BackupCancel => Rule { system: false, ..Rule::hub(ModulesManage) },
            Self::ModuleInstall
            | Self::ModuleStop
            | Self::ModuleGet
            | Self::ModuleStart
            | Self::ModuleRestart
            | Self::ModuleRollback
            | Self::ModuleRemove
            | Self::ModuleLogs
            | Self::ModuleStatusStream
            | Self::ConsentShow
            | Self::ConsentGive
            | Self::ConsentRefuse
            | Self::ModuleConfigSet
            | Self::ModuleCommand => Rule::hub(ModulesManage),
            Self::ModuleConfigGet => Rule::own(ModulesRead),
            Self::IntentRegister | Self::IntentList | Self::IntentDelete => Rule::own(ModulesManage),
            Self::IntegrityStatus => Rule::hub(IntegrityRead),
            // The agent has no token: it proves itself with its secret, on the host's listener.
            Self::IntegrityViolation | Self::IntegrityRestored => {
                Rule { public: true, system: true, ..Rule::hub(IntegrityRead) }
            }
            Self::SafeModeExit => Rule { system: false, ..Rule::hub(IntegrityRead) },
            Self::SecretsProxy => {
                Rule { driver: Right::No, automation: Right::No, people: false, ..Rule::modules(SecretsProxy) }
            }
            Self::OAuthStart | Self::OAuthStatus => {
                Rule { driver: Right::No, automation: Right::No, people: false, ..Rule::modules(SecretsOauth) }
            }
        }
    }

    /// Whether it goes on in SAFE MODE though it is no `GET` (protocol, section 8.2).
    #[must_use]
    pub const fn passes_safe_mode(self) -> bool {
        matches!(self, Self::IntegrityViolation | Self::IntegrityRestored | Self::SafeModeExit)
    }

    const fn is_of_backups(self) -> bool {
        use Operation::{BackupCancel, BackupCheck, BackupCreate, BackupRestore, BackupStatusStream};
        matches!(self, BackupCreate | BackupCheck | BackupRestore | BackupStatusStream | BackupCancel)
    }

    /// Whether the caller may do it.
    ///
    /// # Errors
    /// [`ApiError::Unauthenticated`] without a token, [`ApiError::PermissionMissing`] with one that does not grant it.
    pub fn check(self, caller: &Caller) -> Result<(), ApiError> {
        let rule = self.rule();
        let allowed = match caller {
            Caller::Anonymous if rule.public => true,
            Caller::Anonymous => return Err(ApiError::Unauthenticated),
            Caller::Person { .. } => rule.people,
            Caller::Development => rule.system || self.is_of_backups(),
            Caller::Module(_) if rule.public && self != Self::SystemInfo => true,
            Caller::Module(run) => {
                let right = match run.module_type {
                    ModuleType::System => return if rule.system { Ok(()) } else { Err(Self::missing(rule)) },
                    ModuleType::Integration => rule.integration,
                    ModuleType::Driver | ModuleType::ImportSource => rule.driver,
                    ModuleType::Automation | ModuleType::Ui => rule.automation,
                };
                match right {
                    Right::No => false,
                    Right::With(permission) => run.permissions.contains(&permission),
                    Right::Own => true,
                }
            }
        };
        if allowed { Ok(()) } else { Err(Self::missing(rule)) }
    }

    fn missing(rule: Rule) -> ApiError {
        ApiError::PermissionMissing(rule.names)
    }
}
