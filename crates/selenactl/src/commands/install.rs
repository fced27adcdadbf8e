//! `module install`.

use std::path::PathBuf;

use hyper::{Method, header::HeaderName};
use selena_types::{ModuleName, ModuleState};
use serde_json::Value;

use super::{
    Outcome,
    progress::{conclude, follow, state},
    publishers::made_by,
};
use crate::{
    client::{Answer, Body, Client},
    error::{CallError, CtlError},
    report,
    screen::Screen,
};

/// Asks the hub to answer at once and go on by itself (RFC 7240).
pub(super) const RESPOND_ASYNC: [(HeaderName, &str); 1] = [(HeaderName::from_static("prefer"), "respond-async")];

/// Sends a package and follows it until it runs, failed, or waits for a person.
pub(super) async fn install(
    file: PathBuf,
    allow_downgrade: bool,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let package = tokio::fs::read(&file).await.map_err(|source| CtlError::File { file, source })?;
    let path = if allow_downgrade { "/modules/install?allow_downgrade=true" } else { "/modules/install" };
    let answer = client.send(Method::POST, path, Body::Zip(package), &RESPOND_ASYNC).await?;
    let name = answer.body["name"].as_str().and_then(|name| ModuleName::new(name).ok());
    let name = name.ok_or_else(|| CallError::Malformed("it names no module".to_owned()))?;
    let mut last = reached(&name, answer, client, screen).await?;
    let stands = matches!(state(&last), Some(ModuleState::Running | ModuleState::Ready));
    let path = format!("/modules/{name}");
    let mut module = None;
    if stands && !last["report"].is_object() {
        module = client.get(&path).await.ok();
        last["report"] = module.as_ref().map(|module| module["report"].clone()).unwrap_or_default();
    }
    let outcome = conclude(&name, &last, client, screen).await?;
    if stands {
        screen.people(|screen| report::lines(&last["report"]).iter().try_for_each(|line| screen.line(line)))?;
    }
    // What failed may be gone, and then nobody made it; of what waits it was told with what it asks for.
    if outcome == Outcome::Done && module.is_none() {
        module = client.get(&path).await.ok();
    }
    if let Some(module) = module {
        screen.note(&format!("{name} is {}", made_by(&module["publisher"])));
    }
    Ok(outcome)
}

/// Follows a module that an answer says is on its way, and tells where it came to stand.
pub(super) async fn settle(
    name: &ModuleName,
    answer: Answer,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let last = reached(name, answer, client, screen).await?;
    conclude(name, &last, client, screen).await
}

/// What the hub last said of a module that it may still be working on.
async fn reached(name: &ModuleName, answer: Answer, client: &Client, screen: &mut Screen) -> Result<Value, CtlError> {
    let on_its_way = answer.status == 202 && state(&answer.body) != Some(ModuleState::AwaitingConsent);
    if on_its_way { follow(name, client, screen).await } else { Ok(answer.body) }
}
