//! `network` and `devices` of a manifest: what a module asks of the world outside
//! (protocol, section 3; faults M09).

use serde_json::Value;

use super::{
    EgressRule,
    hosts::check_egress,
    reader::{Fields, HOST, INVALID, Unknown},
};

/// A device that no module may have.
const DEVICE: &str = "manifest_device";

/// Reads `network.egress`.
pub(super) fn read_egress(manifest: &mut Fields<'_, '_>) -> Vec<EgressRule> {
    let Some(mut network) = manifest.object("network") else {
        return Vec::new();
    };
    network.unknown(&["egress"], Unknown::Refuse);
    let items = network.list("egress", INVALID).unwrap_or_default().iter().enumerate();
    items.filter_map(|(index, item)| network.item("egress", index, item).and_then(rule)).collect()
}

fn rule(mut fields: Fields<'_, '_>) -> Option<EgressRule> {
    fields.unknown(&["host", "port", "protocol", "lan"], Unknown::Refuse);
    for field in ["host", "port", "protocol"] {
        fields.required(field);
    }
    let lan = fields.boolean("lan").unwrap_or(false);
    let host = fields.parsed("host", HOST, |host| check_egress(host, lan).map(|()| host.to_owned()));
    let port = fields.integer("port", 1..=u32::from(u16::MAX)).and_then(|port| u16::try_from(port).ok());
    let protocol = fields.parsed("protocol", INVALID, protocol);
    Some(EgressRule { host: host?, port: port?, protocol: protocol?, lan })
}

/// A protocol's name. The hub carries TCP only (section 1), so what runs over UDP cannot be granted.
fn protocol(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    let starts = text.starts_with(|first: char| first.is_ascii_lowercase());
    match text {
        "udp" | "dtls" | "quic" | "coap" | "coaps" | "icmp" => Err("only protocols over TCP can be granted"),
        _ if starts && text.len() <= 16 && text.bytes().all(allowed) => Ok(text.to_owned()),
        _ => Err("must be a protocol's name in lower case, such as tcp, https or mqtts"),
    }
}

/// Reads `devices`: each one once.
pub(super) fn read_devices(manifest: &mut Fields<'_, '_>) -> Vec<String> {
    let mut devices = Vec::new();
    for (index, item) in manifest.list("devices", INVALID).unwrap_or_default().iter().enumerate() {
        match item {
            Value::String(path) if is_device_path(path) => {
                if !devices.contains(path) {
                    devices.push(path.clone());
                }
            }
            Value::String(_) => manifest.item_problem("devices", index, DEVICE, DEVICE_MUST),
            _ => manifest.item_problem("devices", index, INVALID, "must be a text, the path of a device"),
        }
    }
    devices
}

const DEVICE_MUST: &str = "must be /dev/i2c-N, /dev/spidevN.M, /dev/gpiochipN, /dev/snd, or a file right below \
                           /dev/serial/by-id/, /dev/serial/by-path/ or /dev/v4l/by-id/";

/// Whether a manifest may name this path as a device: one of the forms of the protocol, section 3.
/// What it resolves to is looked at when it is granted.
#[must_use]
pub fn is_device_path(path: &str) -> bool {
    const LINKS: [&str; 3] = ["/dev/serial/by-id/", "/dev/serial/by-path/", "/dev/v4l/by-id/"];
    let below = |prefix: &str, rule: fn(&str) -> bool| path.strip_prefix(prefix).is_some_and(rule);
    path == "/dev/snd"
        || LINKS.iter().any(|directory| below(directory, is_link_name))
        || below("/dev/i2c-", is_index)
        || below("/dev/gpiochip", is_index)
        || below("/dev/spidev", |rest| rest.split_once('.').is_some_and(|(bus, chip)| is_index(bus) && is_index(chip)))
}

/// A decimal number of up to 4 digits without leading zeros.
fn is_index(text: &str) -> bool {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// A name that udev gives to a link: its own safe characters, not hidden, at most 255 bytes.
fn is_link_name(name: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"#+-.:=@_,%~".contains(&byte);
    (1..=255).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(safe)
}
