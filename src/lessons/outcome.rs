//! What an exam asks, and how a question went.

use serde::{Deserialize, Serialize};

/// How a question of an exam is related to what was taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In the words that it was taught in.
    Recall,
    /// In other words.
    Reworded,
    /// The other way round: from the answer to what was asked about.
    Reversed,
    /// Needs more than one thing that was taught.
    Combined,
}

/// Which half of an exam a question is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Half {
    /// Decides whether a lesson is accepted.
    Gate,
    /// Decides nothing, so that it tells what the gate is worth.
    Audit,
}

/// A question of an exam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What is asked.
    pub prompt: String,
    /// The right answer.
    pub answer: String,
    /// How it is related to what was taught.
    pub kind: Kind,
    /// Which half of the exam it is in.
    pub half: Half,
}

/// How one question went under one head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The answer was right.
    pub right: bool,
    /// What the model answered.
    pub said: String,
    /// Mean natural log-probability of the right answer's tokens.
    pub logprob: f64,
    /// The answer ended by itself.
    pub finished: bool,
}

/// An exam that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sitting {
    /// How each question went, in their order.
    pub outcomes: Vec<Outcome>,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Seconds that it took.
    pub seconds: f64,
}
