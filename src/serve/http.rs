//! The addresses that clients know, and what is behind them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::access;
use super::adapters::Adapter;
use super::app::App;
use super::ask::{Ask, Kind};
use super::body::{answer, read, typed};
use super::events::Events;
use super::fresh::fresh;
use super::job::{Event, Job, Work};
use super::metrics::add;
use super::refusal::Refusal;
use super::reply::{Chunks, Head, Whole};
use super::{embeddings, files, fine_tuning, loading, page, teaching};
use crate::model::generate::Request as Drawn;
use crate::model::guide::Compiled;

/// All addresses.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(text))
        .merge(page::router())
        .merge(embeddings::router())
        .merge(teaching::router())
        .merge(files::router())
        .merge(fine_tuning::router())
        .merge(loading::router())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// Asks every request for what it needs to be answered, and counts refusals.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let (headers, path) = (request.headers(), request.uri().path());
    let is_open = path == "/health" || page::is_of_page(path);
    let origin = app.access.check_host(headers).and_then(|()| app.access.origin(headers));
    let mut response = match &origin {
        Err(refusal) => refusal.clone().into_response(),
        Ok(Some(_)) if access::is_preflight(request.method(), headers) => access::preflight(headers),
        Ok(_) => match app.access.check_key(headers) {
            Err(refusal) if !is_open => refusal.into_response(),
            _ => next.run(request).await,
        },
    };
    if response.status().as_u16() >= 400 {
        add(&app.metrics.refused, 1);
    }
    if let Ok(Some(origin)) = origin {
        access::allow(&mut response, origin);
    }
    response
}

async fn health(State(app): State<Arc<App>>) -> Response<Body> {
    match app.stopping.load(Ordering::Relaxed) {
        true => Refusal::stopping().into_response(),
        false => answer(&json!({ "status": "ok" })),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response<Body> {
    typed("text/plain; version=0.0.4; charset=utf-8", Body::from(app.metrics.text()))
}

async fn models(State(app): State<Arc<App>>) -> Response<Body> {
    answer(&app.names.list(&app.adapters.names()))
}

async fn model(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response<Body> {
    match app.choose(Some(&name)).await {
        Ok((name, _)) => answer(&app.names.describe(&name)),
        Err(refusal) => refusal.into_response(),
    }
}

async fn unknown(request: Request) -> Response<Body> {
    let path = request.uri().path();
    let shown: String = path.chars().take(100).collect();
    let message = format!(
        "{shown} is not here; there are / (a page), /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models, /v1/adapters, /v1/feedback, /v1/lessons, /v1/rollback, /v1/board, /v1/files, /v1/fine_tuning/jobs, /health and /metrics"
    );
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message).into_response()
}

async fn wrong_method(request: Request) -> Response<Body> {
    let message = format!(
        "{} is not answered here; ask by POST for answers and changes, by GET for the rest",
        request.method()
    );
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
}

async fn chat(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    complete(app, Kind::Chat, request).await.unwrap_or_else(Refusal::into_response)
}

async fn text(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    complete(app, Kind::Text, request).await.unwrap_or_else(Refusal::into_response)
}

async fn complete(app: Arc<App>, kind: Kind, request: Request) -> Result<Response<Body>, Refusal> {
    let body = read(request).await?;
    // Templates and tokenizers work for a while on long texts.
    let for_reading = Arc::clone(&app);
    let read = tokio::task::spawn_blocking(move || {
        let ask = Ask::read(kind, &body, &for_reading.language, for_reading.advice, for_reading.context)?;
        let form = ask.form.as_ref().map(|form| for_reading.compile(form)).transpose()?;
        Ok::<_, Refusal>((ask, form))
    });
    let (ask, form) = read.await.map_err(|_| {
        let message = "the request could not be read; please report it";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })??;
    let (stream, include_usage) = (ask.stream, ask.include_usage);
    let chosen = app.choose(ask.model.as_deref()).await?;
    let (head, mut events) = submit(&app, ask, form, chosen)?;
    if stream {
        let mut response =
            typed("text/event-stream", Body::new(Events::new(events, Chunks::new(head, include_usage))));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return Ok(response);
    }
    let mut whole = Whole::new(head);
    while let Some(event) = events.recv().await {
        if let Some(value) = whole.take(event)? {
            return Ok(answer(&value));
        }
    }
    Err(Refusal::stopping())
}

/// Hands a request to the engine.
fn submit(
    app: &App,
    ask: Ask,
    form: Option<Compiled>,
    (name, adapter): (String, Arc<Adapter>),
) -> Result<(Head, UnboundedReceiver<Event>), Refusal> {
    let seed = ask.seed.unwrap_or_else(fresh);
    let request = |prompt: Vec<u32>| {
        let mut sampling = ask.sampling;
        if ask.fills_context {
            sampling.max_tokens = app.context.saturating_sub(prompt.len()).max(1);
        }
        let request = Drawn { prompt, samples: ask.samples, sampling, seed };
        request.check(&app.config, app.context)?;
        ask.adjustment.validate(app.config.vocab_size)?;
        Ok(request)
    };
    let prompt_tokens = ask.prompts.iter().map(Vec::len).sum();
    let choices = ask.prompts.len() * ask.samples;
    let requests = ask.prompts.into_iter().map(request).collect::<Result<Vec<_>, Refusal>>()?;
    if app.stopping.load(Ordering::Relaxed) {
        return Err(Refusal::stopping());
    }
    let place = app.queue_up()?;
    let head = Head::new(ask.kind, name, choices, prompt_tokens, ask.logprobs.is_some());
    let head = head.with_tools(ask.tools).remembered(app.school.clone().map(|school| (school, ask.asked)));
    let (sender, events) = unbounded_channel();
    let job = Job {
        requests,
        stop: ask.stop,
        adjustment: ask.adjustment.clone(),
        form,
        logprobs: ask.logprobs,
        adapter,
        events: sender,
        place: Some(place),
        since: Instant::now(),
    };
    app.jobs.send(Work::Draw(Box::new(job))).map_err(|_| Refusal::stopping())?;
    Ok((head, events))
}
