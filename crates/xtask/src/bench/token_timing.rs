//! K04: whether the time of a refusal tells where a guessed token is wrong.

use std::{hint::black_box, sync::Arc, time::Instant};

use anyhow::ensure;
use selena_core::{
    identity::{Credentials, Identity, ModuleRun, NewRun, Origin, RequestLimits},
    ports::RunId,
};
use selena_types::{ManifestEvents, ModuleType, Secret, TokenHash};
use sha2::{Digest, Sha256};

use super::{
    clock::nanos,
    numbers::{float, median},
    table::Row,
};

/// Characters of a token, each of which is guessed wrong.
const CHARS: usize = 64;
/// Tries with each of them; 10^5 in all.
const TRIES: usize = 1563;

/// Asks the core itself: over HTTP the noise would hide more.
pub(super) fn row() -> anyhow::Result<Row> {
    let times = times(&"t".repeat(CHARS))?;
    let medians: Vec<_> = times.iter().map(|times| median(times.clone())).collect();
    let (first, last) = medians.iter().fold((f64::MAX, 0.0_f64), |(low, high), at| (low.min(*at), high.max(*at)));
    let (spread, noise) = (last - first, middle_half(times.concat()));
    Ok(Row {
        what: format!("K04: {} tokens with one wrong character: medians by its place", CHARS * TRIES),
        ours: format!("{spread:.0} ns apart, of {:.0} ns", median(medians)),
        peer: format!("noise: the middle half of all is {noise:.0} ns wide"),
        ratio: (noise > 0.0).then_some(spread / noise),
        goal: "≤ the noise",
        reached: Some(spread <= noise),
        figures: [("spread_ns", spread), ("noise_ns", noise)].into(),
    })
}

/// Nanoseconds of each refusal, by the place of the wrong character; in turns, so that what else happens hits all alike.
fn times(right: &str) -> anyhow::Result<Vec<Vec<f64>>> {
    let identity = Identity::new(None, RequestLimits::Lifted);
    let origin = Origin::Module(Arc::new(ModuleRun::new(run(right)?, RequestLimits::Lifted)));
    ensure!(identity.authenticate(&origin, Credentials::Bearer(right)).is_ok(), "the right token is refused");
    let wrong: Vec<_> = (0..right.len()).map(|place| format!("{}x{}", &right[..place], &right[place + 1..])).collect();
    let mut times = vec![Vec::with_capacity(TRIES); wrong.len()];
    for _ in 0..TRIES {
        for (token, times) in wrong.iter().zip(&mut times) {
            let begun = Instant::now();
            let answer = black_box(identity.authenticate(&origin, Credentials::Bearer(black_box(token))));
            times.push(float(nanos(begun.elapsed())));
            ensure!(answer.is_err(), "a wrong token is taken");
        }
    }
    Ok(times)
}

fn run(token: &str) -> anyhow::Result<NewRun> {
    Ok(NewRun {
        name: "bench".parse()?,
        module_type: ModuleType::Driver,
        port: None,
        permissions: Vec::new(),
        events: ManifestEvents::default(),
        oauth: Default::default(),
        run: RunId("bench".to_owned()),
        webhook_secret: Secret::new(String::new()),
        token: TokenHash(hex::encode(Sha256::digest(token))),
        boot: Secret::new(String::new()),
    })
}

/// How far the first quarter is from the last.
fn middle_half(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = |quarter: usize| figures.get(figures.len() * quarter / 4).copied().unwrap_or_default();
    at(3) - at(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_leaves_out_what_is_rare() {
        assert_eq!(middle_half(vec![9000.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), 4.0);
        assert_eq!(middle_half(vec![]), 0.0);
    }
}
