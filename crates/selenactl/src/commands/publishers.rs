//! `publisher …`, and who made a module in plain words.

use std::{collections::BTreeMap, fs, path::PathBuf};

use hyper::Method;
use selena_signature::{KeyId, KeyRotation, PrivateKey};
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    cli::{AddArgs, PublisherCommand, RotationArgs},
    client::{Body, Client},
    error::CtlError,
    keys::{self, KeyFileError},
    screen::Screen,
    table::Table,
    value::{details, plain, time},
};

/// Runs a publisher command.
pub(super) async fn run(asked: PublisherCommand, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    match asked {
        PublisherCommand::Keygen { file } => keygen(&file, screen),
        PublisherCommand::Add(arguments) => add(arguments, client, screen).await,
        PublisherCommand::List => list(client, screen).await,
        PublisherCommand::Trust { key_id, trust } => {
            let path = format!("/publishers/{key_id}");
            send(Method::PATCH, &path, json!({ "trust": trust }), client, screen).await
        }
        PublisherCommand::Revoke { key_id, reason, yes } => revoke(&key_id, &reason, yes, client, screen).await,
        PublisherCommand::Rotation(arguments) => rotation(arguments, screen),
        PublisherCommand::Rotate { file } => {
            let text = fs::read(&file).map_err(|source| CtlError::File { file: file.clone(), source })?;
            let statement = KeyRotation::parse(&text);
            let statement = statement.map_err(|error| CtlError::Usage(format!("{}: {error}", file.display())))?;
            send(Method::POST, "/publishers/rotate", statement.to_value(), client, screen).await
        }
    }
}

fn keygen(file: &std::path::Path, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let key = PrivateKey::generate().map_err(KeyFileError::from)?;
    let public_file = keys::write_new(&key, file)?;
    let public = key.public();
    let answer = json!({
        "key_id": public.id(), "public_key": public.to_base64(), "private_key_file": file, "public_key_file": public_file,
    });
    screen.answer(&answer, |screen| screen.table(&details(&answer)))?;
    screen.note(
        "Keep the private key secret and safe: whoever has it can update your modules, and nobody can without it.",
    );
    Ok(Outcome::Done)
}

async fn add(arguments: AddArgs, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let key = keys::public(&arguments.key)?;
    let mut body = json!({ "name": arguments.name, "public_key": key.to_base64(), "trust": arguments.trust });
    if let Some(replaces) = arguments.replaces {
        body["replaces"] = json!(replaces);
    }
    send(Method::POST, "/publishers", body, client, screen).await
}

async fn send(
    method: Method,
    path: &str,
    body: Value,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let key = client.send(method, path, Body::Json(body), &[]).await?.body;
    screen.answer(&key, |screen| screen.table(&details(&key)))?;
    Ok(Outcome::Done)
}

async fn list(client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.get("/publishers").await?;
    screen.answer(&answer, |screen| screen.table(&table(&answer)))?;
    Ok(Outcome::Done)
}

async fn revoke(
    key_id: &KeyId,
    reason: &str,
    yes: bool,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let question = format!("Revoke the key {key_id} for ever? Nothing it signed is installed any more.");
    if !yes && !screen.confirm(&question)? {
        screen.note("Nothing was revoked.");
        return Ok(Outcome::Failed);
    }
    let path = format!("/publishers/{key_id}/revoke");
    let outcome = send(Method::POST, &path, json!({ "reason": reason }), client, screen).await?;
    let all = client.get("/publishers").await?;
    let successor = each(&all).find(|key| key["replaces"] == key_id.as_str() && key["revoked_at"].is_null());
    if let Some(successor) = successor {
        let id = plain(&successor["key_id"]);
        screen.note(&format!(
            "The key {id} took its place, and still counts: revoke that too if the old key's thief named it."
        ));
    }
    Ok(outcome)
}

fn rotation(arguments: RotationArgs, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let (old, new) = (keys::read_private(&arguments.old)?, keys::public(&arguments.new)?);
    let statement = KeyRotation::sign(&arguments.publisher, &old, new);
    let statement = statement.map_err(|error| CtlError::Usage(error.to_string()))?.to_value();
    match arguments.output {
        Some(file) => write(&file, &statement)?,
        None => screen.script(&format!("{statement:#}\n"))?,
    }
    Ok(Outcome::Done)
}

fn write(file: &PathBuf, statement: &Value) -> Result<(), CtlError> {
    let written = fs::write(file, format!("{statement:#}\n"));
    Ok(written.map_err(|source| KeyFileError::Io { doing: "write", path: file.clone(), source })?)
}

fn each(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["publishers"].as_array().into_iter().flatten()
}

fn table(answer: &Value) -> Table {
    let mut table = Table::new(["KEY", "NAME", "TRUST", "ADDED", "REVOKED", "REPLACES", "MODULES"]);
    for key in each(answer) {
        let [id, name, trust, replaces] = ["key_id", "name", "trust", "replaces"].map(|field| plain(&key[field]));
        let revoked = match &key["revoked_at"] {
            Value::Null => String::new(),
            at => format!("{}: {}", time(at), plain(&key["reason"])),
        };
        let modules: Vec<_> = key["modules"].as_array().into_iter().flatten().map(plain).collect();
        table.row([&id, &name, &trust, &time(&key["added_at"]), &revoked, &replaces, &modules.join(", ")]);
    }
    table
}

/// By module, who signed it: the publisher's name, and that its key was revoked.
pub(super) fn signers(publishers: &Value) -> BTreeMap<String, String> {
    let of = |key: &Value| {
        let revoked = if key["revoked_at"].is_null() { "" } else { "REVOKED: " };
        let signer = format!("{revoked}{}", plain(&key["name"]));
        let modules: Vec<_> = key["modules"].as_array().into_iter().flatten().map(plain).collect();
        modules.into_iter().map(move |module| (module, signer.clone()))
    };
    each(publishers).flat_map(of).collect()
}

/// Who made a module, from what the hub says of its publisher.
pub(super) fn made_by(publisher: &Value) -> String {
    if publisher["signed"] != true {
        return "UNSIGNED: nobody vouches for where it comes from".to_owned();
    }
    let [name, id, trust] = ["name", "key_id", "trust"].map(|field| plain(&publisher[field]));
    if publisher["revoked"] == true {
        return format!("signed by {name} with the key {id}, which was REVOKED since");
    }
    format!("signed by {name} ({trust}) with the key {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_made_a_module_is_told_in_plain_words() {
        let mut publisher =
            json!({"signed": true, "name": "Lamps", "key_id": "ab", "trust": "BASIC", "revoked": false});
        assert_eq!(made_by(&publisher), "signed by Lamps (BASIC) with the key ab");
        publisher["revoked"] = json!(true);
        assert_eq!(made_by(&publisher), "signed by Lamps with the key ab, which was REVOKED since");
        for unsigned in [json!({"signed": false}), Value::Null] {
            assert_eq!(made_by(&unsigned), "UNSIGNED: nobody vouches for where it comes from");
        }
    }
}
