//! What every handler has at hand.

use std::sync::Arc;

use selena_core::{Api, identity::Origin};

use crate::tarpit::Tarpit;

/// The API a listener serves, and what is known of everything that comes in by it.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) api: Arc<Api>,
    pub(crate) origin: Origin,
    /// The port a `Host` header has to name; `None` on the admin socket, where no browser comes.
    pub(crate) port: Option<u16>,
    /// Where answers to floods wait; the listener's own.
    pub(crate) tarpit: Arc<Tarpit>,
}
