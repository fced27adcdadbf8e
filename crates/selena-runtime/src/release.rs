//! Whether the system is a released image (protocol, section 12).

use std::{fs, io, path::Path};

/// Where the system describes itself (`os-release(5)`).
pub const OS_RELEASE: &str = "/etc/os-release";

/// Whether the system is a released image, where `--dev` is refused: its os-release has `VARIANT_ID=release`.
/// A system without that file is none.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn is_release(os_release: &Path) -> io::Result<bool> {
    match fs::read(os_release) {
        Ok(text) => Ok(variant_id(&String::from_utf8_lossy(&text)).as_deref() == Some("release")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The `VARIANT_ID` of an os-release text; as in a shell, the last assignment counts.
#[must_use]
pub fn variant_id(os_release: &str) -> Option<String> {
    os_release.lines().rev().find_map(|line| line.trim().strip_prefix("VARIANT_ID=")).map(unquoted)
}

fn unquoted(value: &str) -> String {
    let inner = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    inner.unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variant_is_read_as_a_shell_would() {
        for (text, variant) in [
            ("NAME=Selena\nVARIANT_ID=release\n", Some("release")),
            ("VARIANT_ID=\"release\"", Some("release")),
            ("VARIANT_ID='dev'\r\n", Some("dev")),
            ("VARIANT_ID=dev\nVARIANT_ID=release\n", Some("release")),
            ("#VARIANT_ID=release\nMY_VARIANT_ID=release\n", None),
            ("VARIANT=release\n", None),
            ("VARIANT_ID=\"", Some("\"")),
            ("", None),
        ] {
            assert_eq!(variant_id(text).as_deref(), variant, "{text:?}");
        }
    }

    #[test]
    fn only_a_released_image_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("os-release");
        assert!(!is_release(&file).unwrap(), "no file");
        fs::write(&file, "VARIANT_ID=release\n").unwrap();
        assert!(is_release(&file).unwrap());
        fs::write(&file, b"NAME=\xff\nVARIANT_ID=lab\n").unwrap();
        assert!(!is_release(&file).unwrap());
        assert!(is_release(dir.path()).is_err(), "a directory cannot be read");
    }
}
