//! The text of a header: stanzas of a type, arguments and a body.

use std::io::BufRead;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use super::AgeError;

/// Most bytes of a header; those that are written have about 200.
const MOST_BYTES: usize = 64 * 1024;
/// Characters of a full line of a body.
const COLUMNS: usize = 64;

/// One way to the file's key.
#[derive(Debug)]
pub(super) struct Stanza {
    pub(super) arguments: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Stanza {
    pub(super) fn write(&self, into: &mut String) {
        into.push_str("->");
        for argument in &self.arguments {
            into.push(' ');
            into.push_str(argument);
        }
        into.push('\n');
        let body = encode(&self.body);
        let mut rest = body.as_str();
        // A last line that is shorter than the others, and perhaps empty, ends it.
        while rest.len() >= COLUMNS {
            let (line, after) = rest.split_at(COLUMNS);
            into.push_str(line);
            into.push('\n');
            rest = after;
        }
        into.push_str(rest);
        into.push('\n');
    }
}

/// Reads lines, and keeps what was read.
pub(super) struct Lines<'a, R> {
    from: &'a mut R,
    pub(super) read: Vec<u8>,
}

impl<'a, R: BufRead> Lines<'a, R> {
    pub(super) fn new(from: &'a mut R) -> Self {
        Self { from, read: Vec::new() }
    }

    /// The next line without its end.
    pub(super) fn next(&mut self) -> Result<String, AgeError> {
        let begin = self.read.len();
        loop {
            let mut byte = [0];
            match std::io::Read::read_exact(self.from, &mut byte) {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(AgeError::Header("it is cut"));
                }
                read => read?,
            }
            self.read.push(byte[0]);
            if byte[0] == b'\n' {
                break;
            }
            if self.read.len() > MOST_BYTES {
                return Err(AgeError::Header("it is longer than 64 KiB"));
            }
        }
        let line = &self.read[begin..self.read.len() - 1];
        if line.iter().any(|byte| !(b' '..=b'~').contains(byte)) {
            return Err(AgeError::Header("it has a character that does not belong there"));
        }
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    /// The stanza whose first line, without its arrow, this is.
    pub(super) fn stanza(&mut self, first: &str) -> Result<Stanza, AgeError> {
        let arguments: Vec<_> = first.split(' ').map(str::to_owned).collect();
        if arguments.iter().any(String::is_empty) {
            return Err(AgeError::Header("an argument is empty"));
        }
        let mut text = String::new();
        loop {
            let line = self.next()?;
            if line.len() > COLUMNS {
                return Err(AgeError::Header("a line is too long"));
            }
            text.push_str(&line);
            if line.len() < COLUMNS {
                break;
            }
        }
        Ok(Stanza { arguments, body: decode(&text)? })
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Canonical base64 without padding.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, AgeError> {
    STANDARD_NO_PAD.decode(text).map_err(|_| AgeError::Header("it has a value that is no canonical base64"))
}

/// As [`decode`], of a length that is known.
pub(super) fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], AgeError> {
    decode(text)?.try_into().map_err(|_| AgeError::Header("a value has the wrong length"))
}
