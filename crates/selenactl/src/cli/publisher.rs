//! `selenactl publisher …`.

use std::path::PathBuf;

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use selena_signature::KeyId;
use selena_types::TrustLevel;

#[derive(Debug, Subcommand)]
pub(crate) enum PublisherCommand {
    /// Make a key to sign modules with. Needs no hub.
    ///
    /// The private key is written to FILE, for its owner alone, the public key to FILE.pub: that one is for hubs.
    Keygen {
        /// The file of the private key; it must not be there.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Believe what a publisher signs: add its public key to this hub.
    Add(AddArgs),
    /// List the keys this hub knows, and the modules they signed.
    List,
    /// Say how far a key is trusted.
    Trust {
        /// The key's id.
        #[arg(value_name = "KEY-ID")]
        key_id: KeyId,
        /// How far.
        #[arg(ignore_case = true, value_parser = trust_level())]
        trust: TrustLevel,
    },
    /// Revoke a key, for ever. Modules it signed go on, and say so.
    Revoke {
        /// The key's id.
        #[arg(value_name = "KEY-ID")]
        key_id: KeyId,
        /// Why, for all who will ask.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// State, as the owner of a key, that another key takes its place. Needs no hub.
    Rotation(RotationArgs),
    /// Add the key that a statement says takes another one's place; `publisher rotation` makes one.
    Rotate {
        /// The statement.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// What you call the publisher.
    pub(crate) name: String,
    /// The public key: its file, or its base64. Take it from the publisher, not from beside a package.
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// How far it is trusted.
    #[arg(long, value_name = "LEVEL", default_value = "BASIC", ignore_case = true, value_parser = trust_level())]
    pub(crate) trust: TrustLevel,
    /// The publisher's key in whose place it comes, lost or revoked: modules it signed take updates of the new one.
    #[arg(long, value_name = "KEY-ID")]
    pub(crate) replaces: Option<KeyId>,
}

#[derive(Debug, Args)]
pub(crate) struct RotationArgs {
    /// The file of the private key that is replaced.
    #[arg(long, value_name = "KEY")]
    pub(crate) old: PathBuf,
    /// The new public key: its file, or its base64.
    #[arg(long, value_name = "KEY")]
    pub(crate) new: String,
    /// What you call yourself.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) publisher: String,
    /// Where the statement goes; printed if not given.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

fn trust_level() -> impl TypedValueParser<Value = TrustLevel> {
    let levels = TrustLevel::ALL.iter().map(|level| level.as_str());
    PossibleValuesParser::new(levels).try_map(|text| text.to_ascii_uppercase().parse())
}
