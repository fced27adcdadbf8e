//! Numbers that no computer holds, such as `1e400`: JSON to its grammar, an error of range to a manifest.

use serde::de::IgnoredAny;

/// Stands for a number too large; larger than every range of a manifest.
const TOO_LARGE: &[u8] = b"1e308";

/// The text with each number that overflows replaced by one that is out of every range, and whether there was one.
///
/// So such a number is reported at its own place like any other one out of range. The text is JSON exactly if it was.
pub(super) fn without_overflow(text: &[u8]) -> (Vec<u8>, bool) {
    let (mut out, mut rest, mut found) = (Vec::with_capacity(text.len()), text, false);
    while let Some(first) = rest.first() {
        let taken = match first {
            b'"' => string_len(rest),
            b'0'..=b'9' | b'+' | b'-' | b'.' => rest.iter().take_while(|byte| is_numeric(**byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(taken);
        let replace = overflows(token);
        out.extend_from_slice(if replace { TOO_LARGE } else { token });
        found |= replace;
        rest = after;
    }
    (out, found)
}

fn is_numeric(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// Length of the string at the start, with its quotes; to the end if it is not closed.
fn string_len(text: &[u8]) -> usize {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn overflows(token: &[u8]) -> bool {
    let number = std::str::from_utf8(token).ok().and_then(|text| text.parse::<f64>().ok());
    let digit_first = token.iter().find(|byte| **byte != b'-').is_some_and(u8::is_ascii_digit);
    digit_first && number.is_some_and(f64::is_infinite) && serde_json::from_slice::<IgnoredAny>(token).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m06_only_numbers_that_overflow_are_replaced() {
        for (text, expected) in [
            (r#"{"a":1e400}"#, Some(r#"{"a":1e308}"#)),
            ("[-1e999,1]", Some("[1e308,1]")),
            (r#"{"1e400":"\"1e400"}"#, None),
            ("[+1e400]", None),
            ("[01e400]", None),
            ("[1.e400]", None),
            ("[1e400e1]", None),
            ("[1e308, 1e-400, 18446744073709551616]", None),
            (r#""1e400"#, None),
        ] {
            let (out, found) = without_overflow(text.as_bytes());
            assert_eq!(
                (String::from_utf8(out).unwrap().as_str(), found),
                (expected.unwrap_or(text), expected.is_some())
            );
        }
    }
}
