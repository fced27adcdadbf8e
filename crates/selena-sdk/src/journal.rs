//! The module's log: lines on standard output, which the hub keeps (protocol, section 4).

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Writes one line to the module's log.
pub fn log(line: impl Display) {
    // A log that cannot be written must not stop the module.
    let _nobody_reads = writeln!(io::stdout().lock(), "{line}");
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
