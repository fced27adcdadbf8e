//! A process is killed at each point of a transaction, one after the other; after each the hub is in the old or in the
//! new state, and nothing is left over.
//!
//! In the long form (`cargo xtask killpoints`) every point is walked. Otherwise an even part of them, chosen by a seed.

use std::{
    collections::BTreeMap,
    env, fmt,
    fs::OpenOptions,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use crate::Hub;

/// Variable with the most points of each transaction; `all` for every one, `=N` for the one of that number.
pub const MOST: &str = "SELENA_KILLPOINTS";
/// Variable with the seed of the choice; 1 if it is not there.
pub const SEED: &str = "SELENA_SEED";
/// Variable with a file that gets a line for each transaction: what `cargo xtask killpoints` makes its table of.
pub const TABLE: &str = "SELENA_KILLPOINTS_TABLE";

/// What is killed, and brought back.
pub trait Victim {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Everything runs, and it is going to die at that number of [`Victim::count`]; never, if that is 0.
    fn ready(&mut self, hub: &mut Hub, number: u64);
    /// From now on its points are counted.
    fn count(&mut self, hub: &Hub);
    /// The points that were reached: `<number> <what>`. Counts no more.
    fn counted(&mut self, hub: &Hub) -> Vec<String>;
}

/// How a transaction ended for who asked for it.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Where the victim died; empty if it did not.
    pub killed_at: String,
}

impl Ended {
    /// Whether it was answered that all is done.
    #[must_use]
    pub fn well(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A transaction whose points are walked.
pub struct Walk<'a, S> {
    /// Its faults and its name.
    pub name: &'a str,
    /// How many of its points are walked in the short form, at most.
    pub most: usize,
    /// The statuses it may end with when nobody dies.
    pub ends: &'a [u16],
    /// Brings the hub into the old state, and says what that is.
    pub before: &'a dyn Fn(&Hub) -> S,
    /// The transaction.
    pub act: &'a dyn Fn(&Hub) -> Option<u16>,
    /// Panics if it is neither the old state nor the new one.
    pub after: &'a dyn Fn(&Hub, &S, &Ended),
}

impl<S> fmt::Debug for Walk<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("name", &self.name).field("most", &self.most).finish_non_exhaustive()
    }
}

impl<S> Walk<'_, S> {
    /// Walks the points of a victim.
    ///
    /// # Panics
    /// If the hub is in no state that it may be in.
    pub fn at_each_point(&self, hub: &mut Hub, victim: &mut dyn Victim) {
        let mut row = Row::new(self.name, victim.name());
        victim.ready(hub, 0);
        row.points = self.once(hub, victim, 0, None, &mut row);
        assert!(row.points > 0, "{}: no point was counted", self.name);
        let numbers = chosen(row.points, self.most);
        let next = |index: usize| numbers.get(index + 1).copied();
        victim.ready(hub, numbers[0]);
        for (index, number) in numbers.iter().enumerate() {
            self.once(hub, victim, *number, next(index), &mut row);
        }
    }

    /// One transaction, with a death at that number; how many points were reached.
    fn once(&self, hub: &mut Hub, victim: &mut dyn Victim, number: u64, next: Option<u64>, row: &mut Row) -> u64 {
        let name = self.name;
        hub.settles(&format!("{name}: before number {number}"));
        let old = (self.before)(hub);
        hub.settles(&format!("{name}: in the old state, before number {number}"));
        victim.count(hub);
        let status = (self.act)(hub);
        let points = victim.counted(hub);
        let reached = points.len() as u64;
        let died = number > 0 && reached >= number;
        let killed_at = if died { points.last().cloned().unwrap_or_default() } else { String::new() };
        row.now_at = killed_at.clone();
        assert!(died || status.is_some_and(|status| self.ends.contains(&status)), "{name}: it ended with {status:?}");
        let begun = Instant::now();
        victim.ready(hub, next.unwrap_or(0));
        hub.settles(&format!("{name}: killed at {killed_at}"));
        row.slowest = row.slowest.max(begun.elapsed());
        (self.after)(hub, &old, &Ended { status, killed_at });
        if died {
            row.killed += 1;
            let last = points.last().map(String::as_str).unwrap_or_default();
            let what = last.split_once(' ').map_or(last, |(_, what)| what);
            *row.reached.entry(what.to_owned()).or_default() += 1;
        }
        reached
    }
}

/// The seed of everything that is chosen.
#[must_use]
pub fn seed() -> u64 {
    env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The numbers of points that are walked: all, or so many, spread evenly.
fn chosen(points: u64, most: usize) -> Vec<u64> {
    let most = match env::var(MOST).ok() {
        Some(text) if text.starts_with('=') => return vec![text[1..].parse().expect("the number of a point")],
        Some(text) if text == "all" => u64::MAX,
        Some(text) => text.parse().expect("SELENA_KILLPOINTS is a number, or `all`"),
        None => most as u64,
    };
    if points <= most {
        return (1..=points).collect();
    }
    (0..most).map(|index| 1 + (seed() + index * points / most) % points).collect()
}

/// What is told of a transaction, also if it fails.
struct Row {
    name: String,
    victim: &'static str,
    points: u64,
    killed: u64,
    reached: BTreeMap<String, u32>,
    slowest: Duration,
    now_at: String,
}

impl Row {
    fn new(name: &str, victim: &'static str) -> Self {
        let (points, killed) = (0, 0);
        let (reached, slowest, now_at) = (BTreeMap::new(), Duration::ZERO, String::new());
        Self { name: name.to_owned(), victim, points, killed, reached, slowest, now_at }
    }
}

impl Drop for Row {
    #[expect(clippy::print_stdout, reason = "what was reached is the test's result")]
    fn drop(&mut self) {
        let result = match thread::panicking() {
            true => format!("FAILED at {}", self.now_at),
            false => "old or new, no orphan".to_owned(),
        };
        let reached: Vec<_> = self.reached.iter().map(|(what, times)| format!("{times} × {what}")).collect();
        let Self { name, victim, points, killed, slowest, .. } = self;
        let line = format!(
            "{name}\t{victim}\t{points}\t{killed}\t{:.1}\t{result}\t{}\n",
            slowest.as_secs_f32(),
            reached.join("; ")
        );
        println!("{}, seed {}", line.trim_end().replace('\t', ", "), seed());
        if let Some(table) = env::var_os(TABLE) {
            let written = OpenOptions::new().create(true).append(true).open(table);
            written.and_then(|mut table| table.write_all(line.as_bytes())).expect("the table can be written");
        }
    }
}

/// The hub's own process: it counts its points itself, and kills itself.
#[derive(Debug, Default)]
pub struct Core;

impl Victim for Core {
    fn name(&self) -> &'static str {
        "core"
    }

    fn ready(&mut self, hub: &mut Hub, number: u64) {
        hub.start_again_to_die_at(number);
    }

    fn count(&mut self, hub: &Hub) {
        hub.count_points();
    }

    fn counted(&mut self, hub: &Hub) -> Vec<String> {
        let points = hub.points();
        hub.forget_points();
        points
    }
}
