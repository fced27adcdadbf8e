//! The one reader of URLs that leave the hub (protocol, section 7, "Proxy"): whoever decides by a URL and whoever
//! connects by it read it with the same eyes.

use std::fmt;

use url::{Host, Url};

use super::HttpsError;

/// Longest URL in bytes.
const MAX_BYTES: usize = 8192;
/// The one scheme.
const SCHEME: &str = "https://";

/// A URL the hub may send a request to: `https://`, a DNS name in its one spelling, no user, no fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpsUrl {
    host: String,
    port: u16,
    path_and_query: String,
}

impl HttpsUrl {
    /// Reads a URL; what another reader could take for another host is refused.
    ///
    /// # Errors
    /// [`HttpsError::Refused`] with `scheme`, `host`, `port`, `address` (an IP address in any notation) or `url`.
    pub fn parse(text: &str) -> Result<Self, HttpsError> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| refused("scheme", "the URL must begin with https://"))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(refused("url", "the URL must have no user and no password"));
        }
        let name_only = "the host must be a DNS name in lower-case ASCII, such as api.example.com";
        if !authority.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("host", name_only));
        }
        if text.len() > MAX_BYTES || path.contains(['#', '\\']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = "the URL must be at most 8192 visible ASCII characters, without fragment and backslash";
            return Err(refused("url", detail));
        }
        let (host, port) = split_port(authority)?;
        let url = Url::parse(text).map_err(|_| refused("host", name_only))?;
        match url.host() {
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => {
                Err(refused("address", "the host must be a DNS name, not an IP address"))
            }
            // The name must be what was written: nothing decoded, mapped or folded.
            Some(Host::Domain(name)) if name == host && is_name(name) => {
                let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
                Ok(Self { host: host.to_owned(), port, path_and_query: format!("{}{query}", url.path()) })
            }
            _ => Err(refused("host", name_only)),
        }
    }

    /// The DNS name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 443 if the URL has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `name`, or `name:port` if the port is not 443: the form of `api_hosts` in a manifest, and of `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            443 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// What is asked for there; it may hold secrets.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

impl fmt::Debug for HttpsUrl {
    /// Without path and query: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpsUrl").field(&self.authority()).finish()
    }
}

fn refused(reason: &'static str, detail: &str) -> HttpsError {
    HttpsError::Refused { reason, detail: detail.to_owned() }
}

/// Host and port of an authority; an IPv6 literal keeps its brackets.
fn split_port(authority: &str) -> Result<(&str, u16), HttpsError> {
    let host_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[host_end..].find(':').map(|colon| host_end + colon) else {
        return Ok((authority, 443));
    };
    let (host, digits) = (&authority[..colon], &authority[colon + 1..]);
    let port = digits.parse::<u16>().ok().filter(|port| *port > 0 && port.to_string() == digits);
    Ok((host, port.ok_or_else(|| refused("port", "the port must be a number from 1 to 65535"))?))
}

/// Two labels or more, each of 1 to 63 `a-z 0-9 -`, the last one no number.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused_for(reason: &str, urls: &[&str]) {
        for url in urls {
            match HttpsUrl::parse(url) {
                Err(HttpsError::Refused { reason: given, .. }) => assert_eq!(given, reason, "{url}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }

    #[test]
    fn u01_only_https_with_both_slashes() {
        refused_for(
            "scheme",
            &[
                "http://api.example.com/",
                "ftp://api.example.com/",
                "file:///etc/passwd",
                "gopher://api.example.com/",
                "data:text/plain,x",
                "//api.example.com/",
                "https:api.example.com",
                "https:/api.example.com",
                "https:\\\\api.example.com",
                "HTTPS://api.example.com/",
                " https://api.example.com/",
                "ht\ttps://api.example.com/",
                "",
            ],
        );
        refused_for("host", &["https://", "https:///api.example.com", "https://?", "https://:443/"]);
    }

    #[test]
    fn u02_no_ipv4_address_in_any_notation() {
        refused_for(
            "address",
            &[
                "https://127.0.0.1",
                "https://127.1/",
                "https://2130706433/",
                "https://0x7f000001/",
                "https://0x7f.1/",
                "https://0177.0.0.1/",
                "https://127.0.0.1./",
                "https://8.8.8.8/",
                "https://127.0.0.1:8443/",
                "https://%31%32%37.0.0.1/",
            ],
        );
        refused_for(
            "host",
            &["https://０１２７．0.0.1/", "https://１２７.０.０.１/", "https://127。0。0。1/", "https://1.2.3.4.5/"],
        );
    }

    #[test]
    fn u03_no_ipv6_address() {
        refused_for(
            "address",
            &[
                "https://[::1]/",
                "https://[::]/",
                "https://[::ffff:127.0.0.1]/",
                "https://[::ffff:7f00:1]/",
                "https://[fc00::1]:443/",
                "https://[ff02::1]/",
                "https://[2606:4700::1]/",
            ],
        );
        refused_for("host", &["https://[fe80::1%25eth0]/", "https://::1]/", "https://[::1]x/"]);
        refused_for("port", &["https://::1/", "https://fe80::1/", "https://[::1"]);
    }

    #[test]
    fn u08_a_name_has_one_spelling() {
        refused_for(
            "host",
            &[
                "https://api.exаmple.com/",
                "https://API.example.com/",
                "https://api.example.com./",
                "https://api.example.com..",
                "https://api%2eexample.com/",
                "https://api.ex\tample.com/",
                "https://api.example.com\u{ad}/",
                "https://ⓐpi.example.com/",
                "https://xn--a.example.com/",
                "https://api_1.example.com/",
                "https://-api.example.com/",
                "https://localhost/",
            ],
        );
        let punycode = HttpsUrl::parse("https://xn--bcher-kva.example/").unwrap();
        assert_eq!(punycode.host(), "xn--bcher-kva.example", "it is compared as it stands");
        let other = HttpsUrl::parse("https://allowed.com.evil.com/").unwrap();
        assert_eq!(other.authority(), "allowed.com.evil.com", "a name like others, and none that is allowed");
    }

    #[test]
    fn u13_a_port_is_one() {
        for port in ["0", "65536", "-1", "+443", "0443", "", "44x", "443:443", "99999999999"] {
            refused_for("port", &[&format!("https://api.example.com:{port}/")]);
        }
        for (url, authority) in [
            ("https://api.example.com", "api.example.com"),
            ("https://api.example.com:443/", "api.example.com"),
            ("https://api.example.com:22/", "api.example.com:22"),
            ("https://api.example.com:65535?x", "api.example.com:65535"),
        ] {
            assert_eq!(HttpsUrl::parse(url).unwrap().authority(), authority, "{url}");
        }
    }

    #[test]
    fn nothing_hides_in_the_rest_of_a_url() {
        refused_for(
            "url",
            &[
                "https://allowed.com@evil.example.com/",
                "https://user:password@api.example.com/",
                "https://api.example.com/a#b",
                "https://api.example.com\\@evil.example.com/",
                "https://api.example.com/a b",
                "https://api.example.com/a\r\nHost: evil",
                "https://api.example.com/ä",
                &format!("https://api.example.com/{}", "a".repeat(MAX_BYTES)),
            ],
        );
        let url = HttpsUrl::parse("https://api.example.com/a/../b?c=%0d%0a&token=canary").unwrap();
        assert_eq!(url.path_and_query(), "/b?c=%0d%0a&token=canary");
        assert!(!format!("{url:?}").contains("canary"));
    }
}
