//! The score of a trial: eight points, each for one thing that a careful package does (protocol, section 2, step 3).
//!
//! A pure function of what the trial saw and of what the manifest asks for. What is unknown gets no point.

use selena_types::{Manifest, Permission};
use serde::{Deserialize, Serialize};

use super::TrialReport;

/// How fast a package has to be ready.
const READY_WITHIN_MS: u64 = 5000;
/// How much of its memory a package may use, in per cent.
const MEMORY_PERCENT: u64 = 80;
const MIB: u64 = 1024 * 1024;

/// One point of a score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScorePoint {
    /// What it is for, for programs.
    pub id: String,
    /// Whether the package has it.
    pub passed: bool,
    /// Why, for people.
    pub explanation: String,
}

/// What a score is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreInput<'a> {
    pub(super) report: &'a TrialReport,
    pub(super) manifest: &'a Manifest,
    /// Whether the package bears the signature of a publisher that this hub knows.
    pub(super) signed: bool,
}

impl TrialReport {
    /// The report with its points and their number, which is at least 1.
    #[must_use]
    pub(super) fn scored(self, manifest: &Manifest, signed: bool) -> Self {
        let points = points(ScoreInput { report: &self, manifest, signed });
        let passed = points.iter().filter(|point| point.passed).count();
        Self { score: Some(u8::try_from(passed).unwrap_or(u8::MAX).max(1)), points, ..self }
    }
}

/// All eight, in their order.
fn points(input: ScoreInput<'_>) -> Vec<ScorePoint> {
    let ScoreInput { report, manifest, signed } = input;
    [
        ("ready_in_time", ready_in_time(report.time_to_ready_ms)),
        ("memory_in_bounds", memory_in_bounds(report.peak_memory_bytes, manifest.resources.memory_mb)),
        ("no_denied_syscall", no_denied_syscall(report)),
        ("no_denied_request", no_denied_request(&report.denied_calls)),
        ("only_its_port", only_its_port(report, manifest)),
        ("stays_inside", stays_inside(manifest)),
        ("signed", is_signed(signed)),
        ("least_privilege", least_privilege(manifest)),
    ]
    .map(|(id, (passed, explanation))| ScorePoint { id: id.to_owned(), passed, explanation })
    .into()
}

type Finding = (bool, String);

fn ready_in_time(time_to_ready_ms: Option<u64>) -> Finding {
    match time_to_ready_ms {
        Some(ms) if ms <= READY_WITHIN_MS => (true, format!("It was ready after {ms} ms.")),
        Some(ms) => (false, format!("It was ready only after {ms} ms; at most {READY_WITHIN_MS} ms get the point.")),
        None => (false, "It never answered GET /health with 200.".to_owned()),
    }
}

fn memory_in_bounds(peak_bytes: Option<u64>, limit_mb: u32) -> Finding {
    let Some(peak) = peak_bytes else { return (false, "Its memory could not be measured.".to_owned()) };
    let limit = u64::from(limit_mb) * MIB;
    let used = format!("It used at most {} of its {limit_mb} MiB", peak.div_ceil(MIB));
    if peak <= limit / 100 * MEMORY_PERCENT {
        (true, format!("{used}."))
    } else {
        (false, format!("{used}; more than {MEMORY_PERCENT} % leaves too little for a busy day."))
    }
}

fn no_denied_syscall(report: &TrialReport) -> Finding {
    match report.denied_syscalls.as_deref() {
        None => (false, "Its system calls could not be observed to the end.".to_owned()),
        Some([]) => (true, "It attempted no system call that is watched for.".to_owned()),
        Some(denied) => {
            let names: Vec<_> = denied.iter().map(|call| call.name.as_str()).collect();
            (false, format!("It attempted system calls that no module may make: {}.", names.join(", ")))
        }
    }
}

fn no_denied_request(denied: &[String]) -> Finding {
    match denied {
        [] => (true, "It asked the hub for nothing that was refused.".to_owned()),
        [first, rest @ ..] => {
            let others = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            (false, format!("The hub refused what it asked for: {first}{others}."))
        }
    }
}

fn only_its_port(report: &TrialReport, manifest: &Manifest) -> Finding {
    let own = manifest.port.map(|port| port.get());
    let others: Vec<_> = report.open_ports.iter().filter(|port| Some(**port) != own).map(ToString::to_string).collect();
    let opened_own = own.is_none_or(|own| report.open_ports.contains(&own));
    match (others.as_slice(), opened_own) {
        ([], true) => (true, "It listened on its own port only.".to_owned()),
        ([], false) => (false, "It was not seen to listen on its own port.".to_owned()),
        (others, _) => (false, format!("It listened on ports its manifest does not name: {}.", others.join(", "))),
    }
}

fn stays_inside(manifest: &Manifest) -> Finding {
    let no_egress = manifest.egress.is_empty() && !manifest.permissions.contains(&Permission::NetworkEgress);
    match (no_egress, manifest.devices.is_empty()) {
        (true, true) => (true, "It asks for no way outside and for no device.".to_owned()),
        (false, true) => (false, "It asks for connections to the outside.".to_owned()),
        (true, false) => (false, "It asks for devices of this machine.".to_owned()),
        (false, false) => (false, "It asks for connections to the outside and for devices of this machine.".to_owned()),
    }
}

fn is_signed(signed: bool) -> Finding {
    if signed {
        (true, "A publisher this hub knows has signed it.".to_owned())
    } else {
        (false, "No publisher this hub knows has signed it.".to_owned())
    }
}

/// Rights over secrets, or over events that are not named, are more than most modules need.
fn least_privilege(manifest: &Manifest) -> Finding {
    let asks = |permission| manifest.permissions.contains(&permission);
    if manifest.permissions.iter().any(|permission| permission.as_str().starts_with("secrets.")) {
        return (false, "It asks for rights over secrets.".to_owned());
    }
    let unnamed = [
        (asks(Permission::EventsSubscribe) && manifest.events.subscribe.is_none(), "subscribe"),
        (asks(Permission::EventsPublish) && manifest.events.publish.is_none(), "publish"),
    ];
    let unnamed: Vec<_> = unnamed.into_iter().filter(|(is, _)| *is).map(|(_, field)| field).collect();
    if unnamed.is_empty() {
        (true, "It asks for no secrets, and names the events it deals with.".to_owned())
    } else {
        let fields = unnamed.join("` and `events.");
        (false, format!("It may deal with events of any type: naming them in `events.{fields}` would bound that."))
    }
}

#[cfg(test)]
mod tests {
    use selena_types::ResourceLimits;
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::DeniedSyscall;

    /// A manifest with these fields besides the necessary ones.
    fn manifest(fields: &Value) -> Manifest {
        let mut text = json!({
            "name": "tried", "version": "1.0.0", "type": "INTEGRATION", "api_version": "1.0", "port": 8100,
            "permissions": ["device.read"], "resources": { "memory_mb": 100 },
        });
        for (field, value) in fields.as_object().expect("an object") {
            text[field] = value.clone();
        }
        let limits = ResourceLimits { memory_mb: 512, cpu: 4.0, data_mb: 512 };
        let parsed = Manifest::parse(text.to_string().as_bytes(), &semver::Version::new(1, 0, 0), &limits);
        parsed.expect("a manifest").manifest
    }

    /// Nothing to complain of.
    fn clean() -> TrialReport {
        TrialReport {
            time_to_ready_ms: Some(5000),
            peak_memory_bytes: Some(80 * MIB),
            denied_syscalls: Some(Vec::new()),
            open_ports: vec![8100],
            ..TrialReport::default()
        }
    }

    fn failed(report: TrialReport, fields: &Value, signed: bool) -> (u8, Vec<String>) {
        let scored = report.scored(&manifest(fields), signed);
        assert_eq!(scored.points.len(), 8);
        assert!(scored.points.iter().all(|point| point.explanation.ends_with('.')), "{:?}", scored.points);
        let failed = scored.points.iter().filter(|point| !point.passed).map(|point| point.id.clone()).collect();
        (scored.score.expect("a score"), failed)
    }

    #[test]
    fn a_clean_signed_package_has_all_points() {
        assert_eq!(failed(clean(), &json!({}), true), (8, vec![]));
    }

    #[test]
    fn each_point_is_lost_by_its_own_reason_alone() {
        let mount = || Some(vec![DeniedSyscall { name: "mount".to_owned(), count: 1 }]);
        let reports = [
            (TrialReport { time_to_ready_ms: Some(5001), ..clean() }, "ready_in_time"),
            (TrialReport { time_to_ready_ms: None, ..clean() }, "ready_in_time"),
            (TrialReport { peak_memory_bytes: Some(80 * MIB + 1), ..clean() }, "memory_in_bounds"),
            (TrialReport { peak_memory_bytes: None, ..clean() }, "memory_in_bounds"),
            (TrialReport { denied_syscalls: mount(), ..clean() }, "no_denied_syscall"),
            (TrialReport { denied_syscalls: None, ..clean() }, "no_denied_syscall"),
            (TrialReport { denied_calls: vec!["permission_denied: x".into()], ..clean() }, "no_denied_request"),
            (TrialReport { open_ports: vec![8100, 9000], ..clean() }, "only_its_port"),
            (TrialReport { open_ports: vec![9000], ..clean() }, "only_its_port"),
            (TrialReport { open_ports: vec![], ..clean() }, "only_its_port"),
        ];
        for (report, id) in reports {
            assert_eq!(failed(report.clone(), &json!({}), true), (7, vec![id.to_owned()]), "{report:?}");
        }
    }

    #[test]
    fn the_manifest_decides_three_points() {
        for (fields, signed, lost) in [
            (json!({}), false, vec!["signed"]),
            (json!({ "permissions": ["device.read", "events.publish"] }), true, vec!["least_privilege"]),
            (
                json!({
                    "permissions": ["events.publish", "events.subscribe"],
                    "events": { "publish": ["tried.done"], "subscribe": ["device.*"] },
                }),
                true,
                vec![],
            ),
            (
                json!({ "permissions": ["events.subscribe"], "events": { "publish": ["tried.done"] } }),
                true,
                vec!["least_privilege"],
            ),
            (json!({ "permissions": ["secrets.oauth"] }), true, vec!["least_privilege"]),
        ] {
            let expected = u8::try_from(8 - lost.len()).expect("small");
            let lost = lost.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(failed(clean(), &fields, signed), (expected, lost), "{fields}");
        }
    }

    #[test]
    fn a_way_outside_costs_its_point() {
        let mut outside = manifest(&json!({}));
        outside.devices = vec!["/dev/ttyUSB0".to_owned()];
        let scored = clean().scored(&outside, true);
        let point = scored.points.iter().find(|point| point.id == "stays_inside").expect("it is there");
        assert!(!point.passed && point.explanation.contains("devices"), "{point:?}");
    }

    #[test]
    fn the_score_is_never_below_one() {
        let fields = json!({ "permissions": ["events.publish"] });
        let nothing = TrialReport { denied_calls: vec!["x".to_owned()], ..TrialReport::default() };
        let (score, lost) = failed(nothing, &fields, false);
        assert_eq!((score, lost.len()), (1, 7));
    }
}
