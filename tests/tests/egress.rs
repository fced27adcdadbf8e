//! Approved egress (protocol, section 1), end to end: a real container that a person let reach one place of a world
//! outside, by the hub's CONNECT proxy in its namespace.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use selena_tests::{
    Hub, Module, Outside, Package,
    outside::{Answers, HOST, LAN_HOST},
    wait,
};
use serde_json::{Value, json};

/// Where the proxy is in a module's namespace.
const PROXY: u16 = 7071;
/// Most tunnels of a module.
const LIMIT: usize = 32;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn server() -> Answers {
    Box::new(|asked| match asked.line.as_str() {
        "GET /weather" => (200, json!({ "weather": "fine" }).to_string()),
        _ => (404, String::new()),
    })
}

fn rule(host: &str) -> Value {
    json!({ "host": host, "port": 443, "protocol": "https" })
}

fn package(rules: &Value) -> Package {
    Package::probe("weather", 8100)
        .with("permissions", json!(["events.subscribe", "network.egress"]))
        .with("network", json!({ "egress": rules }))
}

/// The running module, after a person agreed to all that it asks for.
fn granted(hub: &Hub, package: &Package) -> Module {
    let asked = hub.try_install(package).expect(202).json();
    assert_eq!(asked["adds"]["permissions"], json!(["network.egress"]));
    let consent = json!({ "version": asked["version"], "adds": asked["adds"] });
    let _running = hub.admin().post("/modules/weather/consent", &consent).expect(200);
    hub.module("weather")
}

/// Asks the proxy for a tunnel, from inside; the connection, and the head of the answer.
#[track_caller]
fn ask(module: &Module, place: &str) -> (TcpStream, String) {
    let mut stream = module.idle_connection(PROXY);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    write!(stream, "CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n").expect("the proxy hears");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the proxy answers");
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).expect("a head is text"))
}

#[track_caller]
fn tunnel(module: &Module, place: &str) -> TcpStream {
    let (stream, head) = ask(module, place);
    assert!(head.starts_with("HTTP/1.1 200 "), "{place}: {head}");
    stream
}

/// Status and code of a refusal.
#[track_caller]
fn refusal(module: &Module, place: &str) -> (String, String) {
    let (mut stream, head) = ask(module, place);
    let mut body = String::new();
    stream.read_to_string(&mut body).expect("the proxy tells why");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let word = |value: Option<&str>| value.unwrap_or_default().to_owned();
    (word(head.split(' ').nth(1)), word(body["code"].as_str()))
}

/// Asks a host for the weather by TLS through a tunnel, as a module's own client would.
fn weather(stream: TcpStream, host: &'static str, ca_file: &Path) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).expect("an authority")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(host).expect("a name");
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), stream);
    write!(stream, "GET /weather HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("the host hears");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the host answers");
    answer
}

#[track_caller]
fn is_recorded(hub: &Hub, event: &str, detail: &str) {
    wait::until(&format!("{event} of {detail} is recorded"), 20, || {
        hub.audit(event).iter().any(|record| record["subject"] == "weather" && record["detail"] == detail)
    });
}

/// Waits until the other side ends the connection; what came before is of no interest.
fn is_cut(mut stream: TcpStream) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match stream.read(&mut [0; 1024]) {
            Ok(0) => return,
            Ok(_) => assert!(Instant::now() < deadline, "it is not cut"),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it is not cut");
                return;
            }
        }
    }
}

#[test]
fn a_module_reaches_what_a_person_granted_and_nothing_else() {
    Outside::with(server(), |outside| {
        let hub = Hub::start();
        let module = granted(&hub, &package(&json!([rule(HOST), rule(LAN_HOST)])));
        for name in ["HTTPS_PROXY", "https_proxy"] {
            assert_eq!(module.variable(name), "http://127.0.0.1:7071");
        }
        let own = json!({ "act": "connect", "to": "127.0.0.1:7071" });
        assert_eq!(module.act(&own)["done"], true, "its own program reaches the proxy");

        let place = format!("{HOST}:443");
        let answer = weather(tunnel(&module, &place), HOST, &outside.ca_file());
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("fine"), "{answer}");
        is_recorded(&hub, "egress", &format!("{place} connected"));

        let other_port = format!("{HOST}:8443");
        for denied in [&other_port, "other.example.com:443", "93.184.216.34:443", "127.0.0.1:7070"] {
            assert_eq!(refusal(&module, denied), ("403".to_owned(), "egress_denied".to_owned()), "{denied}");
            is_recorded(&hub, "egress_denied", denied);
        }
        let private = format!("{LAN_HOST}:443");
        assert_eq!(refusal(&module, &private), ("403".to_owned(), "egress_address".to_owned()));
        is_recorded(&hub, "egress", &format!("{private} egress_address"));
        assert_eq!(outside.asked("GET /weather").len(), 1, "nothing else went out");
    });
}

#[test]
fn a_place_in_the_house_is_reached_if_the_rule_says_lan() {
    Outside::with(server(), |outside| {
        let hub = Hub::start();
        let mut lan = rule(LAN_HOST);
        lan["lan"] = json!(true);
        let module = granted(&hub, &package(&json!([lan])));
        let answer = weather(tunnel(&module, &format!("{LAN_HOST}:443")), LAN_HOST, &outside.ca_file());
        assert!(answer.contains("fine"), "{answer}");
        assert_eq!(refusal(&module, &format!("{HOST}:443")).1, "egress_denied");
    });
}

#[test]
fn tunnels_are_limited_and_end_with_the_run() {
    Outside::with(server(), |outside| {
        let hub = Hub::start();
        let module = granted(&hub, &package(&json!([rule(HOST)])));
        let place = format!("{HOST}:443");
        let open: Vec<_> = (0..LIMIT).map(|_| tunnel(&module, &place)).collect();
        let (_, head) = ask(&module, &place);
        assert!(head.starts_with("HTTP/1.1 429 ") && head.to_lowercase().contains("\r\nretry-after: "), "{head}");

        let _stopped = hub.admin().post("/modules/weather/stop", &json!({})).expect(200);
        open.into_iter().for_each(is_cut);

        let _started = hub.admin().post("/modules/weather/start", &json!({})).expect(200);
        let again = hub.module("weather");
        let answer = weather(tunnel(&again, &place), HOST, &outside.ca_file());
        assert!(answer.contains("fine"), "the next run has a proxy of its own: {answer}");

        let without = Package::probe("weather", 8100).version("1.0.1").with("permissions", json!(["events.subscribe"]));
        let _updated = hub.try_install(&without).expect(201);
        has_none(&hub.module("weather"));
    });
}

/// Neither proxy nor variable.
#[track_caller]
fn has_none(module: &Module) {
    let refused = module.act(&json!({ "act": "connect", "to": "127.0.0.1:7071" }));
    assert_eq!(refused["error"], "ECONNREFUSED");
    let variables = module.act(&json!({ "act": "environment" }));
    let names: Vec<_> = variables.as_object().expect("variables").keys().map(|name| name.to_uppercase()).collect();
    assert!(!names.iter().any(|name| name.ends_with("_PROXY")), "{names:?}");
}

#[test]
fn a_module_without_a_grant_has_no_proxy_and_neither_has_a_trial() {
    let hub = Hub::start();
    has_none(&hub.install(&Package::probe("without", 8101)));

    let rules = json!([rule(HOST)]);
    let start = json!({ "variables": ["HTTPS_PROXY", "https_proxy", "SELENA_CORE_URL"], "do": "exit", "code": 3 });
    let answer = hub.try_install(&package(&rules).start(start));
    answer.refused(400, "sandbox_failed");
    let answer = answer.json();
    let output = answer["sandbox_output"].as_str().unwrap_or_default();
    for line in ["HTTPS_PROXY: not there", "https_proxy: not there", "SELENA_CORE_URL: there"] {
        assert!(output.lines().any(|said| said == line), "no line `{line}` in:\n{output}");
    }

    let _waits = hub.try_install(&package(&rules)).expect(202);
    let report = &hub.details("weather")["report"];
    assert_eq!(report["open_ports"], json!([8100]), "its own port only: {report}");
}
