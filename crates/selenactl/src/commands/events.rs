//! `events tail`.

use serde_json::Value;

use super::Outcome;
use crate::{
    cli::Tail,
    client::Client,
    error::{CallError, CtlError},
    screen::Screen,
    value::{plain, time},
};

/// Prints events as they come.
pub(super) async fn tail(tail: Tail, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let mut stream = client.stream(&path(&tail)).await?;
    let mut left = tail.count;
    let mut last_seq = None;
    while left != Some(0) {
        let Some(event) = stream.next().await? else {
            if let Some(seq) = last_seq {
                screen.note(&format!("go on with `selenactl events tail --since {seq}`"));
            }
            return Err(CallError::StreamEnded.into());
        };
        screen.one_of_many(&event, &line(&event))?;
        last_seq = event["seq"].as_i64();
        left = left.map(|left| left - 1);
    }
    Ok(Outcome::Done)
}

fn path(tail: &Tail) -> String {
    let parameters = [
        ("since_seq", tail.since.map(|seq| seq.to_string())),
        ("type", tail.event_type.as_ref().map(ToString::to_string)),
        ("limit", tail.limit.map(|limit| limit.to_string())),
    ];
    let given = parameters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))));
    let query = given.collect::<Vec<_>>().join("&");
    if query.is_empty() { "/events/stream".to_owned() } else { format!("/events/stream?{query}") }
}

/// A query's value: all but RFC 3986's unreserved characters percent-encoded.
fn encoded(text: &str) -> String {
    let byte = |b: u8| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }
    };
    text.bytes().map(byte).collect()
}

fn line(event: &Value) -> String {
    let [seq, kind, source, payload] = ["seq", "type", "source", "payload"].map(|key| plain(&event[key]));
    format!("{}  {seq:>6}  {kind}  {source}  {payload}", time(&event["timestamp"]))
}

#[cfg(test)]
mod tests {
    use selena_types::EventPattern;

    use super::*;

    #[test]
    fn only_what_is_given_is_asked_for() {
        let mut tail = Tail { event_type: None, since: None, limit: None, count: None };
        assert_eq!(path(&tail), "/events/stream");
        tail.since = Some(7);
        tail.event_type = EventPattern::new("a&b.*").ok();
        assert_eq!(path(&tail), "/events/stream?since_seq=7&type=a%26b.%2A");
    }
}
