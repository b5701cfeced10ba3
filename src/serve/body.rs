//! Bodies of requests, read within bounds, and answers that are JSON.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::{self, IntoResponse};
use serde_json::Value;

use super::fields::Fields;
use super::refusal::Refusal;

/// The longest body of a request, in bytes.
const MAX_BODY: usize = 8 << 20;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(60);

/// What a client gets.
pub(super) type Outcome = Result<Value, Refusal>;

/// The answer to it.
pub(super) fn respond(outcome: Outcome) -> response::Response {
    match outcome {
        Ok(value) => answer(&value).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// A value as the answer.
pub(super) fn answer(value: &Value) -> Response<Body> {
    typed("application/json", Body::from(value.to_string()))
}

/// An answer of any kind.
pub(super) fn typed(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The body of a request, as far as it is not too long and comes in time.
pub(super) async fn read(request: Request) -> Result<Vec<u8>, Refusal> {
    let too_long = || {
        let message = format!("the body has more than {MAX_BODY} bytes; send less text at a time");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", message)
    };
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BODY) {
        return Err(too_long());
    }
    match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(too_long()),
        Err(_) => {
            let message =
                format!("the body did not come within {} seconds; send it again", BODY_TIME.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message))
        }
    }
}

/// The fields of a body, which may be empty.
pub(super) async fn fields(request: Request) -> Result<Fields, Refusal> {
    let body = read(request).await?;
    Fields::of_body(if body.trim_ascii().is_empty() { b"{}" } else { &body })
}

/// A field that must be there.
pub(super) fn missing(name: &str, hint: &str) -> Refusal {
    Refusal::field(name, "is missing", hint)
}

/// Runs what reads or writes the disk where it keeps nobody waiting.
pub(super) async fn on_disk(work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        let message = "the library could not be used; please report it";
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message))
    })
}
