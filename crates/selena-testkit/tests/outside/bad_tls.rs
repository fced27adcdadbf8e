//! U17: who cannot prove to be the host gets no request, so no token.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, NameConstraints,
    SanType,
};
use rustls::{
    ServerConfig,
    version::{TLS12, TLS13},
};
use selena_core::ports::{Https, HttpsError, HttpsRequest};
use selena_vault::{CaFileError, GuardedHttps};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    certificates::{Authority, Identity, ca, server},
    world::{Site, World, in_a_world, raw, replies},
};

const HOST: &str = "api.example.com";
const URL: &str = "https://api.example.com/";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = server(&[HOST]);
    change(&mut params);
    params
}

/// Certificates that are not good, each with what is wrong.
fn bad(authority: &Authority) -> Vec<(&'static str, Arc<ServerConfig>)> {
    let now = SystemTime::now();
    let signed = |params: CertificateParams| authority.sign(&params);
    let no_authority = authority.intermediate(server(&["other.example.com"]));
    let narrow = authority.intermediate({
        let mut params = ca("for another domain");
        let permitted_subtrees = vec![GeneralSubtree::DnsName("example.org".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
        params
    });
    let short = authority.intermediate({
        let mut params = ca("for servers only");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params
    });
    let too_deep = short.intermediate(ca("one too many"));
    let impostor = Authority::new("An authority of the house");
    let wild = "*.com";
    let all = [
        ("expired", signed(with(|params| params.not_after = (now - DAY).into()))),
        ("not yet valid", signed(with(|params| params.not_before = (now + DAY).into()))),
        ("for another host", signed(server(&["other.example.com"]))),
        ("for the domain above", signed(server(&["example.com"]))),
        ("a wildcard over two labels", signed(server(&[wild, "*.*.com", "*.sub.example.com"]))),
        ("self-signed", Identity::self_signed(&server(&[HOST]))),
        ("an authority's own", Identity::self_signed(&with(|params| params.is_ca = ca("x").is_ca))),
        ("of an unknown authority", Authority::new("nobody knows it").sign(&server(&[HOST]))),
        ("of one that bears the name of a known one", impostor.sign(&server(&[HOST]))),
        (
            "with a common name and nothing else",
            signed({
                let mut params = server(&[]);
                params.distinguished_name.push(DnType::CommonName, HOST);
                params
            }),
        ),
        (
            "for an address only",
            signed(with(|params| {
                params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::new(93, 184, 216, 1)))];
            })),
        ),
        ("for clients", signed(with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]))),
        ("signed by a server", no_authority.sign(&server(&[HOST])).below(&no_authority)),
        ("signed for a domain that is not the signer's", narrow.sign(&server(&[HOST])).below(&narrow)),
        ("with one signer too many", too_deep.sign(&server(&[HOST])).below(&too_deep).below(&short)),
        ("without the one between", authority.intermediate(ca("left out")).sign(&server(&[HOST]))),
    ];
    all.into_iter().map(|(what, identity)| (what, identity.server_config())).collect()
}

async fn is_unreachable(world: &World, what: &str, site: Site) {
    world.publish_site(HOST, site);
    let outcome = world.get(URL).await;
    assert!(matches!(outcome, Err(HttpsError::Connect { .. })), "{what}: {outcome:?}");
    assert_eq!(world.requests(), [] as [String; 0], "{what}");
}

#[test]
fn u17_a_bad_certificate() {
    in_a_world(|world| async move {
        for (what, config) in bad(&world.authority) {
            is_unreachable(&world, what, Site::Tls(config, replies(200, "", ""))).await;
        }
        // The same with nothing wrong: it was what is wrong that was refused.
        let between = world.authority.intermediate(ca("between"));
        for config in [
            world.authority.sign(&server(&[HOST])).server_config_of(&[&TLS12]),
            world.authority.sign(&server(&[HOST])).server_config_of(&[&TLS13]),
            world.authority.sign(&server(&["*.example.com"])).server_config(),
            between.sign(&server(&[HOST])).below(&between).server_config(),
        ] {
            world.publish_site(HOST, Site::Tls(config, replies(200, "", "")));
            assert_eq!(world.get(URL).await.unwrap().status, 200);
        }
    });
}

#[test]
fn u17_no_tls_or_one_that_is_too_old() {
    // A ServerHello of TLS 1.1 with TLS_RSA_WITH_AES_128_CBC_SHA, as an old server sends it.
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    // And one of TLS 1.2 with a cipher nobody offered: RC4.
    let mut weak = vec![0x16, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    weak.extend([7; 32]);
    weak.extend([0, 0, 0x05, 0]);
    in_a_world(|world| async move {
        for (what, bytes) in [
            ("plain HTTP", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
            ("an alert: protocol_version", vec![0x15, 3, 2, 0, 2, 2, 70]),
            ("TLS 1.1", hello),
            ("RC4", weak),
            ("nothing", vec![]),
        ] {
            let site = raw(move |mut stream| {
                let bytes = bytes.clone();
                async move {
                    let _client_hello = stream.read_u8().await?;
                    stream.write_all(&bytes).await?;
                    stream.shutdown().await?;
                    // Closed with unread bytes, a socket would reset what was just sent.
                    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
                }
            });
            is_unreachable(&world, what, site).await;
        }
    });
}

#[test]
fn u17_only_the_systems_authorities_and_the_files_are_believed() {
    in_a_world(|world| async move {
        let identity = world.authority.sign(&server(&[HOST]));
        world.publish_site(HOST, Site::Tls(identity.server_config(), replies(200, "", "")));
        let another = world.file("another.pem", &Authority::new("another").pem());
        let request = || HttpsRequest {
            method: "GET".to_owned(),
            url: URL.to_owned(),
            headers: vec![],
            body: vec![],
            timeout: Duration::from_secs(5),
            max_answer_bytes: 1,
        };
        let outcome = GuardedHttps::new(Some(&another)).unwrap().send(request()).await;
        assert!(matches!(outcome, Err(HttpsError::Connect { .. })), "{outcome:?}");
        assert_eq!(world.requests(), [] as [String; 0]);
        let both = world.file("both.pem", &format!("{}{}", Authority::new("x").pem(), world.authority.pem()));
        assert_eq!(GuardedHttps::new(Some(&both)).unwrap().send(request()).await.unwrap().status, 200);

        let refused = |name: &str, text: &str| GuardedHttps::new(Some(&world.file(name, text))).unwrap_err();
        assert!(matches!(refused("empty.pem", ""), CaFileError::Empty { .. }));
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(refused("cut.pem", cut), CaFileError::Pem { .. }));
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(refused("garbage.pem", garbage), CaFileError::Certificate { .. }));
        let missing = GuardedHttps::new(Some("/nonexistent/ca.pem".as_ref())).unwrap_err();
        assert!(matches!(missing, CaFileError::Read { .. }) && missing.to_string().contains("/nonexistent/ca.pem"));
    });
}
