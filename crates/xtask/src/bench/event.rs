//! The events of the benchmark, and how a receiver knows them.

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// The type of every event that is published here.
pub(super) const TYPE: &str = "bench.reading";
/// What subscribers ask for.
pub(super) const PATTERN: &str = "bench.*";
/// The secret the hub signs with.
pub(super) const SECRET: &str = "a-webhook-secret-for-the-benchmark";

/// What a receiver reads of an event.
#[derive(Debug, Deserialize)]
pub(super) struct Received {
    /// Its place in the order of all events.
    pub(super) seq: u64,
    payload: Payload,
}

#[derive(Debug, Deserialize)]
struct Payload {
    sent_ns: u64,
}

impl Received {
    pub(super) fn parse(body: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(body).context("what came is no event")
    }

    /// When it was sent, by [`super::clock::now_ns`].
    pub(super) fn sent_ns(&self) -> u64 {
        self.payload.sent_ns
    }
}

fn payload(sent_ns: u64) -> String {
    format!("{{\"sent_ns\":{sent_ns},\"temperature_c\":21.5,\"humidity_percent\":48,\"room\":\"kitchen\"}}")
}

/// The body of `POST /events/publish`.
pub(super) fn to_publish(sent_ns: u64) -> String {
    to_publish_as(TYPE, sent_ns)
}

/// The same with another type, which no subscriber of [`PATTERN`] gets.
pub(super) fn to_publish_as(event_type: &str, sent_ns: u64) -> String {
    format!("{{\"event_type\":\"{event_type}\",\"payload\":{}}}", payload(sent_ns))
}

/// An event as the hub would deliver it, for what speaks without the hub.
pub(super) fn delivered(seq: u64, sent_ns: u64) -> String {
    let id = "0b1c2d3e-4f50-4172-8394-a5b6c7d8e9f0";
    let payload = payload(sent_ns);
    format!(
        "{{\"id\":\"{id}\",\"event_id\":\"{id}\",\"seq\":{seq},\"type\":\"{TYPE}\",\"source\":\"dev-module\",\
         \"timestamp\":\"2026-01-02T03:04:05.678901Z\",\"payload\":{payload}}}"
    )
}

/// The signature of a body (protocol, section 6), made anew here so that a hub that signs wrongly is found.
pub(super) fn signature(body: &[u8]) -> anyhow::Result<String> {
    Ok(format!("sha256={}", hex::encode(mac(body)?.finalize().into_bytes())))
}

/// Whether the signature is that of the body.
pub(super) fn is_signed(body: &[u8], signature: &[u8]) -> bool {
    let given = signature.strip_prefix(b"sha256=").and_then(|digits| hex::decode(digits).ok());
    given.is_some_and(|given| mac(body).is_ok_and(|mac| mac.verify_slice(&given).is_ok()))
}

fn mac(body: &[u8]) -> anyhow::Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).context("HMAC takes keys of every length")?;
    mac.update(body);
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_read() {
        let event = delivered(7, 9);
        let received = Received::parse(event.as_bytes()).unwrap();
        assert_eq!((received.seq, received.sent_ns()), (7, 9));
        assert!(serde_json::from_str::<serde_json::Value>(&to_publish(9)).is_ok());
        let signature = signature(event.as_bytes()).unwrap();
        assert!(is_signed(event.as_bytes(), signature.as_bytes()));
        assert!(!is_signed(b"another", signature.as_bytes()) && !is_signed(event.as_bytes(), b"sha256=00"));
    }
}
