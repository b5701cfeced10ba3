//! Files that clients upload to train on, as OpenAI's clients do.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::app::App;
use super::body::{missing, respond, typed};
use super::dataset::File;
use super::refusal::Refusal;

/// Most bytes of an upload.
const MAX_FILE: usize = 16 << 20;
const FORM: &str = "send a form of several parts (multipart/form-data)";
/// How long an upload may take.
const UPLOAD_TIME: Duration = Duration::from_secs(120);

/// The addresses.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/files", post(upload).get(list).layer(DefaultBodyLimit::max(MAX_FILE)))
        .route("/v1/files/{id}", get(one).delete(delete))
        .route("/v1/files/{id}/content", get(content))
}

async fn upload(State(app): State<Arc<App>>, form: Result<Multipart, MultipartRejection>) -> Response<Body> {
    let outcome = async {
        // Where nothing can be learnt a file would only take room.
        app.school()?;
        let form = form.map_err(|error| Refusal::field("body", error.body_text(), FORM))?;
        let read = tokio::time::timeout(UPLOAD_TIME, read(form)).await;
        let (name, bytes) = read.map_err(|_| {
            let message =
                format!("the file did not come within {} seconds; send it again", UPLOAD_TIME.as_secs());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message)
        })??;
        app.files.put(name, bytes)
    };
    respond(outcome.await)
}

/// The name and the bytes of the form's file.
async fn read(mut form: Multipart) -> Result<(String, Vec<u8>), Refusal> {
    let (mut file, mut purpose) = (None, None);
    while let Some(part) = form.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" => {
                let named: String = part.file_name().unwrap_or("file").chars().take(200).collect();
                file = Some((named, part.bytes().await.map_err(broken)?.to_vec()));
            }
            "purpose" => purpose = Some(part.text().await.map_err(broken)?),
            other => {
                let shown: String = other.chars().take(80).collect();
                return Err(Refusal::field(shown, "is not known here", "send file and purpose"));
            }
        }
    }
    match purpose.as_deref() {
        Some("fine-tune") => {}
        Some(_) => {
            return Err(Refusal::field(
                "purpose",
                "is another",
                "use fine-tune: files are here to learn from",
            ));
        }
        None => return Err(missing("purpose", "use fine-tune")),
    }
    file.ok_or_else(|| missing("file", "send it as a part of the form"))
}

fn broken(error: MultipartError) -> Refusal {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("the file has more than {MAX_FILE} bytes; make several of it");
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", message);
    }
    Refusal::field("body", error.body_text(), FORM)
}

async fn list(State(app): State<Arc<App>>) -> Response<Body> {
    let data: Vec<Value> = app.files.held().iter().map(File::told).collect();
    respond(Ok(json!({ "object": "list", "data": data, "has_more": false })))
}

async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response<Body> {
    respond(app.files.get(&id).map(|file| file.told()))
}

async fn delete(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response<Body> {
    respond(app.files.delete(&id))
}

async fn content(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response<Body> {
    match app.files.get(&id) {
        Ok(file) => typed("application/octet-stream", Body::from(file.bytes.to_vec())),
        Err(refusal) => respond(Err(refusal)),
    }
}
