//! The only way out for text: answers to standard output, notes and errors to standard error.

use std::{
    error::Error,
    io::{self, BufRead, IsTerminal, Write},
};

use serde_json::Value;

use crate::{
    error::CtlError,
    table::Table,
    visible::{visible, visible_json},
};

/// Where a command prints. Whatever it is given, no control character but line breaks comes out (X14).
#[derive(Debug)]
pub(crate) struct Screen {
    json: bool,
}

impl Screen {
    /// Prints JSON for programs, or lines for people.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON is printed.
    pub(crate) fn is_for_programs(&self) -> bool {
        self.json
    }

    /// Prints the hub's JSON if that is asked for, and else what `people` prints.
    pub(crate) fn answer(
        &mut self,
        answer: &Value,
        people: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.json { write(&visible_json(&format!("{answer:#}"))) } else { people(self) }
    }

    /// Prints what is for people alone, since programs have it in the JSON.
    pub(crate) fn people(&mut self, people: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if self.json { Ok(()) } else { people(self) }
    }

    /// Prints one JSON value of many on a line of its own, or else the line for people.
    pub(crate) fn one_of_many(&mut self, value: &Value, line: &str) -> io::Result<()> {
        if self.json { write(&visible_json(&value.to_string())) } else { self.line(line) }
    }

    /// One line for people.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        write(&visible(line))
    }

    /// Many lines for people, such as a log.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// A text of our own for a program, such as a shell: as it is.
    pub(crate) fn script(&mut self, script: &str) -> io::Result<()> {
        io::stdout().lock().write_all(script.as_bytes())
    }

    /// A table for people.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        table.lines().iter().try_for_each(|line| self.line(line))
    }

    /// Something beside the answer, such as progress: lines to standard error.
    pub(crate) fn note(&mut self, text: &str) {
        let mut err = io::stderr().lock();
        for line in text.lines() {
            // Nobody is left to be told that standard error is closed.
            let _ = writeln!(err, "{}", visible(line));
        }
    }

    /// An error with all its causes; for programs also the hub's own JSON.
    pub(crate) fn failure(&mut self, error: &CtlError) {
        self.note(&format!("error: {error}"));
        let mut next = error.source();
        while let Some(cause) = next {
            self.note(&format!("  caused by: {cause}"));
            next = cause.source();
        }
        if let Some(output) = error.answer().and_then(|answer| answer["sandbox_output"].as_str()) {
            self.note(&format!("output of the package:\n{}", quoted(output)));
        }
        if let Some(answer) = error.answer() {
            // The exit code tells that it failed, also if this cannot be printed.
            let _ = self.answer(answer, |_| Ok(()));
        }
    }

    /// Asks a person yes or no. Without a terminal there is nobody to ask, and `--yes` has to be given.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<bool, CtlError> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(CtlError::Usage("this needs a person's word: say it with --yes".to_owned()));
        }
        let mut err = io::stderr().lock();
        write!(err, "{} [y/N] ", visible(question))?;
        err.flush()?;
        let mut word = String::new();
        stdin.lock().read_line(&mut word)?;
        Ok(matches!(word.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

/// A text of strangers, each line marked as quoted, so that none can pass for one of ours.
pub(crate) fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

fn write(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
