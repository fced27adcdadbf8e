//! The way to the file's key by a passphrase.

use scrypt::Params;
use selena_types::Secret;
use zeroize::Zeroizing;

use super::{
    AgeError,
    kdf::{FileKey, WRAPPED_BYTES},
    stanza::{Stanza, decode_array, encode},
};

pub(super) const TYPE: &str = "scrypt";
const SALT: &[u8] = b"age-encryption.org/v1/scrypt";
/// What is written: 2^17 rounds take 128 MiB and some tenths of a second.
const LOG_N: u8 = 17;
/// What is read at most: 256 MiB, less than two seconds, and what `age -p` writes.
pub(super) const MOST_LOG_N: u8 = 18;

pub(super) fn wrap(file_key: &FileKey, passphrase: &Secret) -> Result<Stanza, AgeError> {
    let salt = super::random::<16>()?;
    let key = wrapping_key(passphrase, &salt, LOG_N);
    Ok(Stanza { arguments: vec![TYPE.to_owned(), encode(&salt), LOG_N.to_string()], body: file_key.wrap(&key) })
}

/// The file's key; `None` if the passphrase is another one.
pub(super) fn unwrap(stanza: &Stanza, passphrase: &Secret) -> Result<Option<FileKey>, AgeError> {
    let [_, salt, log_n] = &stanza.arguments[..] else {
        return Err(AgeError::Header("a scrypt stanza has two arguments"));
    };
    let salt = decode_array::<16>(salt)?;
    let log_n = work_factor(log_n)?;
    if stanza.body.len() != WRAPPED_BYTES {
        return Err(AgeError::Header("the key of a scrypt stanza has the wrong length"));
    }
    Ok(FileKey::unwrap(&stanza.body, &wrapping_key(passphrase, &salt, log_n)))
}

fn work_factor(text: &str) -> Result<u8, AgeError> {
    let is_number = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let log_n = text.parse().ok().filter(|_| is_number).ok_or(AgeError::Header("a work factor is no number"))?;
    if log_n > MOST_LOG_N { Err(AgeError::WorkFactor(log_n)) } else { Ok(log_n) }
}

fn wrapping_key(passphrase: &Secret, salt: &[u8; 16], log_n: u8) -> Zeroizing<[u8; 32]> {
    let params = Params::new(log_n, 8, 1).expect("1 to 18 is a work factor of scrypt");
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.expose().as_bytes(), &[SALT, salt].concat(), &params, &mut key[..])
        .expect("32 bytes are a length of scrypt");
    key
}
