//! The hub's name in Docker's labels. It is the sandbox's own, so that a core cannot call itself another hub and touch
//! what belongs to that one.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use anyhow::{Context, bail};

const NAME: &str = "hub-id";
/// Random bytes of a new one.
const BYTES: usize = 16;

/// The id in the sandbox's own directory, 32 hex digits; made, durably, if there is none.
pub(super) fn read_or_create(own_dir: &Path) -> anyhow::Result<String> {
    let file = own_dir.join(NAME);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(own_dir, &file),
        read => read,
    };
    let text = text.with_context(|| format!("cannot read or make `{}`", file.display()))?;
    let id = text.trim();
    if id.len() != 2 * BYTES || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("`{}` is not {} hex digits: remove it and all containers of this hub", file.display(), 2 * BYTES);
    }
    Ok(id.to_owned())
}

fn create(own_dir: &Path, file: &Path) -> io::Result<String> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let unfinished = own_dir.join(format!(".{NAME}"));
    let mut new = File::create(&unfinished)?;
    new.write_all(id.as_bytes())?;
    new.sync_all()?;
    fs::rename(&unfinished, file)?;
    File::open(own_dir)?.sync_all()?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_never_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let made = read_or_create(dir.path()).unwrap();
        assert_eq!(read_or_create(dir.path()).unwrap(), made);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(read_or_create(other.path()).unwrap(), made);
        fs::write(dir.path().join(NAME), "h1\nselena.hub=x").unwrap();
        assert!(read_or_create(dir.path()).is_err());
    }
}
