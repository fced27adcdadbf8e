//! Backup and restore in words.

use super::operations::{Body, Described};

pub(super) const CREATE: Described = Described {
    summary: "Make a backup of one module or the whole hub, encrypted (age), as a stream; modules that run are stopped for a moment, one after the other",
    request: Some(Body::Json("NewBackup")),
    query: &[],
    answers: &[(200, "The backup. It is whole if the answer is.", Some(Body::Backup))],
    errors: &[
        (404, "There is no such module."),
        (409, "A backup or restore goes on already."),
        (422, "It names no one who could open it."),
        (507, "The disk is full."),
    ],
};

pub(super) const CHECK: Described = Described {
    summary: "Look a backup through to its end; nothing is changed",
    request: Some(Body::BackupForm),
    query: &[],
    answers: &[(200, "It is good.", Some(Body::Json("BackupReport")))],
    errors: &ERRORS,
};

pub(super) const RESTORE: Described = Described {
    summary: "Restore one module, or the whole hub, which then starts again; consent and grants come with it",
    request: Some(Body::BackupForm),
    query: &[("replace", "boolean", "it may take the place of what is there")],
    answers: &[
        (200, "The module is restored.", Some(Body::Json("BackupReport"))),
        (202, "The hub starts again with what was restored.", Some(Body::Json("BackupReport"))),
    ],
    errors: &ERRORS,
};

const ERRORS: [(u16, &str); 5] = [
    (408, "The backup did not arrive whole; nothing was changed."),
    (409, "Something is there that may not be replaced, or a backup or restore goes on already."),
    (413, "The backup is too large."),
    (422, "The key is the wrong one, told as soon as the header came; or it is no backup that this hub takes."),
    (507, "The disk is full."),
];
