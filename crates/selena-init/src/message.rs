//! What init tells the module's log.

use std::{fmt, io::Write};

/// Writes one line to standard error; a log that is closed is no reason to stop.
pub(crate) fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "selena-init: {what}");
}
