//! `POST /secrets/proxy`: what a module can ask, what it is told, what it never sees.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use selena_core::ApiError;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
};

use crate::{
    dns::{
        Record::A,
        Said::{Nothing, Records},
    },
    hub::{Hub, TOKEN},
    world::{Handler, answers, handler, in_a_world, replies},
};

const HOST: &str = "api.example.com";
const URL: &str = "https://api.example.com/v1/songs?limit=2";

fn get(url: &str) -> Value {
    json!({ "provider": "music", "url": url, "method": "GET" })
}

#[test]
fn the_host_gets_the_token_and_the_module_the_answer() {
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        let echo = handler(|mut asked| async move {
            let mut body = [0; 17];
            asked.stream.read_exact(&mut body).await?;
            let answer = format!(
                "HTTP/1.1 201 Made\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\n\r\n{{\"got\":{}}}",
                String::from_utf8_lossy(&body)
            );
            asked.stream.write_all(answer.as_bytes()).await?;
            asked.stream.shutdown().await
        });
        world.publish(HOST, echo);
        let request = json!({
            "provider": "music", "url": "https://api.example.com:8443/v1/songs", "method": "POST",
            "headers": {
                "Authorization": "Bearer of-the-module", "Host": "evil.example.com", "X-Forwarded-For": "10.0.0.1",
                "Proxy-Authorization": "x", "Cookie": "a=b", "Connection": "upgrade", "X-Kept": "yes",
            },
            "body": { "name": "a song" },
        });
        let (status, answer) = hub.door("singer").proxy(&request).await;
        assert_eq!(status, 200, "{answer}");
        let expected = json!({
            "status_code": 201,
            "headers": { "content-type": "application/json" },
            "body": { "got": { "name": "a song" } },
        });
        assert_eq!(answer, expected);
        let head = world.requests().remove(0).to_lowercase();
        let mut lines: Vec<_> = head.trim_end().lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "accept-encoding: identity",
                &format!("authorization: bearer {TOKEN}"),
                "connection: close",
                "content-length: 17",
                "content-type: application/json",
                "host: api.example.com:8443",
                "post /v1/songs http/1.1",
                "x-kept: yes",
            ]
        );
        let egress = hub.audit("egress").await;
        assert_eq!(egress.len(), 1);
        assert_eq!(
            (egress[0].subject.as_str(), egress[0].detail.as_str()),
            ("singer", "music api.example.com:8443 201")
        );
    });
}

#[test]
fn u01_u02_u03_u08_u13_a_url_that_leads_elsewhere_is_refused_before_anything_is_sent() {
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        let door = hub.door("stranger");
        world.publish(HOST, replies(200, "", ""));
        for (code, urls) in [
            (
                "proxy_scheme",
                &["http://api.example.com/", "ftp://api.example.com/", "//api.example.com/", "https:api.example.com"][..],
            ),
            ("proxy_scheme", &["file:///etc/passwd", "gopher://api.example.com/", "data:text/plain,x", "javascript:1"]),
            ("proxy_address", &["https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/"]),
            (
                "proxy_address",
                &["https://0177.0.0.1/", "https://127.0.0.1./", "https://93.184.216.1/", "https://[::1]/"],
            ),
            (
                "proxy_address",
                &["https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[fc00::1]/"],
            ),
            (
                "proxy_host",
                &[
                    "https://０１２７．０．０．１/",
                    "https://[fe80::1%25eth0]/",
                    "https://localhost/",
                    "https://api.exаmple.com/",
                ],
            ),
            (
                "proxy_host",
                &["https://API.example.com/", "https://api.example.com./", "https://api.example.com.evil.com/"],
            ),
            ("proxy_host", &["https://evil.example.com/", "https://xn--pi-7ed.example.com/", "https://example.com/"]),
            (
                "proxy_port",
                &["https://api.example.com:22/", "https://api.example.com:25/", "https://api.example.com:7070/"],
            ),
            (
                "proxy_port",
                &["https://api.example.com:0/", "https://api.example.com:65536/", "https://api.example.com:444/"],
            ),
            (
                "proxy_url",
                &[
                    "https://api.example.com@evil.example.com/",
                    "https://u:p@api.example.com/",
                    "https://api.example.com/#x",
                ],
            ),
        ] {
            for url in urls {
                let (status, answer) = door.proxy(&get(url)).await;
                assert_eq!((status, answer["code"].as_str()), (403, Some(code)), "{url}: {answer}");
            }
            assert!(!hub.audit(code).await.is_empty(), "{code} is in the audit log");
        }
        let unknown = json!({ "provider": "unknown", "url": URL, "method": "GET" });
        assert_eq!(door.proxy(&unknown).await.1["code"], "proxy_provider");
        assert_eq!(world.connections(), [] as [IpAddr; 0]);
        assert_eq!(world.dns.names(), [""; 0]);
    });
}

#[test]
fn u05_an_allowed_name_that_leads_inside_is_refused_and_the_module_is_not_told_where_to() {
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        world.dns.set(HOST, |_| Records(vec![A([169, 254, 169, 254].into())]));
        let (status, answer) = hub.door("stranger").proxy(&get(URL)).await;
        assert_eq!((status, answer["code"].as_str()), (403, Some("proxy_address")));
        assert!(!answer.to_string().contains("169.254"), "{answer}");
        assert_eq!(hub.audit("egress").await[0].detail, "music api.example.com proxy_address");
        assert_eq!(world.connections(), [] as [IpAddr; 0]);
    });
}

#[test]
fn without_credentials_nothing_is_sent() {
    in_a_world(|world| async move {
        world.publish(HOST, replies(200, "", ""));
        let (hub, trial) = (Hub::new(&world).await, Hub::without_secrets().await);
        let of = |provider: &str| json!({ "provider": provider, "url": URL, "method": "GET" });
        for (hub, provider, status, code) in [
            (&hub, "unconnected", 404, "no_credentials"),
            (&hub, "broken", 502, "credentials_unavailable"),
            (&trial, "music", 404, "no_credentials"),
        ] {
            let (given, answer) = hub.door("singer").proxy(&of(provider)).await;
            assert_eq!((given, answer["code"].as_str()), (status, Some(code)), "{answer}");
        }
        assert_eq!(trial.door("singer").proxy(&json!({})).await.0, 422);
        assert_eq!(world.connections(), [] as [IpAddr; 0]);
    });
}

/// A host that repeats the head of each request, encoded so.
fn echo(encode: fn(&str) -> String) -> Handler {
    handler(move |mut asked| async move {
        let (token, body) = (encode(TOKEN), encode(&asked.head));
        let head = format!("HTTP/1.1 200 OK\r\nX-Echo: {token}\r\nContent-Length: {}\r\n\r\n", body.len());
        asked.stream.write_all(head.as_bytes()).await?;
        asked.stream.write_all(body.as_bytes()).await?;
        asked.stream.shutdown().await
    })
}

#[test]
fn u18_the_token_is_nowhere_but_in_the_request() {
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        let door = hub.door("curious");
        let forms: [fn(&str) -> String; 3] = [
            str::to_owned,
            |text| json!({ "you sent": text }).to_string(),
            |text| json!([text]).to_string().replace('/', "\\/"),
        ];
        for encode in forms {
            world.publish(HOST, echo(encode));
            let (status, answer) = door.proxy(&get(URL)).await;
            assert_eq!(status, 200);
            let text = answer.to_string();
            assert!(!text.contains("canary") && text.contains("[redacted]"), "{text}");
        }
        let recorded: i64 = hub.audit("token_redacted").await.iter().map(|record| record.count).sum();
        assert_eq!(recorded, 3);

        world.publish(HOST, replies(200, "", ""));
        let before = world.requests().len();
        let marks = "https://api.example.com/{token}/$TOKEN/%7B%7Btoken%7D%7D?access_token={access_token}&t=${music}";
        assert_eq!(door.proxy(&get(marks)).await.0, 200);
        let head = &world.requests()[before];
        let line = head.lines().next().unwrap();
        assert!(!line.contains("canary"), "no mark is replaced by the token: {line}");
        assert_eq!(head.matches(TOKEN).count(), 1, "{head}");

        let location = "https://evil.example.com/?token=1";
        world.publish(HOST, replies(302, &format!("Location: {location}\r\n"), ""));
        world.publish("evil.example.com", replies(200, "", ""));
        let connections = world.connections().len();
        let (_, answer) = door.proxy(&get(URL)).await;
        assert_eq!((&answer["status_code"], &answer["headers"]["location"]), (&json!(302), &json!(location)));
        assert_eq!(door.proxy(&get(location)).await.1["code"], "proxy_host");
        assert_eq!(world.connections().len(), connections + 1, "the other host was never connected to");

        for record in hub.api.audit_records(1000).await.unwrap() {
            assert!(!format!("{record:?}").contains("canary"), "{record:?}");
        }
    });
}

#[test]
fn u20_what_a_host_encodes_gets_through_and_each_use_is_in_the_audit_log() {
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        let door = hub.door("curious");
        world.publish(HOST, echo(|text| BASE64_STANDARD.encode(text)));
        for _ in 0..3 {
            let (status, answer) = door.proxy(&get(URL)).await;
            let body = BASE64_STANDARD.decode(answer["body"].as_str().unwrap()).unwrap();
            assert!(status == 200 && String::from_utf8(body).unwrap().contains(TOKEN), "SECURITY.md says so");
        }
        let egress = hub.audit("egress").await;
        assert_eq!(egress.iter().map(|record| record.count).sum::<i64>(), 3);
        assert!(
            egress.iter().all(|record| record.subject == "curious" && record.detail == "music api.example.com 200")
        );
    });
}

#[test]
fn u20_a_module_that_does_not_wait_for_the_answer_leaves_a_record_too() {
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        world.publish(HOST, handler(|mut asked| async move { asked.stream.read_u8().await.map(drop) }));
        let door = hub.door("hasty");
        let connection = door.begin(&get(URL)).await;
        until("the request is outside", || !world.requests().is_empty()).await;
        drop(connection);
        let recorded = async {
            loop {
                let egress = hub.audit("egress").await;
                if let Some(record) = egress.first() {
                    return record.detail.clone();
                }
            }
        };
        let recorded = tokio::time::timeout(Duration::from_secs(5), recorded).await.expect("it is recorded");
        assert_eq!(recorded, "music api.example.com abandoned");
    });
}

/// Waits for what other tasks bring about.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[test]
fn u19_two_hundred_at_once_are_eight_and_others_are_not_held_up() {
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        let open = Arc::new(Semaphore::new(0));
        let gate = open.clone();
        let gated = handler(move |mut asked| {
            let gate = gate.clone();
            async move {
                let _passes = gate.acquire().await;
                asked.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
                asked.stream.shutdown().await
            }
        });
        world.publish(HOST, gated);
        let ask = |module: &str| {
            let (api, caller) = (hub.api.clone(), Hub::caller(module));
            async move { api.secrets_proxy(&caller, &get(URL)).await }
        };
        let greedy = tokio::spawn(join_all((0..200).map(|_| ask("greedy"))));
        // All that will arrive has arrived when the other module's request is there too.
        let patient = tokio::spawn(ask("patient"));
        until("nine requests arrive", || world.requests().len() >= 9).await;
        open.add_permits(1000);
        let outcomes = greedy.await.unwrap();
        let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (8, 192));
        for error in refused.into_iter().filter_map(Result::err) {
            assert!(matches!(error, ApiError::TooManyAtOnce(_)), "{error}");
        }
        assert!(patient.await.unwrap().is_ok());
        assert_eq!(world.requests().len(), 9, "the others were never sent");
        let held = hub.door("greedy").proxy(&get(URL)).await;
        assert_eq!((held.0, &held.1["code"]), (429, &json!("rate_limited")), "eight answers still lie there unread");
        drop(done);
        assert_eq!(hub.door("greedy").proxy(&get(URL)).await.0, 200);
    });
}

#[test]
fn u15_five_mebibytes_pass_and_one_byte_more_does_not() {
    const LIMIT: usize = 5 * 1024 * 1024;
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        let door = hub.door("greedy");
        world.publish(HOST, replies(200, "", &"x".repeat(LIMIT)));
        let (status, answer) = door.proxy(&get(URL)).await;
        assert_eq!((status, answer["body"].as_str().map(str::len)), (200, Some(LIMIT)));
        world.publish(HOST, replies(200, "", &"x".repeat(LIMIT + 1)));
        let (status, answer) = door.proxy(&get(URL)).await;
        assert_eq!((status, answer["code"].as_str()), (502, Some("upstream_too_large")));
        for _ in 0..16 {
            assert_eq!(door.proxy(&get(URL)).await.0, 502, "a place is free again after each");
        }
    });
}

#[test]
fn u16_the_deadline_is_ten_seconds_and_what_fails_is_told() {
    in_a_world(|world| async move {
        let hub = Hub::new(&world).await;
        let door = hub.door("patient");
        let (status, answer) = door.proxy(&get(URL)).await;
        assert_eq!((status, answer["code"].as_str()), (502, Some("upstream_unreachable")), "an unknown name");
        world.publish(HOST, answers("garbage"));
        let (status, answer) = door.proxy(&get(URL)).await;
        assert_eq!((status, answer["code"].as_str()), (502, Some("upstream_broken")));
        world.dns.set(HOST, |_| Nothing);
        let silent = get(URL);
        let late = json!({ "provider": "late", "url": URL, "method": "GET" });
        let begun = Instant::now();
        let both = tokio::join!(door.proxy(&silent), door.proxy(&late));
        let took = begun.elapsed();
        for (status, answer) in [both.0, both.1] {
            assert_eq!((status, answer["code"].as_str()), (504, Some("upstream_timeout")), "{answer}");
        }
        assert!((Duration::from_secs(9)..Duration::from_secs(14)).contains(&took), "{took:?}");
        let told: Vec<_> = hub.audit("egress").await.into_iter().map(|record| record.detail).collect();
        for outcome in ["upstream_unreachable", "upstream_broken", "upstream_timeout"] {
            assert!(told.contains(&format!("music api.example.com {outcome}")), "{told:?}");
        }
    });
}
