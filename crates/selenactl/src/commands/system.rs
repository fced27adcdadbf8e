//! `info` and `health`.

use super::Outcome;
use crate::{client::Client, error::CtlError, screen::Screen, value::details};

/// Shows all a path answers.
pub(super) async fn show(path: &str, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.get(path).await?;
    screen.answer(&answer, |screen| screen.table(&details(&answer)))?;
    Ok(Outcome::Done)
}
