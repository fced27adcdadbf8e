//! `cargo xtask bench`: how fast and how small the hub is, beside peers measured in the same run.
//!
//! Two processes at least take part in every row: the hub, built for release and started as anybody would start it, and
//! this program, built for release too, which asks. Receivers, the bare server and the signed ping-pong are further
//! processes of this program, and mosquitto is its own. All share the machine's cores, and the table says so.
//!
//! A number never fails the benchmark; a wrong answer always does. Figures of one run are compared with each other only:
//! ours and the peer's are measured in turns, slice by slice, and the median of the slices is told.

mod apart;
mod clock;
mod control;
mod devices;
mod event;
mod fdatasync;
mod flood;
mod floods;
mod helper;
mod http;
mod hub;
mod install;
mod integrity;
mod load;
mod machine;
mod memory;
mod mosquitto;
mod mqtt;
mod neighbours;
mod numbers;
mod packages;
mod patch;
mod ping;
mod programs;
mod ready;
mod receiver;
mod run;
mod seed;
mod server;
mod table;
mod tally;
mod ten;
mod token_timing;
mod webhooks;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};

pub(crate) use helper::Helper;

/// What to measure, and where to write it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// One second for each row and few starts: to see that the benchmark works, not to learn numbers.
    #[arg(long)]
    quick: bool,
    /// Only these parts.
    #[arg(long, value_name = "NAME", num_args = 1.., value_enum)]
    only: Vec<Part>,
    /// Also write the table as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A part of the benchmark: one row or a few that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From the start of the process to the first answer.
    Ready,
    /// Memory of the core, idle and after the load.
    Memory,
    /// `GET /devices`.
    Get,
    /// `PATCH /devices/{id}/state`, with 100 and with 10,000 devices.
    Patch,
    /// From a publish to its webhook.
    Latency,
    /// Deliveries to one subscriber.
    One,
    /// Deliveries to ten subscribers.
    Ten,
    /// Floods of requests, who else asks meanwhile, and what a refusal tells by its time.
    Floods,
    /// Packages that are refused.
    Packages,
    /// A module from its upload to its start; needs root and Docker.
    Install,
    /// Fifty modules that run; needs root and Docker.
    Crowd,
    /// A module that takes all it may; needs root and Docker.
    Spin,
    /// The integrity agent: hashing, and idle memory.
    Integrity,
}

/// How long and how often is measured.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Starts of the hub, for the time to ready.
    starts: usize,
    /// Slices of each row.
    slices: usize,
    /// Length of one slice.
    slice: Duration,
    /// How long the hub is left alone before its idle memory is read.
    idle: Duration,
    /// Events whose way to the webhook is timed.
    events: u64,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn pace(&self) -> Pace {
        let second = Duration::from_secs(1);
        if self.quick {
            return Pace { starts: 3, slices: 1, slice: second, idle: second, events: 200 };
        }
        Pace { starts: 11, slices: 7, slice: second, idle: 5 * second, events: 3000 }
    }
}

/// Builds the hub and this program for release, and lets the latter measure.
///
/// # Errors
/// If something cannot be built, or an answer is wrong.
pub(crate) fn build_and_run(root: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let hub = programs::build(root, "selenad")?;
    let bench = programs::build(root, "xtask")?;
    let inside = programs::in_container(root, options)?;
    programs::run_measured(root, &bench, &hub, inside.as_ref(), options)
}
