//! Settings of the hub: one TOML file, each key overridable by an environment variable (protocol, section 12).
//!
//! A variable's name is its key in upper case, so `core_port` of the file is `CORE_PORT` of the environment.
//! An empty text, in the file or in the environment, is the same as none.
//! Everything is checked here, before any port is bound; nothing behind it checks again.

use std::{
    env, fs, io,
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use toml::Table;

mod error;
mod level;
mod modules;
mod source;

pub use error::SettingsError;
pub use level::{LogLevel, LogLevelError};
pub use modules::ModulesSettings;
use source::Source;

/// The file the settings are read from if no other one is named.
pub const DEFAULT_FILE: &str = "/etc/selena/core.toml";

/// Where core and sandbox meet.
const SANDBOX_SOCKET: &str = "/run/selena/sandbox.sock";
/// Who the core runs as.
const CORE_USER: &str = "selena";

/// The settings of the hub, checked.
#[derive(Debug)]
pub struct Settings {
    /// `core_port`: TCP port of the API on `127.0.0.1` of the host, 1 to 65535; 7070.
    pub core_port: NonZeroU16,
    /// `ui_port`: TCP port of the web page, 1 to 65535, another one than `core_port`; 8080.
    pub ui_port: NonZeroU16,
    /// `core_data_dir`: absolute directory of the database and of modules; `/var/lib/selena`.
    pub data_dir: PathBuf,
    /// `core_secure_dir`: absolute directory of keys and sealed secrets; `/secure`.
    pub secure_dir: PathBuf,
    /// `core_ca_file`: absolute path of a PEM file with authorities whose certificates the hub believes besides those of
    /// the system, when it connects to hosts outside.
    pub ca_file: Option<PathBuf>,
    /// `core_log_level`: what is logged; `info`.
    pub log_level: LogLevel,
    /// `platform_api_url`: base URL of the platform, `https` (`http` only to this machine), without a `/` at its end.
    pub platform_api_url: Option<String>,
    /// `platform_device_hash`: the name the platform gave this hub when it was paired.
    pub platform_device_hash: Option<String>,
    /// `mock_platform`: no connection to the platform at all; false.
    pub mock_platform: bool,
    /// `integrity_agent_secret`: what the integrity agent proves itself with. Best not in the file but a systemd
    /// credential of that name; `None` is the file in `secure_dir`.
    pub integrity_agent_secret: Option<SecretString>,
    /// `sandbox_socket`: absolute path of the socket between core and sandbox; `/run/selena/sandbox.sock`.
    pub sandbox_socket: PathBuf,
    /// `sandbox_dir`: absolute directory of the sandbox alone, root's and closed to others; `/var/lib/selena-sandbox`.
    pub sandbox_dir: PathBuf,
    /// `core_user`: name or number of the user that the core runs as, the only one that the sandbox listens to;
    /// `selena`.
    pub core_user: String,
    /// `[modules]`: which modules may run, and settings they start with.
    pub modules: ModulesSettings,
}

impl Settings {
    /// Loads the settings of a file, or of [`DEFAULT_FILE`] if none is named, under those of the environment.
    ///
    /// `env` is asked for variables by name; a program passes [`variable`], a test what it likes.
    ///
    /// # Errors
    /// [`SettingsError`], which names the file or variable, the key, and what is allowed; all of them are exit code 78.
    /// The default file may be absent, a named one may not.
    pub fn load(file: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        Self::from_table(path, read(path, file.is_some())?, env)
    }

    fn from_table(file: &Path, table: Table, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut source = Source::new(file, table, env);
        let settings = Self {
            core_port: source.port("core_port", 7070)?,
            ui_port: source.port("ui_port", 8080)?,
            data_dir: source.directory("core_data_dir", "/var/lib/selena")?,
            secure_dir: source.directory("core_secure_dir", "/secure")?,
            ca_file: source.file("core_ca_file")?,
            log_level: source.log_level("core_log_level")?,
            platform_api_url: source.url("platform_api_url")?,
            platform_device_hash: source.word("platform_device_hash")?,
            mock_platform: source.flag("mock_platform")?,
            integrity_agent_secret: source.secret("integrity_agent_secret")?,
            sandbox_socket: source.file("sandbox_socket")?.unwrap_or_else(|| SANDBOX_SOCKET.into()),
            sandbox_dir: source.directory("sandbox_dir", "/var/lib/selena-sandbox")?,
            core_user: source.word("core_user")?.unwrap_or_else(|| CORE_USER.to_owned()),
            modules: source.modules()?,
        };
        source.ignore("debug");
        source.finish()?;
        if settings.core_port == settings.ui_port {
            return Err(SettingsError::SamePort(settings.core_port));
        }
        Ok(settings)
    }
}

/// A variable of this process, for [`Settings::load`]. Bytes that are no UTF-8 become U+FFFD, which no setting allows.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn read(path: &Path, must_exist: bool) -> Result<Table, SettingsError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(Table::new()),
        Err(source) => return Err(SettingsError::Read { file: path.to_owned(), source }),
    };
    text.parse().map_err(|error| SettingsError::syntax(path, &text, &error))
}

#[cfg(test)]
mod tests;
