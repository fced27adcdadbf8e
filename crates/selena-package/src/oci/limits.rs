//! How large an image may be.

/// Limits of an image (protocol, section 4; faults, series Z).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Most bytes of all layers unpacked, with their headers.
    pub total_bytes: u64,
    /// How many times its packed size a layer may have, once it is larger than [`ImageLimits::ratio_from_bytes`].
    pub ratio: u64,
    /// Size in bytes from which on the ratio counts.
    pub ratio_from_bytes: u64,
    /// Most layers.
    pub layers: usize,
    /// Most entries of `image.tar` itself.
    pub parts: usize,
    /// Most entries of all layers, and most paths that they make.
    pub entries: usize,
    /// Most bytes of all those paths and of what links name, which is what the hub keeps in memory.
    pub names_bytes: usize,
    /// Longest path in bytes.
    pub path_bytes: usize,
    /// Most parts of a path.
    pub depth: usize,
    /// Largest JSON document in bytes.
    pub document_bytes: u64,
    /// Most bytes of all that is started: arguments, environment.
    pub command_bytes: usize,
}

const KIB: usize = 1024;
const MIB: u64 = 1024 * 1024;

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            total_bytes: 500 * MIB,
            ratio: 100,
            ratio_from_bytes: MIB,
            layers: 128,
            parts: 2000,
            entries: 50_000,
            names_bytes: 8 * KIB * KIB,
            path_bytes: KIB,
            depth: 64,
            document_bytes: MIB,
            command_bytes: 64 * KIB,
        }
    }
}
