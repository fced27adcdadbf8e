//! Exit codes, and the last words of a program that failed.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use crate::journal;

/// How a program ends. The units have `RestartPreventExitStatus=78`: a bad configuration does not heal by a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was for.
    Ok = 0,
    /// Something failed; trying again may help.
    Failure = 1,
    /// It wants to be started again, and all is well (`EX_TEMPFAIL`).
    Again = 75,
    /// The configuration or the command line is bad (`EX_CONFIG`).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Prints an error and all its causes to standard error, one line each; works before [`journal::init`] too.
///
/// With `anyhow`, pass `error.as_ref()`.
pub fn report(error: &(dyn Error + 'static)) {
    // Into the journal, "<3>" before a line gives it the priority "error" (sd-daemon(3)).
    let prefix = if journal::stderr_is_journal() { "<3>" } else { "" };
    // Nobody is left to be told that standard error is closed.
    let _ = write_chain(&mut io::stderr().lock(), prefix, error);
}

/// Writes an error and all its causes, one line each, every line beginning with the prefix.
///
/// # Errors
/// What the writer says.
pub fn write_chain(out: &mut dyn Write, prefix: &str, error: &(dyn Error + 'static)) -> io::Result<()> {
    writeln!(out, "{prefix}error: {}", one_line(error))?;
    let mut next = error.source();
    while let Some(cause) = next {
        writeln!(out, "{prefix}  caused by: {}", one_line(cause))?;
        next = cause.source();
    }
    out.flush()
}

/// An error's text with line breaks and other control characters escaped, so that it stays one line.
fn one_line(error: &dyn Error) -> String {
    let mut line = String::new();
    for c in error.to_string().trim_end().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read\nthe file")]
    struct Middle(#[source] io::Error);

    #[test]
    fn every_cause_gets_a_line() {
        let error = Outer(Middle(io::Error::other("disk on fire\n")));
        let mut out = Vec::new();
        write_chain(&mut out, "<3>", &error).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<3>error: cannot start\n<3>  caused by: cannot read\\nthe file\n<3>  caused by: disk on fire\n"
        );
    }

    #[test]
    fn codes_are_those_of_the_units() {
        assert_eq!([Exit::Ok as u8, Exit::Failure as u8, Exit::Config as u8], [0, 1, 78]);
        assert_eq!(format!("{:?}", ExitCode::from(Exit::Config)), format!("{:?}", ExitCode::from(78)));
    }
}
