//! The hub itself, its API, and this program's completion.

use clap::CommandFactory;
use hyper::Method;
use serde_json::Value;

use super::Outcome;
use crate::{
    cli::{Cli, Shell},
    client::{Body, Client},
    error::CtlError,
    screen::Screen,
    table::Table,
    value::{details, plain, time},
};

/// The API of hubs of this version.
const OPENAPI: &str = include_str!("../../../selena-http/openapi.json");

/// Shows all a path answers.
pub(super) async fn show(path: &str, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.get(path).await?;
    screen.answer(&answer, |screen| screen.table(&details(&answer)))?;
    Ok(Outcome::Done)
}

/// Shows how the hub is; only one that takes changes is well, and, where that is `checked`, one with clean files.
pub(super) async fn health(checked: bool, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.get("/health").await?;
    screen.answer(&answer, |screen| screen.table(&details(&answer)))?;
    if answer["mode"] == "safe_mode" {
        screen.note("the hub is in SAFE MODE: `selenactl safe-mode status` says why");
        return Ok(Outcome::Failed);
    }
    if checked && answer["integrity"] != "ok" {
        screen.note("the integrity agent has not found the hub's files clean: `selenactl safe-mode status` says more");
        return Ok(Outcome::Failed);
    }
    Ok(Outcome::Done)
}

/// Leaves SAFE MODE, as a person (protocol, section 8.2).
pub(super) async fn exit_safe_mode(client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.send(Method::POST, "/system/safe-mode/exit", Body::None, &[]).await?;
    screen.answer(&answer.body, |screen| screen.line("the hub has left SAFE MODE; its modules start"))?;
    Ok(Outcome::Done)
}

/// Shows the newest records of what was refused and changed.
pub(super) async fn audit(limit: u16, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.get(&format!("/audit?limit={limit}")).await?;
    screen.answer(&answer, |screen| screen.table(&records(&answer)))?;
    Ok(Outcome::Done)
}

fn records(answer: &Value) -> Table {
    let mut table = Table::new(["TIME", "COUNT", "EVENT", "SUBJECT", "DETAIL"]);
    for record in answer["records"].as_array().into_iter().flatten() {
        let [count, event, subject, detail] = ["count", "event", "subject", "detail"].map(|key| plain(&record[key]));
        table.row([&time(&record["timestamp"]), &count, &event, &subject, &detail]);
    }
    table
}

/// Prints the description of the API.
pub(super) fn api(screen: &mut Screen) -> Result<Outcome, CtlError> {
    screen.script(OPENAPI)?;
    Ok(Outcome::Done)
}

/// Prints what makes a shell complete our commands.
pub(super) fn completions(shell: Shell, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "selenactl", &mut script);
    screen.script(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
