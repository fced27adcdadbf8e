//! One at a time, with a progress and a cancel; a client that goes away ends it.

use std::{io::Write, os::unix::net::UnixStream};

use selena_tests::{Hub, Package, wait};
use serde_json::{Value, json};

use super::{IDENTITY, all_there_is, form, recipient};

/// Begins to send a backup and does not go on.
fn stalled(hub: &Hub) -> UnixStream {
    let mut stream = UnixStream::connect(hub.data_dir().join("run/admin.sock")).expect("the hub listens");
    let body = form(IDENTITY, b"age-encryption.org/v1\n");
    let head = "POST /api/v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\
                Content-Type: multipart/form-data; boundary=a-boundary-that-stands-in-no-backup\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(&body[..body.len() - 60]).expect("sent");
    stream
}

fn last(hub: &Hub) -> Value {
    let text = hub.admin().get("/backup/status/stream").expect(200).text();
    let line = text.lines().rev().find_map(|line| line.strip_prefix("data:")).expect("a line");
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn there_is_one_at_a_time_and_it_can_be_cancelled_or_left() {
    let hub = Hub::start();
    let _module = hub.install(&Package::probe("one", 8100));
    hub.admin().get("/backup/status/stream").refused(404, "not_found");
    hub.admin().delete("/backup").refused(404, "not_found");
    let before = all_there_is(&hub);

    let first = stalled(&hub);
    // Recorded once the job is begun; equal records of a minute are counted.
    let begun = || hub.audit("backup_restore").iter().filter_map(|record| record["count"].as_i64()).sum::<i64>();
    wait::until("it has begun", 20, || begun() == 1);
    hub.admin().post("/backup", &json!({ "recipient": recipient() })).refused(409, "backup_in_progress");
    let _cancelled = hub.admin().delete("/backup").expect(204);
    wait::until("it is over", 10, || last(&hub)["status"] == "CANCELLED");
    drop(first);

    let second = stalled(&hub);
    wait::until("the next one has begun", 20, || begun() == 2);
    drop(second);
    wait::until("who sent it went away, and it is over", 10, || last(&hub)["status"] != "RUNNING");
    assert_eq!(all_there_is(&hub), before);

    for body in [
        json!({}),
        json!({ "recipient": "age1nonsense" }),
        json!({ "passphrase": "" }),
        json!({ "recipient": recipient(), "passphrase": "p" }),
    ] {
        assert_eq!(hub.admin().post("/backup", &body).status, 422, "{body}");
    }
    hub.admin().post("/backup", &json!({ "recipient": recipient(), "module": "nobody" })).refused(404, "not_found");
    assert_eq!(hub.anonymous().post("/backup", &json!({ "recipient": recipient() })).status, 401);
    let module = hub.module("one");
    assert_eq!(module.core().post("/backup", &json!({ "recipient": recipient() })).status, 403, "not for modules");
}
