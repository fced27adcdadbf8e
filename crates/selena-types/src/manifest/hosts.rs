//! Hosts a manifest may name (protocol, section 3; faults M09).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a text is no host of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HostError {
    /// Not a lower-case DNS name of at least two labels.
    #[error(
        "must be a DNS name such as api.example.com: lower-case ASCII labels with dots between, \
         no scheme, user, port, path or trailing dot"
    )]
    Name,
    /// A wildcard over a whole top-level domain, or over everything.
    #[error("a wildcard is `*.` and at least two labels, such as *.example.com")]
    Wildcard,
    /// A name that means something else in every home.
    #[error(
        "names such as localhost, *.local, *.lan or *.internal are not taken; give the address, with \"lan\": true"
    )]
    LocalName,
    /// A number that some programs read as an address.
    #[error("write an IPv4 address as four decimal numbers without leading zeros")]
    Numeric,
    /// An address of a home's network without `lan`.
    #[error("an address in a private range needs \"lan\": true")]
    Private,
    /// An address that is never outside, nor in a home's network: what the hub would never connect to.
    #[error(
        "this address is loopback, link-local, shared by a provider's customers (100.64.0.0/10), multicast, reserved \
         or wraps another one; the hub never connects to it, not with \"lan\": true either"
    )]
    Special,
    /// An address where only a name will do.
    #[error("must be a DNS name, not an address")]
    Address,
    /// Not a port.
    #[error("the port after `:` must be a number from 1 to 65535")]
    Port,
}

/// Top-level names that are resolved inside one network only.
const LOCAL: [&str; 9] =
    ["corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private"];

/// Checks `network.egress[].host`: a DNS name, a `*.` wildcard of two labels or more, or an address.
pub(super) fn check_egress(host: &str, lan: bool) -> Result<(), HostError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return check_address(address, lan);
    }
    match host.strip_prefix("*.") {
        Some(parent) if !parent.contains('.') => Err(HostError::Wildcard),
        Some(parent) => check_name(parent),
        None if host == "*" => Err(HostError::Wildcard),
        None => check_name(host),
    }
}

/// Reads one of `oauth.*.api_hosts`: an exact DNS name, `name:port` if the port is not 443; a given `:443` is left out.
pub(super) fn api_host(text: &str) -> Result<String, HostError> {
    let (name, port) = text.split_once(':').map_or((text, "443"), |(name, port)| (name, port));
    if text.parse::<IpAddr>().is_ok() || name.parse::<Ipv4Addr>().is_ok() {
        return Err(HostError::Address);
    }
    check_name(name)?;
    let number = port.parse::<u16>().ok().filter(|number| *number > 0 && number.to_string() == port);
    match number.ok_or(HostError::Port)? {
        443 => Ok(name.to_owned()),
        other => Ok(format!("{name}:{other}")),
    }
}

/// Checks an exact DNS name: at most 253 bytes, two labels or more, each of 1 to 63 `a-z 0-9 -`.
/// Punycode labels (`xn--`) are names like others and are shown as they stand.
fn check_name(name: &str) -> Result<(), HostError> {
    if LOCAL.contains(&name) {
        return Err(HostError::LocalName);
    }
    let mut labels = name.rsplit('.').peekable();
    let last = labels.peek().copied().unwrap_or_default();
    if looks_like_number(last) {
        return Err(HostError::Numeric);
    }
    if name.len() > 253 || !name.contains('.') || !labels.all(is_label) {
        return Err(HostError::Name);
    }
    if LOCAL.contains(&last) || name.ends_with(".home.arpa") || name == "home.arpa" {
        return Err(HostError::LocalName);
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
}

/// Whether resolvers would take a name that ends so for an IPv4 address: `127.1`, `2130706433`, `0x7f000001`.
fn looks_like_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    let decimal = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    decimal || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn check_address(address: IpAddr, lan: bool) -> Result<(), HostError> {
    let (private, special) = match address {
        IpAddr::V4(address) => (address.is_private(), is_special_v4(address)),
        IpAddr::V6(address) => (address.is_unique_local(), !is_ordinary_v6(address)),
    };
    match (private, special) {
        (true, _) if lan => Ok(()),
        (true, _) => Err(HostError::Private),
        (false, true) => Err(HostError::Special),
        (false, false) => Ok(()),
    }
}

fn is_special_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (b == 18 || b == 19);
    let protocol_or_relay = [a, b, c] == [192, 0, 0] || [a, b, c] == [192, 88, 99];
    let anycast = [[192, 31, 196], [192, 52, 193], [192, 175, 48]].contains(&[a, b, c]);
    let reserved = a == 0 || a == 127 || a >= 224 || address.is_documentation() || address.is_link_local();
    reserved || shared || benchmark || protocol_or_relay || anycast
}

/// Whether it is a global unicast address that holds no IPv4 address and is for no documentation.
fn is_ordinary_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    let global = first & 0xe000 == 0x2000;
    let protocol = first == 0x2001 && second < 0x0200;
    let documentation = (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second < 0x1000);
    let anycast = [first, second, third] == [0x2620, 0x4f, 0x8000];
    global && !protocol && !documentation && !anycast && first != 0x2002
}

/// Checks an `https` URL of at most 2048 bytes with a DNS name, without user, fragment and blanks.
pub(super) fn https_url(text: &str) -> Result<String, String> {
    let must = "must be a URL such as https://auth.example.com/token: https, a DNS name, no user and no fragment";
    let rest = text.strip_prefix("https://").ok_or(must)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let plain = |byte: u8| byte.is_ascii_graphic() && !br##"#\<>"{}|^`"##.contains(&byte);
    if text.len() > 2048 || !path.bytes().all(plain) {
        return Err(must.to_owned());
    }
    api_host(authority).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}
