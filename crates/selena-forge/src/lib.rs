//! Packages as a stranger with bad intent would make them: for tests, fuzzing and benchmarks, never for the hub.
//!
//! Entry points: [`Zip`], a writer whose every header can lie; [`series()`], the archives of series Z of the faults with
//! what the hub has to say to each; [`from_choices`], an archive from arbitrary bytes.
//! This crate knows nothing of how a package is read: what it expects is written down here a second time.

mod choices;
mod series;
mod zip;

pub use choices::from_choices;
pub use series::{Case, bomb, quoted_overlap, series, zip_of_entries};
pub use zip::{Descriptor, Entry, Header, MANIFEST, Zip, deflate};
