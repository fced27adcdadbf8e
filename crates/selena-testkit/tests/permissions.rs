//! K07: every route, by every role, with every method. What is expected is written down here by hand from the table
//! of section 3 of the protocol, apart from the table the hub decides by.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use selena_core::{
    Api, Development,
    identity::{ModuleRun, NewRun, Origin, RequestLimits},
    ports::{ListenerHost, RunId, ServedListener},
};
use selena_http::Server;
use selena_testkit::memory_api;
use selena_types::{ManifestEvents, ModulePort, ModuleType, Permission, Secret, TokenHash};

/// What a column of the table says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    /// With this permission.
    With(Permission),
    /// Without any.
    Always,
    /// Not at all.
    Never,
}
use Cell::{Always, Never, With};
use Permission::{DeviceRead, DeviceWrite, EventsPublish, EventsSubscribe, SecretsOauth, SecretsProxy};

/// A row: method, path, and the columns INTEGRATION; DRIVER and IMPORT_SOURCE; AUTOMATION and UI; SYSTEM; people.
type Row = (&'static str, &'static str, Cell, Cell, Cell, Cell, Cell);

const ID: &str = "00000000-0000-4000-8000-000000000000";

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("GET",    "/health",                 Always, Always, Always, Always, Always),
    ("GET",    "/openapi.json",           Always, Always, Always, Always, Always),
    ("GET",    "/system/info",            Never, Never, Never, Always, Always),
    ("GET",    "/audit",                  Never, Never, Never, Never, Always),
    ("GET",    "/system/devices",         Never, Never, Never, Never, Always),
    ("GET",    "/system/disk",            Never, Never, Never, Never, Always),
    ("GET",    "/jobs",                   Never, Never, Never, Never, Always),
    ("DELETE", "/jobs/{id}",                Never, Never, Never, Never, Always),
    ("GET",    "/integrity/status",       Never, Never, Never, Always, Always),
    // These two are the agent's alone: it has a secret in place of a token.
    ("POST",   "/integrity/violation",    Never, Never, Never, Never, Never),
    ("POST",   "/integrity/restored",     Never, Never, Never, Never, Never),
    ("POST",   "/system/safe-mode/exit",  Never, Never, Never, Never, Always),
    ("GET",    "/devices",                With(DeviceRead), With(DeviceRead), With(DeviceRead), Always, Always),
    ("GET",    "/devices/{id}",           With(DeviceRead), With(DeviceRead), With(DeviceRead), Always, Always),
    ("GET",    "/devices/{id}/history",   With(DeviceRead), With(DeviceRead), With(DeviceRead), Always, Always),
    ("POST",   "/devices",                With(DeviceWrite), With(DeviceWrite), Never, Always, Always),
    ("PATCH",  "/devices/{id}/state",     With(DeviceWrite), With(DeviceWrite), Never, Always, Always),
    ("DELETE", "/devices/{id}",           Never, With(DeviceWrite), Never, Always, Always),
    ("POST",   "/events/publish",         With(EventsPublish), With(EventsPublish), With(EventsPublish), Always, Always),
    ("POST",   "/events/subscribe",       With(EventsSubscribe), With(EventsSubscribe), With(EventsSubscribe), Always, Never),
    ("GET",    "/events",                 With(EventsSubscribe), With(EventsSubscribe), With(EventsSubscribe), Always, Always),
    ("GET",    "/events/stream",          With(EventsSubscribe), With(EventsSubscribe), With(EventsSubscribe), Always, Always),
    ("DELETE", "/events/subscriptions/{id}", With(EventsSubscribe), With(EventsSubscribe), With(EventsSubscribe), Always, Never),
    ("POST",   "/intents/register",       Always, Always, Always, Always, Always),
    ("GET",    "/intents",                Always, Always, Always, Always, Always),
    ("POST",   "/secrets/proxy",          With(SecretsProxy), Never, Never, Always, Never),
    ("POST",   "/secrets/oauth/start",    With(SecretsOauth), Never, Never, Always, Never),
    ("GET",    "/secrets/oauth/status",   With(SecretsOauth), Never, Never, Always, Never),
    ("GET",    "/modules",                Never, Never, Never, Always, Always),
    ("POST",   "/modules/install",        Never, Never, Never, Always, Always),
    ("POST",   "/modules/other/stop",     Never, Never, Never, Always, Always),
    ("GET",    "/modules/other",          Never, Never, Never, Always, Always),
    ("DELETE", "/modules/other",          Never, Never, Never, Always, Always),
    ("GET",    "/modules/install",        Never, Never, Never, Always, Always),
    ("DELETE", "/modules/install",        Never, Never, Never, Always, Always),
    ("POST",   "/modules/other/start",    Never, Never, Never, Always, Always),
    ("POST",   "/modules/other/restart",  Never, Never, Never, Always, Always),
    ("POST",   "/modules/other/rollback", Never, Never, Never, Always, Always),
    ("POST",   "/modules/other/command",  Never, Never, Never, Always, Always),
    ("GET",    "/modules/other/logs",     Never, Never, Never, Always, Always),
    ("GET",    "/modules/other/status/stream", Never, Never, Never, Always, Always),
    ("GET",    "/modules/other/consent",  Never, Never, Never, Always, Always),
    ("POST",   "/modules/other/consent",  Never, Never, Never, Always, Always),
    ("DELETE", "/modules/other/consent",  Never, Never, Never, Always, Always),
    ("POST",   "/modules/other/config",   Never, Never, Never, Always, Always),
    ("POST",   "/backup",                 Never, Never, Never, Never, Always),
    ("DELETE", "/backup",                 Never, Never, Never, Never, Always),
    ("POST",   "/backup/check",           Never, Never, Never, Never, Always),
    ("GET",    "/backup/status/stream",   Never, Never, Never, Never, Always),
    ("POST",   "/restore",                Never, Never, Never, Never, Always),
    ("GET",    "/publishers",             Never, Never, Never, Never, Always),
    ("POST",   "/publishers",             Never, Never, Never, Never, Always),
    ("POST",   "/publishers/rotate",      Never, Never, Never, Never, Always),
    ("PATCH",  "/publishers/{key_id}",    Never, Never, Never, Never, Always),
    ("POST",   "/publishers/{key_id}/revoke", Never, Never, Never, Never, Always),
    ("GET",    "/modules/me-myself/config", Always, Always, Always, Always, Always),
];

/// Rows that are for everybody.
const PUBLIC: [&str; 3] = ["/health", "/openapi.json", "/system/info"];

/// Rows that are for people, and for the development token, but for no part of the hub.
const BACKUPS: [&str; 4] = ["/backup", "/backup/check", "/backup/status/stream", "/restore"];

/// Rows whose caller has another proof than a token.
const AGENT: [&str; 2] = ["/integrity/violation", "/integrity/restored"];

/// What somebody without a valid token gets of a row is that a token is missing, unless none is needed.
fn without_token(path: &str, status: u16) -> bool {
    match status {
        401 => !PUBLIC.contains(&path) && !AGENT.contains(&path),
        403 => AGENT.contains(&path),
        _ => PUBLIC.contains(&path),
    }
}

/// A listener with one origin.
struct Door {
    address: SocketAddr,
    _served: Arc<dyn ServedListener>,
}

impl Door {
    fn open(api: &Arc<Api>, origin: Origin) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = Server.serve(listener.into(), api.clone(), origin).expect("served");
        Self { address, _served: served }
    }

    /// The status of an answer.
    fn ask(&self, method: &str, path: &str, token: Option<&str>) -> u16 {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let path = path.replace("{id}", ID).replace("{key_id}", ID);
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}",
            self.address
        )
        .expect("sent");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {line:?}"))
    }
}

async fn api() -> Arc<Api> {
    let development = Development { token: Some(Secret::new("dev".to_owned())), webhook_secret: None };
    Arc::new(memory_api(development, RequestLimits::Lifted).await)
}

fn module(module_type: ModuleType, permissions: Vec<Permission>) -> Origin {
    use sha2::Digest;
    let new = NewRun {
        name: "me-myself".parse().expect("a name"),
        module_type,
        port: ModulePort::new(8100).ok(),
        permissions,
        events: ManifestEvents::default(),
        oauth: Default::default(),
        run: RunId("run".to_owned()),
        webhook_secret: Secret::new("secret".to_owned()),
        token: TokenHash(hex::encode(sha2::Sha256::digest("token"))),
        boot: Secret::new(String::new()),
    };
    Origin::Module(Arc::new(ModuleRun::new(new, RequestLimits::Lifted)))
}

fn cell(row: &Row, module_type: ModuleType) -> Cell {
    match module_type {
        ModuleType::Integration => row.2,
        ModuleType::Driver | ModuleType::ImportSource => row.3,
        ModuleType::Automation | ModuleType::Ui => row.4,
        ModuleType::System => row.5,
    }
}

/// Refused for want of a right, or not.
fn is_refused(status: u16) -> bool {
    assert_ne!(status, 500);
    matches!(status, 401 | 403)
}

#[tokio::test(flavor = "multi_thread")]
async fn k07_modules_by_type_and_permission() {
    let api = api().await;
    for module_type in ModuleType::ALL.iter().copied() {
        let mut grants: Vec<Vec<Permission>> = Permission::ALL.iter().map(|permission| vec![*permission]).collect();
        grants.extend([vec![], Permission::ALL.to_vec()]);
        for granted in grants {
            let door = Door::open(&api, module(module_type, granted.clone()));
            for row in TABLE {
                let expected = match cell(row, module_type) {
                    Always => true,
                    Never => false,
                    With(permission) => granted.contains(&permission),
                };
                let status = door.ask(row.0, row.1, Some("token"));
                assert_eq!(
                    !is_refused(status),
                    expected,
                    "{module_type} with {granted:?}: {} {} is {status}",
                    row.0,
                    row.1
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn k07_people_the_development_token_and_nobody() {
    let api = api().await;
    let person = Door::open(&api, Origin::Admin { who: "uid 0".to_owned() });
    let host = Door::open(&api, api.identity().host_origin());
    for row in TABLE {
        let what = format!("{} {}", row.0, row.1);
        assert_eq!(!is_refused(person.ask(row.0, row.1, None)), row.6 == Always, "a person: {what}");
        let developer = row.5 == Always || BACKUPS.contains(&row.1);
        assert_eq!(!is_refused(host.ask(row.0, row.1, Some("dev"))), developer, "the development token: {what}");
        let nobody = host.ask(row.0, row.1, None);
        assert!(without_token(row.1, nobody), "nobody: {what} is {nobody}");
        let wrong = host.ask(row.0, row.1, Some("wrong"));
        assert!(without_token(row.1, wrong), "a wrong token: {what} is {wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m05_only_people_and_the_development_token_may_allow_a_downgrade() {
    const ALLOWED: &str = "/modules/install?allow_downgrade=true";
    let api = api().await;
    for module_type in ModuleType::ALL.iter().copied() {
        let door = Door::open(&api, module(module_type, Permission::ALL.to_vec()));
        assert_eq!(door.ask("POST", ALLOWED, Some("token")), 403, "{module_type}");
    }
    let system = Door::open(&api, module(ModuleType::System, Vec::new()));
    assert!(!is_refused(system.ask("POST", "/modules/install?allow_downgrade=false", Some("token"))));
    let person = Door::open(&api, Origin::Admin { who: "uid 0".to_owned() });
    let host = Door::open(&api, api.identity().host_origin());
    assert!(!is_refused(person.ask("POST", ALLOWED, None)));
    assert!(!is_refused(host.ask("POST", ALLOWED, Some("dev"))));
    assert_eq!(host.ask("POST", ALLOWED, None), 401);
    for unclear in ["1", "yes", "TRUE"] {
        let path = format!("/modules/install?allow_downgrade={unclear}");
        assert_eq!(person.ask("POST", &path, None), 422, "{unclear}");
    }
    api.flush_audit();
    let refused = api.audit_records(100).await.expect("read");
    assert!(refused.iter().any(|record| record.event == "downgrade_needs_person" && record.subject == "me-myself"));
}

#[tokio::test(flavor = "multi_thread")]
async fn k07_every_other_method_is_refused_by_every_path() {
    let api = api().await;
    let door = Door::open(&api, Origin::Admin { who: "uid 0".to_owned() });
    for path in TABLE.iter().map(|row| row.1) {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            let same = |other: &str| other.replace("me-myself", "other") == path.replace("me-myself", "other");
            let listed = TABLE.iter().any(|row| row.0 == method && same(row.1));
            let status = door.ask(method, path, None);
            assert_eq!(status == 405, !listed, "{method} {path} is {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn k07_the_table_here_has_every_route() {
    let document = selena_http::openapi();
    for (path, methods) in document["paths"].as_object().expect("an object") {
        for method in methods.as_object().expect("an object").keys() {
            let normal =
                |path: &str| path.replace("{device_id}", "{id}").replace("{name}", "other").replace("/api/v1", "");
            let listed = TABLE
                .iter()
                .any(|row| row.0.eq_ignore_ascii_case(method) && row.1.replace("me-myself", "other") == normal(path));
            let elsewhere = ["/boot", "/boot/denied", "/intents/{module}"].contains(&normal(path).as_str());
            assert!(listed || elsewhere, "{method} {path} is not tested");
        }
    }
}
