//! What the module answers: health, webhooks, pages (protocol, sections 2, 6 and 7).

mod answer;
mod commands;
mod events;
mod once;
mod pages;

use std::{convert::Infallible, pin::Pin, rc::Rc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use selena_types::{Event, EventPattern};
use serde_json::Value;
use tokio::{net::TcpListener, task::spawn_local};

use crate::{Hub, Result, WebhookSecret, journal::log};
use answer::Answer;
use commands::Commands;
use events::Events;

pub(crate) use pages::Pages;

/// A future of this thread.
pub(crate) type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;
/// What reacts to an event.
pub(crate) type EventHandler = Box<dyn Fn(Hub, Event) -> LocalFuture<Result>>;
/// What answers a command.
pub(crate) type CommandHandler = Box<dyn Fn(Hub, Value) -> LocalFuture<Result<Value>>>;
/// What knows whether the module is well.
pub(crate) type HealthCheck = Box<dyn Fn(Hub) -> LocalFuture<Result>>;

/// Longest webhook: an event's payload is at most 1 MiB (protocol, section 5).
const MAX_WEBHOOK_BYTES: usize = 2 * 1024 * 1024;
/// How long to wait after an error of `accept`, which is usually a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Everything the module answers with.
pub(crate) struct Serving {
    hub: Hub,
    secret: Option<WebhookSecret>,
    events: Rc<Events>,
    commands: Commands,
    health: Option<HealthCheck>,
    pages: Pages,
}

impl Serving {
    /// To be made on the thread the module runs on: events are handled by a task of their own from now on.
    pub(crate) fn new(
        hub: Hub,
        secret: Option<WebhookSecret>,
        events: Vec<(EventPattern, EventHandler)>,
        commands: Vec<(String, CommandHandler)>,
        health: Option<HealthCheck>,
        pages: Pages,
    ) -> Self {
        let events = Events::start(hub.clone(), events);
        Self { commands: Commands::new(hub.clone(), commands), hub, secret, events, health, pages }
    }

    /// Answers the listener's connections for ever.
    pub(crate) async fn run(self: Rc<Self>, listener: TcpListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _peer)) => stream,
                Err(error) => {
                    log(format_args!("a connection was not accepted: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let _no_delay_is_only_faster = stream.set_nodelay(true);
            let serving = self.clone();
            let service = service_fn(move |request| {
                let serving = serving.clone();
                async move { Ok::<_, Infallible>(serving.answer(request).await.into_response()) }
            });
            let mut http = http1::Builder::new();
            http.max_buf_size(64 * 1024);
            // A connection that breaks is the hub's to open again.
            spawn_local(http.serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET | &Method::HEAD, "/health") => self.health().await,
            (&Method::GET | &Method::HEAD, path) => self.pages.answer(path),
            (&Method::POST, "/webhook/events") => match self.signed(request).await {
                Ok(body) => self.events.answer(&body).await,
                Err(refusal) => refusal,
            },
            (&Method::POST, "/webhook/commands") => match self.signed(request).await {
                Ok(body) => self.commands.answer(&body).await,
                Err(refusal) => refusal,
            },
            _ => Answer::refusal(StatusCode::NOT_FOUND, "there is no such page"),
        }
    }

    async fn health(&self) -> Answer {
        let Some(check) = &self.health else { return Answer::ok() };
        match check(self.hub.clone()).await {
            Ok(()) => Answer::ok(),
            Err(error) => Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }

    /// The body of a webhook, if the hub signed it: nothing of it is read before that is known.
    async fn signed(&self, request: Request<Incoming>) -> Result<Bytes, Answer> {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, MAX_WEBHOOK_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"));
            }
            Err(_) => return Err(Answer::refusal(StatusCode::BAD_REQUEST, "the body did not arrive whole")),
        };
        if self.secret.as_ref().is_some_and(|secret| secret.verify(&body, only_signature(&head.headers))) {
            Ok(body)
        } else {
            log(format_args!("refused a webhook with a wrong signature on {}", head.uri.path()));
            Err(Answer::refusal(StatusCode::UNAUTHORIZED, "wrong signature"))
        }
    }
}

/// The text of `X-Selena-Signature`, if there is exactly one.
fn only_signature(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all("x-selena-signature").iter();
    match (all.next(), all.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    }
}
