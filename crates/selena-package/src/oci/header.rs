//! One header block of a tar (POSIX.1-2001 `ustar`, with GNU's large numbers).

use super::ImageError;

/// Size of a block in bytes.
pub(crate) const BLOCK: usize = 512;

const MAGIC_POSIX: &[u8] = b"ustar\0";
const MAGIC_GNU: &[u8] = b"ustar ";

/// What a header says by itself, before longer names of the headers around it are put in.
#[derive(Debug)]
pub(crate) struct RawHeader {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) type_flag: u8,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) mtime: u64,
}

/// Reads a block that is not all zeros.
pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<RawHeader, ImageError> {
    let stated = number(&block[148..156])?;
    let sum: u64 =
        block.iter().enumerate().map(|(at, b)| u64::from(if (148..156).contains(&at) { b' ' } else { *b })).sum();
    if stated != sum {
        return Err(ImageError::corrupt("a header of a tar has a wrong checksum"));
    }
    let magic = &block[257..263];
    let mut path = text(&block[..100]).to_vec();
    let prefix = text(&block[345..500]);
    if magic == MAGIC_POSIX && !prefix.is_empty() {
        path = [prefix, b"/", &path].concat();
    } else if magic != MAGIC_POSIX && magic != MAGIC_GNU && magic != [0; 6] {
        return Err(ImageError::corrupt("a header of a tar is of an unknown kind"));
    }
    let mode = number(&block[100..108])?;
    Ok(RawHeader {
        path,
        link: text(&block[157..257]).to_vec(),
        type_flag: block[156],
        size: number(&block[124..136])?,
        mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
        // A time before 1970 is no reason to refuse an image; it is only shown.
        mtime: number(&block[136..148]).unwrap_or_default(),
    })
}

/// A field up to its first NUL byte.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number: octal digits with blanks around, or, if the first bit is set, big-endian. Never negative, never more than
/// 63 bits.
fn number(field: &[u8]) -> Result<u64, ImageError> {
    let bad = || ImageError::corrupt("a number in a tar's header is none, negative or huge");
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let is_negative = first & 0x40 != 0;
        let (high, low) = rest.split_at(rest.len().saturating_sub(8));
        let value = low.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let fits = !is_negative && first & 0x3f == 0 && high.iter().all(|byte| *byte == 0);
        return if fits && i64::try_from(value).is_ok() { Ok(value) } else { Err(bad()) };
    }
    let digits = text(field).trim_ascii();
    if digits.is_empty() {
        return Ok(0);
    }
    let digit = |value: u64, byte: &u8| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    };
    digits.iter().try_fold(0, digit).filter(|value| i64::try_from(*value).is_ok()).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_octal_or_binary_and_never_negative_or_huge() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"  644 \0 ", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"\x80\0\0\0\0\0\x02\x01", 513),
            (b"77777777777\0", 0o77_777_777_777),
        ] {
            assert_eq!(number(field).unwrap(), value, "{field:?}");
        }
        for field in [
            &b"\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x80\x01\0\0\0\0\0\0\0\0\0\0",
            b"\x81\0\0\0\0\0\0\0",
            b"-000001\0",
            b"0000009\0",
            b"0x10\0\0\0\0",
        ] {
            assert!(number(field).is_err(), "{field:?}");
        }
    }
}
