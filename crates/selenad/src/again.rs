//! Starting the hub again after a whole hub was restored: the same process becomes a new one, so that nothing in memory is
//! of the hub before, and whoever watches it sees the same process id.

use std::{
    convert::Infallible,
    env,
    ffi::{CString, OsString},
    net::SocketAddr,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use anyhow::Context;
use nix::unistd::execve;

/// What the new one has to know of the one before.
#[derive(Debug)]
pub(crate) struct Again {
    /// Where the API listened: a port that was picked stays.
    pub(crate) address: SocketAddr,
    /// The development token that was made, which programs beside the hub have.
    pub(crate) made_token: Option<String>,
}

impl Again {
    /// Becomes a new hub, with the same arguments.
    pub(crate) fn start(self) -> anyhow::Result<Infallible> {
        let mut arguments: Vec<OsString> = env::args_os().collect();
        arguments.extend(["--again".into(), self.address.to_string().into()]);
        let token = self.made_token.map(|token| ("DEV_MODULE_TOKEN".into(), token.into()));
        let variables =
            env::vars_os().filter(|(name, _)| token.is_none() || name != "DEV_MODULE_TOKEN").chain(token.clone());
        let variables = variables.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
        let c_text = |bytes: Vec<u8>| CString::new(bytes).context("an argument or variable has a NUL");
        let arguments =
            arguments.into_iter().map(|text| c_text(text.into_vec())).collect::<anyhow::Result<Vec<_>>>()?;
        let variables = variables.map(c_text).collect::<anyhow::Result<Vec<_>>>()?;
        execve(c"/proc/self/exe", &arguments, &variables).context("cannot start the hub again")
    }
}
