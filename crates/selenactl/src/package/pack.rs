//! From a directory to a package: the same files give the same bytes, on every machine and day.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tempfile::NamedTempFile;
use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::{Entry, Kind, Package, PackageError, Report, check};

/// Packs a directory that has no problem. With problems in the report, nothing was written.
pub(crate) fn pack(package: &Package, out: &Path) -> Result<Report, PackageError> {
    let directory = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Until it is whole and good it has another name, so that a file of this name is always a good package.
    let mut part = NamedTempFile::new_in(directory).map_err(PackageError::io("write", out))?;
    write(package, out, part.as_file_mut())?;
    // Some faults show only now: its size, and files that pack too well.
    let report = check(&mut Package::open(part.path())?)?;
    if report.problems.is_empty() {
        let readable = Permissions::from_mode(0o644);
        part.as_file().set_permissions(readable).map_err(PackageError::io("write", out))?;
        part.persist(out).map_err(|error| PackageError::io("write", out)(error.error))?;
    }
    Ok(report)
}

fn write(package: &Package, out: &Path, file: &mut File) -> Result<(), PackageError> {
    let mut zip = ZipWriter::new(file);
    // An earlier package that lies in the directory is not a part of the next one.
    let earlier = fs::canonicalize(out).ok();
    for entry in &package.entries {
        let source = package.place.join(&entry.path);
        if earlier.is_none() || fs::canonicalize(&source).ok() != earlier {
            add(&mut zip, entry, &source, out)?;
        }
    }
    zip.finish().and_then(|file| Ok(file.flush()?)).map_err(failed(out))
}

fn add(zip: &mut ZipWriter<&mut File>, entry: &Entry, source: &Path, out: &Path) -> Result<(), PackageError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(if entry.kind == Kind::Executable { 0o755 } else { 0o644 });
    zip.start_file(entry.path.as_str(), options).map_err(failed(out))?;
    let mut content = File::open(source).map_err(PackageError::io("read", source))?;
    io::copy(&mut content, zip).map_err(PackageError::io("pack", source))?;
    Ok(())
}

fn failed(out: &Path) -> impl FnOnce(ZipError) -> PackageError {
    let path = out.to_owned();
    |error| PackageError::Io { doing: "write", path, source: io::Error::other(error) }
}
