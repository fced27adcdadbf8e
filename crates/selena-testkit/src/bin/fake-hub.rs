//! A hub in memory for tests in any language: `fake-hub PACKAGE_DIRECTORY`.
//!
//! It prints the module's environment, one `NAME=VALUE` a line, then an empty line. Then it takes orders on standard
//! input, one a line: a word, then its arguments as JSON values in an array. Each is answered by one line of JSON:
//! `{"ok": …}` or `{"error": "…"}`. It ends with its input.

use std::{
    io::{self, Write},
    panic::AssertUnwindSafe,
    path::PathBuf,
};

use futures_util::FutureExt;
use selena_testkit::{FakeHub, ModuleAnswer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).unwrap_or_else(|| ".".into());
    let mut hub = FakeHub::for_package(directory).await;
    for (name, value) in hub.env() {
        say(&format!("{name}={value}"))?;
    }
    say("")?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await? {
        let (word, arguments) = line.split_once(' ').unwrap_or((&line, "[]"));
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        // An expectation that is not met panics: here it is an answer.
        let answer = AssertUnwindSafe(obey(&mut hub, word, &arguments)).catch_unwind().await;
        say(&match answer {
            Ok(answer) => json!({ "ok": answer }).to_string(),
            Err(panic) => json!({ "error": reason(&*panic) }).to_string(),
        })?;
    }
    Ok(())
}

async fn obey(hub: &mut FakeHub, order: &str, arguments: &Value) -> Value {
    let text = |at: usize| arguments[at].as_str().unwrap_or_default();
    let number = |at: usize| arguments[at].as_u64().and_then(|number| u16::try_from(number).ok()).unwrap_or_default();
    let object = |at: usize| if arguments[at].is_null() { json!({}) } else { arguments[at].clone() };
    match order {
        "publish" => json!(hub.publish(text(0), object(1)).await),
        "deliver_again" => {
            json!(hub.deliver_again(&serde_json::from_value(object(0)).expect("the first argument is an event")).await)
        }
        "bad_signature_event" => json!(hub.bad_signature_event(text(0), object(1)).await),
        "command" => match arguments[2].as_str() {
            Some(id) => show(&hub.command_with_id(id.parse().expect("a UUID"), text(0), object(1)).await),
            None => show(&hub.command(text(0), object(1)).await),
        },
        "get" => show(&hub.get(text(0)).await),
        "register_device" => json!(hub.register_device(&object(0)).await),
        "set_state" => json!(hub.set_state(text(0).parse().expect("a device id"), object(1)).await),
        "delete_device" => json!(hub.delete_device(text(0).parse().expect("a device id")).await),
        "set_config" => json!(hub.set_config(text(0), arguments[1].clone()).await),
        "devices" => json!(hub.devices()),
        "expect_device" => {
            let fields = object(1);
            let wanted = fields.as_object().expect("the second argument holds what the state must hold");
            let holds = |device: &selena_testkit::Device| wanted.iter().all(|(key, value)| device.state[key] == *value);
            json!(hub.expect_device(text(0), holds).await)
        }
        "expect_event" => json!(hub.expect_event(text(0)).await),
        "expect_request" => json!(hub.expect_request(text(0), text(1), number(2)).await),
        "expect_subscription" => json!(hub.expect_subscription().await),
        "expect_healthy" => json!(hub.expect_healthy().await),
        "requests" => {
            let all = hub.requests().into_iter();
            all.map(|seen| json!([seen.method, seen.path, seen.status])).collect()
        }
        "refuse_next" => json!(hub.refuse_next(number(0), number(1).into())),
        "go_away" => json!(hub.go_away().await),
        "come_back" => json!(hub.come_back().await),
        other => panic!("there is no order `{other}`"),
    }
}

fn show(answer: &ModuleAnswer) -> Value {
    json!({ "status": answer.status, "body": answer.text() })
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
