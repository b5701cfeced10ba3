//! Adapters that come and go while the server runs: `base:NAME` from a folder that was named for them, `base@library/LESSON`
//! from the library.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{self, Request, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{delete, post};
use serde_json::json;

use super::adapters::{Adapter, Adapters};
use super::http::App;
use super::models::{BASE, Choice};
use super::refusal::Refusal;
use super::school::{School, refused};
use super::teacher::Wish;
use super::teaching::{Outcome, fields, missing, respond, wish};
use crate::Error;
use crate::session::Session;
use crate::train::adapter;

/// Most adapters that are loaded, lessons of the library among them.
const MAX_LOADED: usize = 32;

/// The addresses.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/adapters", post(load)).route("/v1/adapters/{name}", delete(unload))
}

/// The name by which requests choose a lesson of the library.
fn of_lesson(number: u32) -> String {
    format!("{BASE}@library/{number}")
}

/// The lesson that a model's name means.
pub(super) fn lesson(name: &str) -> Option<&str> {
    name.strip_prefix(BASE)?.strip_prefix("@library/")
}

/// The name of an adapter without the base before it.
pub(super) fn bare(name: &str) -> Option<&str> {
    name.strip_prefix(BASE)?.strip_prefix(':')
}

impl App {
    /// What a lesson of the library made, put on the GPU if it is not there.
    ///
    /// # Errors
    /// A refusal where there is no such lesson, or nothing was learnt of it.
    pub(super) async fn lesson(self: &Arc<Self>, name: &str) -> Result<(String, Arc<Adapter>), Refusal> {
        let number = super::teaching::number(self, name.to_owned()).await?;
        wish(self, Wish::Lesson(number)).await?;
        let name = of_lesson(number);
        let adapter = self.adapters.named(&name).ok_or_else(Refusal::stopping)?;
        Ok((name, adapter))
    }
}

async fn load(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let outcome = async {
        let Some(folder) = app.adapter_folder.clone() else {
            let message =
                "this server loads no adapters; start it with `stepladder serve --adapter-folder FOLDER`";
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no_adapter_folder", message));
        };
        let mut fields = fields(request).await?;
        let name = fields.text("name")?.ok_or_else(|| missing("name", "give it one"))?;
        let path = fields.text("path")?.ok_or_else(|| missing("path", "give the adapter's folder"))?;
        fields.finish()?;
        Choice::adapter(&name, Path::new(&path)).map_err(|error| Refusal::from(error).of_field("name"))?;
        if name.contains(['/', '@', ':']) || app.names.is_taken(&name) {
            let problem = "is taken, or has a sign that means something in names of models";
            return Err(Refusal::field("name", problem, "choose another name without / @ and :"));
        }
        let full = format!("{BASE}:{name}");
        let names = app.adapters.names();
        if names.len() >= MAX_LOADED && !names.contains(&full) {
            let message = format!("{MAX_LOADED} adapters are loaded already; DELETE one of them first");
            return Err(Refusal::new(StatusCode::CONFLICT, "too_many_adapters", message));
        }
        let place = tokio::task::spawn_blocking(move || below(&folder, &path)).await;
        let place = place.map_err(|_| Refusal::stopping())??;
        wish(&app, Wish::Load { name: full.clone(), place }).await?;
        Ok(json!({ "object": "adapter", "id": full }))
    };
    respond(outcome.await)
}

/// A place below `folder` by its path from there, once links are followed.
fn below(folder: &Path, path: &str) -> Result<PathBuf, Refusal> {
    let wrong = || {
        let problem = "is no folder below that of adapters";
        Refusal::field("path", problem, "give its path from there, such as runs/poet")
    };
    let path = Path::new(path);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(wrong());
    }
    let (top, place) = (folder.canonicalize(), folder.join(path).canonicalize());
    match (top, place) {
        (Ok(top), Ok(place)) if place.starts_with(&top) && place.is_dir() => Ok(place),
        _ => Err(wrong()),
    }
}

async fn unload(State(app): State<Arc<App>>, extract::Path(name): extract::Path<String>) -> Response<Body> {
    let full = format!("{BASE}:{}", bare(&name).unwrap_or(&name));
    match app.adapters.unload(&full) {
        true => respond(Ok(json!({ "object": "adapter", "id": full, "deleted": true }))),
        false => {
            let shown: String = full.chars().take(80).collect();
            let message = format!("{shown:?} was not loaded by /v1/adapters");
            Refusal::new(StatusCode::NOT_FOUND, "adapter_not_found", message).into_response()
        }
    }
}

/// Puts the adapter in a folder on the GPU.
pub(super) fn load_folder(session: &Session, adapters: &Adapters, name: &str, place: &Path) -> Outcome {
    let file = session.read_adapter(place).map_err(|error| match error {
        // A folder without an adapter is the client's choice.
        Error::Io { .. } => {
            Refusal::new(StatusCode::BAD_REQUEST, error.code(), error.to_string()).of_field("path")
        }
        other => refused(other),
    })?;
    let (gpu, config) = (session.model().gpu(), session.model().config());
    let lora = adapter::upload(gpu, config, &file).map_err(refused)?;
    adapters.load(name, "", Some(lora), None);
    Ok(json!({}))
}

/// Puts what a lesson made on the GPU, unless it is there.
pub(super) fn load_lesson(session: &Session, adapters: &Adapters, school: &School, number: u32) -> Outcome {
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "no_library", "there is no library yet");
    let library = school.library().map_err(refused)?.ok_or_else(missing)?;
    let Some(head) = library.served_head(Some(number)).map_err(refused)? else { return Ok(json!({})) };
    let name = of_lesson(number);
    if adapters.has(&name, head) {
        return Ok(json!({}));
    }
    if let Some(oldest) = adapters.names().iter().find(|name| lesson(name).is_some())
        && adapters.names().len() >= MAX_LOADED
    {
        adapters.unload(oldest);
    }
    let (gpu, config) = (session.model().gpu(), session.model().config());
    let file = library.head(head, &adapter::dims(config)).map_err(refused)?;
    let lora = adapter::upload(gpu, config, &file).map_err(refused)?;
    adapters.load(&name, head, Some(lora), None);
    Ok(json!({}))
}
