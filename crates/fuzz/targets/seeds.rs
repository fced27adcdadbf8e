//! Writes the seeds of all targets: `seeds DIRECTORY` makes `<target>/` there, and `<target>.dict` if it has words.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use libfuzzer_sys as _; // its runtime takes what the instrumentation reports
use selena_fuzz::seeds::{self, Seed};

fn main() -> io::Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).ok_or(io::ErrorKind::InvalidInput)?;
    write(&directory, "zip", seeds::zip(), &seeds::zip_words())?;
    write(&directory, "zip-forged", seeds::zip_forged(), "")?;
    write(&directory, "manifest", seeds::manifest(), &seeds::manifest_words())?;
    write(&directory, "image", seeds::image(), &seeds::image_words())
}

fn write(directory: &Path, target: &str, seeds: Vec<Seed>, words: &str) -> io::Result<()> {
    fs::create_dir_all(directory.join(target))?;
    for (name, bytes) in seeds {
        fs::write(directory.join(target).join(name), bytes)?;
    }
    // libFuzzer takes no empty dictionary.
    if words.is_empty() { Ok(()) } else { fs::write(directory.join(format!("{target}.dict")), words) }
}
