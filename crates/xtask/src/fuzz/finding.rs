//! An input that broke a rule, told so that it can be had again where only the output of a run is kept.

use std::{fs, io};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::table::Row;

/// A larger input is named by its file only.
const MAX_TOLD_BYTES: usize = 64 * 1024;
/// Lines that are told of the log, from the broken rule on.
const LOG_LINES: usize = 12;

/// What a target said when the rule broke, and the input in base64; nothing if no rule broke.
///
/// # Errors
/// If the log or the input cannot be read.
pub(super) fn told(row: &Row) -> Option<io::Result<String>> {
    row.ran.finding.as_ref().map(|input| {
        let input = fs::read(input)?;
        let log = fs::read(&row.log)?;
        Ok(format!("{}: {}\n{}", row.target, what_broke(&String::from_utf8_lossy(&log)), as_text(&input)))
    })
}

/// The lines of a panic, or of what the sanitizer or libFuzzer reports.
fn what_broke(log: &str) -> String {
    let is_report = |line: &&str| line.contains(" panicked at ") || line.contains("ERROR: ");
    let lines: Vec<_> = log.lines().skip_while(|line| !is_report(line)).take(LOG_LINES).collect();
    lines.join("\n")
}

fn as_text(input: &[u8]) -> String {
    if input.len() > MAX_TOLD_BYTES {
        return format!("the input has {} bytes: too many to be shown", input.len());
    }
    format!("the input, for `base64 -d`:\n{}", STANDARD.encode(input))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    use super::{super::log::Ran, *};

    #[test]
    fn a_finding_is_told_with_its_rule_and_its_input() {
        let dir = tempfile::tempdir().expect("a directory");
        let (input, log) = (dir.path().join("crash-1"), dir.path().join("zip.log"));
        fs::write(&input, b"PK\x05\x06").expect("the input is written");
        let said = "#1 INITED cov: 3\nthread 'x' panicked at src/zip.rs:1:1:\ntwo lists\n";
        fs::write(&log, said).expect("the log is written");
        let ran = Ran { finding: Some(input.display().to_string()), ..Ran::default() };
        let mut row = Row { target: "zip".to_owned(), ran, status: ExitStatus::from_raw(77 << 8), log };
        let text = told(&row).expect("there is a finding").expect("both files can be read");
        assert!(text.contains("two lists") && text.contains("UEsFBg==") && !text.contains("INITED"), "{text}");
        fs::write(&input, vec![0; MAX_TOLD_BYTES + 1]).expect("the input is written");
        let text = told(&row).expect("there is a finding").expect("both files can be read");
        assert!(text.contains("65537 bytes") && text.len() < 1000, "{text}");
        row.ran.finding = None;
        assert!(told(&row).is_none());
    }
}
