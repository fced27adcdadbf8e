//! The parts of an archive: their names, their order, their limits.

use std::fmt;

use selena_types::ModuleName;

const MIB: u64 = 1024 * 1024;

/// A file of the archive. There are no others, and no directories or links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the backup says of itself.
    Index,
    /// The database: SQLite, whole and checked.
    Database,
    /// The secrets, in clear within the envelope.
    Secrets,
    /// The files of a module's package, as a ZIP without compression.
    Package(ModuleName),
    /// The files of its data volume, as a tar.
    Data(ModuleName),
    /// The files of the version before.
    PreviousPackage(ModuleName),
    /// The data as it was when that version was replaced.
    PreviousData(ModuleName),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index => f.write_str("backup.json"),
            Self::Database => f.write_str("selena.db"),
            Self::Secrets => f.write_str("secrets.json"),
            Self::Package(name) => write!(f, "modules/{name}/package.zip"),
            Self::Data(name) => write!(f, "modules/{name}/data.tar"),
            Self::PreviousPackage(name) => write!(f, "modules/{name}/previous/package.zip"),
            Self::PreviousData(name) => write!(f, "modules/{name}/previous/data.tar"),
        }
    }
}

impl Part {
    /// The part of a path; `None` if no part bears it.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "backup.json" => return Some(Self::Index),
            "selena.db" => return Some(Self::Database),
            "secrets.json" => return Some(Self::Secrets),
            _ => {}
        }
        let (name, file) = path.strip_prefix("modules/")?.split_once('/')?;
        let name = ModuleName::new(name).ok()?;
        match file {
            "package.zip" => Some(Self::Package(name)),
            "data.tar" => Some(Self::Data(name)),
            "previous/package.zip" => Some(Self::PreviousPackage(name)),
            "previous/data.tar" => Some(Self::PreviousData(name)),
            _ => None,
        }
    }

    /// Most bytes it may have.
    pub(crate) fn most_bytes(&self) -> u64 {
        match self {
            Self::Index => 4 * MIB,
            Self::Secrets => 16 * MIB,
            Self::Database => 16 * 1024 * MIB,
            // What a package may unpack to, and the ZIP's own part.
            Self::Package(_) | Self::PreviousPackage(_) => 208 * MIB,
            Self::Data(_) | Self::PreviousData(_) => 5 * 1024 * MIB,
        }
    }

    /// Where it stands among the parts of a backup: of the hub, or of the module at this place of the index.
    pub(crate) fn rank(&self, place: impl Fn(&ModuleName) -> Option<usize>) -> Option<(usize, u8)> {
        let of = |name, kind| place(name).map(|place| (place + 1, kind));
        match self {
            Self::Index => Some((0, 0)),
            Self::Database => Some((0, 1)),
            Self::Secrets => Some((0, 2)),
            Self::Package(name) => of(name, 0),
            Self::Data(name) => of(name, 1),
            Self::PreviousPackage(name) => of(name, 2),
            Self::PreviousData(name) => of(name, 3),
        }
    }
}
