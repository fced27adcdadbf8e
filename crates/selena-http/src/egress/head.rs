//! The one request of a connection: `CONNECT host:port` (RFC 9110, section 9.3.6).

use axum::http::StatusCode;
use selena_core::egress::Place;

use crate::error::Failure;

/// Most bytes of a request's head.
pub(super) const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;

/// A request that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connect {
    /// Where to.
    pub(super) place: Place,
    /// How many bytes it has; what came behind them is for the place.
    pub(super) length: usize,
}

/// Reads what came so far; `None` if more has to come. Headers are read and mean nothing here, and HTTP/1.0 is as good:
/// widespread clients say so in `CONNECT` alone.
///
/// # Errors
/// 400 or 405.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Connect>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(bytes).map_err(|error| bad(&format!("this is no request: {error}")))?;
    if request.method.is_some_and(|method| method != "CONNECT") {
        let detail = "this is a proxy for CONNECT alone; the hub's API is at http://localhost:7070/api/v1";
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail));
    }
    match status {
        httparse::Status::Partial if bytes.len() >= MAX_HEAD_BYTES => {
            Err(bad(&format!("the request's head is longer than {MAX_HEAD_BYTES} bytes")))
        }
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let place = Place::parse(request.path.unwrap_or_default()).map_err(|error| bad(&error.to_string()))?;
            Ok(Some(Connect { place, length }))
        }
    }
}

fn bad(detail: &str) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "bad_request", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status and the code of a refusal.
    fn refused(bytes: &[u8]) -> (u16, String) {
        let failure = parse(bytes).expect_err(&String::from_utf8_lossy(bytes));
        let told = failure.told();
        (told.status.as_u16(), told.body["code"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_whole_request_names_a_place_and_what_comes_behind_it_is_not_read() {
        for head in [
            "CONNECT api.example.com:443 HTTP/1.1\r\n\r\n",
            "CONNECT api.example.com:443 HTTP/1.0\r\n\r\n",
            "CONNECT API.example.com:443 HTTP/1.1\r\nHost: anything\r\nProxy-Authorization: Basic eA==\r\n\r\n",
        ] {
            let bytes = [head.as_bytes(), b"\x16\x03\x01"].concat();
            let connect = parse(&bytes).unwrap().unwrap();
            assert_eq!(connect, Connect { place: Place::parse("api.example.com:443").unwrap(), length: head.len() });
            for end in 0..head.len() {
                assert_eq!(parse(&bytes[..end]).unwrap(), None, "{:?}", &head[..end]);
            }
        }
    }

    #[test]
    fn all_else_is_refused() {
        let long = format!("CONNECT api.example.com:443 HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD_BYTES));
        let headers = format!("CONNECT api.example.com:443 HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        for head in [
            "CONNECT  HTTP/1.1\r\n\r\n",
            "CONNECT api.example.com HTTP/1.1\r\n\r\n",
            "CONNECT api.example.com:443/ HTTP/1.1\r\n\r\n",
            "CONNECT https://api.example.com:443 HTTP/1.1\r\n\r\n",
            "CONNECT user@api.example.com:443 HTTP/1.1\r\n\r\n",
            "CONNECT api.example.com:443 HTTP/2.0\r\n\r\n",
            "CONNECT api.example.com:443 HTTP/1.1\r\nno header\r\n\r\n",
            "CONNECT api.example.com:443 HTTP/1.1\r\nBad Name: x\r\n\r\n",
            "CONNECT api.example.com:443\r\n\r\n",
            "\x16\x03\x01\x02",
            "\u{5}\u{1}\0",
            long.as_str(),
            headers.as_str(),
        ] {
            assert_eq!(refused(head.as_bytes()), (400, "bad_request".to_owned()), "{head:?}");
        }
        for head in
            ["GET http://api.example.com/ HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n", "connect a.b:1 HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(refused(head.as_bytes()), (405, "method_not_allowed".to_owned()), "{head:?}");
        }
    }
}
