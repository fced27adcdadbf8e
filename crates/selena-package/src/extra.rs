//! Extra fields of headers: ZIP64 sizes, and signs of encryption (Z11, Z19, Z22).

use crate::{ZipError, bytes::Bytes, error::shown};

const ZIP64: u16 = 0x0001;
const STRONG_ENCRYPTION: u16 = 0x0017;
const UNICODE_PATH: u16 = 0x7075;
const AES: u16 = 0x9901;

/// A number of a 32-bit field that says "see the ZIP64 extra field".
const SEE_ZIP64: u64 = u32::MAX as u64;

const MALFORMED: ZipError = ZipError::Corrupt("an extra field is malformed");

/// Reads the extra fields of a header; the numbers that are too large for their fields are set to the ZIP64 ones,
/// which stand in the same order.
pub(crate) fn apply(extra: &[u8], name: &[u8], numbers: &mut [&mut u64]) -> Result<(), ZipError> {
    let (mut rest, mut zip64) = (Bytes(extra), None);
    while !rest.0.is_empty() {
        let (id, data) = field(&mut rest).ok_or(MALFORMED)?;
        match id {
            ZIP64 if zip64.is_some() => return Err(MALFORMED),
            ZIP64 => zip64 = Some(data),
            AES | STRONG_ENCRYPTION => return Err(ZipError::Encrypted(shown(name))),
            // Version (1 byte), CRC-32 of the name (4), the name as other readers would see it.
            UNICODE_PATH if data.get(5..) != Some(name) => {
                return Err(ZipError::Mismatch { name: shown(name), what: "name (Unicode path)" });
            }
            _ => {}
        }
    }
    let mut large = Bytes(zip64.unwrap_or_default());
    for number in numbers.iter_mut().filter(|number| ***number == SEE_ZIP64) {
        **number = large.u64().ok_or(MALFORMED)?;
    }
    // What is left over would be read by some readers and not by others.
    if large.0.is_empty() { Ok(()) } else { Err(MALFORMED) }
}

fn field<'a>(rest: &mut Bytes<'a>) -> Option<(u16, &'a [u8])> {
    let (id, len) = (rest.u16()?, rest.u16()?);
    Some((id, rest.take(usize::from(len))?))
}
