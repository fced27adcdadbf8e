//! Two readers, one archive: what we take, Python's `zipfile` takes too, with the same names and the same content.
//!
//! `differential COUNT SEED [DIRECTORY...]`: series Z, the archives in the directories, and COUNT that are forged or
//! mutated. Prints `archives N, taken N`; on a difference writes the archive to the working directory and fails.

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use libfuzzer_sys as _; // its runtime takes what the instrumentation reports
use selena_fuzz::{
    place::Place,
    python::{Reader, Seen},
    seeds::Random,
    zip,
};
use selena_package::{Limits, Unpacked};
use sha2::{Digest, Sha256};

/// One in so many generated archives is taken at least; else nothing is compared.
const TAKEN_AT_LEAST: usize = 50;

struct Differential {
    place: Place,
    python: Reader,
    archives: usize,
    taken: Vec<Vec<u8>>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|count| count.parse().ok()).expect("COUNT is a number");
    let seed: u64 = arguments.next().and_then(|seed| seed.parse().ok()).expect("SEED is a number");
    let found_at = std::env::current_dir().expect("there is a working directory");
    let directories: Vec<_> = arguments.map(|directory| found_at.join(directory)).collect();
    let mut run = Differential { place: Place::new(), python: Reader::start(), archives: 0, taken: Vec::new() };
    let series = selena_forge::series().into_iter().map(|case| case.archive);
    let outcome = series.chain(files(&directories)).try_for_each(|archive| run.compare(&archive));
    let outcome = outcome.and_then(|()| run.generated(count, &mut Random::new(seed)));
    println!("archives {}, taken {}", run.archives, run.taken.len());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((why, archive)) => {
            let path = found_at.join("difference.zip");
            fs::write(&path, archive).expect("the working directory can be written");
            eprintln!("{why}\nthe archive is {}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// The bytes of all files; a directory that is not there has none.
fn files(directories: &[PathBuf]) -> impl Iterator<Item = Vec<u8>> {
    let entries = directories.iter().flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten());
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().filter_map(|path| fs::read(path).ok())
}

/// Why two readers differ, and the archive.
type Difference = (String, Vec<u8>);

impl Differential {
    fn generated(&mut self, count: usize, random: &mut Random) -> Result<(), Difference> {
        let before = self.taken.len();
        for _ in 0..count {
            let archive = match random.below(3) {
                0 if !self.taken.is_empty() => self.mutated(random),
                _ => {
                    let len = 20 + random.below(300);
                    selena_forge::from_choices(&random.bytes(len))
                }
            };
            self.compare(&archive)?;
        }
        let taken = self.taken.len() - before;
        let enough = taken * TAKEN_AT_LEAST >= count;
        if enough { Ok(()) } else { Err((format!("only {taken} of {count} archives were compared"), Vec::new())) }
    }

    /// An archive that was taken, with up to four bytes changed.
    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let mut archive = self.taken[random.below(self.taken.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(archive.len());
            archive[at] = random.number().to_le_bytes()[0];
        }
        archive
    }

    fn compare(&mut self, archive: &[u8]) -> Result<(), Difference> {
        self.archives += 1;
        let Ok(ours) = zip::check_in(&self.place, archive, &Limits::default(), hashes) else { return Ok(()) };
        self.taken.push(archive.to_vec());
        match self.python.read(archive) {
            Ok(theirs) if theirs == ours => Ok(()),
            theirs => Err((told(&ours, theirs), archive.to_vec())),
        }
    }
}

fn hashes(unpacked: &Unpacked) -> BTreeMap<String, String> {
    let hash = |path: &String| {
        let bytes = fs::read(format!("staging/{path}")).expect("what was unpacked can be read");
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    unpacked.files.keys().map(|path| (path.clone(), hash(path))).collect()
}

fn told(ours: &BTreeMap<String, String>, theirs: Seen) -> String {
    match theirs {
        Err(why) => format!("we take it, Python does not: {why}"),
        Ok(theirs) => format!("we see {ours:?}, Python sees {theirs:?}"),
    }
}
