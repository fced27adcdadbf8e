//! URLs of webhooks: a port of the caller's own on localhost, and a path.

/// A checked webhook URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebhookUrl {
    /// As it was given.
    pub(crate) text: String,
    /// The port.
    pub(crate) port: u16,
    /// Path and query, beginning with `/`.
    pub(crate) path: String,
}

/// Most characters of a URL.
const MAX_CHARS: usize = 1024;

impl WebhookUrl {
    /// Reads `http://localhost:<port>/<path>` or the same with `127.0.0.1`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // What RFC 3986 allows in a path and a query; a fragment is not sent.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&b);
        let plain = text.len() <= MAX_CHARS && text.bytes().all(allowed);
        let rest = text.strip_prefix("http://").filter(|_| plain)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = authority.split_once(':')?;
        let digits = !port.is_empty() && !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
        if !matches!(host, "localhost" | "127.0.0.1") || !digits {
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { text: text.to_owned(), port: port.parse().ok()?, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_with_a_port() {
        let parsed = WebhookUrl::parse("http://localhost:8100/webhook/events?x=1").expect("good");
        assert_eq!((parsed.port, parsed.path.as_str()), (8100, "/webhook/events?x=1"));
        assert_eq!(WebhookUrl::parse("http://127.0.0.1:9").map(|url| url.path).as_deref(), Some("/"));
        for bad in [
            "",
            "http://localhost/x",
            "https://localhost:8100/",
            "http://localhost:8100#x",
            "http://LOCALHOST:8100/",
            "http://user@localhost:8100/",
            "http://localhost:8100@evil/",
            "http://localhost.evil:8100/",
            "http://evil:8100/",
            "http://localhost:+80/",
            "http://localhost:080/",
            "http://localhost:65536/",
            "http://localhost:/",
            "//localhost:8100/",
            "http://localhost:8100\\x",
            "http://localhost:8100/ x",
            "http://localhost:8100/\r\nHost: x",
            "http://[::1]:8100/",
            "http://localhost:8100/<",
            "http://localhost:8100/\"",
            "http://localhost:8100/`",
        ] {
            assert_eq!(WebhookUrl::parse(bad), None, "{bad:?}");
        }
    }
}
