//! The addresses of a server that learns: feedback, lessons, decisions, the board.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::app::App;
use super::body::{Outcome, fields, missing, on_disk, respond};
use super::fields::Fields;
use super::job::{LibraryWish, Plan, Wish};
use super::recent::Exchange;
use super::refusal::Refusal;
use super::school::{School, refused};
use crate::lessons::board::{Board, Records};
use crate::lessons::feedback::{self, ALTERNATIVE};
use crate::lessons::library::Library;
use crate::lessons::source::{Source, Wanted};

/// Most characters of a lesson's name and of a reason.
const MAX_NAME: usize = 100;
const MAX_REASON: usize = 1000;

/// The addresses.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/feedback", post(give))
        .route("/v1/lessons", get(list).post(begin))
        .route("/v1/lessons/{name}", get(one))
        .route("/v1/lessons/{name}/accept", post(accept))
        .route("/v1/lessons/{name}/reject", post(reject))
        .route("/v1/rollback", post(roll_back))
        .route("/v1/board", get(board))
}

async fn give(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    respond(async { take_feedback(app.school()?, fields(request).await?).await }.await)
}

async fn take_feedback(school: Arc<School>, mut fields: Fields) -> Outcome {
    let id = fields.text("id")?.ok_or_else(|| missing("id", "give that of the completion"))?;
    let (correction, thumb) = (fields.text("correction")?, fields.text("thumb")?);
    let choice = fields.count("choice", 0, u64::from(u32::MAX))?;
    fields.finish()?;
    let exchange = school.recent.get(&id).ok_or_else(|| {
        let message =
            "id: no answer of this name is remembered; those given last are, in memory alone, once they are whole";
        Refusal::new(StatusCode::NOT_FOUND, "completion_not_found", message).of_field("id")
    })?;
    let mut row = row(&exchange, choice)?;
    match (correction, thumb.as_deref()) {
        (Some(text), None) => row["correction"] = text.into(),
        (None, Some(thumb @ ("up" | "down"))) => row["thumb"] = thumb.into(),
        (None, Some(_)) => return Err(Refusal::field("thumb", "is neither", "use \"up\" or \"down\"")),
        _ => {
            let problem = "and thumb: one of them says what you think of the answer";
            return Err(Refusal::field("correction", problem, "give one of the two"));
        }
    }
    row["id"] = id.clone().into();
    let is_down = row["thumb"] == "down";
    if !is_down {
        let line = row.to_string();
        feedback::parse(line.as_bytes(), std::path::Path::new("feedback")).map_err(refused)?;
    }
    on_disk(move || {
        let waiting = school.log.add(&row)?;
        let hint = is_down.then(|| format!("a thumb down teaches nothing; {ALTERNATIVE}"));
        Ok(json!({ "object": "feedback", "id": id, "teaches": !is_down, "hint": hint, "waiting": waiting }))
    })
    .await
}

/// What was asked and answered, as a row of feedback.
fn row(exchange: &Exchange, choice: Option<u64>) -> Result<Value, Refusal> {
    let asked = exchange.asked.as_ref();
    let asked = asked.map_err(|why| Refusal::field("id", *why, "nothing can be learnt of this answer"))?;
    let count = exchange.answers.len();
    let place = match choice {
        Some(choice) => choice as usize,
        None if count == 1 => 0,
        None => return Err(missing("choice", &format!("say which of the {count} answers, from 0"))),
    };
    let prompt = asked.get(place * asked.len() / count.max(1));
    match (prompt, exchange.answers.get(place)) {
        (Some(prompt), Some(text)) => Ok(json!({ "prompt": prompt, "answer": text })),
        _ => Err(Refusal::field("choice", format!("is {place} of {count}"), "count from 0")),
    }
}

async fn begin(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let outcome = async {
        let school = app.school()?;
        expect_base(&school)?;
        let plan = plan(&school, fields(request).await?).await?;
        app.wish(Wish::Library(LibraryWish::Begin(Box::new(plan)))).await
    };
    match outcome.await {
        Ok(value) => (StatusCode::ACCEPTED, respond(Ok(value))).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn plan(school: &Arc<School>, mut fields: Fields) -> Result<Plan, Refusal> {
    let name = fields.text("name")?;
    let pairs = fields.take("pairs");
    let document = fields.text("document")?;
    let is_feedback = fields.flag("feedback")?.unwrap_or(false);
    let supersede = fields.flag("supersede")?.unwrap_or(false);
    let accept = fields.flag("accept")?.unwrap_or(false);
    fields.finish()?;
    let is_sound = |name: &str| {
        name.chars().count() <= MAX_NAME
            && name.chars().any(char::is_alphabetic)
            && !name.chars().any(|sign| sign.is_control() || "/\\".contains(sign))
    };
    if name.as_deref().is_some_and(|name| !is_sound(name)) {
        let hint = format!("use up to {MAX_NAME} signs on one line, with a letter and without / and \\");
        return Err(Refusal::field("name", "is no name of a lesson", hint));
    }
    let given = usize::from(pairs.is_some()) + usize::from(document.is_some()) + usize::from(is_feedback);
    if given > 1 {
        return Err(Refusal::field("pairs", "stands beside another source", "make several lessons of them"));
    }
    let usual = match (&pairs, &document, is_feedback) {
        (Some(_), ..) => "pairs",
        (_, Some(_), _) => "document",
        (.., true) => "feedback",
        _ => "lesson",
    };
    let name = name.unwrap_or_else(|| usual.to_owned());
    let file = PathBuf::from(usual);
    let mut taken = None;
    let source = match (pairs, document) {
        (Some(Value::Array(rows)), _) => {
            let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
            Source::pairs(lines.into_bytes(), file)
        }
        (Some(_), _) => {
            return Err(Refusal::field("pairs", "is no list", "give objects with question and answer"));
        }
        (None, Some(text)) => Source::document(text.as_bytes(), file),
        (None, None) if is_feedback => {
            let text = school.log.read()?;
            if text.is_empty() {
                return Err(Refusal::field("feedback", "none was given since the last lesson", "give some"));
            }
            taken = Some(text.clone());
            Source::feedback(text.into_bytes(), school.log.path().to_owned(), &mut |words| {
                tracing::warn!("{words}")
            })
        }
        (None, None) => Ok(Source::Pending),
    };
    let source = source.map_err(refused)?;
    match source {
        Source::Pending if undecided(school)?.is_none() => {
            let problem = "is missing, and no lesson was stopped that could go on";
            let hint = "give pairs, a document, or feedback: true";
            return Err(Refusal::field("pairs", problem, hint));
        }
        Source::Pending => {}
        _ => expect_room(school)?,
    }
    let wanted = Wanted { name: Some(name.clone()), supersede, ..Wanted::default() };
    Ok(Plan { source, wanted, feedback: taken, accept, name })
}

/// Fails where the model that is served is not the library's.
pub(super) fn expect_base(school: &School) -> Result<(), Refusal> {
    let Err(words) = &school.learning.base else { return Ok(()) };
    let message = format!("this server cannot teach its library: {words}");
    Err(Refusal::new(StatusCode::CONFLICT, "other_base", message))
}

/// The lesson that is not decided yet.
fn undecided(school: &School) -> Result<Option<u32>, Refusal> {
    let library = school.library().map_err(refused)?;
    Ok(library.and_then(|library| library.standing().pending()))
}

/// Fails while no new lesson can begin, since another one is not decided.
pub(super) fn expect_room(school: &School) -> Result<(), Refusal> {
    let Some(number) = undecided(school)? else { return Ok(()) };
    let message = format!("lesson {number} is not decided yet; accept or reject it first");
    Err(Refusal::new(StatusCode::CONFLICT, "undecided", message))
}

async fn list(State(app): State<Arc<App>>) -> Response<Body> {
    let outcome = async {
        let school = app.school()?;
        on_disk(move || Ok(json!({ "object": "list", "data": school.list().map_err(refused)? }))).await
    };
    respond(outcome.await)
}

async fn one(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response<Body> {
    let outcome = async {
        let school = app.school()?;
        on_disk(move || school.describe(&name)).await
    };
    respond(outcome.await)
}

async fn accept(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Response<Body> {
    let outcome = async {
        fields(request).await?.finish()?;
        app.wish(Wish::Library(LibraryWish::Accept(app.number(name).await?))).await
    };
    respond(outcome.await)
}

async fn reject(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Response<Body> {
    let outcome = async {
        let mut fields = fields(request).await?;
        let reason = fields.text("reason")?.unwrap_or_else(|| "by the user".into());
        fields.finish()?;
        if reason.chars().count() > MAX_REASON {
            return Err(Refusal::field("reason", "is too long", format!("use up to {MAX_REASON} signs")));
        }
        app.wish(Wish::Library(LibraryWish::Reject(app.number(name).await?, reason))).await
    };
    respond(outcome.await)
}

async fn roll_back(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let outcome = async {
        app.school()?;
        let mut fields = fields(request).await?;
        let lesson = fields.count("lesson", 1, u64::from(u32::MAX))?.map(|number| number as u32);
        fields.finish()?;
        app.wish(Wish::Library(LibraryWish::RollBack(lesson))).await
    };
    respond(outcome.await)
}

async fn board(State(app): State<Arc<App>>) -> Response<Body> {
    let outcome = async {
        let school = app.school()?;
        on_disk(move || {
            let library = Library::open(&school.learning.library).map_err(refused)?;
            let board = Board::of(&Records::of(&library).map_err(refused)?);
            serde_json::to_value(&board).map_err(|error| {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
            })
        })
        .await
    };
    respond(outcome.await)
}
