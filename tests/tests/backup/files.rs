//! Files of backups as a stranger makes them: a good one taken apart, changed, and put together again with the public
//! key, which anybody may have.

use std::io::Read;

use selena_backup::{
    ArchiveReader, ArchiveWriter, BackupError, Index, Part, PartVisitor,
    age::{Identity, Key, Lock},
};

use super::IDENTITY;

/// A backup taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) index: Index,
    pub(crate) parts: Vec<(Part, Vec<u8>)>,
}

#[derive(Default)]
struct Taken {
    index: Option<Index>,
    parts: Vec<(Part, Vec<u8>)>,
}

impl PartVisitor for Taken {
    type Error = BackupError;

    fn index(&mut self, index: &Index) -> Result<(), BackupError> {
        self.index = Some(index.clone());
        Ok(())
    }

    fn part(&mut self, part: &Part, _bytes: u64, content: &mut dyn Read) -> Result<(), BackupError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.parts.push((part.clone(), bytes));
        Ok(())
    }
}

fn identity() -> Identity {
    IDENTITY.parse().expect("an identity")
}

impl Parts {
    pub(crate) fn of(file: &[u8]) -> Self {
        let mut taken = Taken::default();
        let reader = ArchiveReader::open(file, &Key::Identity(identity())).expect("the key is the right one");
        reader.read(&mut taken).expect("it is good");
        Self { index: taken.index.expect("an index"), parts: taken.parts }
    }

    /// The part whose name ends so.
    pub(crate) fn part(&mut self, end: &str) -> &mut Vec<u8> {
        let found = self.parts.iter_mut().find(|(part, _)| part.to_string().ends_with(end));
        &mut found.unwrap_or_else(|| panic!("no part {end}")).1
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let lock = Lock::Recipient(identity().recipient());
        let mut writer = ArchiveWriter::new(Vec::new(), &lock, &self.index).expect("begun");
        for (part, bytes) in &self.parts {
            writer.add(part, bytes.len() as u64, bytes.as_slice()).expect("added");
        }
        writer.finish().expect("finished")
    }
}
