//! Paths of a manifest that name files of the package (protocol, section 3; faults M10).

/// Longest path in bytes; the same as of a package's entries.
const MAX_BYTES: usize = 200;

/// A path inside the package: relative, with `/`, without empty, `.` and `..` parts, at most 200 bytes.
pub(super) fn package_path(text: &str) -> Result<String, &'static str> {
    let good_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    let good_char = |c: char| c != '\\' && !c.is_control();
    let drive = matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if text.len() <= MAX_BYTES && !drive && text.chars().all(good_char) && text.split('/').all(good_part) {
        Ok(text.to_owned())
    } else {
        Err("must be the path of a file of the package: relative, with `/`, without `..` and `\\`, at most 200 bytes")
    }
}
