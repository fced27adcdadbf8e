//! What a package asks for, what was granted, and what an update adds (protocol, section 2, "Consent").

use selena_types::{EgressRule, Manifest, OAuthProvider, Permission};
use serde_json::{Map, Value, json};

/// Everything a manifest asks for, as it is stored once it is granted.
pub(super) fn asked(manifest: &Manifest) -> Value {
    let oauth: Map<_, _> = manifest.oauth.iter().map(|(name, provider)| (name.clone(), provider.rights())).collect();
    json!({
        "permissions": manifest.permissions,
        "egress": manifest.egress.iter().map(egress).collect::<Vec<_>>(),
        "devices": manifest.devices,
        "oauth": oauth,
    })
}

/// What a person has to grant before a first start, if anything: `{"permissions","egress","devices","oauth_hosts"}`, and
/// `oauth` if there are providers: by name, all of each that is granted, so that nothing is that was not shown.
pub(super) fn needed_at_first(manifest: &Manifest) -> Option<Value> {
    let permissions = manifest.permissions.iter().copied().filter(|permission| permission.needs_consent()).collect();
    let egress = manifest.egress.iter().map(egress).collect();
    shown(permissions, egress, manifest.devices.clone(), &manifest.oauth.iter().collect::<Vec<_>>())
}

/// What a person has to grant before an update, if anything: all that goes beyond what was granted.
pub(super) fn added(granted: &Value, manifest: &Manifest) -> Option<Value> {
    let had = |list: &str, item: &Value| granted[list].as_array().is_some_and(|list| list.contains(item));
    let permissions = manifest.permissions.iter().copied().filter(|permission| !had("permissions", &json!(permission)));
    let egress = manifest.egress.iter().map(egress).filter(|rule| !had("egress", rule));
    let devices = manifest.devices.iter().filter(|device| !had("devices", &json!(device))).cloned();
    let changed = manifest.oauth.iter().filter(|(name, provider)| granted["oauth"][*name] != provider.rights());
    shown(permissions.collect(), egress.collect(), devices.collect(), &changed.collect::<Vec<_>>())
}

fn shown(
    permissions: Vec<Permission>,
    egress: Vec<Value>,
    devices: Vec<String>,
    providers: &[(&String, &OAuthProvider)],
) -> Option<Value> {
    let nothing = permissions.is_empty() && egress.is_empty() && devices.is_empty() && providers.is_empty();
    let oauth_hosts: Vec<_> = providers.iter().flat_map(|(_, provider)| provider.hosts()).collect();
    let mut adds =
        json!({ "permissions": permissions, "egress": egress, "devices": devices, "oauth_hosts": oauth_hosts });
    if !providers.is_empty() {
        let rights = providers.iter().map(|(name, provider)| ((*name).clone(), provider.rights()));
        adds["oauth"] = rights.collect::<Map<_, _>>().into();
    }
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

    fn with_provider(change: Value) -> Manifest {
        let mut provider = json!({
            "device_authorization_url": "https://login.example.com/device",
            "token_url": "https://login.example.com/token",
            "client_id": "lamps",
            "scopes": ["read"],
            "api_hosts": ["api.example.com"],
        });
        for (key, value) in change.as_object().expect("an object") {
            provider[key] = value.clone();
        }
        manifest(&json!({ "permissions": ["secrets.oauth"], "oauth": { "acme": provider } }))
    }

    #[test]
    fn all_of_a_provider_that_is_granted_is_shown() {
        let first = with_provider(json!({}));
        let adds = needed_at_first(&first).expect("a provider needs a person");
        assert_eq!(adds["oauth"], asked(&first)["oauth"], "what is stored as granted is what was shown");
        assert_eq!(adds["oauth_hosts"], json!(["api.example.com", "login.example.com"]));
        for (field, value) in [
            ("client_id", json!("another")),
            ("scopes", json!(["read", "write"])),
            ("token_url", json!("https://login.example.com/other")),
            ("device_authorization_url", json!("https://device.example.com/")),
            ("revocation_url", json!("https://login.example.com/revoke")),
            ("api_hosts", json!(["api.example.com", "evil.example.com"])),
        ] {
            let second = with_provider(json!({ field: value }));
            let adds = added(&asked(&first), &second).expect("a changed provider needs a person");
            assert_eq!(adds["oauth"]["acme"][field], value, "what changed is shown");
            assert_eq!(adds["oauth"], asked(&second)["oauth"]);
            assert_eq!(added(&asked(&second), &second), None, "and granted once");
        }
        let secret = with_provider(json!({ "client_secret": "s3cret" }));
        assert_eq!(added(&asked(&first), &secret), None, "where tokens come from and go to did not change");
        assert_eq!(needed_at_first(&with_egress(false)).expect("egress").get("oauth"), None, "only if there is one");
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
