//! `selenactl module …`.

use std::{fmt, path::PathBuf};

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use selena_types::{ModuleName, ModulePort, ModuleType};

#[derive(Debug, Subcommand)]
pub(crate) enum ModuleCommand {
    /// Make the directory of a new module that works.
    New(NewArgs),
    /// Check a directory or package as the hub will. Needs no hub.
    Check {
        /// The module's directory, or its package.
        #[arg(value_name = "DIR|FILE.zip", default_value = ".")]
        place: PathBuf,
    },
    /// Pack a directory into a package: the same files give the same bytes.
    ///
    /// Left out are names that begin with a dot, `__pycache__`, `target` at the top, and what `.selenaignore` lists:
    /// one pattern a line with `*` and `?`; one without `/` fits a name anywhere, others the path from the top.
    Pack {
        /// The module's directory.
        #[arg(value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// The package; `NAME-VERSION.zip` here if not given.
        #[arg(long, short, value_name = "FILE.zip")]
        output: Option<PathBuf>,
        /// Sign it with the private key of this file.
        #[arg(long, value_name = "KEY")]
        sign: Option<PathBuf>,
    },
    /// Sign a module: pack its directory, or pack its package anew, with SIGNATURE.json.
    ///
    /// A signature that is there is replaced. A package is signed in its place unless --output names another file.
    Sign {
        /// The module's directory, or its package.
        #[arg(value_name = "DIR|FILE.zip")]
        place: PathBuf,
        /// The file of the private key; `publisher keygen` makes one.
        #[arg(long, value_name = "KEY")]
        key: PathBuf,
        /// The signed package.
        #[arg(long, short, value_name = "FILE.zip")]
        output: Option<PathBuf>,
    },
    /// Check the signature of a package, file by file. Needs no hub.
    ///
    /// Exit code 0 only if the key that is named signed exactly what is in the package.
    Verify {
        /// The package.
        #[arg(value_name = "FILE.zip")]
        file: PathBuf,
        /// The publisher's public key: its file, or its base64. Without it only the files are checked.
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Run a module beside a development hub, and restart it when a file changes, until Ctrl-C.
    ///
    /// The hub is `selenad --dev`, on this machine; the module is a plain process with the environment of a module.
    /// A Python module runs as on the hub's Python base, with its SDK; a Cargo project is built and run.
    Dev(DevArgs),
    /// Install a package, or update the module it holds. Exit code 3: a person has to consent first.
    Install {
        /// The package.
        #[arg(value_name = "FILE.zip")]
        file: PathBuf,
        /// Take a lower version than the one that is installed, too.
        ///
        /// It is an update like others: it is tried first, and if it fails the installed version is back with its data.
        /// An older version may not be able to read what a newer one stored.
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// List the installed modules.
    List,
    /// Show one module.
    Show(Name),
    /// Start a module.
    Start(Name),
    /// Stop a module until a person starts it again.
    Stop(Name),
    /// Stop and start a module.
    Restart(Name),
    /// Go back to the version before, with its data as it was when it was replaced.
    Rollback {
        #[command(flatten)]
        name: Name,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Remove a module with its data, settings and tokens. Its devices stay.
    Remove {
        #[command(flatten)]
        name: Name,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Print the last output of a module.
    Logs(Name),
    /// Show a module's settings or one of them, or set one.
    Config {
        #[command(flatten)]
        name: Name,
        /// The setting.
        key: Option<String>,
        /// Its new value: JSON, or else a text.
        #[arg(allow_negative_numbers = true)]
        value: Option<String>,
    },
    /// Send a module a command and print its answer.
    Command {
        #[command(flatten)]
        name: Name,
        /// The command's name.
        command: String,
        /// What the command needs, as JSON.
        #[arg(value_name = "JSON", allow_negative_numbers = true)]
        args: Option<String>,
    },
    /// Grant what a module waits for.
    Consent {
        #[command(flatten)]
        name: Name,
        /// Do not ask: grant all it waits for.
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The module's name.
    #[arg(value_name = "NAME")]
    pub(crate) name: ModuleName,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    #[command(flatten)]
    pub(crate) name: Name,
    /// Where: a directory that is empty or not there; `NAME` if not given.
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// What it is written in.
    #[arg(long, short, value_enum, default_value_t = Language::Python)]
    pub(crate) language: Language,
    /// What it is for; decides what it may do.
    #[arg(long = "type", short = 't', value_name = "TYPE", default_value = "DRIVER", ignore_case = true)]
    #[arg(value_parser = module_type())]
    pub(crate) module_type: ModuleType,
    /// Its port, 8100 to 8200, unique on the hub; made from the name if not given.
    #[arg(long, short, value_name = "N", value_parser = port)]
    pub(crate) port: Option<ModulePort>,
    /// Rust: the directory of `selena-sdk`, or the clone of selena-hub it is in.
    ///
    /// The SDK is on no registry, so a module's Cargo.toml names it by its path. If not given, a clone is looked for
    /// around the new directory and the current one.
    #[arg(long, value_name = "PATH")]
    pub(crate) sdk: Option<PathBuf>,
}

/// What a new module is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Python,
    Rust,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The module's directory.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Where the development hub listens, on this machine.
    #[arg(long, value_name = "URL", default_value = "http://localhost:7070")]
    pub(crate) hub: String,
    /// The hub's development token; `selenad --dev` prints it at its start.
    #[arg(long, value_name = "TOKEN", env = "DEV_MODULE_TOKEN", hide_env_values = true)]
    pub(crate) token: PrivateText,
    /// What the hub signs events with: the SELENA_WEBHOOK_SECRET it was started with.
    #[arg(long, value_name = "SECRET", env = "SELENA_WEBHOOK_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<PrivateText>,
}

/// A text of the command line that no message shows.
#[derive(Clone)]
pub(crate) struct PrivateText(String);

impl PrivateText {
    /// The text, for the environment and the header that need it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for PrivateText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for PrivateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Every type but `SYSTEM`, which is for parts of the hub itself.
fn module_type() -> impl TypedValueParser<Value = ModuleType> {
    let types = ModuleType::ALL.iter().filter(|one| **one != ModuleType::System);
    PossibleValuesParser::new(types.map(|one| one.as_str())).try_map(|text| text.to_ascii_uppercase().parse())
}

fn port(text: &str) -> Result<ModulePort, selena_types::ModulePortError> {
    text.parse().map_err(|_| selena_types::ModulePortError).and_then(ModulePort::new)
}
