//! The report of a trial as people read it.

use serde_json::Value;

use crate::{
    table::Table,
    value::{plain, size},
};

/// A line with the score, one for each point, and then what the trial saw; nothing if there is no report.
pub(crate) fn lines(report: &Value) -> Vec<String> {
    if !report.is_object() {
        return Vec::new();
    }
    let mut lines = vec![score(report)];
    lines.extend(points(report).lines());
    lines.extend(seen(report).lines());
    lines
}

fn score(report: &Value) -> String {
    match report["score"].as_u64() {
        Some(score) => format!("Trial: {score} of 8 points"),
        None => "Trial: no score, it was tried by an earlier version of the hub".to_owned(),
    }
}

fn points(report: &Value) -> Table {
    let mut table = Table::plain();
    for point in report["points"].as_array().into_iter().flatten() {
        let mark = if point["passed"] == true { "  yes" } else { "  no" };
        table.row([mark, &plain(&point["id"]), &plain(&point["explanation"])]);
    }
    table
}

fn seen(report: &Value) -> Table {
    let mut table = Table::plain();
    let known = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let count = |key: &str| report[key].as_u64();
    table.row(["  time to ready", &known(count("time_to_ready_ms").map(|ms| format!("{ms} ms")))]);
    table.row(["  peak memory", &known(count("peak_memory_bytes").map(size))]);
    table.row(["  peak processes", &known(count("peak_processes").map(|count| count.to_string()))]);
    table.row(["  programs", &known(list(&report["programs"], plain))]);
    table.row(["  open ports", &known(list(&report["open_ports"], plain))]);
    let call = |call: &Value| format!("{} × {}", plain(&call["name"]), plain(&call["count"]));
    table.row(["  denied system calls", &known(list(&report["denied_syscalls"], call))]);
    table.row(["  denied requests", &known(list(&report["denied_calls"], plain))]);
    table
}

fn list(value: &Value, word: impl Fn(&Value) -> String) -> Option<String> {
    match value.as_array()?.as_slice() {
        [] => Some("none".to_owned()),
        items => Some(items.iter().map(word).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_point_and_figure_has_its_line() {
        let report = json!({
            "time_to_ready_ms": 41, "peak_memory_bytes": 1_572_864, "peak_processes": 7, "programs": ["/app/lamp"],
            "open_ports": [8100, 9000], "denied_syscalls": [{ "name": "mount", "count": 2 }], "denied_calls": [],
            "score": 1,
            "points": [
                { "id": "ready_in_time", "passed": true, "explanation": "It was ready after 41 ms." },
                { "id": "signed", "passed": false, "explanation": "Nobody\\n signed it." },
            ],
        });
        assert_eq!(
            lines(&report),
            [
                "Trial: 1 of 8 points",
                "  yes  ready_in_time  It was ready after 41 ms.",
                "  no   signed         Nobody\\n signed it.",
                "  time to ready        41 ms",
                "  peak memory          1.5 MiB",
                "  peak processes       7",
                "  programs             /app/lamp",
                "  open ports           8100, 9000",
                "  denied system calls  mount × 2",
                "  denied requests      none",
            ]
        );
    }

    #[test]
    fn what_is_unknown_is_not_none() {
        assert_eq!(lines(&json!(null)), [""; 0]);
        let lines = lines(&json!({ "denied_syscalls": null, "open_ports": [] }));
        assert!(lines.contains(&"  denied system calls  unknown".to_owned()), "{lines:?}");
        assert!(lines.contains(&"  open ports           none".to_owned()), "{lines:?}");
        assert!(lines[0].contains("earlier version"), "{lines:?}");
    }
}
