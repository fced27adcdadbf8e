//! `module …`.

use hyper::Method;
use selena_types::ModuleName;
use serde_json::{Value, json};

use super::{
    Outcome, author,
    config::{command, config},
    consent::consent,
    host_devices,
    install::install,
    new,
    progress::conclude,
    publishers::{made_by, signers},
    sign,
};
use crate::{
    cli::{ModuleCommand, Name},
    client::{Body, Client},
    dev,
    error::CtlError,
    report,
    screen::Screen,
    table::Table,
    value::{details, plain, time},
};

/// Runs a module command.
pub(super) async fn run(asked: ModuleCommand, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    match asked {
        ModuleCommand::New(arguments) => new::new(arguments, screen),
        ModuleCommand::Check { place } => author::run_check(&place, screen),
        ModuleCommand::Pack { dir, output, sign } => author::run_pack(&dir, output, sign.as_deref(), screen),
        ModuleCommand::Sign { place, key, output } => sign::run_sign(&place, &key, output, screen),
        ModuleCommand::Verify { file, key } => sign::run_verify(&file, key.as_deref(), screen),
        ModuleCommand::Dev(arguments) => dev::dev(arguments, screen).await,
        ModuleCommand::Install { file, allow_downgrade } => install(file, allow_downgrade, client, screen).await,
        ModuleCommand::List => list(client, screen).await,
        ModuleCommand::Show(Name { name }) => show(name, client, screen).await,
        ModuleCommand::Start(Name { name }) => act(name, "start", client, screen).await,
        ModuleCommand::Stop(Name { name }) => act(name, "stop", client, screen).await,
        ModuleCommand::Restart(Name { name }) => act(name, "restart", client, screen).await,
        ModuleCommand::Rollback { name: Name { name }, yes } => rollback(name, yes, client, screen).await,
        ModuleCommand::Remove { name: Name { name }, yes } => remove(name, yes, client, screen).await,
        ModuleCommand::Logs(Name { name }) => logs(name, client, screen).await,
        ModuleCommand::Config { name: Name { name }, key, value } => config(name, key, value, client, screen).await,
        ModuleCommand::Command { name: Name { name }, command: verb, args } => {
            command(name, verb, args, client, screen).await
        }
        ModuleCommand::Consent { name: Name { name }, yes } => consent(name, yes, client, screen).await,
    }
}

async fn list(client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.get("/modules").await?;
    // Programs get the hub's answer as it is; who made each module they find in `module show`.
    let signers = if screen.is_for_programs() { Value::Null } else { client.get("/publishers").await? };
    screen.answer(&answer, |screen| screen.table(&table(&answer, &signers)))?;
    Ok(Outcome::Done)
}

async fn show(name: ModuleName, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let module = client.get(&format!("/modules/{name}")).await?;
    // The report has a form of its own, below.
    screen.answer(&module, |screen| {
        screen.table(&shown(&module))?;
        report::lines(&module["report"]).iter().try_for_each(|line| screen.line(line))
    })?;
    Ok(Outcome::Done)
}

async fn act(name: ModuleName, verb: &str, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.send(Method::POST, &format!("/modules/{name}/{verb}"), Body::None, &[]).await?;
    conclude(&name, &answer.body, client, screen).await
}

async fn rollback(name: ModuleName, yes: bool, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let module = client.get(&format!("/modules/{name}")).await?;
    let (now, before) = (plain(&module["version"]), plain(&module["previous_version"]));
    let question = format!("Go back from {now} to {before}? What {name} stored since that was replaced is laid aside.");
    if !yes && !module["previous_version"].is_null() && !screen.confirm(&question)? {
        screen.note("Nothing was changed.");
        return Ok(Outcome::Failed);
    }
    act(name, "rollback", client, screen).await
}

async fn remove(name: ModuleName, yes: bool, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let question = format!("Remove {name} with its data, settings and tokens? Its devices stay.");
    if !yes && !screen.confirm(&question)? {
        screen.note("Nothing was removed.");
        return Ok(Outcome::Failed);
    }
    client.send(Method::DELETE, &format!("/modules/{name}"), Body::None, &[]).await?;
    let answer = json!({ "name": name, "status": "REMOVED" });
    screen.answer(&answer, |screen| screen.line(&format!("{name} is removed")))?;
    Ok(Outcome::Done)
}

async fn logs(name: ModuleName, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let text = client.text(&format!("/modules/{name}/logs")).await?;
    screen.answer(&json!({ "name": name, "logs": text }), |screen| screen.text(&text))?;
    Ok(Outcome::Done)
}

/// All of a module but its report; each of its devices on a line of its own.
fn shown(module: &Value) -> Table {
    let mut rest = module.clone();
    rest["publisher"] = json!(made_by(&module["publisher"]));
    let mut take = |field| rest.as_object_mut().and_then(|fields| fields.shift_remove(field)).unwrap_or_default();
    let (devices, _report) = (take("devices"), take("report"));
    let mut table = details(&rest);
    for device in host_devices::of_module(&devices) {
        table.row(["device", &device]);
    }
    table
}

fn table(answer: &Value, publishers: &Value) -> Table {
    let signers = signers(publishers);
    let mut table = Table::new(["NAME", "VERSION", "TYPE", "STATUS", "MODE", "PORT", "SIGNED BY", "INSTALLED"]);
    for module in answer["modules"].as_array().into_iter().flatten() {
        let [name, version, kind, status, mode, port] =
            ["name", "version", "type", "status", "runtime_mode", "port"].map(|key| plain(&module[key]));
        let signer = signers.get(&name).map_or("UNSIGNED", String::as_str);
        table.row([&name, &version, &kind, &status, &mode, &port, signer, &time(&module["installed_at"])]);
    }
    table
}
