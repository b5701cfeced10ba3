//! The addresses by which adapters come and go while the server runs: `base:NAME`, from below a folder that was named for them.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{self, Request, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{delete, post};
use serde_json::json;

use super::app::App;
use super::body::{fields, missing, respond};
use super::job::Wish;
use super::models::{BASE, Choice, bare};
use super::refusal::Refusal;
use super::upload::MAX_LOADED;

/// The addresses.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/adapters", post(load)).route("/v1/adapters/{name}", delete(unload))
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
        app.wish(Wish::Load { name: full.clone(), place }).await?;
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
