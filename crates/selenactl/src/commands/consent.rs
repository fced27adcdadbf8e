//! `module consent`, and what is asked for in plain words.

use hyper::Method;
use selena_types::ModuleName;
use serde_json::{Value, json};

use super::{
    Outcome,
    install::{RESPOND_ASYNC, settle},
    publishers::made_by,
};
use crate::{
    client::{Body, Client},
    error::{CallError, CtlError},
    screen::Screen,
    value::plain,
    visible::visible,
};

/// What a module waits for: `{"version","adds","publisher","permissions"}` (protocol, section 2).
pub(super) async fn asked(name: &ModuleName, client: &Client) -> Result<Value, CallError> {
    client.get(&format!("/modules/{name}/consent")).await
}

/// Shows what a module waits for and grants exactly that.
pub(super) async fn consent(
    name: ModuleName,
    yes: bool,
    client: &Client,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let asked = asked(&name, client).await?;
    screen.note(&words(&name, &asked));
    if !yes && !screen.confirm("Grant this?")? {
        screen.note("Nothing was granted.");
        return Ok(Outcome::AwaitingConsent);
    }
    let granted = json!({ "version": asked["version"], "adds": asked["adds"], "publisher": asked["publisher"] });
    let path = format!("/modules/{name}/consent");
    let answer = client.send(Method::POST, &path, Body::Json(granted), &RESPOND_ASYNC).await?;
    settle(&name, answer, client, screen).await
}

/// What is asked for, one line each; what it gets besides, which needs no consent; and who made it.
pub(super) fn words(name: &ModuleName, asked: &Value) -> String {
    let mut lines = vec![format!("{name} {} asks for:", plain(&asked["version"]))];
    lines.extend(grants(&asked["adds"]).into_iter().map(|grant| format!("  - {grant}")));
    if lines.len() == 1 {
        lines.push("  - being installed, though nobody signed it".to_owned());
    }
    let rest = permissions(&asked["permissions"], &asked["adds"]);
    if !rest.is_empty() {
        lines.push("It can also:".to_owned());
        lines.extend(rest.into_iter().map(|grant| format!("  - {grant}")));
    }
    lines.push(format!("It is {}", made_by(&asked["publisher"])));
    lines.join("\n")
}

/// The permissions that are not among the `adds`.
fn permissions(all: &Value, adds: &Value) -> Vec<String> {
    let asked = |one: &Value| adds["permissions"].as_array().is_some_and(|adds| adds.contains(one));
    let rest = all.as_array().into_iter().flatten().filter(|one| !asked(one));
    rest.map(|one| visible(&permission(one))).collect()
}

/// What a module could do if it is granted the `adds`, each on one line.
pub(super) fn grants(adds: &Value) -> Vec<String> {
    let mut grants = Vec::new();
    // A line break in what a module asks for must not look like another line.
    let mut add = |key: &str, word: fn(&Value) -> String| {
        grants.extend(adds[key].as_array().into_iter().flatten().map(|one| visible(&word(one))));
    };
    add("permissions", permission);
    add("egress", egress);
    add("devices", |device| format!("use the device {} of the hub", plain(device)));
    add("oauth_hosts", |host| format!("have your sign-in sent to {}", plain(host)));
    let providers = adds["oauth"].as_object().into_iter().flatten();
    grants.extend(providers.map(|(name, provider)| visible(&sign_in(name, provider))));
    grants
}

/// The name is the module's own word for the provider: which one it is, its host says.
fn sign_in(name: &str, provider: &Value) -> String {
    let url = plain(&provider["device_authorization_url"]);
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?']).next()).unwrap_or(&url);
    let scopes: Vec<_> = provider["scopes"].as_array().into_iter().flatten().map(plain).collect();
    let scopes = if scopes.is_empty() { "what it gives to everybody".to_owned() } else { scopes.join(", ") };
    format!(
        "ask {name} ({host}) in your name for: {scopes}; it does so as the program {}",
        plain(&provider["client_id"])
    )
}

fn egress(rule: &Value) -> String {
    let [host, port, protocol] = ["host", "port", "protocol"].map(|key| plain(&rule[key]));
    if host.is_empty() {
        return format!("connect to {}", plain(rule));
    }
    let lan = if rule["lan"] == true { ", in your own network too" } else { "" };
    format!("connect to {host}, port {port} ({protocol}){lan}")
}

fn permission(permission: &Value) -> String {
    let name = plain(permission);
    let meaning = match name.as_str() {
        "device.read" => "see all devices and their states",
        "device.write" => "add devices and set their states",
        "events.subscribe" => "be told what happens",
        "events.publish" => "tell others what happens",
        "secrets.oauth" => "ask you to sign in to a service",
        "secrets.proxy" => "use a service in your name",
        "network.egress" => "connect to the places outside that are named here",
        "modules.read" => "see all modules",
        "modules.manage" => "install and stop modules",
        "modules.call" => "use functions of other modules",
        "messages.send" | "messages.receive" => "exchange messages with other modules",
        "system.read" | "integrity.read" => "see how the hub is",
        _ => return format!("the permission {name}"),
    };
    format!("{meaning} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_told_in_plain_words() {
        let name = ModuleName::new("weather").unwrap();
        let asked = json!({"version": "1.2.0", "adds": {
            "permissions": ["network.egress", "timers.manage", "x\n  - nothing else"],
            "egress": [{"host": "api.example.com", "port": 443, "protocol": "https"},
                {"host": "10.0.0.5", "port": 80, "protocol": "http", "lan": true}, "odd.example:1"],
            "devices": ["/dev/i2c-1"],
            "oauth_hosts": ["login.example.com"],
            "oauth": {"acme": {"device_authorization_url": "https://login.example.com/device?x", "client_id": "lamps\n",
                "scopes": ["calendar.read", "mail"]}, "other": {"device_authorization_url": "odd", "scopes": []}},
        }, "permissions": ["network.egress", "device.read"], "publisher": {"signed": false}});
        assert_eq!(
            words(&name, &asked),
            "weather 1.2.0 asks for:\n  \
             - connect to the places outside that are named here (network.egress)\n  \
             - the permission timers.manage\n  \
             - the permission x\\n  - nothing else\n  \
             - connect to api.example.com, port 443 (https)\n  \
             - connect to 10.0.0.5, port 80 (http), in your own network too\n  \
             - connect to odd.example:1\n  \
             - use the device /dev/i2c-1 of the hub\n  \
             - have your sign-in sent to login.example.com\n  \
             - ask acme (login.example.com) in your name for: calendar.read, mail; it does so as the program lamps\\n\n  \
             - ask other (odd) in your name for: what it gives to everybody; it does so as the program \n\
             It can also:\n  \
             - see all devices and their states (device.read)\n\
             It is UNSIGNED: nobody vouches for where it comes from"
        );
    }
}
