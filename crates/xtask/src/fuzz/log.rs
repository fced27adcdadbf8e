//! What libFuzzer says of a run.

/// The figures of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    /// Inputs that were tried.
    pub(super) executions: u64,
    /// Inputs a second.
    pub(super) per_second: u64,
    /// Edges the seeds and what earlier runs found reach.
    pub(super) edges_before: u64,
    /// Edges reached in the end.
    pub(super) edges_after: u64,
    /// Inputs that reached something new.
    pub(super) new_inputs: u64,
    /// Most memory in MiB.
    pub(super) memory_mib: u64,
    /// The input that broke a rule.
    pub(super) finding: Option<String>,
}

/// Reads the log; figures it does not have are 0.
pub(super) fn read(log: &str) -> Ran {
    let mut ran = Ran::default();
    for line in log.lines() {
        if let Some((name, number)) = line.strip_prefix("stat::").and_then(|stat| stat.split_once(':')) {
            let number = number.trim().parse().unwrap_or_default();
            match name {
                "number_of_executed_units" => ran.executions = number,
                "average_exec_per_sec" => ran.per_second = number,
                "new_units_added" => ran.new_inputs = number,
                "peak_rss_mb" => ran.memory_mib = number,
                _ => {}
            }
        }
        if let Some(edges) = edges(line) {
            if line.contains("\tINITED ") {
                ran.edges_before = edges;
            }
            ran.edges_after = edges;
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            ran.finding = Some(path.trim().to_owned());
        }
    }
    ran
}

/// The number behind `cov:` in a line of progress, such as `#2 INITED cov: 36 ft: 63 …`.
fn edges(line: &str) -> Option<u64> {
    line.strip_prefix('#')?.split_once(" cov: ")?.1.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read() {
        let log = "INFO: Seed: 1\n#2\tINITED cov: 36 ft: 63 corp: 21/1201b exec/s: 0 rss: 27Mb\n\
                   #90\tNEW    cov: 40 ft: 70 corp: 22/1b lim: 4 exec/s: 90 rss: 27Mb L: 1/1 MS: 1 CopyPart-\n\
                   #99\tDONE   cov: 41 ft: 71 corp: 22/1b lim: 4 exec/s: 99 rss: 28Mb\n\
                   stat::number_of_executed_units: 99\nstat::average_exec_per_sec:     98\n\
                   stat::new_units_added:          7\nstat::slowest_unit_time_sec:    0\nstat::peak_rss_mb:   28\n";
        let expected = Ran {
            executions: 99,
            per_second: 98,
            edges_before: 36,
            edges_after: 41,
            new_inputs: 7,
            memory_mib: 28,
            finding: None,
        };
        assert_eq!(read(log), expected);
        let crash = "artifact_prefix='/t/zip-'; Test unit written to /t/zip-crash-da39a3\nBase64: \n";
        assert_eq!(read(crash).finding.as_deref(), Some("/t/zip-crash-da39a3"));
    }
}
