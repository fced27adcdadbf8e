//! What must hold for every input of a stranger: not only that nothing panics, but what may be there afterwards.
//!
//! Entry points: [`zip::check`], [`manifest::check`] and [`image::check`], which panic on a violation; the programs in `targets/` give
//! them inputs. This crate knows the doors of the crates it tests and nothing behind them, and checks each rule in its
//! own words.

pub mod image;
pub mod manifest;
pub mod place;
pub mod python;
pub mod seeds;
pub mod zip;
