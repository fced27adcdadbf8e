//! Each operation in words, with its bodies and answers.

use selena_core::Operation;

use super::backup;

/// A body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// JSON of this schema.
    Json(&'static str),
    /// Server-sent events, each of this schema.
    Stream(&'static str),
    /// Plain text.
    Text,
    /// `KEY=VALUE`, each ended by NUL.
    Environment,
    /// A package.
    Package,
    /// A backup, and what opens it.
    BackupForm,
    /// A backup.
    Backup,
}
use Body::{Environment, Json, Package, Stream, Text};

/// An answer that is no error: its status, what it means, its body.
type Answer = (u16, &'static str, Option<Body>);

/// What stands of an operation in the document, its path and rights apart.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) summary: &'static str,
    pub(super) request: Option<Body>,
    /// Name, type and meaning.
    pub(super) query: &'static [(&'static str, &'static str, &'static str)],
    pub(super) answers: &'static [Answer],
    /// Errors besides the common ones.
    pub(super) errors: &'static [(u16, &'static str)],
}

const fn asks(summary: &'static str, answers: &'static [Answer]) -> Described {
    Described { summary, request: None, query: &[], answers, errors: &[] }
}

const fn sends(summary: &'static str, request: Body, answers: &'static [Answer]) -> Described {
    let errors =
        &[(408, "The body did not arrive whole."), (413, "The body is too large."), (422, "The body breaks a rule.")];
    Described { summary, request: Some(request), query: &[], answers, errors }
}

impl Described {
    const fn query(self, query: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }

    const fn errors(self, errors: &'static [(u16, &'static str)]) -> Self {
        Self { errors, ..self }
    }
}

const NOT_FOUND: &[(u16, &str)] = &[(404, "There is no such thing.")];
const STARTS: &[(u16, &str)] = &[
    (400, "It did not start."),
    (404, "There is no such module."),
    (409, "It waits for consent, or is disabled."),
    (503, "The container engine does not answer."),
];
const PUBLISHERS: &[(u16, &str)] = &[
    (404, "There is no such key."),
    (409, "The key is known already, revoked, or replaced by another one."),
    (413, "The body is too large."),
    (422, "The body breaks a rule."),
];
const PROXY: &[(u16, &str)] = &[
    (403, "Not granted, or the URL leads elsewhere than to the provider: `proxy_<reason>`."),
    (404, "No credentials for this provider."),
    (408, "The body did not arrive whole."),
    (413, "The body is too large."),
    (422, "The body breaks a rule."),
    (429, "Too many requests, or 8 of them run already."),
    (502, "The host cannot be reached, or its answer is broken or larger than 5 MiB."),
    (504, "The host did not answer within 10 seconds."),
];
const SIGN_IN: &[(u16, &str)] = &[
    (404, "The manifest names no such provider."),
    (408, "The body did not arrive whole."),
    (409, "It is being begun already."),
    (413, "The body is too large."),
    (422, "The body breaks a rule, or the manifest does not name a scope."),
    (502, "The provider cannot be reached, or does not answer as it should."),
    (503, "In a trial nothing is sent outside."),
];
const LIMIT: (&str, &str, &str) = ("limit", "integer", "1 to 1000; 1000 if not given");
const TYPE: (&str, &str, &str) = ("type", "string", "an event type, `prefix.*` or `*`");
const SINCE_SEQ: (&str, &str, &str) = ("since_seq", "integer", "only events after this one");
const STATUS: &[Answer] = &[(200, "What it is now.", Some(Json("ModuleStatus")))];

/// Exhaustive: an operation that is not described does not compile.
pub(super) const fn describe(operation: Operation) -> Described {
    use Operation as Op;
    match operation {
        Op::Boot => asks(
            "The environment of a module, for the hub's init; once per container start",
            &[(200, "The environment.", Some(Environment))],
        )
        .errors(&[(404, "This listener is no module's."), (410, "It was fetched already.")]),
        Op::BootDenied => Described {
            summary: "System calls that were denied in a trial, by the hub's init with the key it got; answered when the hub wants the next",
            request: Some(Text),
            query: &[("last", "boolean", "no other message follows: answered at once")],
            answers: &[(204, "The next one, please.", None)],
            errors: &[(403, "It does not bear the key of this trial's init."), (422, "It is no report.")],
        },
        Op::OpenApi => asks("This document", &[(200, "OpenAPI 3.1.", Some(Json("Any")))]),
        Op::Health => asks("Whether the hub works", &[(200, "It does.", Some(Json("Health")))]),
        Op::SystemInfo => asks(
            "What the hub is; without a token only version and initialized",
            &[(200, "The hub.", Some(Json("SystemInfo")))],
        ),
        Op::HostDeviceList => asks(
            "The devices of the machine that modules can be given, and those they wait for",
            &[(200, "Devices.", Some(Json("HostDevices")))],
        ),
        Op::DiskUse => asks(
            "Who uses the data directory's disk, the largest first; what is promised to modules, and what the hub keeps free",
            &[(200, "Uses, in bytes.", Some(Json("DiskUse")))],
        ),
        Op::JobList => {
            asks("Long pieces of work: those under way, and the last that ended", &[(200, "Jobs.", Some(Json("Jobs")))])
        }
        Op::JobCancel => asks(
            "Cancel a job: it stops at its next step, and what it began is undone",
            &[(202, "It is asked to stop.", Some(Json("Job")))],
        )
        .errors(&[(404, "There is no such job."), (409, "It has ended, or is past its commit point.")]),
        Op::AuditList => {
            asks("What was refused and changed, newest first", &[(200, "Records.", Some(Json("AuditRecords")))])
                .query(&[LIMIT])
        }
        Op::IntegrityStatus => {
            asks("What the integrity agent found", &[(200, "Its last report.", Some(Json("IntegrityStatus")))])
        }
        Op::IntegrityViolation => sends(
            "The integrity agent found the hub changed: SAFE MODE; needs X-Agent-Secret",
            Json("Violation"),
            &[(200, "The hub is in SAFE MODE.", Some(Json("Acknowledged")))],
        ),
        Op::IntegrityRestored => sends(
            "The integrity agent restored files; needs X-Agent-Secret",
            Json("Restored"),
            &[(200, "It is recorded.", Some(Json("Acknowledged")))],
        ),
        Op::SafeModeExit => asks("Leave SAFE MODE after a clean check", &[(204, "The hub works again.", None)])
            .errors(&[(409, "The hub is not in SAFE MODE, or its last check is not clean.")]),
        Op::DeviceList => asks("All devices", &[(200, "Devices.", Some(Json("Devices")))]),
        Op::DeviceRegister => {
            sends("Register a device", Json("NewDevice"), &[(201, "The device.", Some(Json("Device")))])
        }
        Op::DeviceGet => asks("One device", &[(200, "The device.", Some(Json("Device")))]).errors(NOT_FOUND),
        Op::DeviceDelete => asks("Delete a device", &[(204, "It is gone.", None)]).errors(NOT_FOUND),
        Op::DeviceSetState => {
            sends("Replace a device's state", Json("NewState"), &[(200, "The device.", Some(Json("Device")))])
        }
        Op::DeviceHistory => asks("States a device had, newest first", &[(200, "States.", Some(Json("History")))])
            .query(&[("since", "number", "Unix seconds: only states after this time"), LIMIT])
            .errors(NOT_FOUND),
        Op::EventPublish => sends(
            "Publish an event",
            Json("NewEvent"),
            &[
                (200, "It is published.", Some(Json("Published"))),
                (201, "It is published, in the form of older clients.", Some(Json("PublishedOlder"))),
            ],
        ),
        Op::EventSubscribe => sends(
            "Subscribe to events by webhook; the same URL replaces",
            Json("NewSubscription"),
            &[(201, "The subscription.", Some(Json("Subscription")))],
        ),
        Op::EventUnsubscribe => asks("Delete an own subscription", &[(204, "It is gone.", None)]).errors(NOT_FOUND),
        Op::EventList => {
            asks("Events, oldest first", &[(200, "A page.", Some(Json("Events")))]).query(&[SINCE_SEQ, TYPE, LIMIT])
        }
        Op::EventStream => asks("Events as they happen", &[(200, "One event a line.", Some(Stream("Event")))])
            .query(&[SINCE_SEQ, TYPE]),
        Op::IntentRegister => sends(
            "Register intents, as older programs do; replaces the module's",
            Json("NewIntents"),
            &[(201, "They are registered.", Some(Json("IntentsRegistered")))],
        ),
        Op::IntentList => asks("All intents", &[(200, "Intents by module.", Some(Json("Intents")))]),
        Op::SecretsProxy => sends(
            "Ask a host of a provider outside; the hub adds the token, and the module never sees it",
            Json("ProxyRequest"),
            &[(200, "What the host answered, whatever its status.", Some(Json("ProxyAnswer")))],
        )
        .errors(PROXY),
        Op::OAuthStart => sends(
            "Begin to sign in to a provider by the device flow; a person goes on at the provider",
            Json("NewSignIn"),
            &[(200, "What the person has to see.", Some(Json("SignIn")))],
        )
        .errors(SIGN_IN),
        Op::OAuthStatus => asks("How a sign-in stands", &[(200, "Its status.", Some(Json("SignInStatus")))])
            .query(&[("provider", "string", "one of the manifest's `oauth`")])
            .errors(&[
                (404, "No such provider in the manifest, or no sign-in was ever begun."),
                (422, "No provider is named."),
            ]),
        Op::IntentDelete => asks("Delete a module's intents", &[(204, "They are gone.", None)]).errors(NOT_FOUND),
        Op::ModuleList => asks("All modules", &[(200, "Modules.", Some(Json("Modules")))]),
        Op::ModuleInstall => install(),
        Op::ModuleGet => asks("One module", &[(200, "The module.", Some(Json("ModuleDetails")))]).errors(NOT_FOUND),
        Op::ModuleRemove => {
            asks("Remove a module with all its data; its devices stay", &[(204, "It is gone.", None)]).errors(NOT_FOUND)
        }
        Op::ModuleStart => asks("Start a module, also a quarantined one", STATUS).errors(STARTS),
        Op::ModuleStop => asks("Stop a module until it is started", STATUS).errors(NOT_FOUND),
        Op::ModuleRollback => asks(
            "Go back to the version before, with its data as it was then",
            &[(200, "It runs.", Some(Json("RolledBack")))],
        )
        .errors(&[
            (400, "It did not start: the version that ran is back."),
            (404, "There is no such module."),
            (409, "There is no version before, or its port is taken."),
            (422, "What it needs is not there any more."),
            (503, "The container engine does not answer."),
        ]),
        Op::ModuleRestart => asks("Stop and start a module", STATUS).errors(STARTS),
        Op::ModuleLogs => {
            asks("What a module printed, the last MiB", &[(200, "Its log.", Some(Text))]).errors(NOT_FOUND)
        }
        Op::ModuleStatusStream => asks(
            "Every step of an install or start until it is over",
            &[(200, "One step a line.", Some(Stream("Progress")))],
        )
        .errors(NOT_FOUND),
        Op::ModuleConfigGet => {
            asks("A module's settings", &[(200, "Settings.", Some(Json("Config")))]).errors(NOT_FOUND)
        }
        Op::ModuleConfigSet => {
            sends("Set one of a module's settings", Json("NewConfig"), &[(200, "All settings.", Some(Json("Config")))])
        }
        Op::ModuleCommand => sends(
            "Send a module a command; one that runs on demand is started for it",
            Json("NewCommand"),
            &[(200, "The module's answer.", Some(Json("CommandResult")))],
        )
        .errors(&[
            (404, "There is no such module."),
            (409, "It does not run."),
            (502, "It failed."),
            (504, "It took too long."),
        ]),
        Op::ConsentShow => consent("What a module waits for", &[(200, "What it asks for.", Some(Json("Awaiting")))]),
        Op::ConsentGive => Described {
            request: Some(Json("Consent")),
            ..consent("Grant exactly what was shown", &[(200, "It goes on.", Some(Json("ModuleStatus")))])
        },
        Op::ConsentRefuse => consent("Drop what waits for consent", &[(204, "It is dropped.", None)]),
        Op::BackupCreate => backup::CREATE,
        Op::BackupCheck => backup::CHECK,
        Op::BackupRestore => backup::RESTORE,
        Op::BackupStatusStream => asks(
            "Every step of the backup or restore that goes on until it is over, or how the last one ended",
            &[(200, "One step a line.", Some(Stream("BackupProgress")))],
        )
        .errors(&[(404, "There was none since the hub started.")]),
        Op::BackupCancel => {
            asks("End the backup or restore that goes on", &[(204, "It ends.", None)]).errors(&[(404, "None goes on.")])
        }
        Op::PublisherList => {
            asks("Publishers' keys, and the modules they signed", &[(200, "Keys.", Some(Json("Publishers")))])
        }
        Op::PublisherAdd => {
            sends("Add a publisher's key", Json("NewPublisher"), &[(201, "The key.", Some(Json("Publisher")))])
                .errors(PUBLISHERS)
        }
        Op::PublisherTrust => {
            sends("Set how far a key is trusted", Json("NewTrust"), &[(200, "The key.", Some(Json("Publisher")))])
                .errors(PUBLISHERS)
        }
        Op::PublisherRevoke => sends(
            "Revoke a key for ever; modules it signed go on, and say so",
            Json("NewRevocation"),
            &[(200, "The key, and the modules it signed.", Some(Json("Publisher")))],
        )
        .errors(PUBLISHERS),
        Op::PublisherRotate => sends(
            "Add the key that takes another one's place, by a statement of that one's owner",
            Json("Rotation"),
            &[(201, "The new key.", Some(Json("Publisher")))],
        )
        .errors(PUBLISHERS),
    }
}

const fn consent(summary: &'static str, answers: &'static [Answer]) -> Described {
    asks(summary, answers)
        .errors(&[(404, "There is no such module."), (409, "It waits for nothing, or for something else.")])
}

const fn install() -> Described {
    sends(
        "Install or update a module from a package; `Prefer: respond-async` answers at once",
        Package,
        &[
            (201, "It is installed.", Some(Json("Installed"))),
            (202, "It goes on, or waits for a person's consent.", Some(Json("Awaiting"))),
        ],
    )
    .query(&[(
        "allow_downgrade",
        "boolean",
        "Whether the version may be lower than the one that is installed; only a person and the development token may.",
    )])
    .errors(&[
        (400, "Its trial failed, or it did not become healthy."),
        (408, "The package did not arrive whole."),
        (409, "It does not go with what is installed: another publisher or type, or no higher version."),
        (413, "The package is too large."),
        (422, "The package breaks a rule."),
        (503, "The container engine does not answer."),
        (507, "The disk is full."),
    ])
}
