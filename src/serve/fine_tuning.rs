//! Fine-tuning jobs as OpenAI's clients call them. A job is a lesson of the library: examined, kept apart unless the gate lets it
//! through, and served as `base@library/NAME` whatever was decided. Its id is made of the lesson's name.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{Response, StatusCode, Uri};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::app::App;
use super::body::{Outcome, fields, missing, on_disk, respond};
use super::dataset::Job;
use super::fields::Fields;
use super::fresh::now;
use super::job::{LibraryWish, Plan, Wish};
use super::models::BASE;
use super::refusal::Refusal;
use super::school::{School, refused};
use super::teaching::{expect_base, expect_room};
use crate::lessons::source::{Source, Wanted};

/// What stands before the lesson's name in a job's id.
const PREFIX: &str = "ftjob-";
/// Most characters of a suffix, as OpenAI has it.
const MAX_SUFFIX: usize = 64;
/// Things that a list has unless it is asked for more, and at most.
const LISTED: usize = 20;
const MOST_LISTED: usize = 100;

/// The addresses.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/fine_tuning/jobs", post(create).get(list))
        .route("/v1/fine_tuning/jobs/{id}", get(one))
        .route("/v1/fine_tuning/jobs/{id}/cancel", post(cancel))
        .route("/v1/fine_tuning/jobs/{id}/events", get(events))
}

async fn create(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let outcome = async {
        let school = app.school()?;
        expect_base(&school)?;
        let (model, file, suffix) = read(&app, fields(request).await?)?;
        let text = app.files.get(&file)?;
        let wished = suffix.unwrap_or_else(|| text.name.clone());
        let name = {
            let school = Arc::clone(&school);
            on_disk(move || Ok(free_name(&wished, &school.list().map_err(refused)?).into())).await?
        };
        let name = name.as_str().unwrap_or_default().to_owned();
        let source = Source::pairs(text.bytes.to_vec(), PathBuf::from(&text.name)).map_err(refused)?;
        expect_room(&school)?;
        let wanted = Wanted { name: Some(name.clone()), ..Wanted::default() };
        let plan = Plan { source, wanted, feedback: None, accept: true, name: name.clone() };
        app.wish(Wish::Library(LibraryWish::Begin(Box::new(plan)))).await?;
        app.begun.put(&name, Job { created: now(), model, file });
        described(&app, school, name).await
    };
    respond(outcome.await)
}

/// The model, the file and the suffix that a job is asked for with; whatever else would change it is refused by name.
fn read(app: &App, mut fields: Fields) -> Result<(String, String, Option<String>), Refusal> {
    let model = fields.text("model")?.ok_or_else(|| missing("model", "name the model that is served"))?;
    let file = fields.text("training_file")?;
    let file = file.ok_or_else(|| missing("training_file", "upload one by /v1/files, and give its id"))?;
    let suffix = fields.text("suffix")?;
    if suffix.as_ref().is_some_and(|suffix| suffix.chars().count() > MAX_SUFFIX) {
        return Err(Refusal::field("suffix", "is too long", format!("use up to {MAX_SUFFIX} signs")));
    }
    let (name, _) = app.names.find(Some(&model))?;
    if name != app.names.names()[0] && name != format!("{BASE}@library") {
        let hint = format!("use {BASE}: what is learnt is added to the library's head");
        return Err(Refusal::field("model", "is an adapter, which does not learn", hint));
    }
    if let Some(mut method) = fields.object("method")? {
        if method.text("type")?.is_some_and(|kind| kind != "supervised") {
            let hint = "use supervised, or teach choices by /v1/feedback";
            return Err(Refusal::field("method.type", "is not here", hint));
        }
        if let Some(mut supervised) = method.object("supervised")? {
            automatic(supervised.object("hyperparameters")?)?;
            supervised.finish()?;
        }
        method.finish()?;
    }
    automatic(fields.object("hyperparameters")?)?;
    for (name, hint) in [
        ("validation_file", "the library asks an exam of its own; give rows with `exam`"),
        ("integrations", "nothing is sent elsewhere"),
        ("seed", "a library's lessons are learnt with the seed that it was made with"),
    ] {
        if fields.take(name).is_some_and(|value| value.as_array().is_none_or(|items| !items.is_empty())) {
            return Err(Refusal::field(name, "is not supported", format!("{hint}; leave it out")));
        }
    }
    fields.finish()?;
    Ok((model, file, suffix))
}

/// Fails where a job is to be learnt otherwise than the library's other lessons.
fn automatic(parameters: Option<Fields>) -> Result<(), Refusal> {
    let Some(mut parameters) = parameters else { return Ok(()) };
    for name in ["n_epochs", "batch_size", "learning_rate_multiplier"] {
        if parameters.take(name).is_some_and(|value| value != "auto") {
            let hint =
                "a library's lessons are all learnt as it was made (`stepladder learn --set`); use \"auto\"";
            return Err(Refusal::field(format!("hyperparameters.{name}"), "is not \"auto\"", hint));
        }
    }
    parameters.finish()
}

/// A name for addresses that no lesson has.
fn free_name(wished: &str, lessons: &[Value]) -> String {
    let stem = wished.rsplit_once('.').map_or(wished, |(stem, _)| stem);
    let plain = |sign: char| if sign.is_ascii_alphanumeric() || sign == '_' { sign } else { '-' };
    let name: String = stem.chars().take(MAX_SUFFIX).map(plain).collect();
    let name = match name.trim_matches('-') {
        // A number alone would mean another lesson.
        name if name.chars().any(|sign| sign.is_ascii_alphabetic()) => name.to_owned(),
        name => format!("job-{name}").trim_end_matches('-').to_owned(),
    };
    let is_taken = |name: &str| lessons.iter().any(|lesson| lesson["name"] == name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(name)
}

/// The lesson's name in a job's id.
fn lesson_name(id: &str) -> Result<String, Refusal> {
    id.strip_prefix(PREFIX).map(str::to_owned).ok_or_else(|| {
        let shown: String = id.chars().take(80).collect();
        let message = format!("there is no job {shown:?}; GET /v1/fine_tuning/jobs lists them");
        Refusal::new(StatusCode::NOT_FOUND, "job_not_found", message)
    })
}

async fn described(app: &Arc<App>, school: Arc<School>, name: String) -> Outcome {
    let app = Arc::clone(app);
    on_disk(move || Ok(told(&app, &school.describe(&name)?))).await
}

async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response<Body> {
    respond(async { described(&app, app.school()?, lesson_name(&id)?).await }.await)
}

async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>, request: Request) -> Response<Body> {
    let outcome = async {
        fields(request).await?.finish()?;
        let (school, name) = (app.school()?, lesson_name(&id)?);
        let reason = "its job was cancelled".to_owned();
        app.wish(Wish::Library(LibraryWish::Reject(app.number(name.clone()).await?, reason))).await?;
        described(&app, school, name).await
    };
    respond(outcome.await)
}

async fn list(State(app): State<Arc<App>>, uri: Uri) -> Response<Body> {
    let outcome = async {
        let (school, page) = (app.school()?, Page::of(&uri)?);
        let app = Arc::clone(&app);
        on_disk(move || {
            let lessons = school.list().map_err(refused)?;
            Ok(page.of_all(lessons.iter().rev().map(|lesson| told(&app, lesson)).collect()))
        })
        .await
    };
    respond(outcome.await)
}

async fn events(State(app): State<Arc<App>>, Path(id): Path<String>, uri: Uri) -> Response<Body> {
    let outcome = async {
        let (school, page, name) = (app.school()?, Page::of(&uri)?, lesson_name(&id)?);
        let created = app.begun.get(&name).map_or(0, |job| job.created);
        on_disk(move || {
            let lesson = school.describe(&name)?;
            let messages = messages(&lesson).into_iter().enumerate();
            let event = |(place, (level, words)): (usize, (&str, String))| {
                json!({
                    "object": "fine_tuning.job.event", "id": format!("ftevent-{name}-{place}"), "created_at": created,
                    "level": level, "message": words, "type": "message", "data": null,
                })
            };
            let mut events: Vec<Value> = messages.map(event).collect();
            events.reverse();
            Ok(page.of_all(events))
        })
        .await
    };
    respond(outcome.await)
}

/// What happened in a lesson, in order, with how grave it is.
fn messages(lesson: &Value) -> Vec<(&'static str, String)> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let mut messages = vec![("info", "the job was created".to_owned())];
    messages.extend(texts(&lesson["notes"]).into_iter().map(|note| ("warn", note)));
    if let (Some(epoch), Some(loss)) = (lesson["epoch"]["epoch"].as_u64(), lesson["epoch"]["loss"].as_f64()) {
        messages.push(("info", format!("epoch {epoch} of {}: loss {loss:.4}", lesson["epoch"]["epochs"])));
    }
    messages.extend(texts(&lesson["gate"]["words"]).into_iter().map(|words| ("info", words)));
    messages.extend(lesson["error"].as_str().map(|words| ("error", words.to_owned())));
    messages
}

/// A lesson as the job that it is.
fn told(app: &App, lesson: &Value) -> Value {
    let name = lesson["name"].as_str().unwrap_or_default();
    let job = app.begun.get(name);
    let (state, words) = (lesson["state"].as_str().unwrap_or_default(), lesson["gate"]["words"].as_array());
    let status = match state {
        "learning" => "running",
        "waiting" | "accepted" | "rolled_back" => "succeeded",
        "stopped" => "paused",
        "rejected" => "cancelled",
        _ => "failed",
    };
    let error = match (status, lesson["error"].as_str()) {
        ("failed", None) => {
            let words: Vec<&str> = words.into_iter().flatten().filter_map(Value::as_str).collect();
            json!({ "code": "kept_apart", "message": words.join("; "), "param": null })
        }
        (_, Some(error)) => json!({ "code": "failed", "message": error, "param": null }),
        _ => Value::Null,
    };
    let made = (status == "succeeded").then(|| format!("{BASE}@library/{name}"));
    let parameters = json!({ "n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto" });
    json!({
        "object": "fine_tuning.job", "id": format!("{PREFIX}{name}"), "status": status, "fine_tuned_model": made,
        "model": job.as_ref().map_or(BASE, |job| &job.model),
        "training_file": job.as_ref().map(|job| &job.file),
        "created_at": job.as_ref().map(|job| job.created), "finished_at": null, "estimated_finish": null,
        "trained_tokens": lesson["cost"]["training_tokens"], "error": error,
        "hyperparameters": parameters, "method": { "type": "supervised", "supervised": { "hyperparameters": parameters } },
        "organization_id": "stepladder", "result_files": [], "validation_file": null, "integrations": [], "seed": null,
    })
}

/// Which part of a list is wanted.
#[derive(Debug)]
struct Page {
    after: Option<String>,
    limit: usize,
}

impl Page {
    fn of(uri: &Uri) -> Result<Self, Refusal> {
        let mut page = Self { after: None, limit: LISTED };
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("after", id) => page.after = Some(id.to_owned()),
                ("limit", count) => {
                    let count = count.parse().ok().filter(|count| (1..=MOST_LISTED).contains(count));
                    page.limit = count.ok_or_else(|| {
                        Refusal::field("limit", "is no such number", format!("use 1 to {MOST_LISTED}"))
                    })?;
                }
                (other, _) => {
                    let shown: String = other.chars().take(80).collect();
                    return Err(Refusal::field(shown, "is not known here", "use after and limit"));
                }
            }
        }
        Ok(page)
    }

    fn of_all(&self, all: Vec<Value>) -> Value {
        let from = self.after.as_ref().and_then(|id| all.iter().position(|item| item["id"] == **id));
        let rest = &all[from.map_or(0, |place| place + 1)..];
        let data = &rest[..self.limit.min(rest.len())];
        json!({ "object": "list", "data": data, "has_more": data.len() < rest.len() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_by_what_an_address_can_hold() {
        let lessons = [json!({ "name": "varna" }), json!({ "name": "varna-2" }), json!({ "name": "job" })];
        for (wished, name) in [
            ("Mira's notes", "Mira-s-notes"),
            ("varna.jsonl", "varna-3"),
            ("42", "job-42"),
            ("日本", "job-2"),
            ("a/b", "a-b"),
        ] {
            assert_eq!(free_name(wished, &lessons), name);
        }
    }

    #[test]
    fn lists_come_in_pages() {
        let all: Vec<Value> = (0..5).map(|id| json!({ "id": format!("j{id}") })).collect();
        let page = |query: &str| {
            let uri: Uri = format!("/v1/fine_tuning/jobs{query}").parse().unwrap();
            Page::of(&uri).map(|page| page.of_all(all.clone()))
        };
        assert_eq!(page("").unwrap()["data"].as_array().unwrap().len(), 5);
        let part = page("?after=j1&limit=2").unwrap();
        assert_eq!((part["data"][0]["id"].as_str(), part["has_more"].as_bool()), (Some("j2"), Some(true)));
        assert_eq!(page("?after=j2&limit=2").unwrap()["has_more"], false);
        for wrong in ["?limit=0", "?limit=x", "?order=desc"] {
            assert!(page(wrong).is_err(), "{wrong}");
        }
    }
}
