//! `module dev`: a module as a plain process beside a development hub (protocol, section 12).
//!
//! Entry point: [`dev`]. One loop: plan from the manifest, build, run, watch over it, and again when a file changed.
//! Files are compared a few times a second rather than watched by the kernel: it works the same on every file system,
//! and a burst of changes is over when two looks agree.

mod hub;
mod interrupts;
mod plan;
mod process;
mod session;
mod watch;

use std::{io, path::PathBuf};

use selena_types::Problems;

use self::{hub::HubUrl, interrupts::Interrupts, plan::Planner, session::Session, watch::Watch};
use crate::{cli::DevArgs, commands::Outcome, error::CtlError, screen::Screen};

/// Why a module cannot be run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    /// The directory cannot be found.
    #[error("cannot find the module's directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest is not good; its problems are told before.
    #[error("manifest.json has {} problem(s):{}", .0.0.len(), lines(.0))]
    Manifest(Problems),
    /// A module of a kind that cannot be run as a plain process.
    #[error("{0}")]
    Kind(&'static str),
    /// The module's port is not free.
    #[error("port {port}, which manifest.json names, cannot be listened on; does the module run already?")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The hub said 401.
    #[error("the hub does not know this token: give the one that `selenad --dev` was started with or printed")]
    Token,
    /// A program is not there, or the system failed.
    #[error("cannot {doing}")]
    System {
        /// What was attempted.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl DevError {
    fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }
}

fn lines(problems: &Problems) -> String {
    problems.0.iter().map(|problem| format!("\n  {}", crate::visible::visible(&problem.to_string()))).collect()
}

/// Runs a module until Ctrl-C, and again whenever one of its files changes.
pub(crate) async fn dev(arguments: DevArgs, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let hub = HubUrl::parse(&arguments.hub).map_err(|why| CtlError::Usage(format!("--hub {why}")))?;
    let path = arguments.dir;
    let dir = path.canonicalize().map_err(|source| DevError::Directory { path, source })?;
    let mut interrupts = Interrupts::new().map_err(DevError::system("listen to signals"))?;
    // What changes from here on is in a later run.
    let watch = Watch::new(&dir);
    let planner = Planner::new(dir, &hub, arguments.token, arguments.secret)?;
    planner.plan()?;
    tokio::select! {
        greeted = planner.greet(&hub, screen) => greeted?,
        () = interrupts.next() => return Ok(Outcome::Done),
    }
    Session { planner, watch, interrupts, screen }.run().await?;
    Ok(Outcome::Done)
}
