//! A hub in a world: its API over HTTP, with tokens as if people had connected their providers.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use selena_core::{
    Api, Credentials, CredentialsError, Development, Secrets,
    egress::EgressGate,
    identity::{Caller, ModuleRun, NewRun, Origin, RequestLimits},
    ports::{ListenerHost, RunId, ServedListener},
};
use selena_http::Server;
use selena_testkit::memory_api;
use selena_types::{AuditRecord, EgressRule, ModuleName, ModuleType, OAuthProvider, Permission, Secret, TokenHash};
use selena_vault::GuardedDial;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::World;

/// The token of the provider `music`.
pub(crate) const TOKEN: &str = "canary/of+the.vault-0123456789";

/// Tokens by provider: `music` has one, `broken` cannot be renewed, `late` is never done with it, all
/// others were never connected.
#[derive(Debug)]
struct Tokens;

impl Credentials for Tokens {
    fn access_token<'a>(
        &'a self,
        _: &'a ModuleName,
        provider: &'a str,
        _: &'a OAuthProvider,
    ) -> BoxFuture<'a, Result<Secret, CredentialsError>> {
        Box::pin(async move {
            match provider {
                "music" => Ok(Secret::new(TOKEN.to_owned())),
                "broken" => Err(CredentialsError::Unavailable("the provider does not answer".to_owned())),
                "late" => std::future::pending().await,
                _ => Err(CredentialsError::None),
            }
        })
    }
}

pub(crate) struct Hub {
    pub(crate) api: Arc<Api>,
}

/// A module's listener.
pub(crate) struct Door {
    address: SocketAddr,
    _served: Arc<dyn ServedListener>,
}

impl Hub {
    /// A hub whose modules have tokens.
    pub(crate) async fn new(world: &World) -> Self {
        let hub = Self::without_secrets().await;
        hub.api.set_secrets(Arc::new(Secrets::new(Arc::new(world.https()), Arc::new(Tokens))));
        hub
    }

    /// An API as it is while a package is tried.
    pub(crate) async fn without_secrets() -> Self {
        Self { api: Arc::new(memory_api(Development::default(), RequestLimits::Lifted).await) }
    }

    pub(crate) fn door(&self, module: &str) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = Server.serve(listener.into(), self.api.clone(), Origin::Module(run(module))).unwrap();
        Door { address, _served: served }
    }

    /// The egress proxy of a module to which these rules were granted; its address, and what ends it.
    pub(crate) fn egress(&self, rules: Vec<EgressRule>) -> (SocketAddr, Arc<dyn ServedListener>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let gate = self.gate("lamp", rules, &Arc::new(GuardedDial::default()));
        (address, Server.serve_egress(listener.into(), gate).unwrap())
    }

    /// The door outside of a module.
    pub(crate) fn gate(&self, module: &str, rules: Vec<EgressRule>, dial: &Arc<GuardedDial>) -> EgressGate {
        EgressGate::new(self.api.clone(), run(module), rules, dial.clone())
    }

    /// A module's request, past its listener.
    pub(crate) fn caller(module: &str) -> Caller {
        Caller::Module(run(module))
    }

    /// The audit records of a kind.
    pub(crate) async fn audit(&self, event: &str) -> Vec<AuditRecord> {
        let all = self.api.audit_records(1000).await.unwrap();
        all.into_iter().filter(|record| record.event == event).collect()
    }
}

impl Door {
    /// Sends `POST /secrets/proxy`; the answer comes on the connection.
    pub(crate) async fn begin(&self, body: &Value) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let body = body.to_string();
        let head = format!(
            "POST /api/v1/secrets/proxy HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer token\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        stream
    }

    /// `POST /secrets/proxy`; the status, and what came with it.
    pub(crate) async fn proxy(&self, body: &Value) -> (u16, Value) {
        let mut stream = self.begin(body).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap(), serde_json::from_str(body).unwrap())
    }
}

/// A run of an `INTEGRATION` that names these providers, each with one host on two ports.
fn run(name: &str) -> Arc<ModuleRun> {
    let provider = OAuthProvider {
        device_authorization_url: "https://auth.example.com/device".to_owned(),
        token_url: "https://auth.example.com/token".to_owned(),
        revocation_url: None,
        client_id: "client".to_owned(),
        client_secret: None,
        scopes: vec![],
        api_hosts: vec!["api.example.com".to_owned(), "api.example.com:8443".to_owned()],
    };
    let oauth = ["music", "broken", "late", "unconnected"].map(|name| (name.to_owned(), provider.clone()));
    let new = NewRun {
        name: name.parse().unwrap(),
        module_type: ModuleType::Integration,
        port: None,
        permissions: vec![Permission::SecretsProxy],
        events: Default::default(),
        oauth: BTreeMap::from(oauth),
        run: RunId(name.to_owned()),
        webhook_secret: Secret::new(String::new()),
        token: TokenHash(hex::encode(Sha256::digest("token"))),
        boot: Secret::new(String::new()),
    };
    Arc::new(ModuleRun::new(new, RequestLimits::Lifted))
}
