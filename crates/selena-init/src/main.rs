//! First process (PID 1) of every module container, mounted read-only at `/selena/init`.
//!
//! `/selena/init -- <argv of the module>` waits for the hub's listener on `127.0.0.1:7070`, fetches the module's
//! environment once (`GET /boot`), starts the module with it, forwards signals, reaps orphans and ends as the module ends.
//! The environment is only ever in the module's own process: it is neither in the container's configuration nor in
//! `/proc/1/environ`.
//!
//! In a trial it also observes the module: it answers the system calls that are denied, and tells the hub which they were.
//!
//! This program knows nothing of Docker, of manifests and of the hub's API.

mod boot;
mod environment;
mod filter;
mod listener;
mod message;
mod module;
mod observer;
mod signals;
mod tally;

use std::{ffi::CString, os::unix::ffi::OsStringExt, process::ExitCode};

use boot::BootError;
use message::complain;
use signals::Signals;

/// The command line is wrong.
const EXIT_USAGE: u8 = 64;
/// The hub's listener did not come, or did not hand out the environment (`EX_TEMPFAIL`).
const EXIT_NO_HUB: u8 = 75;
/// The operating system refused something that init needs.
const EXIT_SYSTEM: u8 = 71;

fn main() -> ExitCode {
    ExitCode::from(run())
}

fn run() -> u8 {
    let Some(argv) = module_argv(std::env::args_os()) else {
        complain(format_args!("usage: selena-init -- PROGRAM [ARGUMENT]..."));
        return EXIT_USAGE;
    };
    // The module runs as the same user: else it could read this process's memory and descriptors in /proc/1.
    if let Err(errno) = nix::sys::prctl::set_dumpable(false) {
        complain(format_args!("cannot close this process to its module: {errno}"));
        return EXIT_SYSTEM;
    }
    // Before the module is there: a blocked signal waits, and one that comes to PID 1 unblocked is lost.
    let mut signals = match Signals::block_all() {
        Ok(signals) => signals,
        Err(error) => {
            complain(format_args!("cannot take over signals: {error}"));
            return EXIT_SYSTEM;
        }
    };
    match boot::fetch(&mut signals) {
        Ok(boot) => module::run(&argv, boot, &mut signals),
        Err(BootError::Stopped(signal)) => signals::exit_code_of(signal),
        Err(error) => {
            complain(format_args!("{error}"));
            EXIT_NO_HUB
        }
    }
}

/// What follows `--`, if there is anything.
fn module_argv(args: impl Iterator<Item = std::ffi::OsString>) -> Option<Vec<CString>> {
    let mut args = args.skip(1);
    args.next().filter(|separator| separator == "--")?;
    let argv: Vec<_> = args.map(|arg| CString::new(arg.into_vec())).collect::<Result<_, _>>().ok()?;
    (!argv.is_empty()).then_some(argv)
}

#[cfg(test)]
mod tests {
    use super::module_argv;

    #[test]
    fn the_module_is_what_follows_the_separator() {
        let argv = |args: &[&str]| module_argv(args.iter().map(std::ffi::OsString::from));
        assert_eq!(argv(&["init", "--", "/app/x", "--", "y"]).map(|argv| argv.len()), Some(3));
        for wrong in [&["init"][..], &["init", "--"], &["init", "/app/x"], &[]] {
            assert_eq!(argv(wrong), None, "{wrong:?}");
        }
    }
}
