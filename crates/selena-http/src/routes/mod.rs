//! The handlers, one file for each part of section 5.

pub(crate) mod backup;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod integrity;
pub(crate) mod intents;
pub(crate) mod jobs;
pub(crate) mod module_install;
pub(crate) mod modules;
pub(crate) mod publishers;
pub(crate) mod secrets;
pub(crate) mod system;
pub(crate) mod trial;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;

/// An answer whose JSON is rendered already.
fn rendered(json: Bytes) -> Response {
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
