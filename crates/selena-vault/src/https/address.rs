//! Which addresses are outside (protocol, section 7): those in no special-purpose registry.
//!
//! The tables are IANA's registries of special-purpose addresses, RFC 6890 and later, multicast and the reserved rest added.
//! What the registries call globally reachable is refused too: no API lives at an anycast service or a translator.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of IPv4 that are not outside: first address, length of the prefix, what the block is for; the narrower first.
const V4: [(Ipv4Addr, u32, &str); 19] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider's customers"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "AS112"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "automatic multicast tunnelling"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(192, 175, 48, 0), 24, "AS112"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// The part of IPv6 that is given out for the global network; all the rest is special or nobody's.
const V6_GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks of IPv6 that are not outside; the narrower first.
const V6: [(Ipv6Addr, u32, &str); 17] = [
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "an IPv4 address, mapped"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, "an IPv4 address, compatible form"),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, "an IPv4 address behind a translator"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "an IPv4 address behind a local translator"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discarded"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, "AS112"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "segment routing"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, PRIVATE),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

/// What the blocks of private networks are for: RFC 1918, and RFC 4193 with all of `fc00::/7`.
const PRIVATE: &str = "private use";

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those outside.
    Outside,
    /// Those of private networks too, and no other special ones: not loopback, and no link-local ones, at which machines
    /// of a cloud find their credentials.
    OutsideAndLan,
}

impl Reach {
    /// What an address is for if it may not be connected to; `None` if it may.
    pub(super) fn refuses(self, address: IpAddr) -> Option<&'static str> {
        special(address).filter(|purpose| !(self == Self::OutsideAndLan && *purpose == PRIVATE))
    }
}

/// What an address is for if it is not outside; `None` if it is.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            V4.iter().find(|(block, prefix, _)| in_v4(address, *block, *prefix)).map(|(_, _, purpose)| *purpose)
        }
        IpAddr::V6(address) => {
            let known = V6.iter().find(|(block, prefix, _)| in_v6(address, *block, *prefix));
            let unassigned = || (!in_v6(address, V6_GLOBAL.0, V6_GLOBAL.1)).then_some("nobody's");
            known.map(|(_, _, purpose)| *purpose).or_else(unassigned)
        }
    }
}

fn in_v4(address: Ipv4Addr, block: Ipv4Addr, prefix: u32) -> bool {
    let shift = Ipv4Addr::BITS - prefix;
    address.to_bits() >> shift == block.to_bits() >> shift
}

fn in_v6(address: Ipv6Addr, block: Ipv6Addr, prefix: u32) -> bool {
    let shift = Ipv6Addr::BITS - prefix;
    address.to_bits() >> shift == block.to_bits() >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_outside(text: &str) -> bool {
        special(text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).is_none()
    }

    #[test]
    fn u05_special_ipv4_addresses_are_not_outside_and_their_neighbours_are() {
        for inside in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.9",
            "192.0.0.255",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "192.175.48.1",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "224.0.0.0",
            "224.0.0.251",
            "239.255.255.255",
            "240.0.0.0",
            "254.255.255.255",
            "255.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_outside(inside), "{inside}");
        }
        for outside in [
            "1.0.0.0",
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.254",
            "100.63.255.255",
            "100.128.0.0",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
        ] {
            assert!(is_outside(outside), "{outside}");
        }
    }

    #[test]
    fn u03_u05_special_ipv6_addresses_are_not_outside_and_their_neighbours_are() {
        for inside in [
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "64:ff9b:1:ffff::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:0:53aa:64c::1",
            "2001:1::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2001:db8:ffff::1",
            "2002::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "2620:4f:8000::1",
            "3fff::1",
            "3fff:fff:ffff::1",
            "5f00::1",
            "4000::1",
            "1fff::1",
            "fc00::1",
            "fdff:ffff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff02::1",
            "ff0e::1",
            "ffff::1",
        ] {
            assert!(!is_outside(inside), "{inside}");
        }
        for outside in [
            "2000::1",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700:4700::1111",
            "2620:4f:7fff::1",
            "2620:4f:8001::1",
            "2a00:1450::1",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert!(is_outside(outside), "{outside}");
        }
    }

    #[test]
    fn of_the_special_addresses_only_private_ones_are_let_through_in_the_lan() {
        let refused = |text: &str| Reach::OutsideAndLan.refuses(text.parse().unwrap()).is_some();
        for lan in ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.5", "fc00::1", "fd12:3456::1", "8.8.8.8"] {
            assert!(!refused(lan), "{lan}");
        }
        for never in [
            "0.0.0.0",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "169.254.169.254",
            "192.0.0.8",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::ffff:192.168.1.5",
            "64:ff9b::c0a8:105",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(refused(never), "{never}");
        }
        assert!(Reach::Outside.refuses("192.168.1.5".parse().unwrap()).is_some());
    }

    /// Whether a manifest may name the address, with `lan`.
    fn may_be_named(address: IpAddr) -> bool {
        let manifest = serde_json::json!({
            "name": "lamp", "version": "1.0.0", "type": "DRIVER", "api_version": "1.0", "port": 8100,
            "permissions": ["network.egress"],
            "network": {"egress": [{"host": address, "port": 443, "protocol": "tcp", "lan": true}]},
        });
        let limits = selena_types::ResourceLimits { memory_mb: 1024, cpu: 2.0, data_mb: 1024 };
        let core = "1.0.0".parse().unwrap();
        selena_types::Manifest::parse(manifest.to_string().as_bytes(), &core, &limits).is_ok()
    }

    #[test]
    fn m09_a_manifest_may_name_what_is_connected_to_and_no_other_address() {
        let v4 = V4.iter().map(|(block, prefix, _)| (block.to_bits(), u32::MAX.checked_shr(*prefix).unwrap_or(0)));
        let v4 =
            v4.flat_map(|(first, rest)| [first.wrapping_sub(1), first, first | rest, (first | rest).wrapping_add(1)]);
        let v6 = V6.iter().map(|(block, prefix, _)| (block.to_bits(), u128::MAX.checked_shr(*prefix).unwrap_or(0)));
        let v6 =
            v6.flat_map(|(first, rest)| [first.wrapping_sub(1), first, first | rest, (first | rest).wrapping_add(1)]);
        let all = v4.map(|bits| IpAddr::V4(bits.into())).chain(v6.map(|bits| IpAddr::V6(bits.into())));
        for address in all {
            let is_reached = Reach::OutsideAndLan.refuses(address).is_none();
            assert_eq!(may_be_named(address), is_reached, "{address}");
        }
    }
}
