//! Names of entries (Z03 to Z06, Z17).

use crate::{Limits, ZipError, error::shown};

/// Names that are devices on Windows, with any extension; `0` to `9` follows the last two.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// The path of an entry without the `/` that marks a directory, and whether that was there.
pub(crate) fn check<'a>(name: &'a [u8], limits: &Limits) -> Result<(&'a str, bool), ZipError> {
    let bad = |why| ZipError::Name { name: shown(name), why };
    if name.is_empty() {
        return Err(bad("it is empty"));
    }
    if name.len() > limits.path_bytes {
        return Err(bad("it is too long; shorten the path"));
    }
    let text = std::str::from_utf8(name).map_err(|_| bad("it is not UTF-8"))?;
    if leaves(text) {
        return Err(ZipError::Path(shown(name)));
    }
    if text.chars().any(is_unseen) {
        return Err(bad("it has control or invisible characters"));
    }
    let path = text.strip_suffix('/').unwrap_or(text);
    if path.split('/').count() > limits.depth {
        return Err(bad("it is too deep; use fewer directories"));
    }
    match path.split('/').find_map(problem) {
        Some(why) => Err(bad(why)),
        None => Ok((path, path.len() < text.len())),
    }
}

/// Whether some system would look for the path outside of the package.
fn leaves(text: &str) -> bool {
    let drive = matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    drive || text.starts_with('/') || text.contains('\\') || text.split('/').any(|part| part == "..")
}

/// Controls, and what changes how the text around it is shown: direction marks, zero widths, line separators.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn problem(part: &str) -> Option<&'static str> {
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    match part {
        "" => Some("it has an empty part"),
        "." => Some("it has a part `.`"),
        _ if part.ends_with(['.', ' ']) => Some("a part ends with a dot or a blank"),
        _ if DEVICES.contains(&stem.as_str()) || is_port(&stem) => Some("a part is a device's name on Windows"),
        _ => None,
    }
}

/// `com` or `lpt` and one digit, also a superscript one.
fn is_port(stem: &str) -> bool {
    let number = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let mut chars = number.unwrap_or_default().chars();
    matches!((chars.next(), chars.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}
