//! Where the hub is: always on this machine.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// A checked `SELENA_CORE_URL`, such as `http://localhost:7070/api/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreUrl {
    /// Where to connect to. Names are not resolved: a module has no resolver (protocol, section 1).
    pub(crate) address: SocketAddr,
    /// What the `Host` header says.
    pub(crate) authority: String,
    /// Where the API begins, without a slash at its end.
    pub(crate) base_path: String,
}

impl CoreUrl {
    /// Reads plain `http` to localhost; `None` for all else, so that the token goes nowhere else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = authority.rsplit_once(':')?;
        let port = port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()))?;
        let address = match host {
            "localhost" | "127.0.0.1" => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            "[::1]" => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
            _ => return None,
        };
        if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)) {
            return None;
        }
        let base_path = format!("/{path}").trim_end_matches('/').to_owned();
        Some(Self { address, authority: authority.to_owned(), base_path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_localhost_with_a_port() {
        for (text, address, base_path) in [
            ("http://localhost:7070/api/v1", "127.0.0.1:7070", "/api/v1"),
            ("http://127.0.0.1:80/api/v1/", "127.0.0.1:80", "/api/v1"),
            ("http://[::1]:7070", "[::1]:7070", ""),
        ] {
            let url = CoreUrl::parse(text).expect(text);
            assert_eq!((url.address.to_string().as_str(), url.base_path.as_str()), (address, base_path));
        }
    }

    #[test]
    fn refuses_to_take_the_token_elsewhere() {
        for bad in [
            "",
            "localhost:7070",
            "https://localhost:7070/api/v1",
            "http://localhost/api/v1",
            "http://hub.example:7070/api/v1",
            "http://localhost:7070@evil.example:80/",
            "http://user@localhost:7070/",
            "http://localhost:+7070/",
            "http://localhost:70700/",
            "http://localhost:7070/a?b",
            "http://localhost:7070/a b",
            "http://localhost:7070/\r\nX: y",
        ] {
            assert_eq!(CoreUrl::parse(bad), None, "{bad:?}");
        }
    }
}
