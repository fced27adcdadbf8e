//! Where a module asks to be connected to, and whether a rule of its manifest names that (protocol, section 3).

use std::{fmt, net::IpAddr};

use selena_types::EgressRule;

/// Longest DNS name, in bytes.
const MAX_NAME_BYTES: usize = 253;
/// Longest label of a name, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// A host and a port, as `CONNECT` names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// In lower case.
    Name(String),
    Address(IpAddr),
}

/// The text names no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the target must be `host:port`: a DNS name or an IP address (IPv6 in brackets), and a port from 1 to 65535")]
pub struct PlaceError;

impl Place {
    /// Reads `name:port`, `1.2.3.4:port` or `[::1]:port`. Names lose their capitals and nothing else.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let (host, port) = text.rsplit_once(':').ok_or(PlaceError)?;
        let number = port.parse::<u16>().ok().filter(|number| *number > 0 && number.to_string() == port);
        Ok(Self { host: Host::parse(host)?, port: number.ok_or(PlaceError)? })
    }

    /// The host, without brackets.
    pub(super) fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether a rule names it: the port, and the very name, a name below its wildcard, or the very address.
    pub(super) fn is_named_by(&self, rule: &EgressRule) -> bool {
        let is_host = match &self.host {
            Host::Address(address) => rule.host.parse::<IpAddr>().is_ok_and(|allowed| allowed == *address),
            Host::Name(name) => match rule.host.strip_prefix('*') {
                // What is left of the wildcard begins with its dot: the name itself is not below it.
                Some(suffix) => name.strip_suffix(suffix).is_some_and(|below| !below.is_empty()),
                None => *name == rule.host,
            },
        };
        is_host && self.port == rule.port
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, PlaceError> {
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse().map(|v6| Self::Address(IpAddr::V6(v6))).map_err(|_| PlaceError);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        let name = text.to_ascii_lowercase();
        let is_name = name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label);
        if is_name { Ok(Self::Name(name)) } else { Err(PlaceError) }
    }
}

/// A part of a name; with `_`, which some services have in theirs.
fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(allowed)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host(), self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: &str, port: u16) -> EgressRule {
        EgressRule { host: host.to_owned(), port, protocol: "tcp".to_owned(), lan: false }
    }

    #[test]
    fn a_place_is_a_host_and_a_port_and_nothing_more() {
        for (text, shown) in [
            ("api.example.com:443", "api.example.com:443"),
            ("API.Example.COM:1", "api.example.com:1"),
            ("a_b.example.com:65535", "a_b.example.com:65535"),
            ("192.168.1.5:1883", "192.168.1.5:1883"),
            ("[2606:2800::1]:443", "[2606:2800::1]:443"),
            ("[2606:2800:0::0001]:443", "[2606:2800::1]:443"),
        ] {
            assert_eq!(Place::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let long = format!("{}.example.com:443", "a".repeat(64));
        let longest = format!("{}:443", "a.".repeat(130));
        for bad in [
            "",
            ":",
            "api.example.com",
            "api.example.com:",
            ":443",
            "api.example.com:0",
            "api.example.com:65536",
            "api.example.com:0443",
            "api.example.com:+443",
            "api.example.com:443/",
            "api.example.com.:443",
            ".example.com:443",
            "api..example.com:443",
            "user@api.example.com:443",
            "https://api.example.com:443",
            "*.example.com:443",
            "api.example.com\0.evil:443",
            "äpi.example.com:443",
            "2606:2800::1:443",
            "[192.168.1.5]:443",
            "[fe80::1%eth0]:443",
            "[::1:443",
            long.as_str(),
            longest.as_str(),
        ] {
            assert_eq!(Place::parse(bad), Err(PlaceError), "{bad:?}");
        }
    }

    #[test]
    fn only_the_named_host_and_port_are_let_through() {
        let exact = [rule("api.example.com", 443)];
        let wildcard = [rule("*.cdn.example.com", 8443)];
        let literal = [rule("192.168.1.5", 1883), rule("fd00::5", 1883)];
        for (rules, text, passes) in [
            (&exact[..], "api.example.com:443", true),
            (&exact, "API.EXAMPLE.COM:443", true),
            (&exact, "api.example.com:80", false),
            (&exact, "example.com:443", false),
            (&exact, "evil-api.example.com:443", false),
            (&exact, "x.api.example.com:443", false),
            (&exact, "api.example.com.evil.com:443", false),
            (&exact, "93.184.216.34:443", false),
            (&wildcard, "a.cdn.example.com:8443", true),
            (&wildcard, "a.b.cdn.example.com:8443", true),
            (&wildcard, "cdn.example.com:8443", false),
            (&wildcard, "evilcdn.example.com:8443", false),
            (&wildcard, "a.cdn.example.com:443", false),
            (&wildcard, "a.cdn.example.com.evil.com:8443", false),
            (&literal, "192.168.1.5:1883", true),
            (&literal, "[fd00:0::5]:1883", true),
            (&literal, "192.168.1.6:1883", false),
            (&literal, "[::ffff:192.168.1.5]:1883", false),
            (&literal, "0xc0a80105:1883", false),
            (&[], "api.example.com:443", false),
        ] {
            let place = Place::parse(text).unwrap();
            assert_eq!(rules.iter().any(|rule| place.is_named_by(rule)), passes, "{text} {rules:?}");
        }
    }
}
