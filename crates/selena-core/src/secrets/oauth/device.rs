//! What a provider answers to the start of the device flow (RFC 8628, section 3.2).

use selena_types::{OAuthProvider, Secret};

use super::{fields::Fields, pace};
use crate::ports::{HttpsAnswer, HttpsUrl};

/// Longest a code may be good for, in seconds: a session does not outlive it.
const MAX_EXPIRES_SECS: i64 = 3600;
/// Longest URL a person is shown.
const MAX_URL_BYTES: usize = 1024;
/// Longest code a person types.
const MAX_USER_CODE_BYTES: usize = 64;

/// A device authorization, checked.
#[derive(Debug)]
pub(super) struct Authorization {
    /// The provider's device code; it never leaves the hub but to the provider.
    pub(super) device_code: Secret,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) verification_uri_complete: Option<String>,
    pub(super) expires_secs: u64,
    pub(super) interval_secs: u64,
}

/// Reads the answer; else what is wrong with it, for people, without a word of the provider's.
pub(super) fn read(provider: &OAuthProvider, answer: HttpsAnswer) -> Result<Authorization, String> {
    let status = answer.status;
    let mut fields = Fields::of(answer).ok_or_else(|| format!("it answered {status} without a JSON object"))?;
    if fields.has("error") || status != 200 {
        return Err(format!("it answered {status}: {}", known_error(fields.text("error"))));
    }
    let wrong = |field: &str| format!("its answer has no good `{field}`");
    let device_code = fields.secret("device_code").ok_or_else(|| wrong("device_code"))?;
    let user_code = fields.text("user_code").filter(|code| is_user_code(code)).ok_or_else(|| wrong("user_code"))?;
    // The older name is what one large provider sends.
    let uri = fields.text("verification_uri").or_else(|| fields.text("verification_url"));
    let verification_uri = shown(provider, uri.ok_or_else(|| wrong("verification_uri"))?)?;
    let complete = fields.text("verification_uri_complete").map(|uri| shown(provider, uri)).transpose()?;
    let expires = fields.seconds("expires_in").ok().flatten().filter(|seconds| *seconds > 0);
    let expires = expires.ok_or_else(|| wrong("expires_in"))?.min(MAX_EXPIRES_SECS);
    let interval = fields.seconds("interval").map_err(|()| wrong("interval"))?;
    Ok(Authorization {
        device_code,
        user_code: user_code.to_owned(),
        verification_uri,
        verification_uri_complete: complete,
        expires_secs: expires.unsigned_abs(),
        interval_secs: interval.map_or(pace::DEFAULT_SECS, clamp),
    })
}

/// An interval as the provider gave it, brought between 1 and 60 seconds (O03).
fn clamp(seconds: i64) -> u64 {
    let (least, most) = pace::FIRST_SECS.into_inner();
    u64::try_from(seconds).unwrap_or(least).clamp(least, most)
}

/// The error codes of RFC 6749 and RFC 8628; what else a provider writes there may be anything, so it is not told (O10).
fn known_error(code: Option<&str>) -> &'static str {
    const KNOWN: [&str; 8] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "access_denied",
        "server_error",
    ];
    KNOWN.into_iter().find(|known| code == Some(known)).unwrap_or("no error this hub knows")
}

/// A person may be sent to this URL: `https`, on a host the person granted this provider (RFC 8628, section 5.4; O05).
fn shown(provider: &OAuthProvider, url: &str) -> Result<String, String> {
    let own = [&provider.device_authorization_url, &provider.token_url];
    let own = own.into_iter().filter_map(|url| HttpsUrl::parse(url).ok()).map(|url| url.authority());
    let parsed = HttpsUrl::parse(url).ok().filter(|_| url.len() <= MAX_URL_BYTES);
    let authority = parsed.map(|parsed| parsed.authority());
    let is_own = authority.is_some_and(|host| own.chain(provider.api_hosts.iter().cloned()).any(|own| own == host));
    let refusal = "it sends people to a page that is not https on one of its own hosts; \
                   if it is the provider's, name its host in `api_hosts`";
    if is_own { Ok(url.to_owned()) } else { Err(refusal.to_owned()) }
}

/// What a person can read and type, and that cannot look like something else.
fn is_user_code(code: &str) -> bool {
    (1..=MAX_USER_CODE_BYTES).contains(&code.len()) && code.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn provider() -> OAuthProvider {
        OAuthProvider {
            device_authorization_url: "https://auth.acme.example/device".to_owned(),
            token_url: "https://token.acme.example:8443/token".to_owned(),
            revocation_url: None,
            client_id: "hub".to_owned(),
            client_secret: None,
            scopes: vec!["read".to_owned()],
            api_hosts: vec!["api.acme.example".to_owned()],
        }
    }

    /// A good answer, with some fields replaced; `null` takes one away.
    fn answer(changes: &Value) -> Result<Authorization, String> {
        let mut body = json!({
            "device_code": "provider-device-code", "user_code": "WDJB-MJHT",
            "verification_uri": "https://auth.acme.example/activate", "expires_in": 1800, "interval": 7,
        });
        for (field, value) in changes.as_object().expect("an object") {
            body[field] = value.clone();
        }
        read(&provider(), HttpsAnswer { status: 200, headers: Vec::new(), body: body.to_string().into_bytes() })
    }

    fn interval(interval: Value) -> Result<u64, String> {
        answer(&json!({ "interval": interval })).map(|authorization| authorization.interval_secs)
    }

    #[test]
    fn a_good_answer_is_taken() {
        let authorization = answer(&json!({})).expect("good");
        assert_eq!((authorization.interval_secs, authorization.expires_secs), (7, 1800));
        assert_eq!(authorization.device_code.expose(), "provider-device-code");
        let older = json!({ "verification_uri": null, "verification_url": "https://auth.acme.example/activate" });
        assert!(answer(&older).is_ok());
    }

    #[test]
    fn o02_without_an_interval_it_is_five_seconds() {
        assert_eq!(interval(Value::Null), Ok(5));
    }

    #[test]
    fn o03_odd_intervals_are_brought_into_bounds_or_refused() {
        for (given, taken) in [(json!(0), 1), (json!(-1), 1), (json!(1e9), 60), (json!("5"), 5), (json!(2.5), 3)] {
            assert_eq!(interval(given), Ok(taken));
        }
        assert_eq!((interval(json!(u64::MAX)), interval(json!(i64::MIN))), (Ok(60), Ok(1)));
        for odd in [json!("soon"), json!([5]), json!(true), json!({})] {
            assert!(interval(odd).is_err());
        }
    }

    #[test]
    fn o05_pages_that_are_not_the_providers_are_not_shown() {
        for url in [
            "http://auth.acme.example/activate",
            "javascript:alert(1)",
            "https://evil.example/activate",
            "https://auth.acme.example.evil.example/",
            "https://auth.acme.example@evil.example/",
            "https://auth.acme.example:444/",
            "https://AUTH.acme.example/",
            "https://xn--cme-5cd.example/",
            "https://1.1.1.1/",
            "//auth.acme.example/",
            "",
        ] {
            for field in ["verification_uri", "verification_uri_complete"] {
                assert!(answer(&json!({ field: url })).is_err(), "{field} {url}");
            }
        }
        for url in ["https://auth.acme.example/a?b=c", "https://token.acme.example:8443/", "https://api.acme.example/x"]
        {
            assert!(answer(&json!({ "verification_uri": url })).is_ok(), "{url}");
        }
    }

    #[test]
    fn o10_nothing_the_provider_writes_is_in_an_error() {
        let refused = |status, body: Value| {
            let answer = HttpsAnswer { status, headers: Vec::new(), body: body.to_string().into_bytes() };
            read(&provider(), answer).expect_err("an error")
        };
        let text = refused(400, json!({ "error": "CANARY", "error_description": "CANARY", "device_code": "CANARY" }));
        assert!(!text.contains("CANARY"), "{text}");
        assert!(refused(400, json!({ "error": "invalid_scope", "x": "CANARY" })).contains("invalid_scope"));
        for (field, value) in [("user_code", "CANARY\u{202e}"), ("device_code", "CANARY\n"), ("expires_in", "CANARY")] {
            let text = answer(&json!({ field: value })).expect_err("refused");
            assert!(text.contains(field) && !text.contains("CANARY"), "{text}");
        }
    }
}
