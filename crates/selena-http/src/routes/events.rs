//! Events (protocol, sections 5, 6 and 11).

use std::convert::Infallible;

use axum::{
    Extension, Json,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event as Line, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use selena_core::{ApiError, identity::Caller};
use selena_types::{Event, EventPattern, EventType, Loc, Problems, fields::Object};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    body::{JsonBody, Parameters, Segment},
    context::Context,
    error::Failure,
};

/// `{"event_type","payload"}`, or an older client's `{"type","source","payload"}`, which gets the answer it knows.
pub(crate) async fn publish(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Response, Failure> {
    let older = body.get("event_type").is_none() && body.get("type").is_some();
    let field = if older { "type" } else { "event_type" };
    let mut problems = Problems::default();
    let mut object = Object::body(&body, &mut problems);
    let event_type = object.parsed(field, "event_type", EventType::new);
    let payload = object.optional_map("payload").unwrap_or_default();
    let event_type = event_type.filter(|_| problems.is_empty()).ok_or(problems)?;
    let event = context.api.publish(&caller, event_type, payload).await?;
    if older {
        let timestamp = event.timestamp.as_duration().as_secs_f64();
        let answer = json!({ "event_id": event.id, "type": event.event_type, "timestamp": timestamp });
        return Ok((StatusCode::CREATED, Json(answer)).into_response());
    }
    let answer =
        json!({ "published": true, "event_id": event.id, "type": event.event_type, "timestamp": event.timestamp });
    Ok(Json(answer).into_response())
}

pub(crate) async fn subscribe(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<impl IntoResponse, Failure> {
    let mut problems = Problems::default();
    let mut object = Object::body(&body, &mut problems);
    let types = object.list("event_types");
    let url = object.text("webhook_url", 1..=1024);
    let patterns = types.map(|types| patterns(&types, &mut problems));
    let (Some(patterns), Some(url), true) = (patterns, url, problems.is_empty()) else { return Err(problems.into()) };
    let subscription = context.api.subscribe(&caller, patterns, &url)?;
    let answer = json!({
        "subscription_id": subscription.id,
        "event_types": subscription.patterns,
        "webhook_url": subscription.webhook_url,
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Most patterns of one subscription.
const MAX_PATTERNS: usize = 64;

fn patterns(types: &[Value], problems: &mut Problems) -> Vec<EventPattern> {
    let at = || [Loc::from("body"), Loc::from("event_types")];
    if !(1..=MAX_PATTERNS).contains(&types.len()) {
        problems.add(at(), "list_length", format!("must list 1 to {MAX_PATTERNS} event types"));
        return Vec::new();
    }
    let mut found = Vec::new();
    for (place, item) in types.iter().enumerate() {
        match item.as_str().map(EventPattern::new) {
            Some(Ok(pattern)) => found.push(pattern),
            Some(Err(error)) => problems.add(at().into_iter().chain([place.into()]), "event_type", error.to_string()),
            None => problems.add(at().into_iter().chain([place.into()]), "string_type", "must be a text"),
        }
    }
    found
}

pub(crate) async fn unsubscribe(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment,
) -> Result<StatusCode, Failure> {
    let id = id.parse().map_err(|_| ApiError::NotFound("subscription"))?;
    context.api.unsubscribe(&caller, id)?;
    Ok(StatusCode::NO_CONTENT)
}

fn wanted(parameters: &Parameters) -> Result<Option<EventPattern>, Failure> {
    let Some(text) = parameters.text("type") else { return Ok(None) };
    EventPattern::new(text)
        .map(Some)
        .map_err(|error| Problems::one(["query".into(), "type".into()], "event_type", error.to_string()).into())
}

pub(crate) async fn list(
    context: Context,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<Value>, Failure> {
    let since = parameters.parsed("since_seq", "must be a whole number")?.unwrap_or(0);
    let (events, next) = context.api.events(&caller, since, wanted(&parameters)?, parameters.limit()?).await?;
    Ok(Json(json!({ "events": events, "next_since_seq": next })))
}

/// History after `since_seq`, if given, and then every event as it happens.
pub(crate) async fn stream(
    context: Context,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Sse<impl Stream<Item = Result<Line, Infallible>>>, Failure> {
    let since: Option<i64> = parameters.parsed("since_seq", "must be a whole number")?;
    // Listening begins before history is read, so that nothing falls between the two.
    let newest = context.api.newest_event();
    let seen = match since {
        Some(since) => since,
        None => context.api.last_seq().await?,
    };
    let tail = Tail { wanted: wanted(&parameters)?, context, caller, newest, seen, page: Vec::new(), caught_up: false };
    Ok(Sse::new(stream::unfold(tail, |mut tail| async { tail.next().await.map(|line| (Ok(line), tail)) }))
        .keep_alive(KeepAlive::default()))
}

/// A reader of the stream. What it has not read yet waits in the store, not in memory.
struct Tail {
    context: Context,
    caller: Caller,
    wanted: Option<EventPattern>,
    newest: watch::Receiver<i64>,
    /// The newest `seq` it looked at.
    seen: i64,
    /// What was read and not sent yet, newest first.
    page: Vec<Event>,
    caught_up: bool,
}

impl Tail {
    async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(event) = self.page.pop() {
                return Some(line(event.seq, &json!(event).to_string()));
            }
            if self.caught_up {
                self.newest.changed().await.ok()?;
            }
            self.newest.mark_unchanged();
            self.read_page().await?;
        }
    }

    async fn read_page(&mut self) -> Option<()> {
        let page = self.context.api.events(&self.caller, self.seen, self.wanted.clone(), PAGE).await;
        let (mut events, next) = page.ok()?;
        self.caught_up = next == self.seen;
        self.seen = next;
        events.reverse();
        self.page = events;
        Some(())
    }
}

/// How many events of the stream are read at once.
const PAGE: usize = 16;

fn line(seq: i64, event: &str) -> Line {
    Line::default().id(seq.to_string()).data(event)
}
