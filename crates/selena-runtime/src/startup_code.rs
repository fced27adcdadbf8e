//! Gives back the code that only the start needed: a hub runs for months on what it reads in its first seconds.
//!
//! The pages of a program's code are mapped as they are reached, and those around them. Unmapping them once the start is
//! over costs nothing but the faults by which the few that are needed come back, from the page cache.
#![expect(unsafe_code, reason = "unmapping pages is a call that Rust cannot check; the block says why it holds")]

use std::{ffi::c_void, fs, ptr::NonNull};

use nix::sys::mman::{MmapAdvise, madvise};

/// Unmaps the pages of this program's own code. Whatever fails leaves things as they are.
pub fn give_back() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    let Ok(program) = std::env::current_exe() else { return };
    let own_code = maps.lines().filter_map(|line| code(line, &program.to_string_lossy()));
    for (start, bytes) in own_code {
        let Some(start) = NonNull::new(start as *mut c_void) else { continue };
        // JUSTIFICATION: there is no safe call for it.
        // SAFETY: the range is one mapping of this program's file, private and never writable (`r-xp`): it has no page
        // that is not in the file, and what is dropped here is read from there again when it is reached.
        if let Err(error) = unsafe { madvise(start, bytes, MmapAdvise::MADV_DONTNEED) } {
            tracing::debug!(%error, "the code of the start stays mapped");
        }
    }
}

/// Start and length of a line of `/proc/self/maps`, if it is code of this program: `start-end r-xp … path`.
fn code(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, mode) = (fields.next()?, fields.next()?);
    let path = line.split_once('/').map(|(_, path)| path)?;
    if mode != "r-xp" || path != program.trim_start_matches('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_this_program_is_given_back() {
        let good = "55d0a000-55d0c000 r-xp 00001000 fe:00 42   /usr/bin/selenad";
        assert_eq!(code(good, "/usr/bin/selenad"), Some((0x55d0_a000, 0x2000)));
        for other in [
            "55d0a000-55d0c000 r--p 00001000 fe:00 42   /usr/bin/selenad",
            "55d0a000-55d0c000 rwxp 00001000 fe:00 42   /usr/bin/selenad",
            "55d0a000-55d0c000 r-xp 00001000 fe:00 42   /usr/bin/selenad (deleted)",
            "55d0a000-55d0c000 r-xp 00001000 fe:00 42   /usr/lib/libc.so.6",
            "7ffd0000-7ffd2000 r-xp 00000000 00:00 0    [vdso]",
            "",
        ] {
            assert_eq!(code(other, "/usr/bin/selenad"), None, "{other}");
        }
    }

    #[test]
    fn a_program_goes_on_without_its_mapped_code() {
        let sum = || (0..1000_u64).map(|n| n * n % 7).sum::<u64>();
        let before = sum();
        give_back();
        assert_eq!(sum(), before);
        let mapped = fs::read_to_string("/proc/self/maps").expect("Linux");
        let program = std::env::current_exe().expect("a program");
        assert!(mapped.lines().any(|line| code(line, &program.to_string_lossy()).is_some()), "its own code was found");
    }
}
