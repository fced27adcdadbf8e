//! Fields of a provider's JSON: they come from strangers, and nothing of them is ever shown in an error.

use secrecy::zeroize::Zeroizing;
use selena_types::Secret;
use serde_json::{Map, Value};

use crate::ports::HttpsAnswer;

/// Most bytes of one token or code.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The JSON object of an answer.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads the body; `None` if it is no JSON object.
    pub(super) fn of(answer: HttpsAnswer) -> Option<Self> {
        let body = Zeroizing::new(answer.body);
        serde_json::from_slice(&body).ok().map(Self)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A token or code: 1 to 8,192 printable ASCII characters (RFC 6749, appendix A). Taken out, so that no copy stays.
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        let Some(Value::String(text)) = self.0.remove(name) else { return None };
        let secret = Secret::new(text);
        let printable = secret.expose().bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        (printable && (1..=MAX_TOKEN_BYTES).contains(&secret.expose().len())).then_some(secret)
    }

    /// Seconds, as a number or, as some providers write them, as digits in a text. `Err` if it is neither.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, ()> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(seconds), _) => Ok(Some(seconds)),
                #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates, which is a clamp")]
                (None, Some(seconds)) => Ok(Some(seconds.ceil() as i64)),
                (None, None) => Err(()),
            },
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| ()),
            Some(_) => Err(()),
        }
    }
}
