//! `jobs`: long pieces of work, and their cancel.

use hyper::Method;
use serde_json::Value;

use super::Outcome;
use crate::{
    cli::JobsCommand,
    client::{Body, Client},
    error::CtlError,
    screen::Screen,
    table::Table,
    value::{plain, time},
    visible::visible,
};

/// Lists the jobs, or cancels one.
pub(super) async fn run(
    command: Option<JobsCommand>,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    match command {
        None => {
            let answer = client.get("/jobs").await?;
            screen.answer(&answer, |screen| screen.table(&table(&answer)))?;
        }
        Some(JobsCommand::Cancel { id }) => {
            let answer = client.send(Method::DELETE, &format!("/jobs/{id}"), Body::None, &[]).await?.body;
            let [kind, module] = ["kind", "module"].map(|key| plain(&answer[key]));
            let of = if module.is_empty() { String::new() } else { format!(" of {}", visible(&module)) };
            screen
                .answer(&answer, |screen| screen.line(&format!("job {id}, {kind}{of}: it stops at its next step")))?;
        }
    }
    Ok(Outcome::Done)
}

/// What a job does now, or why it failed, comes last, where it is not cut.
fn table(answer: &Value) -> Table {
    let mut table = Table::new(["ID", "STATE", "DONE", "KIND", "MODULE", "FOR", "SINCE", "DEADLINE", "WHAT"]);
    for job in answer["jobs"].as_array().into_iter().flatten() {
        let [id, state, kind, module, owner, message] =
            ["id", "state", "kind", "module", "owner", "message"].map(|key| plain(&job[key]));
        let [since, deadline] = ["since", "deadline"].map(|key| time(&job[key]));
        let done = format!("{}%", plain(&job["progress"]));
        table.row([&id, &state, &done, &kind, &module, &owner, &since, &deadline, &message]);
    }
    table
}
