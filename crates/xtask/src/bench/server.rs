//! The baseline of `GET /devices`: a bare axum server that answers the same bytes from memory.

use std::{net::Ipv4Addr, path::Path};

use anyhow::Context;
use axum::{Router, http::header::CONTENT_TYPE, routing::get, serve::ListenerExt};
use bytes::Bytes;
use tokio::net::TcpListener;

use super::helper;

/// Serves the file's bytes as JSON at `/api/v1/devices`, and `/api/v1/health`, until the process is ended.
pub(super) async fn run(body: &Path) -> anyhow::Result<()> {
    let body = Bytes::from(std::fs::read(body).with_context(|| format!("cannot read {}", body.display()))?);
    let devices = get(move || std::future::ready(([(CONTENT_TYPE, "application/json")], body.clone())));
    let health = get(|| std::future::ready("{}"));
    let router = Router::new().route("/api/v1/devices", devices).route("/api/v1/health", health);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    helper::say(&format!("listening on {}", listener.local_addr()?))?;
    let listener = listener.tap_io(|stream| {
        let _no_delay_is_only_faster = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}
