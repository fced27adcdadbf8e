//! From names to addresses: what is asked, what is checked, what is connected to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use selena_core::ports::HttpsError;

use crate::{
    certificates::server,
    dns::{
        Record::{A, Aaaa, Cname},
        Said::{NoSuchName, Nothing, Records},
    },
    world::{OWN_V4, OWN_V6, Site, in_a_world, refusal, replies},
};

const HOST: &str = "api.example.com";
const URL: &str = "https://api.example.com/path?query=1";
const PUBLIC: Ipv4Addr = Ipv4Addr::new(93, 184, 215, 14);
const PUBLIC_V6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x2800, 0, 0, 0, 0, 0, 1);

#[test]
fn a_request_arrives_as_it_was_sent_on_both_families() {
    in_a_world(|world| async move {
        let identity = world.authority.sign(&server(&[HOST]));
        let site = Site::Tls(identity.server_config(), replies(200, "X-Answer: yes\r\n", "hello"));
        world.place(PUBLIC, site.clone());
        world.place(PUBLIC_V6, site);
        for address in [A(PUBLIC), Aaaa(PUBLIC_V6)] {
            world.dns.set(HOST, move |_| Records(vec![address.clone()]));
            let answer = world.get(URL).await.unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
            assert!(answer.headers.contains(&("x-answer".to_owned(), "yes".to_owned())));
        }
        assert_eq!(world.connections(), [IpAddr::from(PUBLIC), IpAddr::from(PUBLIC_V6)]);
        for head in world.requests() {
            let lines: Vec<_> = head.trim_end().lines().map(str::to_lowercase).collect();
            assert_eq!(lines[0], "get /path?query=1 http/1.1");
            let mut headers = lines[1..].to_vec();
            headers.sort();
            let expected = [
                "accept-encoding: identity",
                "authorization: bearer canary",
                "connection: close",
                "host: api.example.com",
            ];
            assert_eq!(headers, expected);
        }
    });
}

#[test]
fn u06_the_hubs_own_addresses_are_refused() {
    in_a_world(|world| async move {
        for own in [A(OWN_V4), Aaaa(OWN_V6), A(Ipv4Addr::LOCALHOST), Aaaa(Ipv6Addr::LOCALHOST)] {
            world.dns.set(HOST, move |_| Records(vec![own.clone()]));
            for url in [URL, "https://api.example.com:7070/api/v1/health"] {
                assert_eq!(refusal(world.get(url).await), "address");
            }
        }
        assert_eq!(world.connections(), [] as [IpAddr; 0]);
    });
}

#[test]
fn u09_the_checked_address_is_the_one_that_is_connected_to() {
    in_a_world(|world| async move {
        world.publish(HOST, replies(200, "", "hello"));
        let identity = world.authority.sign(&server(&[HOST]));
        world.place(PUBLIC, Site::Tls(identity.server_config(), replies(200, "", "public")));
        let private = Ipv4Addr::new(192, 168, 1, 1);
        world.dns.set(HOST, move |before| Records(vec![A(if before == 0 { PUBLIC } else { private })]));
        assert_eq!(world.get(URL).await.unwrap().body, b"public");
        assert_eq!(world.dns.asked(HOST), 1, "a name is resolved once");
        assert_eq!(refusal(world.get(URL).await), "address", "nothing of the first answer is kept");
        assert_eq!(world.connections(), [IpAddr::from(PUBLIC)]);
    });
}

#[test]
fn u10_an_answer_that_mixes_public_and_private_is_refused_whole() {
    in_a_world(|world| async move {
        let private = Ipv4Addr::new(10, 0, 0, 1);
        for mix in [
            vec![A(PUBLIC), A(private)],
            vec![A(private), A(PUBLIC)],
            vec![A(PUBLIC), Aaaa("fc00::1".parse().unwrap())],
            vec![A(private), Aaaa(PUBLIC_V6)],
            vec![Aaaa(PUBLIC_V6), Aaaa(Ipv4Addr::new(8, 8, 8, 8).to_ipv6_mapped())],
        ] {
            world.dns.set(HOST, move |_| Records(mix.clone()));
            assert_eq!(refusal(world.get(URL).await), "address");
        }
        assert_eq!(world.connections(), [] as [IpAddr; 0]);
    });
}

#[test]
fn u11_no_detour_leads_inside() {
    in_a_world(|world| async move {
        let many = |last: Ipv4Addr| (1..100).map(|n| A(Ipv4Addr::new(93, 184, 217, n))).chain([A(last)]).collect();
        for inside in [
            vec![Cname("router.evil.example"), A(Ipv4Addr::new(192, 168, 0, 1))],
            vec![Cname("a.evil.example"), Cname("b.evil.example"), A(Ipv4Addr::new(169, 254, 169, 254))],
            vec![Aaaa("fc00::1".parse().unwrap())],
            vec![Aaaa("64:ff9b::a00:1".parse().unwrap())],
            many(Ipv4Addr::new(10, 0, 0, 1)),
        ] {
            world.dns.set(HOST, move |_| Records(inside.clone()));
            assert_eq!(refusal(world.get(URL).await), "address");
        }
        assert_eq!(world.connections(), [] as [IpAddr; 0]);
    });
}

#[test]
fn u11_a_hundred_public_addresses_are_tried_in_turn_until_one_answers() {
    in_a_world(|world| async move {
        let identity = world.authority.sign(&server(&[HOST]));
        let site = Site::Tls(identity.server_config(), replies(200, "", "hello"));
        let all: Vec<_> = (1..=100).map(|n| Ipv4Addr::new(93, 184, 217, n)).collect();
        for address in &all {
            world.place(*address, site.clone());
        }
        world.dns.set(HOST, move |_| Records(all.iter().copied().map(A).collect()));
        assert_eq!(world.get(URL).await.unwrap().status, 200);
        assert_eq!(world.connections().len(), 1);
    });
}

#[test]
fn u11_an_unknown_name_and_an_empty_answer_are_errors_and_no_search_list_is_tried() {
    in_a_world(|world| async move {
        world.dns.set("api.example.com.evil.example", |_| Records(vec![A(PUBLIC)]));
        for said in [NoSuchName, Records(vec![])] {
            world.dns.set(HOST, move |_| said.clone());
            let outcome = world.get(URL).await;
            assert!(matches!(outcome, Err(HttpsError::Connect { .. })), "{outcome:?}");
        }
        assert_eq!(world.dns.names(), [HOST], "only what was asked for leaves the hub");
        assert_eq!(world.connections(), [] as [IpAddr; 0]);
    });
}

#[test]
fn u11_a_resolver_that_is_silent_does_not_hold_up_the_deadline() {
    in_a_world(|world| async move {
        world.dns.set(HOST, |_| Nothing);
        let begun = Instant::now();
        let outcome = world.get_within(URL, Duration::from_millis(500)).await;
        assert!(matches!(outcome, Err(HttpsError::Timeout { .. })), "{outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    });
}
