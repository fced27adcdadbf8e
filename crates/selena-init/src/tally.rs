//! How often each denied call was attempted. Its size does not depend on what a module does.

use std::fmt::Write as _;

use selena_syscalls::{CLONE, Call, DENIED, EAFNOSUPPORT, EPERM, SOCKET, family_name};

/// More families than Linux has; what is beyond is counted as one.
const FAMILIES: usize = 64;

/// Counts of attempts; each stays at its largest value once it is there.
#[derive(Debug)]
pub(crate) struct Tally {
    calls: [u32; DENIED.len()],
    clones: u32,
    families: [u32; FAMILIES],
    other_families: u32,
    /// What no row stands for: it can only be a fault of the filter, and is told as such.
    unknown: u32,
}

impl Tally {
    pub(crate) const fn new() -> Self {
        Self { calls: [0; DENIED.len()], clones: 0, families: [0; FAMILIES], other_families: 0, unknown: 0 }
    }

    /// Counts a call, and says which error it is to be answered with.
    pub(crate) fn count(&mut self, number: u32, argument: u64) -> i32 {
        let is = |call: &Call| call.number() == Some(number);
        if is(&SOCKET) {
            let family = usize::try_from(argument).ok().and_then(|family| self.families.get_mut(family));
            increase(family.unwrap_or(&mut self.other_families));
            // Of netlink the family is there; it is the protocol that is denied.
            return if argument == u64::from(selena_syscalls::AF_NETLINK) { EPERM } else { EAFNOSUPPORT };
        }
        if is(&CLONE) {
            increase(&mut self.clones);
        } else {
            let row = DENIED.iter().position(is).and_then(|row| self.calls.get_mut(row));
            increase(row.unwrap_or(&mut self.unknown));
        }
        EPERM
    }

    /// `NAME COUNT` on a line for each that was attempted, as the hub takes it.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        let mut line = |name: &str, count: u32| {
            if count > 0 {
                // A String takes all.
                let _ = writeln!(lines, "{name} {count}");
            }
        };
        DENIED.iter().zip(self.calls).for_each(|(call, count)| line(call.name, count));
        line(CLONE.name, self.clones);
        for (family, count) in (0..).zip(self.families) {
            match family_name(family) {
                Some(name) => line(&format!("socket({name})"), count),
                None => line(&format!("socket({family})"), count),
            }
        }
        line("socket(other)", self.other_families);
        line("unknown", self.unknown);
        lines
    }
}

fn increase(count: &mut u32) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str) -> u32 {
        DENIED.iter().find(|call| call.name == name).unwrap().number().unwrap()
    }

    #[test]
    fn each_call_has_its_count_and_its_error() {
        let mut tally = Tally::new();
        let socket = SOCKET.number().unwrap();
        assert_eq!(tally.lines(), "");
        assert_eq!(tally.count(number("mount"), 0), 1);
        assert_eq!(tally.count(number("mount"), 7), 1);
        assert_eq!(tally.count(CLONE.number().unwrap(), 0x1000_0000), 1);
        assert_eq!(tally.count(socket, 40), 97);
        assert_eq!(tally.count(socket, 16), 1);
        assert_eq!(tally.count(socket, 45), 97);
        assert_eq!(tally.count(socket, 1 << 32 | 40), 97);
        assert_eq!(tally.count(9999, 0), 1);
        let lines =
            "mount 2\nclone 1\nsocket(AF_NETLINK) 1\nsocket(AF_VSOCK) 1\nsocket(45) 1\nsocket(other) 1\nunknown 1\n";
        assert_eq!(tally.lines(), lines);
    }

    #[test]
    fn counts_end_at_their_largest_value() {
        let mut tally = Tally::new();
        tally.calls[0] = u32::MAX;
        tally.count(DENIED[0].number().unwrap(), 0);
        assert_eq!(tally.lines(), format!("{} {}\n", DENIED[0].name, u32::MAX));
    }
}
