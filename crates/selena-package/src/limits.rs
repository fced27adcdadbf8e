//! How large a package may be.

use selena_types::Manifest;

/// Limits of a package (faults, series Z).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest ZIP in bytes.
    pub archive_bytes: u64,
    /// Most bytes of all files unpacked.
    pub total_bytes: u64,
    /// Most entries, and most directories, named or implied.
    pub entries: usize,
    /// How many times its packed size a file may have, once it is larger than [`Limits::ratio_from_bytes`].
    pub ratio: u64,
    /// Size in bytes from which on the ratio counts.
    pub ratio_from_bytes: u64,
    /// Longest path of an entry in bytes.
    pub path_bytes: usize,
    /// Most parts of a path, the file's own name included.
    pub depth: usize,
    /// Largest `manifest.json` in bytes.
    pub manifest_bytes: u64,
    /// Largest `SIGNATURE.json` in bytes.
    pub signature_bytes: u64,
}

const MIB: u64 = 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            archive_bytes: 50 * MIB,
            total_bytes: 200 * MIB,
            entries: 2000,
            ratio: 100,
            ratio_from_bytes: MIB,
            path_bytes: 200,
            depth: 16,
            manifest_bytes: Manifest::MAX_BYTES as u64,
            signature_bytes: MIB,
        }
    }
}
