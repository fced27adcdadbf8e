//! The table of a run, as Markdown.

use std::{fmt, path::PathBuf, process::ExitStatus};

use super::log::Ran;

/// One target's run.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) target: String,
    pub(super) ran: Ran,
    pub(super) status: ExitStatus,
    /// All that it said.
    pub(super) log: PathBuf,
}

impl Row {
    /// What is wrong with the run, and where the input lies that shows it.
    pub(super) fn failure(&self) -> Option<String> {
        let (target, log) = (&self.target, self.log.display());
        match &self.ran.finding {
            Some(input) => Some(format!("{target}: a rule is broken by {input}; what it said is in {log}")),
            None if !self.status.success() => Some(format!("{target}: ended with {}; see {log}", self.status)),
            None if self.ran.executions == 0 => Some(format!("{target}: tried nothing; see {log}")),
            // A program without counters would run well and find nothing.
            None if self.ran.edges_after == 0 => Some(format!("{target}: was built without coverage; see {log}")),
            None => None,
        }
    }
}

/// All rows.
#[derive(Debug)]
pub(super) struct Table<'a>(pub(super) &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| target     | executions | a second | edges: seeds → end | new inputs | memory  | findings |")?;
        writeln!(f, "| ---------- | ---------- | -------- | ------------------ | ---------- | ------- | -------- |")?;
        for Row { target, ran, .. } in self.0 {
            let edges = format!("{} → {}", ran.edges_before, ran.edges_after);
            let (memory, findings) = (format!("{} MiB", ran.memory_mib), u8::from(ran.finding.is_some()));
            let Ran { executions, per_second, new_inputs, .. } = ran;
            writeln!(
                f,
                "| {target:10} | {executions:10} | {per_second:8} | {edges:18} | {new_inputs:10} | {memory:7} | {findings:8} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn row(ran: Ran, status: i32) -> Row {
        Row { target: "zip".to_owned(), ran, status: ExitStatus::from_raw(status), log: "zip.log".into() }
    }

    #[test]
    fn a_run_fails_if_it_found_something_or_could_find_nothing() {
        let good = Ran { executions: 9, edges_after: 3, ..Ran::default() };
        assert_eq!(row(good.clone(), 0).failure(), None);
        let found = Ran { finding: Some("crash-1".to_owned()), ..good.clone() };
        assert!(row(found, 77 << 8).failure().is_some_and(|what| what.contains("crash-1")));
        assert!(row(good.clone(), 1 << 8).failure().is_some_and(|what| what.contains("ended")));
        assert!(row(Ran { executions: 0, ..good.clone() }, 0).failure().is_some());
        let blind = row(Ran { edges_after: 0, ..good }, 0);
        assert!(blind.failure().is_some_and(|what| what.contains("coverage")));
    }

    #[test]
    fn the_table_has_a_line_for_each_target() {
        let rows = [row(Ran { executions: 9, edges_before: 3, edges_after: 5, ..Ran::default() }, 0)];
        let text = Table(&rows).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[2].contains("| zip        |          9 |") && lines[2].contains("3 → 5"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{text}");
    }
}
