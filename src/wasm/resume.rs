//! Kept runs that go on: what is asked for beside them is held to what they were begun with, by the rules of the command line.

use serde::Serialize;
use serde_json::Value;
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, to_json, to_value};
use super::engine::Engine;
use super::learning::TtrlCard;
use super::options::{Ladder, Ttrl, train_changes};
use super::train::TrainCard;
use crate::ladder::resume::{change, expect_problems, expect_task};
use crate::ladder::run::RunCard;
use crate::settings::setter;
use crate::task::TaskOptions;
use crate::train::resume::{Owner, before, differs};
use crate::train::sft::SftOptions;
use crate::{Error, Result};

/// A run that goes on.
const RUN: Owner<'static> =
    Owner { name: "the run", hint: "leave it out to go on, or choose another name for a new run" };

#[wasm_bindgen]
impl Engine {
    /// The card of a kept LADDER run, with what `options` change of it; `done` is its last step.
    ///
    /// # Errors
    /// `usage` that names what differs from the run's own and may not change.
    pub fn ladder_goes_on(&self, card: &str, options: &str, done: f64) -> Answer<String> {
        let (mut card, options): (RunCard, Ladder) =
            (from_json("card", card)?, from_json("options", options)?);
        expect_asked((&card.task, &card.task_options), &options.task, &options.task_options)?;
        for (option, own, given) in
            [("problems", &card.problems, &options.problems), ("heldOut", &card.held_out, &options.held_out)]
        {
            if !given.is_empty() {
                expect_problems(option, own, given, RUN)?;
            }
        }
        if let (Some(base), Some(weights)) = (&card.base, &options.weights) {
            expect_equal("model", Some(weights), &base.sha256)?;
        }
        let asked = options.asked()?;
        change(&mut card.settings, &asked, ("steps", done as u64), RUN)?;
        to_json(&card)
    }

    /// Resumes a kept run of test-time learning.
    ///
    /// # Errors
    /// As [`Engine::ladder_goes_on`].
    pub fn ttrl_goes_on(&self, card: &str, options: &str, done: f64) -> Answer<String> {
        let (mut card, options): (TtrlCard, Ttrl) =
            (from_json("card", card)?, from_json("options", options)?);
        expect_asked((&card.task, &card.task_options), &options.task, &options.task_options)?;
        if let Some(problem) = &options.problem {
            expect_problems(
                "problem",
                std::slice::from_ref(&card.problem),
                std::slice::from_ref(problem),
                RUN,
            )?;
        }
        let own = &mut card.settings;
        expect_equal("votes", options.votes, own.votes)?;
        expect_equal("keep", options.keep, own.keep)?;
        let asked = options.asked()?;
        change(&mut own.settings, &asked, ("steps", done as u64), RUN)?;
        to_json(&card)
    }

    /// The same for a kept run of supervised steps; without `examples` (JSON lines) they are its own.
    ///
    /// # Errors
    /// As [`Engine::ladder_goes_on`].
    pub fn train_goes_on(&self, card: &str, examples: &str, options: &str, done: f64) -> Answer<String> {
        let card: TrainCard = from_json("card", card)?;
        let changes = train_changes(options)?;
        if !examples.is_empty() && lines(examples)? != lines(&card.examples)? {
            let hint = "give none to go on with the run's own, or choose another name for a new run";
            let problem = "are others than the run was begun with";
            return Err(Error::usage("examples", problem, hint).into());
        }
        let mut has = to_value("card", &card)?;
        SftOptions::change(RUN, &changes, &mut has)?;
        let card: TrainCard = from_json("card", &to_json(&has)?)?;
        if let (Some(steps), Some(change)) = (card.settings.steps, setter(&changes, "steps"))
            && steps < done as u64
        {
            return Err(before(&change.name, steps, done as u64).into());
        }
        to_json(&card)
    }
}

fn expect_asked(own: (&str, &TaskOptions), task: &str, options: &TaskOptions) -> Result<()> {
    let options =
        options.iter().map(|(name, value)| (format!("task.options.{name}"), name.clone(), value.clone()));
    expect_task(own, Some(("task", task)).filter(|(_, name)| !name.is_empty()), options, RUN)
}

fn expect_equal<T: PartialEq + Serialize>(option: &str, asked: Option<T>, own: T) -> Result<()> {
    match asked {
        Some(asked) if asked != own => {
            Err(differs(option, RUN, &to_value(option, &own)?, &to_value(option, &asked)?))
        }
        _ => Ok(()),
    }
}

/// The values of JSON lines.
fn lines(text: &str) -> Result<Vec<Value>> {
    let failed = |error: serde_json::Error| Error::usage("examples", error.to_string(), "give objects");
    text.lines().map(|line| serde_json::from_str(line).map_err(failed)).collect()
}
