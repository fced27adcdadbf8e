//! The module's environment as the hub sends it: `KEY=VALUE` pairs, each ended by a NUL byte.
//!
//! No value can hold a NUL byte, so the format needs no escapes and its reader no parser that could be fooled.

use std::ffi::CString;

/// Why an environment cannot be used. Never holds a value of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EnvironmentError {
    /// The last pair has no end.
    Truncated,
    /// The pair of this position has no `=`, or no name before it.
    NoName(usize),
}

impl std::fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated => f.write_str("it ends in the middle of a value"),
            Self::NoName(position) => write!(f, "entry {position} has no name"),
        }
    }
}

/// Reads the pairs.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<CString>, EnvironmentError> {
    let mut pairs = Vec::new();
    let mut rest = body;
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let (pair, after) = rest.split_at(end);
        if pair.iter().position(|byte| *byte == b'=').is_none_or(|equals| equals == 0) {
            return Err(EnvironmentError::NoName(pairs.len()));
        }
        pairs.push(CString::new(pair).map_err(|_| EnvironmentError::Truncated)?);
        rest = after.get(1..).unwrap_or_default();
    }
    if rest.is_empty() { Ok(pairs) } else { Err(EnvironmentError::Truncated) }
}

/// `own` with `added` over it: a name that is in both has the value of `added`.
pub(crate) fn merge(own: impl Iterator<Item = CString>, added: Vec<CString>) -> Vec<CString> {
    let mut merged: Vec<CString> = own.filter(|pair| !added.iter().any(|new| name_of(new) == name_of(pair))).collect();
    merged.extend(added);
    merged
}

fn name_of(pair: &CString) -> &[u8] {
    pair.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{EnvironmentError, merge, parse};

    #[test]
    fn pairs_are_read_as_they_are() {
        let pairs = parse(b"A=1\0EMPTY=\0URL=http://x?a=b\nsecond line\0").unwrap();
        assert_eq!(pairs, [c"A=1", c"EMPTY=", c"URL=http://x?a=b\nsecond line"].map(|pair| pair.to_owned()));
        assert_eq!(parse(b""), Ok(vec![]));
    }

    #[test]
    fn broken_pairs_are_refused() {
        for (body, error) in [
            (&b"A=1\0B=2"[..], EnvironmentError::Truncated),
            (b"A", EnvironmentError::Truncated),
            (b"A=1\0B\0", EnvironmentError::NoName(1)),
            (b"=1\0", EnvironmentError::NoName(0)),
            (b"\0", EnvironmentError::NoName(0)),
        ] {
            assert_eq!(parse(body), Err(error), "{body:?}");
        }
    }

    #[test]
    fn the_hub_wins_over_the_image() {
        let own = [c"PATH=/bin".to_owned(), c"HOME=/data".to_owned()];
        let merged = merge(own.into_iter(), vec![c"HOME=/other".into(), c"A=1".into()]);
        assert_eq!(merged, [c"PATH=/bin", c"HOME=/other", c"A=1"].map(|pair| pair.to_owned()));
    }
}
