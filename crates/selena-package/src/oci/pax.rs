//! Extended headers (POSIX.1-2001 `pax`): what of them counts here.

use super::ImageError;

/// What an extended header says of the entry behind it.
#[derive(Debug, Default)]
pub(crate) struct Extended {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    /// It is stored without its holes, in a form of GNU's.
    pub(crate) is_sparse: bool,
    /// It has file capabilities, or another attribute of security.
    pub(crate) has_privilege: bool,
}

impl Extended {
    /// Takes the records `<length> <key>=<value>\n`; a later record wins, as in the standard.
    pub(crate) fn read(&mut self, mut records: &[u8]) -> Result<(), ImageError> {
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or_else(bad)?;
            self.take(key, value)?;
            records = rest;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), ImageError> {
        // An empty value takes the record back.
        let given = |value: &[u8]| (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = given(value),
            b"linkpath" => self.link = given(value),
            b"size" => self.size = if value.is_empty() { None } else { Some(decimal(value).ok_or_else(bad)?) },
            _ if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ if key.starts_with(b"SCHILY.xattr.security.") || key.starts_with(b"LIBARCHIVE.xattr.security.") => {
                self.has_privilege = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it says anything that would change how an entry is read.
    pub(crate) fn changes_reading(&self) -> bool {
        self.path.is_some() || self.link.is_some() || self.size.is_some() || self.is_sparse
    }
}

fn bad() -> ImageError {
    ImageError::corrupt("an extended header of a tar is malformed")
}

/// Key, value, and what follows the record.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&records[..blank])?).ok()?;
    let (whole, rest) = records.split_at_checked(length)?;
    let pair = whole.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&pair[..equals], &pair[equals + 1..]);
    (!key.is_empty()).then_some((key, value, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Extended;

    #[test]
    fn records_are_read_and_malformed_ones_refused() {
        let mut extended = Extended::default();
        extended.read(b"10 path=x\n12 size=123\n8 path=\n30 mtime=1700000000.123456789\n").unwrap();
        assert_eq!((extended.path.take(), extended.size), (None, Some(123)));
        for records in [
            &b"10 path=x"[..],
            b"99 path=x\n",
            b"4 path=x\n",
            b"path=x\n",
            b"6 path\n",
            b"5 =x\n",
            b"12 size=-12\n",
            b"0 \n",
            b" \n",
            b"99999999999999999999 path=x\n",
        ] {
            assert!(Extended::default().read(records).is_err(), "{records:?}");
        }
    }
}
