//! What a package asks for, what was granted, and what an update adds (protocol, section 2, "Consent").

use selena_types::{EgressRule, Manifest, OAuthProvider, Permission};
use serde_json::{Map, Value, json};

/// Everything a manifest asks for, as it is stored once it is granted.
pub(super) fn asked(manifest: &Manifest) -> Value {
    let oauth: Map<_, _> =
        manifest.oauth.iter().map(|(name, provider)| (name.clone(), provider_rights(provider))).collect();
    json!({
        "permissions": manifest.permissions,
        "egress": manifest.egress.iter().map(egress).collect::<Vec<_>>(),
        "devices": manifest.devices,
        "oauth": oauth,
    })
}

/// What a person has to grant before a first start, if anything: `{"permissions","egress","devices","oauth_hosts"}`.
pub(super) fn needed_at_first(manifest: &Manifest) -> Option<Value> {
    let permissions = manifest.permissions.iter().copied().filter(|permission| permission.needs_consent()).collect();
    let hosts = manifest.oauth.values().flat_map(hosts).collect();
    shown(permissions, manifest.egress.iter().map(egress).collect(), manifest.devices.clone(), hosts)
}

/// What a person has to grant before an update, if anything: all that goes beyond what was granted.
pub(super) fn added(granted: &Value, manifest: &Manifest) -> Option<Value> {
    let had = |list: &str, item: &Value| granted[list].as_array().is_some_and(|list| list.contains(item));
    let permissions = manifest.permissions.iter().copied().filter(|permission| !had("permissions", &json!(permission)));
    let egress = manifest.egress.iter().map(egress).filter(|rule| !had("egress", rule));
    let devices = manifest.devices.iter().filter(|device| !had("devices", &json!(device))).cloned();
    let changed = manifest.oauth.iter().filter(|(name, provider)| granted["oauth"][*name] != provider_rights(provider));
    let hosts = changed.flat_map(|(_, provider)| hosts(provider)).collect();
    shown(permissions.collect(), egress.collect(), devices.collect(), hosts)
}

fn shown(
    permissions: Vec<Permission>,
    egress: Vec<Value>,
    devices: Vec<String>,
    oauth_hosts: Vec<String>,
) -> Option<Value> {
    let nothing = permissions.is_empty() && egress.is_empty() && devices.is_empty() && oauth_hosts.is_empty();
    let adds = json!({ "permissions": permissions, "egress": egress, "devices": devices, "oauth_hosts": oauth_hosts });
    (!nothing).then_some(adds)
}

/// The places outside that a module may reach: those of its manifest that a person granted.
pub(super) fn granted_egress(granted: &Value, manifest: &Manifest) -> Vec<EgressRule> {
    let had = |rule: &EgressRule| granted["egress"].as_array().is_some_and(|list| list.contains(&egress(rule)));
    let may = manifest.permissions.contains(&Permission::NetworkEgress);
    manifest.egress.iter().filter(|rule| may && had(rule)).cloned().collect()
}

fn egress(rule: &EgressRule) -> Value {
    let mut shown = json!({ "host": rule.host, "port": rule.port, "protocol": rule.protocol });
    if rule.lan {
        shown["lan"] = json!(true);
    }
    shown
}

/// All of a provider that decides where tokens come from and go to.
pub(crate) fn provider_rights(provider: &OAuthProvider) -> Value {
    json!({
        "device_authorization_url": provider.device_authorization_url,
        "token_url": provider.token_url,
        "revocation_url": provider.revocation_url,
        "client_id": provider.client_id,
        "scopes": provider.scopes,
        "api_hosts": provider.api_hosts,
    })
}

/// The hosts a provider's tokens come from and go to.
fn hosts(provider: &OAuthProvider) -> Vec<String> {
    let urls = [Some(&provider.device_authorization_url), Some(&provider.token_url), provider.revocation_url.as_ref()];
    let authority = |url: &String| url.strip_prefix("https://")?.split(['/', '?']).next().map(str::to_owned);
    let mut hosts = provider.api_hosts.clone();
    hosts.extend(urls.into_iter().flatten().filter_map(authority));
    hosts.sort();
    hosts.dedup();
    hosts
}

#[cfg(test)]
mod tests {
    use selena_types::ResourceLimits;

    use super::*;

    fn manifest(extra: &Value) -> Manifest {
        let mut text = json!({
            "name": "m1", "version": "1.0.0", "type": "INTEGRATION", "api_version": "1.0", "port": 8100,
            "permissions": ["device.read"],
        });
        for (key, value) in extra.as_object().expect("an object") {
            text[key] = value.clone();
        }
        let limits = ResourceLimits { memory_mb: 1024, cpu: 2.0, data_mb: 1024 };
        let core = semver::Version::new(1, 0, 0);
        Manifest::parse(text.to_string().as_bytes(), &core, &limits).expect("a good manifest").manifest
    }

    fn with_egress(lan: bool) -> Manifest {
        let host = if lan { "192.168.1.5" } else { "api.example.com" };
        let mut rule = json!({ "host": host, "port": 443, "protocol": "tcp" });
        if lan {
            rule["lan"] = json!(true);
        }
        manifest(&json!({ "permissions": ["device.read", "network.egress"], "network": { "egress": [rule] } }))
    }

    #[test]
    fn only_what_a_person_grants_holds_up_a_first_start() {
        assert_eq!(needed_at_first(&manifest(&json!({}))), None);
        let adds = needed_at_first(&with_egress(false)).expect("egress needs a person");
        assert_eq!(adds["permissions"], json!(["network.egress"]));
        assert_eq!(adds["egress"][0]["host"], "api.example.com");
        let lan = needed_at_first(&with_egress(true)).expect("so does the house");
        assert_eq!(lan["egress"][0]["lan"], true, "that it is the house is shown");
    }

    #[test]
    fn egress_is_what_the_manifest_names_and_a_person_granted() {
        let (outside, house) = (with_egress(false), with_egress(true));
        assert_eq!(granted_egress(&asked(&outside), &outside), outside.egress);
        assert_eq!(granted_egress(&asked(&house), &house), house.egress);
        for granted in [Value::Null, asked(&manifest(&json!({}))), asked(&outside)] {
            assert_eq!(granted_egress(&granted, &house), [], "{granted}");
        }
        assert_eq!(granted_egress(&asked(&outside), &manifest(&json!({}))), [], "the manifest of this run names none");
    }

    #[test]
    fn m12_in_an_update_every_added_right_needs_a_person() {
        let granted = asked(&manifest(&json!({})));
        assert_eq!(added(&granted, &manifest(&json!({}))), None);
        assert_eq!(added(&granted, &manifest(&json!({ "permissions": [] }))), None, "less needs nobody");
        let more = added(&granted, &manifest(&json!({ "permissions": ["device.read", "device.write"] })));
        assert_eq!(more.expect("it adds one")["permissions"], json!(["device.write"]));
        assert!(added(&asked(&with_egress(false)), &with_egress(true)).is_some(), "another host");
        assert!(added(&Value::Null, &manifest(&json!({}))).is_some(), "nothing was granted yet");
    }
}
