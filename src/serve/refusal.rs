//! What a client is told where it gets no answer, in the form that OpenAI's clients read: status, type, field and a sentence with
//! what to do.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::Error;

/// A request that is not answered, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    status: StatusCode,
    /// A stable word for programs.
    code: &'static str,
    /// The field at fault.
    param: Option<String>,
    message: String,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

impl Refusal {
    /// Any status, with a stable word for programs and a sentence for people.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, param: None, message: message.into(), retry_after: None }
    }

    /// A field of the request cannot be used: what is wrong with it, and what to do.
    pub(super) fn field(name: impl Into<String>, problem: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        let name = name.into();
        let message = format!("{name}: {}; {}", problem.as_ref(), hint.as_ref());
        Self { param: Some(name), ..Self::new(StatusCode::BAD_REQUEST, "invalid_value", message) }
    }

    /// The same of a field.
    pub(super) fn of_field(self, name: impl Into<String>) -> Self {
        Self { param: Some(name.into()), ..self }
    }

    /// The same request may succeed after so many seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The program is about to end.
    pub(super) fn stopping() -> Self {
        let message = "the server is stopping; ask again when it has been started anew";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message).retry_after(5)
    }

    /// The body, which is also what a stream ends with that cannot go on.
    pub(super) fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Usage { .. } | Error::Context { .. } => StatusCode::BAD_REQUEST,
            // A template that refuses a conversation says so as a defect of its file.
            Error::Input { field, .. } if field == "chat_template" => StatusCode::BAD_REQUEST,
            Error::DeviceLost(_) | Error::OutOfMemory { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let code = match &error {
            // The word that OpenAI's clients know.
            Error::Context { .. } => "context_length_exceeded",
            error => error.code(),
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
