//! Whether a program can run in a container that holds nothing but its package (protocol, section 4).

/// How much of a program is looked at, in bytes; the headers stand at its beginning.
pub(super) const HEAD_BYTES: u64 = 64 << 10;

const ELF: &[u8] = b"\x7fELF";
/// 64 bits, least significant byte first: what every hub is.
const ELF_64_LITTLE: [u8; 2] = [2, 1];
/// A program header that names the dynamic loader.
const PT_INTERP: u64 = 3;

/// What keeps the program with this beginning from running, for people.
pub(super) fn problem(head: &[u8]) -> Option<String> {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = String::from_utf8_lossy(line.split(|b| *b == b'\n').next().unwrap_or_default()).into_owned();
        let interpreter = line.split_whitespace().next().unwrap_or_default();
        return (!interpreter.starts_with("/app/")).then(|| {
            format!(
                "is a script for `{interpreter}`, which its container does not have; only a path below /app is there"
            )
        });
    }
    if !head.starts_with(ELF) {
        return Some("is neither an ELF program nor a script with a `#!` line".to_owned());
    }
    if head.get(4..6) != Some(&ELF_64_LITTLE) {
        return Some("is an ELF program of another kind of machine than a hub".to_owned());
    }
    let loader = loader(head)?;
    (!loader.starts_with("/app/")).then(|| {
        format!(
            "wants the loader {loader} and a C library, which its container does not have; link it statically (Rust: \
             `-C target-feature=+crt-static`, or a `-musl` target)"
        )
    })
}

/// The dynamic loader an ELF program names.
fn loader(head: &[u8]) -> Option<String> {
    let (table, size, count) = (number(head, 32, 8)?, number(head, 54, 2)?, number(head, 56, 2)?);
    let headers = (0..count).filter_map(|index| usize::try_from(table.checked_add(index * size)?).ok());
    let interp = headers.into_iter().find(|at| number(head, *at, 4) == Some(PT_INTERP))?;
    let from = usize::try_from(number(head, interp.checked_add(8)?, 8)?).ok()?;
    let text = head.get(from..)?.split(|b| *b == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// A number of some bytes, least significant first.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF program of one header of this type that points to a loader's name.
    fn elf(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64; // where the table of headers begins
        bytes[54] = 56; // how long each is
        bytes[56] = 1; // how many there are
        let mut header = vec![0; 56];
        header[0] = kind;
        header[8] = 120; // where what it speaks of lies
        bytes.extend(header);
        bytes.extend(b"/lib64/ld-linux-x86-64.so.2\0");
        bytes
    }

    #[test]
    fn only_what_brings_all_it_needs_can_run() {
        for (head, says) in [
            (elf(1), None),
            (elf(3), Some("/lib64/ld-linux-x86-64.so.2")),
            (b"#!/app/bin/lua x\n".to_vec(), None),
            (b"#!/bin/sh\n".to_vec(), Some("`/bin/sh`")),
            (b"#!".to_vec(), Some("``")),
            (b"\x7fELF\x01\x01".to_vec(), Some("another kind")),
            (b"print('x')".to_vec(), Some("neither")),
            (Vec::new(), Some("neither")),
        ] {
            match (problem(&head), says) {
                (None, None) => {}
                (Some(problem), Some(says)) if problem.contains(says) => {}
                (problem, says) => panic!("{problem:?} is not {says:?}"),
            }
        }
    }

    #[test]
    fn a_cut_or_lying_header_is_no_panic() {
        let whole = elf(3);
        for cut in 0..whole.len() {
            let _ = problem(&whole[..cut]);
        }
        for at in 32..64 {
            let mut lying = whole.clone();
            lying[at] = 0xff;
            let _ = problem(&lying);
        }
    }
}
