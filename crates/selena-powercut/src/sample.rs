//! Which cuts are looked at: all in the long form, an even part of them in the short one.

use std::{env, fs::OpenOptions, io::Write};

use crate::{Cut, Fate};

/// How many cuts a test looks at, and by which seed they are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    most: usize,
    seed: u64,
}

impl Sample {
    /// Variable with the number of cuts of each test, instead of its own; `cargo xtask powercut` sets it.
    pub const CUTS: &str = "SELENA_POWER_CUTS";
    /// Variable with the seed; 1 if it is not there.
    pub const SEED: &str = "SELENA_SEED";

    /// Variable with a file that gets a line for each test: what `cargo xtask powercut` makes its table of.
    pub const TABLE: &str = "SELENA_POWER_CUTS_TABLE";

    /// `most` cuts, unless the environment says otherwise.
    #[must_use]
    pub fn of(most: usize) -> Self {
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let given = number(Self::CUTS).and_then(|cuts| usize::try_from(cuts).ok());
        Self { most: given.unwrap_or(most), seed: number(Self::SEED).unwrap_or(1) }
    }

    /// The seed, to be printed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Tells what was looked at, and found good.
    ///
    /// # Panics
    /// If the table cannot be written.
    #[expect(clippy::print_stdout, reason = "what was cut, and by which seed, is a test's result")]
    pub fn report(&self, name: &str, cuts: usize, flushes: usize) {
        println!("{name}: {cuts} cuts among {flushes} flushes, seed {}", self.seed);
        if let Some(table) = env::var_os(Self::TABLE) {
            let table = OpenOptions::new().create(true).append(true).open(table);
            let written = table.and_then(|mut table| writeln!(table, "{name}\t{flushes}\t{cuts}\t{}", self.seed));
            written.expect("the table can be written");
        }
    }

    /// The cuts: at every flush from `first` to `last` with everything lost, with everything kept, and torn by as many
    /// seeds as it takes; or an even part of these.
    #[must_use]
    pub fn cuts(&self, last: usize) -> Vec<Cut> {
        let places = last + 1;
        let rounds = self.most.div_ceil(places);
        let fate = |round: usize| match round {
            0 => Fate::Lost,
            1 => Fate::Kept,
            _ => Fate::Torn(self.seed.wrapping_mul(1_000_003).wrapping_add(round as u64)),
        };
        if rounds > 1 {
            let cuts = (0..rounds).flat_map(|round| (0..places).map(move |flushes| (flushes, round)));
            return cuts.map(|(flushes, round)| Cut { flushes, fate: fate(round) }).collect();
        }
        // Fewer cuts than places: spread evenly, one fate after the other.
        let shift = usize::try_from(self.seed).unwrap_or(0) % places;
        let at = |number: usize| (shift + number * places / self.most) % places;
        (0..self.most).map(|number| Cut { flushes: at(number), fate: fate(number % 3) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sample_has_every_place_with_every_fate_and_a_short_one_is_spread() {
        let sample = Sample { most: 40, seed: 1 };
        let cuts = sample.cuts(9);
        assert_eq!(cuts.len(), 40);
        for flushes in 0..10 {
            for fate in [Fate::Lost, Fate::Kept] {
                assert!(cuts.contains(&Cut { flushes, fate }));
            }
        }
        let few = Sample { most: 5, seed: 3 }.cuts(9);
        let mut places: Vec<_> = few.iter().map(|cut| cut.flushes).collect();
        places.sort_unstable();
        assert_eq!(places, [1, 3, 5, 7, 9]);
    }
}
