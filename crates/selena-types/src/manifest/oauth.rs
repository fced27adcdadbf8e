//! `oauth` of a manifest: the providers whose tokens the hub's vault keeps for a module (protocol, section 3).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    OAuthProvider,
    hosts::{api_host, https_url},
    reader::{Fields, HOST, INVALID, Unknown},
};

impl OAuthProvider {
    /// All of it that decides where tokens come from and go to, and what for: what a person grants (protocol, section 2,
    /// "Consent"). The client's secret is no part of it.
    #[must_use]
    pub fn rights(&self) -> Value {
        json!({
            "device_authorization_url": self.device_authorization_url,
            "token_url": self.token_url,
            "revocation_url": self.revocation_url,
            "client_id": self.client_id,
            "scopes": self.scopes,
            "api_hosts": self.api_hosts,
        })
    }

    /// The hosts its tokens come from and go to, in order, each once; with the port if that is not 443.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let urls = [Some(&self.device_authorization_url), Some(&self.token_url), self.revocation_url.as_ref()];
        let authority = |url: &String| url.strip_prefix("https://")?.split(['/', '?']).next().map(str::to_owned);
        let mut hosts = self.api_hosts.clone();
        hosts.extend(urls.into_iter().flatten().filter_map(authority));
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

/// What a provider's object may hold.
const FIELDS: [&str; 7] =
    ["device_authorization_url", "token_url", "revocation_url", "client_id", "client_secret", "scopes", "api_hosts"];

/// Reads `oauth`: providers by name.
pub(super) fn read(manifest: &mut Fields<'_, '_>) -> BTreeMap<String, OAuthProvider> {
    let mut providers = BTreeMap::new();
    let Some(mut oauth) = manifest.object("oauth") else {
        return providers;
    };
    for name in oauth.names() {
        if !is_provider_name(name) {
            oauth.problem(
                name,
                INVALID,
                "a provider's name is 1 to 64 of a-z, 0-9, '-' and '_', first a letter or digit",
            );
        } else if let Some(provider) = oauth.object(name).and_then(provider) {
            providers.insert(name.clone(), provider);
        } else if oauth.get(name).is_none() {
            oauth.problem(name, INVALID, "must be a JSON object");
        }
    }
    providers
}

/// The name is part of a file's name in the vault (section 7).
fn is_provider_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with(['-', '_'])
}

fn provider(mut fields: Fields<'_, '_>) -> Option<OAuthProvider> {
    fields.unknown(&FIELDS, Unknown::Refuse);
    for field in ["device_authorization_url", "token_url", "client_id", "scopes", "api_hosts"] {
        fields.required(field);
    }
    let device_authorization_url = fields.parsed("device_authorization_url", INVALID, https_url);
    let token_url = fields.parsed("token_url", INVALID, https_url);
    let revocation_url = fields.parsed("revocation_url", INVALID, https_url);
    let client_id = fields.parsed("client_id", INVALID, client_text);
    let client_secret = fields.parsed("client_secret", INVALID, client_text);
    let scopes = fields.parsed_list("scopes", INVALID, scope);
    let api_hosts = api_hosts(&mut fields);
    Some(OAuthProvider {
        device_authorization_url: device_authorization_url?,
        token_url: token_url?,
        revocation_url,
        client_id: client_id?,
        client_secret,
        scopes: scopes?,
        api_hosts: api_hosts?,
    })
}

fn api_hosts(fields: &mut Fields<'_, '_>) -> Option<Vec<String>> {
    let count = fields.list("api_hosts", INVALID)?.len();
    if !(1..=8).contains(&count) {
        fields.problem("api_hosts", INVALID, "must name 1 to 8 hosts");
        return None;
    }
    fields.parsed_list("api_hosts", HOST, api_host)
}

/// Printable ASCII, as RFC 6749 has it for client ids and secrets.
fn client_text(text: &str) -> Result<String, &'static str> {
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let good = printable && (1..=1024).contains(&text.len());
    if good { Ok(text.to_owned()) } else { Err("must be 1 to 1024 printable ASCII characters") }
}

/// One scope of RFC 6749: printable ASCII without blank, quote and backslash.
fn scope(text: &str) -> Result<String, &'static str> {
    let token = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    let good = token && (1..=512).contains(&text.len());
    if good {
        Ok(text.to_owned())
    } else {
        Err("must be one scope: printable ASCII without blank, quote and backslash")
    }
}
