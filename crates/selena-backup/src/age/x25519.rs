//! The way to the file's key by a public key.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{
    AgeError, Identity, Recipient,
    kdf::{FileKey, WRAPPED_BYTES, derive},
    stanza::{Stanza, decode_array, encode},
};

pub(super) const TYPE: &str = "X25519";
const INFO: &str = "age-encryption.org/v1/X25519";

pub(super) fn wrap(file_key: &FileKey, recipient: &Recipient) -> Result<Stanza, AgeError> {
    let ephemeral = StaticSecret::from(*Zeroizing::new(super::random::<32>()?));
    let share = PublicKey::from(&ephemeral);
    let key = wrapping_key(&ephemeral, &recipient.0, &share, &recipient.0);
    let key = key.ok_or(AgeError::WrongKey("the recipient is a key of low order, which anybody could open"))?;
    Ok(Stanza { arguments: vec![TYPE.to_owned(), encode(share.as_bytes())], body: file_key.wrap(&key) })
}

/// The file's key; `None` if it was locked for somebody else.
pub(super) fn unwrap(stanza: &Stanza, identity: &Identity) -> Result<Option<FileKey>, AgeError> {
    let [_, share] = &stanza.arguments[..] else { return Err(AgeError::Header("an X25519 stanza has one argument")) };
    let share = PublicKey::from(decode_array::<32>(share)?);
    if stanza.body.len() != WRAPPED_BYTES {
        return Err(AgeError::Header("the key of an X25519 stanza has the wrong length"));
    }
    let own = PublicKey::from(&identity.0);
    let key = wrapping_key(&identity.0, &share, &share, &own);
    let key = key.ok_or(AgeError::Header("a share of an X25519 stanza is of low order"))?;
    Ok(FileKey::unwrap(&stanza.body, &key))
}

fn wrapping_key(
    secret: &StaticSecret,
    other: &PublicKey,
    share: &PublicKey,
    recipient: &PublicKey,
) -> Option<Zeroizing<[u8; 32]>> {
    let shared = secret.diffie_hellman(other);
    let salt = [share.as_bytes().as_slice(), recipient.as_bytes()].concat();
    shared.was_contributory().then(|| derive(shared.as_bytes(), &salt, INFO))
}
