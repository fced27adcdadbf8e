//! The log of a whole program, which is this test program started once more: a log is set up once per process.

use std::process::Command;

use selena_runtime::{LogLevel, journal};

#[test]
#[ignore = "the test below runs it as a process of its own"]
fn logger() {
    let level = LogLevel::new("info,selena_quiet=error").expect("a good level");
    journal::init(&level).expect("the first time");
    assert!(journal::init(&level).is_err(), "the second time");
    tracing::info!(target: "selena_core", port = 7070, text = "a\nb\u{1b}[2J", "listening");
    tracing::warn!(target: "selena_quiet", "not shown");
}

#[test]
fn without_the_journal_lines_with_their_time_go_to_standard_error() {
    for journal_stream in [None, Some("1:1"), Some("nonsense")] {
        let mut command = Command::new(std::env::current_exe().expect("a test knows its program"));
        command.args(["--exact", "--ignored", "--nocapture", "logger"]).env_remove("JOURNAL_STREAM");
        command.envs(journal_stream.map(|stream| ("JOURNAL_STREAM", stream)));
        let output = command.output().expect("the test program starts");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
        let (time, rest) = err.split_once(' ').expect("a line");
        assert!(time.ends_with('Z'), "{err}");
        assert_eq!(rest, " INFO selena_core: listening port=7070 text=\"a\\nb\\u{1b}[2J\"\n");
    }
}
