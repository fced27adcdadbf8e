//! The module's process: start it, pass signals on, reap everything, end as it ends.

use std::{
    ffi::CString,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use nix::{
    errno::Errno,
    spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp},
    sys::{
        signal::{SigSet, Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{
    EXIT_SYSTEM, environment,
    message::complain,
    signals::{Signals, exit_code_of},
};

/// The program is not there.
const EXIT_NOT_FOUND: u8 = 127;
/// The program is there and cannot be run.
const EXIT_NOT_RUNNABLE: u8 = 126;

/// Runs the module to its end; the answer is the exit code of init.
pub(crate) fn run(argv: &[CString], added: Vec<CString>, signals: &mut Signals) -> u8 {
    let module = match spawn(argv, added) {
        Ok(module) => module,
        Err(errno) => return not_started(argv, errno),
    };
    match follow(module, signals) {
        Ok(code) => code,
        Err(error) => {
            complain(format_args!("following the module failed: {error}"));
            EXIT_SYSTEM
        }
    }
}

/// Starts the module with no signal blocked and each at its default.
///
/// A program without `/` is looked for in this process's own `PATH`, which is that of the module's image.
/// `posix_spawnp` sets the mask in the child alone. Were it set here around a start, a signal of that moment
/// would come to PID 1 unblocked, and be lost.
fn spawn(argv: &[CString], added: Vec<CString>) -> Result<Pid, Errno> {
    let program = argv.first().ok_or(Errno::EINVAL)?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_sigmask(&SigSet::empty())?;
    // The standard library ignores SIGPIPE in this process, and "ignored" would be inherited.
    attributes.set_sigdefault(&SigSet::all())?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
    let environment = environment::merge(own_environment(), added);
    posix_spawnp(program.as_c_str(), &PosixSpawnFileActions::init()?, &attributes, argv, &environment)
}

fn own_environment() -> impl Iterator<Item = CString> {
    std::env::vars_os().filter_map(|(name, value)| {
        let mut pair = name.into_vec();
        pair.push(b'=');
        pair.extend_from_slice(value.as_bytes());
        CString::new(pair).ok()
    })
}

fn not_started(argv: &[CString], errno: Errno) -> u8 {
    let program = argv.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    let (code, hint) = match errno {
        Errno::ENOENT => (EXIT_NOT_FOUND, " (the file, or the interpreter it names, is not there)"),
        Errno::EACCES => (EXIT_NOT_RUNNABLE, " (is it executable?)"),
        Errno::ENOEXEC => (EXIT_NOT_RUNNABLE, " (is it built for this hub's processor?)"),
        _ => (EXIT_NOT_RUNNABLE, ""),
    };
    complain(format_args!("cannot start {program}: {}{hint}", errno.desc()));
    code
}

fn follow(module: Pid, signals: &mut Signals) -> io::Result<u8> {
    loop {
        signals.wait()?;
        while let Some(signal) = signals.take()? {
            // A child that is not reaped yet keeps its pid, so this reaches the module or nobody.
            if signal != Signal::SIGCHLD {
                let _ = kill(module, signal);
            }
        }
        if let Some(code) = reap(module)? {
            return Ok(code);
        }
    }
}

/// Reaps all that have ended; the module's exit code if it is one of them.
fn reap(module: Pid) -> io::Result<Option<u8>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == module => {
                return Ok(Some(u8::try_from(code).unwrap_or(u8::MAX)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == module => return Ok(Some(exit_code_of(signal))),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
