//! Following a module until it stands somewhere, and saying where.

use selena_types::{ModuleName, ModuleState};
use serde_json::{Value, json};

use super::{Outcome, consent};
use crate::{
    client::Client,
    error::{CallError, CtlError},
    screen::{Screen, quoted},
    value::plain,
    visible::visible,
};

/// Where a module stands, of an answer or of a line of its status stream.
pub(super) fn state(answer: &Value) -> Option<ModuleState> {
    answer["status"].as_str().and_then(|status| status.parse().ok())
}

/// Follows `…/status/stream`, showing what happens, to its end; the last line, with the module's name.
pub(super) async fn follow(name: &ModuleName, client: &Client, screen: &mut Screen) -> Result<Value, CtlError> {
    let mut stream = client.stream(&format!("/modules/{name}/status/stream")).await?;
    while let Some(mut line) = stream.next().await? {
        if state(&line).is_some_and(is_last) {
            line["name"] = json!(name);
            return Ok(line);
        }
        let [status, message, percent] = ["status", "message", "progress"].map(|key| plain(&line[key]));
        screen.note(&visible(&format!("{percent:>3} %  {status}  {message}")));
    }
    // The stream broke off, but the hub may have come to an end.
    let module = client.get(&format!("/modules/{name}")).await?;
    if state(&module).is_some_and(is_last) { Ok(module) } else { Err(CallError::StreamEnded.into()) }
}

/// Whether the module stays there by itself.
fn is_last(state: ModuleState) -> bool {
    !matches!(state, ModuleState::Uploaded | ModuleState::Validating)
}

/// Tells where a module came to stand.
pub(super) async fn conclude(
    name: &ModuleName,
    last: &Value,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    match state(last) {
        Some(ModuleState::AwaitingConsent) => {
            let asked = if last["adds"].is_object() { last.clone() } else { consent::asked(name, client).await? };
            screen.answer(last, |screen| {
                screen.text(&consent::words(name, &asked))?;
                screen.line(&format!("Grant it with `selenactl module consent {name}`."))
            })?;
            Ok(Outcome::AwaitingConsent)
        }
        Some(state @ (ModuleState::Running | ModuleState::Ready | ModuleState::Stopped)) => {
            screen.answer(last, |screen| screen.line(&format!("{name} is {state}")))?;
            Ok(Outcome::Done)
        }
        _ => {
            screen.answer(last, |_| Ok(()))?;
            screen.note(&format!("error: {name} is {}: {}", plain(&last["status"]), reason(last)));
            Ok(Outcome::Failed)
        }
    }
}

/// Why it failed, and what the package printed in its trial.
fn reason(last: &Value) -> String {
    let texts = ["message", "error"].map(|key| plain(&last[key]));
    let why = texts.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| "the hub gave no reason".to_owned());
    let why = match why.split_once('\n') {
        Some((first, rest)) => format!("{first}\n{}", quoted(rest)),
        None => why,
    };
    match last["sandbox_output"].as_str() {
        Some(output) => format!("{why}\noutput of the package:\n{}", quoted(output)),
        None => why,
    }
}
