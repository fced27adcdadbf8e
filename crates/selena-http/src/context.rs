//! What every handler has at hand.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};
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

impl Context {
    /// That of a request.
    pub(crate) fn of(extensions: &Extensions) -> &Self {
        extensions.get().expect("the server puts it into each request")
    }
}

/// The server puts it into each request of its connections. Routes have no state of their own: they are the same on
/// every listener, of which there are as many as modules run.
impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions).clone())
    }
}
