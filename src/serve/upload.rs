//! Adapters on their way to the GPU, on the thread that owns it.

use std::path::Path;

use axum::http::StatusCode;

use super::adapters::Adapters;
use super::models::{is_lesson, of_lesson};
use super::refusal::Refusal;
use super::school::{School, refused};
use crate::Error;
use crate::session::Session;
use crate::train::adapter;

/// Most adapters that are loaded, lessons of the library among them.
pub(super) const MAX_LOADED: usize = 32;

/// Puts the adapter in a folder on the GPU.
pub(super) fn load_folder(
    session: &Session,
    adapters: &Adapters,
    name: &str,
    place: &Path,
) -> Result<(), Refusal> {
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
    Ok(())
}

/// Puts what a lesson made on the GPU, unless it is there.
pub(super) fn load_lesson(
    session: &Session,
    adapters: &Adapters,
    school: &School,
    number: u32,
) -> Result<(), Refusal> {
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "no_library", "there is no library yet");
    let library = school.library().map_err(refused)?.ok_or_else(missing)?;
    let Some(head) = library.served_head(Some(number)).map_err(refused)? else { return Ok(()) };
    let name = of_lesson(number);
    if adapters.has(&name, head) {
        return Ok(());
    }
    if let Some(oldest) = adapters.names().iter().find(|name| is_lesson(name))
        && adapters.names().len() >= MAX_LOADED
    {
        adapters.unload(oldest);
    }
    let (gpu, config) = (session.model().gpu(), session.model().config());
    let file = library.head(head, &adapter::dims(config)).map_err(refused)?;
    let lora = adapter::upload(gpu, config, &file).map_err(refused)?;
    adapters.load(&name, head, Some(lora), None);
    Ok(())
}
