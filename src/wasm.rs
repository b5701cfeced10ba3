//! The shell for browsers and Node: classes and functions that the npm package (`web/`) calls. No logic.
//!
//! Structured values cross as JSON text, whose forms `web/src/types.ts` and the generated `web/src/events.ts` describe; bytes
//! cross as `Uint8Array`. Errors are thrown as JavaScript errors with `code` and `hint` ([`crate::Error::code`]).

mod console;
mod convert;
mod engine;
mod files;
mod fit;
mod growing;
mod learning;
mod lessons;
mod library;
mod options;
mod promise;
mod resume;
mod store;
mod task;
mod text;
mod train;
mod voice;

pub use convert::{Answer, Thrown};
pub use engine::Engine;
pub use fit::fit;
pub use lessons::weights_hash;
pub use library::LessonLibrary;

use std::path::Path;

use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::Error;
use crate::error::name_by;
use crate::ladder::presets::Preset;
use crate::ladder::report;
use crate::ladder::run::RunCard;
use crate::ladder::settings::Settings;
use crate::ladder::state::Snapshot;
use crate::lessons::settings::LearnSettings;
use crate::settings::{LADDER, LESSONS, PACKAGE, SFT, name_in_calls};
use crate::task::{self as tasks, Parameter, Problem, TaskOptions};
use crate::train::checkpoint::{STATE_FILE, State};
use crate::train::sft::SftOptions;
use convert::{from_json, to_json, to_value};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
}

/// A panic would otherwise show as nothing but `unreachable`.
#[wasm_bindgen(start)]
fn start() {
    name_by(name_in_calls);
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}

/// Version of the package.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// The built-in tasks with their parameters, as JSON.
///
/// # Errors
/// None in practice.
#[wasm_bindgen]
pub fn tasks() -> Answer<String> {
    #[derive(serde::Serialize)]
    struct Info {
        name: &'static str,
        parameters: &'static [Parameter],
    }
    let infos: Vec<Info> = tasks::names()
        .filter_map(|name| {
            Some(Info { name, parameters: tasks::create(name, &TaskOptions::new()).ok()?.parameters() })
        })
        .collect();
    to_json(&infos)
}

/// The settings of `kind` of run (`train`, `ladder` or `ttrl`), or of a new library (`learn`), with the values of a preset, as
/// JSON (`SettingRow`s).
///
/// # Errors
/// `usage` for a kind or a preset that there is not.
#[wasm_bindgen]
pub fn settings(kind: &str, preset: Option<String>) -> Answer<String> {
    let named = || preset.as_deref().map_or(Ok(Preset::Small), str::parse::<Preset>);
    let rows = match (kind, &preset) {
        ("train", None) => SFT.forms(&to_value(kind, &SftOptions::of(PACKAGE))?, true),
        // What follows from the model is left out of the rows.
        ("learn", None) => LESSONS.forms(&to_value(kind, &LearnSettings::for_model(0))?, true),
        ("train" | "learn", Some(_)) => {
            let problem = format!("`{kind}` has no presets: its defaults fit the model and what is learnt");
            return Err(Error::usage("preset", problem, "leave it out").into());
        }
        ("ladder", _) => LADDER.forms(&to_value(kind, &Settings::preset(named()?))?, false),
        ("ttrl", _) => LADDER.forms(&to_value(kind, &options::ttrl_preset(named()?).settings)?, false),
        _ => {
            let problem = format!("there is no kind of run `{kind}`");
            return Err(Error::usage("kind", problem, "give train, ladder, ttrl or learn").into());
        }
    };
    to_json(&rows)
}

/// The verdict on one answer, as JSON; needs no GPU. `options` and `problem` are JSON objects.
///
/// # Errors
/// `usage` for a task or an option that there is not.
#[wasm_bindgen]
pub fn verify(task: &str, options: &str, problem: &str, answer: &str) -> Answer<String> {
    let task = tasks::create(task, &from_json::<TaskOptions>("options", options)?)?;
    let problem: Problem = from_json("problem", problem)?;
    to_json(&task.verify(&problem, answer))
}

/// The report of a run as one HTML page, from its card, its log (JSON lines) and its last checkpoint.
///
/// # Errors
/// `input` if one of the three is damaged.
#[wasm_bindgen]
pub fn report(card: &str, log: &str, state: &[u8]) -> Answer<String> {
    let card: RunCard = from_json("card", card)?;
    // A tab that was closed may have left half a line.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let events = whole.lines().map(|line| from_json("log", line)).collect::<Answer<Vec<_>>>()?;
    let file = Path::new(STATE_FILE);
    let (snapshot, _) = Snapshot::from_state(State::from_bytes(state, file)?, file)?;
    let page = report::render(&card, &events, &snapshot.nodes)
        .map_err(|error| Error::input("report", "template", error.to_string(), "report this"))?;
    Ok(page)
}

/// Step and length of the log of a checkpoint, as JSON.
///
/// # Errors
/// `input` if it is damaged.
#[wasm_bindgen]
pub fn checkpoint_info(state: &[u8]) -> Answer<String> {
    let file = Path::new(STATE_FILE);
    let state = State::from_bytes(state, file)?;
    if let Some(mark) = train::Mark::of(&state, file)? {
        return to_json(&mark);
    }
    let (snapshot, position) = Snapshot::from_state(state, file)?;
    to_json(&json!({ "step": snapshot.progress.step, "position": position }))
}
