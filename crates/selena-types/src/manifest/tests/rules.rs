//! M02 to M07, M10, M13: fields, numbers and paths.

use super::*;

#[test]
fn m02_an_unknown_field_is_a_warning_or_an_error_by_its_place() {
    for place in ["/colour", "/events/colour", "/ui/colour", "/Name"] {
        let parsed = parse(&with(minimal(), place, json!({"any": [1]}))).unwrap();
        assert_eq!(parsed.warnings.len(), 1, "{place}");
        assert_eq!(
            parsed.warnings[0].to_string(),
            format!("{}: unknown field; it has no effect", place[1..].replace('/', "."))
        );
    }
    for place in ["/resources/colour", "/network/colour", "/network/egress/0/colour", "/oauth/example/colour"] {
        refused(full(), place, json!(1), &format!("manifest_invalid {place}"));
    }
    refused(full(), "/devices/0", json!({"path": "/dev/snd", "mode": "rwm"}), "manifest_invalid /devices/0");
}

#[test]
fn m03_bad_names_are_refused() {
    for name in
        ["../x", "core", "selena-x", &"a".repeat(200), "l\u{430}mp", "", "a", "Lamp", "lamp ", "lamp\n", "-a", "a-"]
    {
        refused(minimal(), "/name", json!(name), "manifest_id /name");
    }
    for name in [json!(1), json!(["lamp"]), json!({})] {
        refused(minimal(), "/name", name, "manifest_id /name");
    }
}

#[test]
fn m05_a_version_is_semantic() {
    for version in
        [json!("1.0"), json!("v1.0.0"), json!("01.0.0"), json!(""), json!("1.0.0 "), json!(1.0), json!("latest")]
    {
        refused(minimal(), "/version", version.clone(), "manifest_version /version");
        refused(minimal(), "/min_core_version", version, "manifest_version /min_core_version");
    }
    let long = |chars: usize| json!(format!("1.0.0-{}", "a".repeat(chars - 6)));
    refused(minimal(), "/version", long(65), "manifest_version /version");
    assert!(parse(&with(minimal(), "/version", long(64))).is_ok(), "64 characters are taken");
}

#[test]
fn m13_a_core_that_is_too_old_is_incompatible() {
    for (wanted, good) in [("1.4.0", true), ("1.4.0+x", true), ("0.9.0", true), ("1.4.1-rc.1", false), ("2.0.0", false)]
    {
        let found = problems(parse(&with(minimal(), "/min_core_version", json!(wanted))));
        assert_eq!(found.is_empty(), good, "{wanted}");
        assert!(good || found == ["manifest_incompatible /min_core_version"], "{wanted}");
    }
    refused(minimal(), "/api_version", json!("1.1"), "manifest_incompatible /api_version");
}

#[test]
fn m06_numbers_that_are_none_are_out_of_range() {
    let places = ["/port", "/resources/memory_mb", "/resources/cpu", "/resources/pids", "/network/egress/0/port"];
    for number in
        ["1e400", "-1e400", "-1", "-0.0", "18446744073709551616", "9223372036854775808", "4294967296", "1e300"]
    {
        for place in places {
            let marked = with(full(), place, json!("NUMBER")).to_string();
            let text = marked.replace("\"NUMBER\"", number);
            assert_eq!(problems(parse_text(text)), [format!("manifest_range {place}")], "{number}");
        }
    }
    for number in [json!(8100.5), json!(8100.0), json!(8.1e3), json!(8099), json!(8201)] {
        refused(minimal(), "/port", number, "manifest_range /port");
    }
    for no_number in [json!("8100"), json!(true), json!([8100])] {
        refused(minimal(), "/port", no_number, "manifest_invalid /port");
    }
    let nowhere = minimal().to_string().replacen('{', r#"{"config_schema":{"maximum":1e400},"#, 1);
    assert_eq!(problems(parse_text(nowhere)), ["manifest_range "]);
    for nan in ["NaN", "Infinity", "-Infinity"] {
        let text = minimal().to_string().replace("8100", nan);
        assert_eq!(problems(parse_text(text)), ["manifest_invalid "], "{nan}");
    }
}

#[test]
fn m07_resources_have_both_ends() {
    for (field, good, bad) in [
        ("memory_mb", [json!(8), json!(512)], [json!(7), json!(513), json!(65536), json!(0)]),
        ("cpu", [json!(0.05), json!(4)], [json!(0.04), json!(4.01), json!(0), json!(64)]),
        ("pids", [json!(1), json!(500)], [json!(0), json!(501), json!(-1), json!(1.5)]),
        ("nofile", [json!(16), json!(65536)], [json!(15), json!(65537), json!(0), json!(-1)]),
        ("data_mb", [json!(1), json!(1024)], [json!(0), json!(1025), json!(-1), json!(0.5)]),
    ] {
        let place = format!("/resources/{field}");
        for value in good {
            assert!(parse(&with(minimal(), &place, value.clone())).is_ok(), "{field} = {value}");
        }
        for value in bad {
            refused(minimal(), &place, value, &format!("manifest_range {place}"));
        }
        refused(minimal(), &place, json!("max"), &format!("manifest_invalid {place}"));
    }
    refused(minimal(), "/resources", json!([]), "manifest_invalid /resources");
}

#[test]
fn m10_paths_stay_inside_the_package() {
    let long = "a/".repeat(100) + "a";
    for path in ["/bin/sh", "../x", "a/../b", "..", ".", "./a", "a//b", "a/", "", "a\\b", "C:/x", "a\0b", "a\nb", &long]
    {
        for place in ["/entry_point", "/ui/icon", "/ui/settings", "/ui/widget/file"] {
            refused(full(), place, json!(path), &format!("manifest_invalid {place}"));
        }
    }
    for path in ["main", "bin/lamp", "a..b/c", ".hidden", &"a".repeat(200)] {
        assert!(parse(&with(minimal(), "/entry_point", json!(path))).is_ok(), "{path}");
    }
    let oci = with(minimal(), "/runtime", json!("oci"));
    refused(oci, "/entry_point", json!("run"), "manifest_invalid /entry_point");
}

#[test]
fn m10_container_options_are_refused() {
    for (field, value) in [
        ("privileged", json!(true)),
        ("--privileged", json!(true)),
        ("cap-add", json!(["SYS_ADMIN"])),
        ("volumes", json!(["/:/host"])),
        ("network_mode", json!("host")),
        ("image", json!("/var/lib/x.tar")),
        ("image", json!("../x.tar")),
        ("env", json!({"LD_PRELOAD": "/app/x.so"})),
        ("environment", json!(["LD_PRELOAD=/app/x.so"])),
        ("environment", json!([" LD_LIBRARY_PATH=/app"])),
        ("Privileged", json!(true)),
        ("CapAdd", json!(["ALL"])),
        ("cap_add", json!([])),
        ("security-opt", json!(["seccomp=unconfined"])),
        ("sysctls", json!({"net.ipv4.ip_forward": "1"})),
        ("oom_score_adj", json!(-1000)),
        ("group_add", json!(["docker"])),
        ("HostConfig", json!({"Privileged": true})),
        ("pid", json!("host")),
        ("ipc", json!("container:selena-module-lamp")),
        ("uts", json!("host")),
        ("entrypoint", json!("/bin/sh")),
        ("entrypoint", json!(["/usr/bin/env", "python3"])),
        ("entrypoint", json!("/app/../bin/sh")),
    ] {
        refused(minimal(), &format!("/{field}"), value, &format!("manifest_invalid /{field}"));
    }
    for (field, value) in [
        ("env", json!({"TZ": "UTC"})),
        ("image", json!("image.tar")),
        ("pid", json!(7)),
        ("entrypoint", json!("/app/run")),
        ("entrypoint", json!(["run", "/etc"])),
    ] {
        assert_eq!(parse(&with(minimal(), &format!("/{field}"), value)).unwrap().warnings.len(), 1, "{field}");
    }
}

#[test]
fn required_fields_are_required() {
    for field in ["name", "version", "type", "api_version", "port", "permissions"] {
        let expected = [format!("manifest_invalid /{field}")];
        assert_eq!(problems(parse(&without(minimal(), field))), expected);
        assert_eq!(problems(parse(&with(minimal(), &format!("/{field}"), Value::Null))), expected);
    }
    let system = with(minimal(), "/type", json!("SYSTEM"));
    assert_eq!(problems(parse(&system)), ["manifest_invalid /port"]);
    refused(minimal(), "/type", json!("driver"), "manifest_invalid /type");
}

#[test]
fn a_schedule_belongs_to_scheduled_modules() {
    refused(minimal(), "/runtime_mode", json!("scheduled"), "manifest_invalid /schedule");
    refused(full(), "/schedule", json!("* * * *"), "manifest_invalid /schedule");
    let parsed = parse(&with(minimal(), "/schedule", json!("every:5s"))).unwrap();
    assert_eq!(parsed.warnings[0].to_string(), "schedule: it has no effect with runtime_mode always_on");
}

#[test]
fn dependencies_have_the_five_operators() {
    for good in [">=1.0.0", "<=1.0.0", "=1.0.0", "^1.0.0", "~1.0.0", "1.0.0", ">=1.0.0, <=2.0.0"] {
        assert!(parse(&with(minimal(), "/dependencies/clock", json!(good))).is_ok(), "{good}");
    }
    for bad in
        [json!(">1.0.0"), json!("<1.0.0"), json!("*"), json!(""), json!("1.x"), json!("new"), json!(1), json!(null)]
    {
        refused(minimal(), "/dependencies/clock", bad, "manifest_invalid /dependencies/clock");
    }
    refused(minimal(), "/dependencies/lamp", json!("^1.0.0"), "manifest_invalid /dependencies/lamp");
    refused(minimal(), "/optional_dependencies/..", json!("^1.0.0"), "manifest_invalid /optional_dependencies/..");
    refused(minimal(), "/config_schema", json!("{}"), "manifest_invalid /config_schema");
}
