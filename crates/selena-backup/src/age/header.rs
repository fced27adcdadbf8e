//! The header of an encrypted file: who opens it, and that nobody changed that.

use std::io::BufRead;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    AgeError, Key, Lock,
    kdf::FileKey,
    scrypt,
    stanza::{Lines, Stanza, decode_array, encode},
    x25519,
};

const VERSION: &str = "age-encryption.org/v1";
const END: &str = "---";

/// A header that was read; nothing in it is proven before [`Header::open`].
#[derive(Debug)]
pub struct Header {
    stanzas: Vec<Stanza>,
    /// All up to the end's mark.
    authenticated: Vec<u8>,
    mac: [u8; 32],
}

impl Header {
    /// Reads a header, and not a byte more.
    ///
    /// # Errors
    /// [`AgeError::NotAge`], [`AgeError::Header`], [`AgeError::Io`].
    pub fn read(from: &mut impl BufRead) -> Result<Self, AgeError> {
        let mut lines = Lines::new(from);
        match lines.next() {
            Ok(line) if line == VERSION => {}
            Err(AgeError::Io(error)) => return Err(AgeError::Io(error)),
            _ => return Err(AgeError::NotAge),
        }
        let mut stanzas = Vec::new();
        loop {
            let line = lines.next()?;
            if let Some(first) = line.strip_prefix("-> ") {
                stanzas.push(lines.stanza(first)?);
                continue;
            }
            let mac = line.strip_prefix(END).and_then(|rest| rest.strip_prefix(' '));
            let mac = decode_array(mac.ok_or(AgeError::Header("a line is neither a stanza nor the end"))?)?;
            let kept = lines.read.len() - line.len() - 1 + END.len();
            lines.read.truncate(kept);
            let header = Self { stanzas, authenticated: lines.read, mac };
            return header.is_well_formed().map(|()| header);
        }
    }

    fn is_well_formed(&self) -> Result<(), AgeError> {
        let by_passphrase = self.stanzas.iter().any(|stanza| stanza.arguments[0] == scrypt::TYPE);
        if by_passphrase && self.stanzas.len() > 1 {
            return Err(AgeError::Header("a passphrase is not the only way to the key"));
        }
        if self.stanzas.is_empty() { Err(AgeError::Header("nobody can open it")) } else { Ok(()) }
    }

    /// The file's key. A passphrase takes up to two seconds.
    ///
    /// # Errors
    /// [`AgeError::WrongKey`], [`AgeError::HeaderChanged`], [`AgeError::WorkFactor`], [`AgeError::Header`].
    pub fn open(&self, key: &Key) -> Result<FileKey, AgeError> {
        let (kind, other) = match key {
            Key::Identity(_) => (x25519::TYPE, "the backup was not locked for this key"),
            Key::Passphrase(_) => (scrypt::TYPE, "the backup does not open with this passphrase"),
        };
        let mut found = None;
        let mut is_of_kind = false;
        for stanza in self.stanzas.iter().filter(|stanza| stanza.arguments[0] == kind) {
            is_of_kind = true;
            let opened = match key {
                Key::Identity(identity) => x25519::unwrap(stanza, identity)?,
                Key::Passphrase(passphrase) => scrypt::unwrap(stanza, passphrase)?,
            };
            found = found.or(opened);
        }
        let Some(file_key) = found else {
            return Err(AgeError::WrongKey(match (is_of_kind, key) {
                (true, _) => other,
                (false, Key::Identity(_)) => "the backup is locked with a passphrase, not for a key",
                (false, Key::Passphrase(_)) => "the backup is locked for a key, not with a passphrase",
            }));
        };
        let mac = mac(&file_key, &self.authenticated).verify_slice(&self.mac);
        mac.map(|()| file_key).map_err(|_| AgeError::HeaderChanged)
    }

    /// The text of a new header, and its file's key.
    pub(super) fn write(lock: &Lock) -> Result<(String, FileKey), AgeError> {
        let file_key = FileKey::new()?;
        let stanza = match lock {
            Lock::Recipient(recipient) => x25519::wrap(&file_key, recipient)?,
            Lock::Passphrase(passphrase) => scrypt::wrap(&file_key, passphrase)?,
        };
        let mut text = format!("{VERSION}\n");
        stanza.write(&mut text);
        text.push_str(END);
        let mac = mac(&file_key, text.as_bytes()).finalize().into_bytes();
        text.push_str(&format!(" {}\n", encode(&mac)));
        Ok((text, file_key))
    }
}

fn mac(file_key: &FileKey, header: &[u8]) -> Hmac<Sha256> {
    let key = file_key.derive(&[], "header");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key[..]).expect("HMAC takes keys of every length");
    mac.update(header);
    mac
}
