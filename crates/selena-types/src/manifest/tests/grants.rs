//! M08, M09: what a module asks of the world outside its container.

use super::*;

#[test]
fn m08_permissions_are_of_the_catalogue_and_of_the_type() {
    for bad in [json!("*"), json!("device.*"), json!("root"), json!(""), json!(1), json!(null), json!(["device.read"])]
    {
        refused(minimal(), "/permissions", json!(["device.read", bad]), "manifest_permission /permissions/1");
    }
    refused(minimal(), "/permissions", json!("*"), "manifest_permission /permissions");
    let (every, outside) =
        (["SYSTEM", "UI", "INTEGRATION", "DRIVER", "AUTOMATION", "IMPORT_SOURCE"], |list: &[_]| list.to_vec());
    for (permission, holders) in [
        ("device.read", every.to_vec()),
        ("device.write", outside(&["SYSTEM", "INTEGRATION", "DRIVER", "IMPORT_SOURCE"])),
        ("events.publish", every.to_vec()),
        ("secrets.oauth", outside(&["INTEGRATION"])),
        ("secrets.proxy", outside(&["INTEGRATION"])),
        ("modules.read", outside(&["SYSTEM"])),
        ("modules.manage", outside(&["SYSTEM"])),
        ("system.read", outside(&["SYSTEM"])),
        ("integrity.read", outside(&["SYSTEM"])),
        ("storage.manage", every.to_vec()),
        ("network.egress", every.to_vec()),
    ] {
        for module_type in every {
            let base = if module_type == "SYSTEM" { without(minimal(), "port") } else { minimal() };
            let manifest = with(with(base, "/type", json!(module_type)), "/permissions", json!([permission]));
            let expected =
                if holders.contains(&module_type) { vec![] } else { vec!["manifest_permission /permissions/0"] };
            assert_eq!(problems(parse(&manifest)), expected, "{module_type} {permission}");
        }
    }
}

fn host(host: &str, lan: bool) -> Vec<String> {
    let rule = json!([{"host": host, "port": 443, "protocol": "https", "lan": lan}]);
    problems(parse(&with(full(), "/network/egress", rule)))
}

#[test]
fn m09_hosts_that_are_no_public_names_are_refused() {
    let long_label = format!("{}.com", "a".repeat(64));
    let long_name = format!("{}.com", "abc.".repeat(63));
    for bad in [
        "*.com",
        "*",
        "*.",
        "*.*.com",
        "a.*.com",
        "*a.example.com",
        "*.localhost",
        "**.example.com",
        "*.hub.local",
        "localhost",
        "a.localhost",
        "hub.local",
        "hub.lan",
        "hub.internal",
        "nas.home.arpa",
        "hub",
        "com",
        "",
        "bücher.example",
        "аpple.com",
        "api.example.com.",
        ".example.com",
        "a..com",
        "API.example.com",
        "a_b.example.com",
        "-a.example.com",
        "a-.example.com",
        "api.example.com:443",
        "api.example.com/x",
        "https://api.example.com",
        "user@api.example.com",
        "api.example.com?x",
        "api.example.com#x",
        " api.example.com",
        "api.example.com\n",
        "api example.com",
        "%61pi.example.com",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "1.2.3.0x4",
        "example.123",
        "０１２７.0.0.1",
        "[::1]",
        "1.2.3.4:80",
        "1.2.3.256",
        "fe80::1%eth0",
        &long_label,
        &long_name,
    ] {
        for lan in [false, true] {
            assert_eq!(host(bad, lan), ["manifest_host /network/egress/0/host"], "{bad:?} lan={lan}");
        }
    }
    for good in [
        "api.example.com",
        "*.example.com",
        "*.a.b.example.com",
        "a.co",
        "xn--bcher-kva.example",
        "1.example.com",
        "local.example.com",
        "8.8.8.8",
        "100.63.255.254",
        "100.128.0.1",
        "2606:4700::1111",
    ] {
        assert_eq!(host(good, false), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn m09_private_addresses_need_lan_and_special_ones_are_never_taken() {
    for private in ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd00::1"] {
        assert_eq!(host(private, false), ["manifest_host /network/egress/0/host"], "{private}");
        assert_eq!(host(private, true), Vec::<String>::new(), "{private} with lan");
    }
    for special in [
        "127.0.0.1",
        "127.255.0.1",
        "100.64.0.0",
        "100.127.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "fe80::1",
        "febf::1",
        "0.0.0.0",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::7f00:1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001::1",
        "2001:db8::1",
        "ff02::1",
        "fec0::1",
    ] {
        assert_eq!(host(special, true), ["manifest_host /network/egress/0/host"], "{special}");
    }
}

#[test]
fn m09_a_rule_is_whole_and_needs_the_permission() {
    for field in ["host", "port", "protocol"] {
        let place = format!("/network/egress/0/{field}");
        refused(full(), &place, Value::Null, &format!("manifest_invalid {place}"));
    }
    for bad in ["udp", "HTTPS", "", "a b", "443", &"a".repeat(17)] {
        refused(full(), "/network/egress/0/protocol", json!(bad), "manifest_invalid /network/egress/0/protocol");
    }
    refused(full(), "/network/egress/0/lan", json!("yes"), "manifest_invalid /network/egress/0/lan");
    for port in [0, 65536] {
        refused(full(), "/network/egress/0/port", json!(port), "manifest_range /network/egress/0/port");
    }
    for port in [1, 65535] {
        assert!(parse(&with(full(), "/network/egress/0/port", json!(port))).is_ok(), "{port}");
    }
    refused(full(), "/permissions", json!(["secrets.oauth"]), "manifest_permission /network");
    assert!(parse(&with(minimal(), "/permissions", json!(["network.egress"]))).is_ok());
}

#[test]
fn devices_have_the_forms_of_the_protocol() {
    for good in [
        "/dev/serial/by-id/usb-0658_0200-if00",
        "/dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0-port0",
        "/dev/v4l/by-id/usb-046d_HD_Webcam_C525-video-index0",
        "/dev/i2c-1",
        "/dev/spidev0.1",
        "/dev/gpiochip0",
        "/dev/snd",
    ] {
        assert!(
            parse(&with(minimal(), "/devices", json!([good, good]))).is_ok_and(|p| p.manifest.devices == [good]),
            "{good}"
        );
    }
    for bad in [
        "/dev/ttyUSB0",
        "/dev/mem",
        "/dev/sda",
        "/dev",
        "",
        "snd",
        "/dev/snd/",
        "/dev/snd/pcmC0D0p",
        "/dev/serial/by-id/",
        "/dev/serial/by-id",
        "/dev/serial/by-id/..",
        "/dev/serial/by-id/../../mem",
        "/dev/serial/by-id/a/b",
        "/dev/./snd",
        "/dev//snd",
        "/dev/i2c-",
        "/dev/i2c-01",
        "/dev/i2c-x",
        "/dev/i2c-1/..",
        "/dev/spidev0",
        "/dev/spidev0.",
        "/dev/spidev0.0.0",
        "/dev/gpiochip",
        "/dev/gpiochip99999",
        "/dev/gpiochip0:rwm",
        "/dev/serial/by-id/a b",
        "/dev/serial/by-id/a\n",
        "/dev/*",
    ] {
        refused(minimal(), "/devices", json!([bad]), "manifest_device /devices/0");
    }
}

#[test]
fn oauth_providers_are_https_and_name_their_hosts() {
    for url in [
        "http://a.example.com",
        "https://localhost/x",
        "https://10.0.0.1/",
        "https://u@a.example.com/",
        "https://a.example.com/#x",
        "https:a.example.com",
        "//a.example.com",
        "https://a.example.com:0/",
        "https://a.example.com/ x",
        "https://a.example.com\\x",
        "HTTPS://a.example.com",
        "javascript:1",
        "",
        "https://",
    ] {
        for field in ["device_authorization_url", "token_url", "revocation_url"] {
            let place = format!("/oauth/example/{field}");
            refused(full(), &place, json!(url), &format!("manifest_invalid {place}"));
        }
    }
    for bad in [
        "*.example.com",
        "8.8.8.8",
        "8.8.8.8:443",
        "::1",
        "a.example.com:0",
        "a.example.com:65536",
        "a.example.com:0443",
        "a.example.com:",
        "a.example.com:+80",
        "https://a.example.com",
        "hub.local",
        "A.example.com",
        "a.example.com/x",
    ] {
        refused(full(), "/oauth/example/api_hosts", json!([bad]), "manifest_host /oauth/example/api_hosts/0");
    }
    for count in [0, 9] {
        let hosts = vec!["a.example.com"; count];
        refused(full(), "/oauth/example/api_hosts", json!(hosts), "manifest_invalid /oauth/example/api_hosts");
    }
    let eight: Vec<_> = (0..8).map(|number| format!("a{number}.example.com")).collect();
    assert!(parse(&with(full(), "/oauth/example/api_hosts", json!(eight))).is_ok(), "8 hosts are taken");
    for scopes in [json!("read"), json!({}), json!(null)] {
        refused(full(), "/oauth/example/scopes", scopes, "manifest_invalid /oauth/example/scopes");
    }
    refused(full(), "/oauth/example/scopes", json!(["a b"]), "manifest_invalid /oauth/example/scopes/0");
    for name in ["..", "", "Example", "a.b", "-a", &"a".repeat(65)] {
        refused(full(), &format!("/oauth/{name}"), json!({}), &format!("manifest_invalid /oauth/{name}"));
    }
    refused(full(), "/oauth/example", Value::Null, "manifest_invalid /oauth/example");
}

#[test]
fn oauth_is_for_integrations_with_the_permission() {
    refused(full(), "/permissions", json!(["network.egress"]), "manifest_permission /oauth");
    let driver = with(full(), "/permissions", json!(["network.egress"]));
    refused(driver, "/type", json!("DRIVER"), "manifest_permission /oauth");
}
