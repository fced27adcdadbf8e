//! What a provider's token endpoint answers (RFC 6749, section 5; RFC 8628, section 3.5).

use selena_types::Secret;

use super::fields::Fields;
use crate::ports::HttpsAnswer;

/// Assumed of a token that can be refreshed and says no lifetime (O07).
const ASSUMED_SECS: u64 = 3600;
/// Longest lifetime that is believed: a year.
const MAX_LIFETIME_SECS: u64 = 365 * 24 * 3600;

/// Tokens the provider gave.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// `None`: it is good until the provider says otherwise.
    pub(super) lifetime_secs: Option<u64>,
}

/// An answer of the token endpoint.
#[derive(Debug)]
pub(super) enum TokenAnswer {
    /// Tokens.
    Granted(Grant),
    /// The person has not decided.
    Pending,
    /// The person has not decided, and is to be asked after less often.
    SlowDown,
    /// The person refused.
    Denied,
    /// The codes are too old.
    Expired,
    /// The refresh token is not good, or not any more.
    InvalidGrant,
    /// The provider is busy or broken: later.
    Later,
    /// It will not become better: why, without a word of the provider's (O10).
    Refused(&'static str),
}

pub(super) fn read(answer: HttpsAnswer) -> TokenAnswer {
    let status = answer.status;
    if status == 429 || status >= 500 {
        return TokenAnswer::Later;
    }
    let Some(mut fields) = Fields::of(answer) else {
        return TokenAnswer::Refused("its answer is no JSON object");
    };
    // Some providers answer errors with 200.
    if fields.has("error") || status != 200 {
        return match fields.text("error").unwrap_or_default() {
            "authorization_pending" => TokenAnswer::Pending,
            "slow_down" => TokenAnswer::SlowDown,
            "access_denied" => TokenAnswer::Denied,
            "expired_token" => TokenAnswer::Expired,
            "invalid_grant" => TokenAnswer::InvalidGrant,
            "temporarily_unavailable" | "server_error" => TokenAnswer::Later,
            "invalid_client" | "unauthorized_client" => TokenAnswer::Refused("it does not take this client id"),
            _ => TokenAnswer::Refused("it answered with an error"),
        };
    }
    grant(&mut fields).map_or_else(TokenAnswer::Refused, TokenAnswer::Granted)
}

fn grant(fields: &mut Fields) -> Result<Grant, &'static str> {
    if !fields.text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("its token is of another type than bearer");
    }
    let access = fields.secret("access_token").ok_or("its answer has no good access token")?;
    let has_refresh = fields.has("refresh_token");
    let refresh = fields.secret("refresh_token");
    if has_refresh && refresh.is_none() {
        return Err("its answer has no good refresh token");
    }
    let lifetime_secs = match fields.seconds("expires_in") {
        Ok(None) => refresh.as_ref().map(|_| ASSUMED_SECS),
        Ok(Some(seconds)) if seconds > 0 => Some(seconds.unsigned_abs().min(MAX_LIFETIME_SECS)),
        _ => return Err("its token has no good lifetime"),
    };
    Ok(Grant { access, refresh, lifetime_secs })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(status: u16, body: &Value) -> TokenAnswer {
        read(HttpsAnswer { status, headers: Vec::new(), body: body.to_string().into_bytes() })
    }

    fn refused(body: &Value) -> &'static str {
        match answer(200, body) {
            TokenAnswer::Refused(why) => why,
            other => panic!("taken: {other:?}"),
        }
    }

    #[test]
    fn o07_a_token_that_says_no_lifetime() {
        let lifetime = |body: Value| match answer(200, &body) {
            TokenAnswer::Granted(grant) => grant.lifetime_secs,
            other => panic!("{other:?}"),
        };
        assert_eq!(lifetime(json!({ "access_token": "a", "token_type": "Bearer" })), None);
        let refreshable = json!({ "access_token": "a", "token_type": "bearer", "refresh_token": "r" });
        assert_eq!(lifetime(refreshable), Some(3600));
        let forever = json!({ "access_token": "a", "token_type": "BEARER", "expires_in": 1e18 });
        assert_eq!(lifetime(forever), Some(MAX_LIFETIME_SECS));
    }

    #[test]
    fn o07_odd_tokens_are_refused() {
        let long = "x".repeat(8 * 1024 + 1);
        let good = json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 60, "refresh_token": "r" });
        for (field, value) in [
            ("token_type", json!("mac")),
            ("token_type", json!(null)),
            ("access_token", json!(null)),
            ("access_token", json!("")),
            ("access_token", json!("a\r\nX-Header: b")),
            ("access_token", json!("ä")),
            ("access_token", json!(long)),
            ("refresh_token", json!(long)),
            ("refresh_token", json!(7)),
            ("expires_in", json!(0)),
            ("expires_in", json!(-1)),
            ("expires_in", json!("soon")),
        ] {
            let mut body = good.clone();
            body[field] = value;
            refused(&body);
        }
        assert!(matches!(answer(200, &good), TokenAnswer::Granted(_)));
    }

    #[test]
    fn errors_are_told_apart_whatever_the_status() {
        for status in [200, 400, 403] {
            let error = |code: &str| answer(status, &json!({ "error": code }));
            assert!(matches!(error("authorization_pending"), TokenAnswer::Pending));
            assert!(matches!(error("slow_down"), TokenAnswer::SlowDown));
            assert!(matches!(error("access_denied"), TokenAnswer::Denied));
            assert!(matches!(error("expired_token"), TokenAnswer::Expired));
            assert!(matches!(error("whatever"), TokenAnswer::Refused(_)));
        }
        assert!(matches!(answer(503, &json!({})), TokenAnswer::Later));
        assert!(matches!(
            answer(404, &json!({ "access_token": "a", "token_type": "Bearer" })),
            TokenAnswer::Refused(_)
        ));
    }

    #[test]
    fn o10_a_token_in_an_error_of_the_provider_is_not_told() {
        for body in [json!({ "error": "CANARY" }), json!({ "error": "invalid_client", "error_description": "CANARY" })]
        {
            let text = format!("{:?}", answer(400, &body));
            assert!(!text.contains("CANARY"), "{text}");
        }
        let text = format!("{:?}", answer(200, &json!({ "access_token": "CANARY", "token_type": "bearer" })));
        assert!(!text.contains("CANARY"), "{text}");
    }
}
