//! Restores as they are walked (fault W11): the module or the hub of before, or that of the backup.

use std::fs;

use selena_backup::age::Identity;
use serde_json::{Value, json};

use crate::{
    Desk, Hub,
    http::Request,
    transactions::{NAME, package},
    wait,
    walk::{Ended, Victim, Walk},
};

/// Opens the backups of these tests.
const IDENTITY: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";
/// How long the module may take to be heard again.
const SECS: u64 = 60;

fn write_notes(hub: &Hub, text: &str) {
    hub.hears_again(NAME, SECS).act(&json!({ "act": "write", "path": "/data/notes", "text": text }));
}

fn notes(hub: &Hub) -> Value {
    hub.hears_again(NAME, SECS).act(&json!({ "act": "read", "path": "/data/notes" }))["done"].clone()
}

/// A backup of the hub, or of its module, with notes that say so; the notes are newer afterwards.
fn backup(hub: &Hub, more: &[&str]) -> Vec<u8> {
    let _module = hub.install(&package(0));
    write_notes(hub, "as it was");
    let desk = Desk::default();
    let recipient = IDENTITY.parse::<Identity>().expect("an identity").recipient().to_string();
    let arguments = [&["backup", "create", "--recipient", &recipient, "-o", "b.age"], more].concat();
    let _made = desk.ctl(hub, &arguments).done();
    fs::read(desk.path().join("b.age")).expect("it was made")
}

fn upload(hub: &Hub, file: &[u8]) -> Option<u16> {
    let mut body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"identity\"\r\n\r\n{IDENTITY}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"backup\"; filename=\"b\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let request = Request::new("POST", "/restore?replace=true").body("multipart/form-data; boundary=b", body);
    hub.admin().try_send(&request).ok().map(|answer| answer.status)
}

/// The notes are those of before or those of the backup, whole.
fn has_either(hub: &Hub, (): &(), ended: &Ended) {
    let notes = notes(hub);
    assert!(notes == "as it was" || (notes == "newer" && !ended.well()), "{ended:?}: {notes}");
}

/// W11: a module is the one of before or the one of the backup.
pub fn module(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let file = backup(hub, &["--module", NAME]);
    let before = |hub: &Hub| write_notes(hub, "newer");
    let act = |hub: &Hub| upload(hub, &file);
    Walk { name: "W11 restored module", most, ends: &[200], before: &before, act: &act, after: &has_either }
        .at_each_point(hub, victim);
}

/// Whether the process is gone, though nobody has waited for it.
fn is_dead(hub: &Hub) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", hub.pid())).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z') || rest.is_empty())
}

/// W11: a hub is the one of before or the one of the backup.
pub fn whole_hub(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let file = backup(hub, &[]);
    let before = |hub: &Hub| write_notes(hub, "newer");
    let act = |hub: &Hub| {
        let before = hub.module(NAME).container;
        let status = upload(hub, &file);
        // It starts itself again, and may die of that too.
        wait::until("the hub runs with what was restored, or is dead", SECS, || {
            let anew = || hub.try_module(NAME).is_some_and(|module| module.container != before);
            is_dead(hub) || (status == Some(202) && anew() && hub.orphans().is_empty())
        });
        status
    };
    Walk { name: "W11 restored hub", most, ends: &[202], before: &before, act: &act, after: &has_either }
        .at_each_point(hub, victim);
}
