//! From a directory, or from a package, to a package: the same files give the same bytes, on every machine and day.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use selena_signature::{FileDigests, PackageSignature, PrivateKey, Sha256Digest};
use tempfile::NamedTempFile;
use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::{Entry, Kind, Package, PackageError, Report, check, sign::Digesting};

/// Packs what has no problem, with a signature if there is a key. With problems in the report, nothing was written.
pub(crate) fn pack(package: &mut Package, out: &Path, key: Option<&PrivateKey>) -> Result<Report, PackageError> {
    let directory = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Until it is whole and good it has another name, so that a file of this name is always a good package.
    let mut part = NamedTempFile::new_in(directory).map_err(PackageError::io("write", out))?;
    write(package, out, key, part.as_file_mut())?;
    // Some faults show only now: its size, and files that pack too well.
    let report = check(&mut Package::open(part.path())?)?;
    if report.problems.is_empty() {
        let readable = Permissions::from_mode(0o644);
        part.as_file().set_permissions(readable).map_err(PackageError::io("write", out))?;
        part.persist(out).map_err(|error| PackageError::io("write", out)(error.error))?;
    }
    Ok(report)
}

fn write(package: &mut Package, out: &Path, key: Option<&PrivateKey>, file: &mut File) -> Result<(), PackageError> {
    let mut zip = ZipWriter::new(file);
    // An earlier package that lies in the directory is not a part of the next one.
    let earlier = fs::canonicalize(out).ok();
    let mut digests = BTreeMap::new();
    for entry in package.entries.clone() {
        let source = package.place.join(&entry.path);
        if earlier.is_none() || fs::canonicalize(&source).ok() != earlier {
            let digest = add(&mut zip, package, &entry, out)?;
            digests.insert(entry.path, digest);
        }
    }
    if let Some(key) = key {
        let signature = PackageSignature::sign(key, FileDigests::new(digests));
        zip.start_file(PackageSignature::FILE, options(false)).map_err(failed(out))?;
        zip.write_all(signature.to_json().as_bytes()).map_err(PackageError::io("write", out))?;
    }
    zip.finish().and_then(|file| Ok(file.flush()?)).map_err(failed(out))
}

/// Adds a file; gives the digest of what was packed, which is what is signed.
fn add(
    zip: &mut ZipWriter<&mut File>,
    package: &mut Package,
    entry: &Entry,
    out: &Path,
) -> Result<Sha256Digest, PackageError> {
    zip.start_file(entry.path.as_str(), options(entry.kind == Kind::Executable)).map_err(failed(out))?;
    let mut packed = Digesting::new(zip);
    package.copy(&entry.path, &mut packed)?;
    Ok(packed.finish())
}

fn options(executable: bool) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(if executable { 0o755 } else { 0o644 })
}

fn failed(out: &Path) -> impl FnOnce(ZipError) -> PackageError {
    let path = out.to_owned();
    |error| PackageError::Io { doing: "write", path, source: io::Error::other(error) }
}
