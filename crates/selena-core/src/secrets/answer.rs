//! What a module sees of an answer from outside: all but the token, and what is of one connection or of a browser.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use memchr::memmem;
use selena_types::Secret;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::ports::HttpsAnswer;

/// What stands where the token stood.
const REDACTED: &str = "[redacted]";

/// Headers of an answer that end at the hub: those of one connection, and cookies, which the hub sends none of.
const DROPPED: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// An answer as the module gets it.
#[derive(Serialize)]
pub(super) struct ProxyAnswer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    body: Option<Body>,
    /// Whether the token stood in it.
    #[serde(skip)]
    pub(super) held_token: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body {
    /// As it came: not read into values, which would take many times its length in memory.
    Json(Box<RawValue>),
    Text(String),
    Bytes {
        base64: String,
    },
}

impl ProxyAnswer {
    /// Takes the token out of an answer, in the forms in which an honest host repeats what it was sent.
    pub(super) fn new(answer: HttpsAnswer, token: &Secret) -> Self {
        let mut redactor = Redactor::new(token);
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in answer.headers.into_iter().filter(|(name, _)| !DROPPED.contains(&name.as_str())) {
            let all = headers.entry(redactor.text(name)).or_default();
            if !all.is_empty() {
                all.push_str(", ");
            }
            all.push_str(&redactor.text(value));
        }
        let body = body(redactor.bytes(answer.body));
        Self { status_code: answer.status, headers, body, held_token: redactor.found }
    }
}

/// Takes a token out of texts and bytes.
struct Redactor {
    forms: Vec<String>,
    /// Whether it stood in one of them.
    found: bool,
}

impl Redactor {
    fn new(token: &Secret) -> Self {
        let token = token.expose();
        // As it is, and as some writers of JSON have it.
        let forms = [token.to_owned(), token.replace('/', "\\/")];
        Self { forms: forms.into_iter().filter(|form| !form.is_empty()).collect(), found: false }
    }

    fn text(&mut self, text: String) -> String {
        self.forms.iter().fold(text, |text, form| {
            if !text.contains(form) {
                return text;
            }
            self.found = true;
            text.replace(form, REDACTED)
        })
    }

    fn bytes(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.forms.iter().fold(bytes, |bytes, form| {
            let finder = memmem::Finder::new(form);
            let mut found = finder.find_iter(&bytes).peekable();
            if found.peek().is_none() {
                return bytes;
            }
            self.found = true;
            let mut clean = Vec::with_capacity(bytes.len());
            let mut done = 0;
            for at in found {
                clean.extend_from_slice(&bytes[done..at]);
                clean.extend_from_slice(REDACTED.as_bytes());
                done = at + form.len();
            }
            clean.extend_from_slice(&bytes[done..]);
            clean
        })
    }
}

fn body(bytes: Vec<u8>) -> Option<Body> {
    if bytes.is_empty() {
        return None;
    }
    // Other control characters are no text, and grow sixfold in JSON.
    let is_text = |text: &str| !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'));
    Some(match String::from_utf8(bytes) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(json) => Body::Json(json),
            Err(_) if is_text(&text) => Body::Text(text),
            Err(_) => Body::Bytes { base64: BASE64_STANDARD.encode(text) },
        },
        Err(other) => Body::Bytes { base64: BASE64_STANDARD.encode(other.as_bytes()) },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TOKEN: &str = "tok/en.canary-0123456789";

    fn seen(headers: &[(&str, &str)], body: &[u8]) -> (Value, bool) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let answer = HttpsAnswer { status: 200, headers, body: body.to_vec() };
        let answer = ProxyAnswer::new(answer, &Secret::new(TOKEN.to_owned()));
        (serde_json::to_value(&answer).expect("it is JSON"), answer.held_token)
    }

    #[test]
    fn u18_a_reflected_token_is_taken_out() {
        let echo = format!("you sent Authorization: Bearer {TOKEN}; {TOKEN}{TOKEN}");
        let escaped = format!("{{\"a\":\"{}\",\"{TOKEN}\":1}}", TOKEN.replace('/', "\\/"));
        let binary = [b"\xff\x00", TOKEN.as_bytes(), b"\xfe"].concat();
        for body in [echo.as_bytes(), escaped.as_bytes(), &binary] {
            let (answer, held) =
                seen(&[("x-echo", TOKEN), (TOKEN, "name"), ("x-json", &TOKEN.replace('/', "\\/"))], body);
            let text = answer.to_string();
            let bytes = answer["body"]["base64"].as_str().map(|text| BASE64_STANDARD.decode(text).expect("base64"));
            let bytes = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
            assert!(held && !text.contains("canary") && !bytes.contains("canary"), "{text} {bytes}");
            assert!(text.contains(REDACTED), "{text}");
        }
        let (answer, held) = seen(&[("x-echo", "tok/en.canary-012345678")], b"tok/en.canary");
        assert!(!held && answer.to_string().contains("canary"), "a part is not the token");
    }

    #[test]
    fn a_body_is_json_text_or_bytes() {
        for (body, expected) in [
            (&b""[..], json!(null)),
            (b" {\"a\": [1.0, 12345678901234567890]}\n", json!({ "a": [1.0, 12_345_678_901_234_567_890_u64] })),
            (b"null", json!(null)),
            (b"\"text\"", json!("text")),
            (b"a\tb\r\n\xc3\xa4", json!("a\tb\r\nä")),
            (b"{\"a\":", json!("{\"a\":")),
            (b"a\x00b", json!({ "base64": "YQBi" })),
            (b"\xff", json!({ "base64": "/w==" })),
        ] {
            assert_eq!(seen(&[], body).0["body"], expected, "{body:?}");
        }
    }

    #[test]
    fn headers_of_a_connection_and_cookies_end_at_the_hub() {
        let headers = [
            ("content-type", "text/plain"),
            ("set-cookie", "a=b"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("link", "<1>"),
            ("link", "<2>"),
        ];
        assert_eq!(seen(&headers, b"x").0["headers"], json!({ "content-type": "text/plain", "link": "<1>, <2>" }));
    }
}
