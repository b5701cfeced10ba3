//! Worked examples: problems that a generator made together with their answers.
//!
//! They warm a model up that is too small to answer in the format at all; from then on it learns from its own attempts.

use std::collections::BTreeSet;

use super::{PromptStyle, Task};

/// A problem with its answer and the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkedExample {
    /// The problem in the task's notation.
    pub problem: String,
    /// The level it was made for.
    pub level: u32,
    /// The answer in the task's notation.
    pub answer: String,
    /// The way to the answer in a line or a few, for models that write sentences.
    pub working: String,
}

impl WorkedExample {
    /// What a model should write when `task` poses the problem.
    pub fn completion(&self, task: &dyn Task, style: PromptStyle) -> String {
        let solution = task.solution(&self.answer, style);
        match style {
            PromptStyle::Instruct => format!("{}\n{solution}", self.working),
            PromptStyle::Terse => solution,
        }
    }
}

/// A problem with easier ones, each a small step away from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkedVariants {
    /// The problem in the task's notation.
    pub problem: String,
    /// One or more valid problems that differ from it and from each other by more than their wording.
    pub easier: Vec<String>,
}

/// The first `most` of `candidates` that are problems of their own beside `problem`; `None` if there is none.
pub(super) fn different(
    task: &dyn Task,
    problem: &str,
    candidates: impl IntoIterator<Item = String>,
    most: usize,
) -> Option<WorkedVariants> {
    let mut seen = BTreeSet::from([task.canonical(problem).ok()?]);
    let mut new = |candidate: &String| {
        let Ok(form) = task.canonical(candidate) else { return false };
        !task.is_restatement(problem, candidate) && seen.insert(form)
    };
    let easier: Vec<_> = candidates.into_iter().filter(|candidate| new(candidate)).take(most).collect();
    (!easier.is_empty()).then(|| WorkedVariants { problem: problem.to_owned(), easier })
}
