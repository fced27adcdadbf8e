//! What is too long for a packet: a file in memory whose descriptor travels instead.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};

/// Makes such a file. Nobody can change it any more.
pub(crate) fn in_file(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("selena-channel", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(content)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// Reads such a file of exactly `bytes` bytes, at most `most`.
pub(crate) fn read(file: OwnedFd, bytes: u64, most: usize) -> io::Result<Vec<u8>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a message in a file is not as long as it says");
    let length = usize::try_from(bytes).ok().filter(|length| *length <= most).ok_or_else(invalid)?;
    if u64::try_from(fstat(&file)?.st_size).ok() != Some(bytes) {
        return Err(invalid());
    }
    let mut content = vec![0; length];
    File::from(file).read_exact_at(&mut content, 0)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_made_and_cannot_be_changed() {
        let made = in_file(b"long").unwrap();
        assert!(File::from(made.try_clone().unwrap()).write_all_at(b"x", 0).is_err());
        assert_eq!(read(made.try_clone().unwrap(), 4, 4).unwrap(), b"long");
        assert!(read(made.try_clone().unwrap(), 5, 8).is_err(), "it is shorter");
        assert!(read(made.try_clone().unwrap(), u64::MAX, 8).is_err());
        assert!(read(made, 4, 3).is_err(), "it is longer than may be");
    }
}
