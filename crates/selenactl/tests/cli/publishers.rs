//! `selenactl publisher …`.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};

use crate::{
    directory::Directory,
    fake_hub::{Hub, answer},
};

const ID: &str = "21fe31dfa154a261626bf854046fd227";
/// The public key of RFC 8032, test 1, whose id is [`ID`].
const KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const REVOKE: &str = "POST /publishers/21fe31dfa154a261626bf854046fd227/revoke";

fn known(revoked_at: Value) -> Value {
    json!({"key_id": ID, "name": "Lamps", "public_key": KEY, "trust": "BASIC", "added_at": "2026-01-31T12:00:00Z",
        "replaces": null, "revoked_at": revoked_at, "reason": null})
}

#[test]
fn a_new_key_is_its_owners_alone_and_openssl_reads_it() {
    let here = Directory::new();
    let ran = here.ctl(&["--json", "publisher", "keygen", "lamps.key"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mode = |name: &str| fs::metadata(here.path().join(name)).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode("lamps.key"), mode("lamps.key.pub")), (0o600, 0o644));
    let text = fs::read_to_string(here.path().join("lamps.key")).expect("a key");
    assert!(!ran.out.contains("PRIVATE") && text.lines().all(|line| !ran.out.contains(line)), "it is not shown");
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["pkey", "-in", "lamps.key", "-pubout"]);
    let public = fs::read_to_string(here.path().join("lamps.key.pub")).expect("a key");
    assert_eq!(here.run(openssl).out, public);

    let ran = here.ctl(&["publisher", "keygen", "lamps.key"]);
    assert!(ran.code == Some(1) && ran.err.contains("cannot make lamps.key"), "{ran:?}");
    assert_eq!(fs::read_to_string(here.path().join("lamps.key")).expect("a key"), text, "it is not overwritten");
}

#[tokio::test]
async fn a_key_is_added_from_its_file_or_its_text() {
    let hub = Hub::start([
        answer("POST /publishers", 201, known(Value::Null)),
        answer("POST /publishers", 201, known(Value::Null)),
    ]);
    let pem = format!("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA{KEY}\n-----END PUBLIC KEY-----\n");
    let file = hub.file("lamps.pub", pem.as_bytes());
    let ran = hub.ctl(&["publisher", "add", "Lamps", &file]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(&format!("key_id      {ID}\n")), "{}", ran.out);
    let ran = hub.ctl(&["--json", "publisher", "add", "Lamps", KEY, "--trust", "verified", "--replaces", ID]).await;
    assert_eq!((ran.code, ran.json()), (Some(0), known(Value::Null)), "{ran:?}");
    let sent = |place: usize| serde_json::from_slice::<Value>(&hub.seen()[place].body).expect("JSON");
    assert_eq!(sent(0), json!({"name": "Lamps", "public_key": KEY, "trust": "BASIC"}));
    assert_eq!(sent(1), json!({"name": "Lamps", "public_key": KEY, "trust": "VERIFIED", "replaces": ID}));
    hub.asked();
}

#[tokio::test]
async fn what_is_no_key_is_refused_before_the_hub_is_asked() {
    let hub = Hub::start([]);
    let file = hub.file("odd", b"hello");
    for (arguments, code) in [
        (&["publisher", "add", "Lamps", file.as_str()][..], 1),
        (&["publisher", "add", "Lamps", "absent.pub"], 1),
        (&["publisher", "add", "Lamps", "/dev/zero"], 1),
        (&["publisher", "add", "Lamps", KEY, "--trust", "full"], 2),
        (&["publisher", "trust", "XYZ", "BASIC"], 2),
        (&["publisher", "trust", ID, "full"], 2),
        (&["publisher", "revoke", ID, "--yes"], 2),
        (&["publisher", "revoke", ID, "--reason", "lost"], 2),
        (&["publisher", "rotate", file.as_str()], 2),
    ] {
        let ran = hub.ctl(arguments).await;
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
    }
    assert_eq!(hub.asked(), [""; 0]);
}

#[tokio::test]
async fn keys_are_listed_trusted_and_revoked() {
    let mut heir = known(Value::Null);
    (heir["key_id"], heir["replaces"], heir["modules"]) = (json!("0".repeat(32)), json!(ID), json!([]));
    let mut old = known(json!("2026-02-01T12:00:00Z"));
    (old["modules"], old["reason"]) = (json!(["lamp", "desk"]), json!("lost\u{1b}[2J"));
    let all = json!({"publishers": [heir, old.clone()]});
    let hub = Hub::start([
        answer("PATCH /publishers/21fe31dfa154a261626bf854046fd227", 200, known(Value::Null)),
        answer(REVOKE, 200, old),
        answer("GET /publishers", 200, all.clone()),
        answer("GET /publishers", 200, all),
    ]);
    assert_eq!(hub.ctl(&["publisher", "trust", ID, "TRUSTED"]).await.code, Some(0));
    let ran = hub.ctl(&["publisher", "revoke", ID, "--reason", "lost", "--yes"]).await;
    assert!(ran.code == Some(0) && ran.err.contains("took its place, and still counts"), "{ran:?}");
    let ran = hub.ctl(&["publisher", "list"]).await;
    let row = format!("{ID}  Lamps  BASIC  2026-01-31 12:00:00 UTC  2026-02-01 12:00:00 UTC: lost\\u{{1b}}[2J");
    assert!(ran.out.contains(&row) && ran.out.contains("lamp, desk"), "{}", ran.out);
    let sent = |place: usize| serde_json::from_slice::<Value>(&hub.seen()[place].body).expect("JSON");
    assert_eq!((sent(0), sent(1)), (json!({"trust": "TRUSTED"}), json!({"reason": "lost"})));
    hub.asked();
}

#[tokio::test]
async fn a_rotation_is_stated_by_the_old_keys_owner_and_sent_as_it_is() {
    let here = Directory::new();
    for key in ["old", "new"] {
        assert_eq!(here.ctl(&["publisher", "keygen", key]).code, Some(0));
    }
    let ran = here.ctl(&[
        "publisher",
        "rotation",
        "--old",
        "old",
        "--new",
        "new.pub",
        "--publisher",
        "Lamps",
        "-o",
        "st.json",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let file = here.path().join("st.json");
    let statement: Value = serde_json::from_slice(&fs::read(&file).expect("a statement")).expect("JSON");
    let hub = Hub::start([answer("POST /publishers/rotate", 201, known(Value::Null))]);
    let ran = hub.ctl(&["publisher", "rotate", &file.to_string_lossy()]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(serde_json::from_slice::<Value>(&hub.seen()[0].body).expect("JSON"), statement);
    let ran = here.ctl(&["publisher", "rotation", "--old", "old", "--new", "old.pub"]);
    assert!(ran.code == Some(2) && ran.err.contains("the new key is the old one"), "{ran:?}");
}
