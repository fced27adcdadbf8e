//! `module config` and `module command`.

use hyper::Method;
use selena_types::ModuleName;
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    client::{Body, Client},
    error::CtlError,
    screen::Screen,
    table::Table,
    value::plain,
};

/// Shows the settings of a module, or one, or sets one.
pub(super) async fn config(
    name: ModuleName,
    key: Option<String>,
    value: Option<String>,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let path = format!("/modules/{name}/config");
    let answer = match (&key, value) {
        (Some(key), Some(value)) => {
            let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
            client.send(Method::POST, &path, Body::Json(json!({ "key": key, "value": value })), &[]).await?.body
        }
        _ => client.get(&path).await?,
    };
    let Some(key) = key else {
        screen.answer(&answer, |screen| screen.table(&settings(&answer)))?;
        return Ok(Outcome::Done);
    };
    let Some(value) = answer["config"].get(&key) else {
        screen.note(&format!("error: {name} has no setting `{key}`"));
        return Ok(Outcome::Failed);
    };
    screen.answer(&json!({ "key": key, "value": value }), |screen| screen.line(&plain(value)))?;
    Ok(Outcome::Done)
}

/// One line for each setting, its value as it can be given again.
fn settings(answer: &Value) -> Table {
    let mut table = Table::plain();
    for (key, value) in answer["config"].as_object().into_iter().flatten() {
        table.row([key, &plain(value)]);
    }
    table
}

/// Sends a command to a module and shows its answer.
pub(super) async fn command(
    name: ModuleName,
    command: String,
    args: Option<String>,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let malformed = |error| CtlError::Usage(format!("what the command needs is no JSON: {error}"));
    let args: Option<Value> = args.map(|text| serde_json::from_str(&text).map_err(malformed)).transpose()?;
    let mut body = json!({ "command": command });
    if let Some(args) = args {
        body["args"] = args;
    }
    let answer = client.send(Method::POST, &format!("/modules/{name}/command"), Body::Json(body), &[]).await?.body;
    screen.answer(&answer, |screen| match &answer["result"] {
        Value::String(text) => screen.text(text),
        result => screen.text(&format!("{result:#}")),
    })?;
    Ok(Outcome::Done)
}
