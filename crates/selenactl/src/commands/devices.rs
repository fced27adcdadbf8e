//! `device …`.

use hyper::Method;
use selena_types::DeviceId;
use serde_json::{Map, Value, json};

use super::Outcome;
use crate::{
    cli::DeviceCommand,
    client::{Body, Client},
    error::CtlError,
    screen::Screen,
    table::Table,
    value::{details, plain, time},
};

/// Runs a device command.
pub(super) async fn run(command: DeviceCommand, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    match command {
        DeviceCommand::List => {
            let answer = client.get("/devices").await?;
            screen.answer(&answer, |screen| screen.table(&table(&answer)))?;
        }
        DeviceCommand::Show { id } => {
            let device = client.get(&format!("/devices/{id}")).await?;
            screen.answer(&device, |screen| screen.table(&details(&device)))?;
        }
        DeviceCommand::Set { id, state, replace } => {
            let device = set(id, wanted(&state)?, replace, client).await?;
            screen.answer(&device, |screen| screen.line(&format!("state is {}", device["state"])))?;
        }
    }
    Ok(Outcome::Done)
}

/// Sets the state: the API replaces it as a whole, so what is not named is read first.
async fn set(id: DeviceId, wanted: Map<String, Value>, replace: bool, client: &Client) -> Result<Value, CtlError> {
    let path = format!("/devices/{id}");
    let mut state = Map::new();
    if !replace && let Value::Object(present) = client.get(&path).await?["state"].take() {
        state = present;
    }
    state.extend(wanted);
    let answer =
        client.send(Method::PATCH, &format!("{path}/state"), Body::Json(json!({ "state": state })), &[]).await?;
    Ok(answer.body)
}

/// The values of `KEY=VALUE…`, or of one JSON object.
fn wanted(arguments: &[String]) -> Result<Map<String, Value>, CtlError> {
    if let [json] = arguments
        && json.trim_start().starts_with('{')
    {
        return serde_json::from_str(json).map_err(|error| CtlError::Usage(format!("this is no JSON object: {error}")));
    }
    arguments.iter().map(|argument| pair(argument)).collect()
}

fn pair(argument: &str) -> Result<(String, Value), CtlError> {
    let usage = || CtlError::Usage(format!("`{argument}` is not KEY=VALUE"));
    let (key, value) = argument.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(usage)?;
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

fn table(answer: &Value) -> Table {
    let mut table = Table::new(["ID", "NAME", "TYPE", "PROTOCOL", "MODULE", "LAST SEEN", "STATE"]);
    for device in answer["devices"].as_array().into_iter().flatten() {
        let [id, name, kind, protocol, module, state] =
            ["device_id", "name", "type", "protocol", "module_id", "state"].map(|key| plain(&device[key]));
        table.row([&id, &name, &kind, &protocol, &module, &time(&device["last_seen"]), &state]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Value, String> {
        let owned: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
        wanted(&owned).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_json_or_else_texts() {
        assert_eq!(
            of(&["on=true", "level=0.5", "mode=eco", "note=a=b", "none=null", "text=\"7\"", "empty="]),
            Ok(json!({"on": true, "level": 0.5, "mode": "eco", "note": "a=b", "none": null, "text": "7", "empty": ""}))
        );
        assert_eq!(of(&["{\"on\": [1]}"]), Ok(json!({"on": [1]})));
        for bad in [&["on"][..], &["=1"], &["{\"on\": "], &["{}", "a=1"]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
