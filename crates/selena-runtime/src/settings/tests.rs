//! Settings from real files, with an environment that is a list.

use super::*;

const SHIPPED: [&str; 1] = [include_str!("../../core.toml.example")];

fn load(file: &str, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.toml");
    fs::write(&path, file).unwrap();
    load_path(Some(&path), env)
}

fn load_path(path: Option<&Path>, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(path, &|name| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

fn defaults() -> Settings {
    Settings::from_table(Path::new("none"), Table::new(), &|_| None).unwrap()
}

/// The error's text, its causes too.
fn refused(file: &str, env: &[(&str, &str)]) -> String {
    let error = load(file, env).expect_err(file);
    let mut out = Vec::new();
    crate::exit::write_chain(&mut out, "", &error).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_config_file_that_ships_is_good_and_holds_the_defaults() {
    for text in SHIPPED {
        assert_eq!(format!("{:?}", load(text, &[]).unwrap()), format!("{:?}", defaults()));
    }
}

#[test]
fn the_shipped_example_lists_every_key() {
    let message = refused("no_such_key = 1", &[]);
    let (_, known) = message.trim_end().split_once("the keys are ").unwrap();
    for key in known.split(", ") {
        let listed = |line: &str| line.starts_with(&format!("{key} =")) || line == format!("[{key}]");
        assert!(SHIPPED[0].lines().any(listed), "{key} is missing in core.toml.example");
    }
}

#[test]
fn defaults_are_those_of_the_protocol() {
    let settings = defaults();
    assert_eq!((settings.core_port.get(), settings.ui_port.get()), (7070, 8080));
    assert_eq!(settings.data_dir, Path::new("/var/lib/selena"));
    assert_eq!(settings.secure_dir, Path::new("/secure"));
    assert_eq!(settings.log_level.as_str(), "info");
    assert!(settings.ca_file.is_none(), "the system's authorities are enough");
    assert!(settings.platform_api_url.is_none() && settings.platform_device_hash.is_none());
    assert!(!settings.mock_platform && settings.integrity_agent_secret.is_none());
    assert!(settings.modules.enabled("any"));
}

#[test]
fn the_environment_is_stronger_than_the_file() {
    let file = "core_port = 7071\nui_port = 8081\nmock_platform = false\ncore_log_level = \"warn\"\n";
    let env = [
        ("CORE_PORT", "7171"),
        ("UI_PORT", ""),
        ("CORE_DATA_DIR", "/data"),
        ("CORE_SECURE_DIR", "/keys"),
        ("CORE_CA_FILE", "/keys/ca.pem"),
        ("CORE_LOG_LEVEL", "DEBUG"),
        ("PLATFORM_API_URL", "https://platform.example:8443/api/"),
        ("PLATFORM_DEVICE_HASH", "abc"),
        ("MOCK_PLATFORM", "True"),
        ("DEBUG", "anything"),
    ];
    let settings = load(file, &env).unwrap();
    assert_eq!((settings.core_port.get(), settings.ui_port.get()), (7171, 8081), "an empty variable is none");
    assert_eq!((settings.data_dir, settings.secure_dir), ("/data".into(), "/keys".into()));
    assert_eq!(settings.ca_file, Some("/keys/ca.pem".into()));
    assert_eq!(settings.log_level.as_str(), "debug");
    assert_eq!(settings.platform_api_url.as_deref(), Some("https://platform.example:8443/api"));
    assert_eq!(settings.platform_device_hash.as_deref(), Some("abc"));
    assert!(settings.mock_platform);
}

#[test]
fn modules_have_their_tables() {
    let file = "[modules]\nenabled_modules = [\"lamp\"]\n[modules.config.lamp]\nlevel = 3\nmodes = [\"a\", 1.5]\n";
    let modules = load(file, &[]).unwrap().modules;
    assert!(modules.enabled("lamp") && !modules.enabled("other"));
    assert_eq!(modules.config["lamp"]["level"].as_integer(), Some(3));
}

#[test]
fn a_bad_value_is_refused_with_its_place_and_what_is_allowed() {
    for (file, env, words) in [
        ("core_port = 0", None, &["core.toml: `core_port` is 0", "1 to 65535"][..]),
        ("core_port = 65536", None, &["65536"]),
        ("core_port = true", None, &["is true"]),
        ("", Some(("CORE_PORT", "80 80")), &["CORE_PORT is \"80 80\"", "1 to 65535"]),
        ("", Some(("UI_PORT", "-1")), &["UI_PORT is \"-1\""]),
        ("", Some(("UI_PORT", "7070")), &["both 7070"]),
        ("core_data_dir = \"data\"", None, &["`core_data_dir` is \"data\"", "an absolute path"]),
        ("", Some(("CORE_SECURE_DIR", "/a\u{fffd}")), &["CORE_SECURE_DIR", "an absolute path"]),
        ("core_ca_file = \"ca.pem\"", None, &["`core_ca_file` is \"ca.pem\"", "an absolute path"]),
        ("", Some(("CORE_LOG_LEVEL", "loud")), &["CORE_LOG_LEVEL is \"loud\"", "caused by", "one of off, error"]),
        ("core_log_level = 3", None, &["`core_log_level` is 3"]),
        ("", Some(("MOCK_PLATFORM", "maybe")), &["MOCK_PLATFORM", "true or false"]),
        ("mock_platform = 1", None, &["`mock_platform` is 1", "true or false"]),
        ("", Some(("PLATFORM_API_URL", "http://platform.example")), &["PLATFORM_API_URL", "an https:// URL"]),
        ("", Some(("PLATFORM_API_URL", "https://me:pw@platform.example")), &["PLATFORM_API_URL"]),
        ("", Some(("PLATFORM_API_URL", "http://localhost.evil.example")), &["PLATFORM_API_URL"]),
        ("", Some(("PLATFORM_API_URL", "https://")), &["PLATFORM_API_URL"]),
        ("", Some(("PLATFORM_DEVICE_HASH", "a\r\nX: y")), &["PLATFORM_DEVICE_HASH is \"a\\r\\nX: y\""]),
        ("modules = 1", None, &["`modules` is 1", "a table"]),
        ("[modules]\nenabled_modules = \"lamp\"", None, &["`modules.enabled_modules` is \"lamp\"", "a list"]),
        ("[modules]\nenabled_modules = [\"\"]", None, &["a list of module names"]),
        ("[modules.config]\nlamp = 1", None, &["`modules.config.lamp` is 1"]),
        ("[modules.config.lamp]\nat = 2020-01-01", None, &["`modules.config.lamp`", "without dates"]),
        ("[modules.config.lamp]\nat = [{x = nan}]", None, &["`modules.config.lamp`", "infinite"]),
    ] {
        let message = refused(file, env.as_slice());
        assert!(words.iter().all(|word| message.contains(word)), "{file} {env:?}: {message}");
        assert!(message.lines().count() <= 2, "{message}");
    }
}

#[test]
fn unknown_keys_are_an_error_in_every_table() {
    for (file, key) in [
        ("core_prot = 7070", "unknown key `core_prot`"),
        ("[core]\nport = 1", "unknown key `core`"),
        ("[modules]\nenabled = []", "unknown key `modules.enabled`"),
        ("\"a\\nb\" = 1", "unknown key `a\\nb`"),
    ] {
        assert!(refused(file, &[]).contains(key), "{}", refused(file, &[]));
    }
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let message = refused("core_port = 1\nui_port = = 2\n", &[]);
    assert!(message.contains("core.toml:2: "), "{message}");
}

#[test]
fn only_the_default_file_may_be_absent() {
    let missing = Path::new("/nonexistent/core.toml");
    let error = load_path(Some(missing), &[]).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the settings file /nonexistent/core.toml");
    assert!(read(missing, false).unwrap().is_empty());
}

#[test]
fn the_agent_secret_comes_from_environment_credential_or_file_in_this_order() {
    use secrecy::ExposeSecret;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("integrity_agent_secret"), "of-systemd\n").unwrap();
    let credentials = ("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap());
    let file = "integrity_agent_secret = \"of-file\"";
    for (env, wanted) in [
        (&[credentials, ("INTEGRITY_AGENT_SECRET", "of-env")][..], "of-env"),
        (&[credentials, ("INTEGRITY_AGENT_SECRET", "")], "of-systemd"),
        (&[("CREDENTIALS_DIRECTORY", "/nonexistent")], "of-file"),
    ] {
        let secret = load(file, env).unwrap().integrity_agent_secret.unwrap();
        assert_eq!(secret.expose_secret(), wanted);
    }
    assert!(load("", &[("INTEGRITY_AGENT_SECRET", "")]).unwrap().integrity_agent_secret.is_none());

    fs::write(dir.path().join("integrity_agent_secret"), "two\nlines\n").unwrap();
    let message = refused("", &[credentials]);
    assert!(message.contains("integrity_agent_secret is not shown here") && !message.contains("two"), "{message}");
}

#[test]
fn l03_the_agent_secret_is_in_no_debug_output_and_no_error() {
    let settings = load("", &[("INTEGRITY_AGENT_SECRET", "canary")]).unwrap();
    assert!(!format!("{settings:?}").contains("canary"));
    for bad in [
        "integrity_agent_secret = canary",
        "integrity_agent_secret = \"canary",
        "integrity_agent_secret = \"canary\\n\"",
        "integrity_agent_secret = [\"canary\"]",
        "integrity_agent_secret = \"canary\" core_port",
        "integrity_agent_secret = \"canary\"\nintegrity_agent_secret = \"canary\"",
    ] {
        assert!(!refused(bad, &[]).contains("canary"), "{}", refused(bad, &[]));
    }
}
