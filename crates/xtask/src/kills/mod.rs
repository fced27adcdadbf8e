//! The long forms of the tests that kill and that cut the power (series W): every point, and thousands of cuts.
//!
//! The tests are those of `scripts/test`, which look at an even part; what is looked at is told to them by the
//! environment, and what they saw comes back in a file that becomes one table.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Context;
use clap::Args;
use tempfile::NamedTempFile;

/// Options of `killpoints`.
#[derive(Debug, Args)]
pub(crate) struct KillPoints {
    /// Most points of each transaction, chosen evenly; all of them if it is not given
    #[arg(long)]
    limit: Option<u64>,
    /// By which they are chosen
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is killed; everything if it is not given
    #[arg(long)]
    victim: Option<Victim>,
    /// How many transactions are walked at once, each with a hub of its own
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Options of `powercut`.
#[derive(Debug, Args)]
pub(crate) struct PowerCut {
    /// Cuts of the database's disk and of the vault's, each
    #[arg(long, default_value_t = 2000)]
    cuts: u64,
    /// Cuts of a whole hub's disk, for each of its transactions
    #[arg(long, default_value_t = 150)]
    hub_cuts: u64,
    /// By which they are torn
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Victim {
    Core,
    Dockerd,
}

impl Victim {
    fn test(self) -> &'static str {
        match self {
            Self::Core => "killpoints",
            Self::Dockerd => "daemon_kills",
        }
    }
}

/// Walks the points of every transaction.
pub(crate) fn killpoints(root: &Path, options: &KillPoints) -> anyhow::Result<ExitCode> {
    let table = NamedTempFile::new()?;
    let most = options.limit.map_or_else(|| "all".to_owned(), |limit| limit.to_string());
    let mut good = true;
    for victim in [Victim::Core, Victim::Dockerd] {
        if options.victim.is_none_or(|only| only == victim) {
            let mut tests = tests(root, &["-p", "selena-tests", "--test", victim.test()], options.threads);
            tests.env("SELENA_KILLPOINTS", &most).env("SELENA_SEED", options.seed.to_string());
            good &= passes(tests.env("SELENA_KILLPOINTS_TABLE", table.path()))?;
        }
    }
    let titles = ["transaction", "killed", "points", "walked", "slowest, s", "result", "points, by name"];
    print(&titles, table.path(), |rows| {
        let sum = |column: usize| rows.iter().filter_map(|row| row.get(column)?.parse::<u64>().ok()).sum::<u64>();
        format!("{} of {} points walked, seed {}", sum(3), sum(2), options.seed)
    })?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Cuts the power at every flush.
pub(crate) fn powercut(root: &Path, options: &PowerCut) -> anyhow::Result<ExitCode> {
    let table = NamedTempFile::new()?;
    let mut good = true;
    let parts = [
        (["-p", "selena-store", "-p", "selena-vault"].as_slice(), options.cuts),
        (&["-p", "selena-tests"], options.hub_cuts),
    ];
    for (packages, cuts) in parts {
        let mut tests = tests(root, &[packages, &["--test", "power_cut"]].concat(), 2);
        tests.env("SELENA_POWER_CUTS", cuts.to_string()).env("SELENA_SEED", options.seed.to_string());
        good &= passes(tests.env("SELENA_POWER_CUTS_TABLE", table.path()))?;
    }
    print(&["what", "flushes", "cuts", "seed"], table.path(), |rows| {
        let cuts = rows.iter().filter_map(|row| row.get(2)?.parse::<u64>().ok()).sum::<u64>();
        let result = if good { "nothing answered was lost" } else { "FAILED: see above" };
        format!("{cuts} cuts: {result}")
    })?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `cargo test` of some tests, with all that they print.
fn tests(root: &Path, which: &[&str], threads: usize) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(["test", "--locked", "--no-fail-fast"]).args(which);
    command.args(["--", "--nocapture", "--test-threads", &threads.to_string()]);
    command
}

fn passes(command: &mut Command) -> anyhow::Result<bool> {
    Ok(command.status().context("cannot run cargo")?.success())
}

/// Prints what the tests wrote down, in columns.
fn print(titles: &[&str], table: &Path, sum: impl Fn(&[Vec<String>]) -> String) -> anyhow::Result<()> {
    let text = fs::read_to_string(table).context("the tests wrote no table")?;
    let mut rows: Vec<Vec<String>> = text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    rows.sort();
    let mut out = io::stdout().lock();
    write!(out, "\n{}", columns(titles, &rows))?;
    writeln!(out, "\n{}", sum(&rows))?;
    Ok(())
}

fn columns(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([titles[column].len()]).max().unwrap_or(0)
    };
    let line = |cells: &[&str]| {
        let padded = cells.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let rows = rows.iter().map(|row| line(&row.iter().map(String::as_str).take(titles.len()).collect::<Vec<_>>()));
    std::iter::once(line(titles)).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn a_table_has_its_titles_and_every_row() {
        let rows = [vec!["W01".to_owned(), "12".to_owned()], vec!["a longer name".to_owned(), "3".to_owned()]];
        assert_eq!(columns(&["what", "n"], &rows), "what           n\nW01            12\na longer name  3\n");
    }
}
