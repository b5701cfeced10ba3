//! What an exam asks, and how a question went.

use serde::{Deserialize, Serialize};

use crate::task::{Problem, TaskOptions};

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
    /// Another problem of the kind that was taught.
    Unseen,
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

/// A turn of a conversation before a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Who speaks: `system`, `user`, `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
    /// Whether it is learnt along with the answer; the assistant's alone can be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learnt: bool,
}

/// What judges an answer where that is not the words of the right one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// The verifier of a task.
    Task(Posed),
    /// The model itself prefers an answer to another one: right where its tokens are likelier in the mean than those of this one.
    Over(String),
}

/// A problem of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posed {
    /// Name of the task.
    pub task: String,
    /// Its options.
    #[serde(default, skip_serializing_if = "TaskOptions::is_empty")]
    pub options: TaskOptions,
    /// The problem.
    pub problem: Problem,
    /// Most tokens of an answer.
    pub max_tokens: usize,
}

/// A question of an exam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What was said before it, in a conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Turn>,
    /// What is asked.
    pub prompt: String,
    /// The right answer; empty where only a verifier knows one.
    pub answer: String,
    /// How it is related to what was taught.
    pub kind: Kind,
    /// Which half of the exam it is in.
    pub half: Half,
    /// What judges an answer; `None` is the words of the right one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
}

impl Question {
    /// A question of the half that decides, which stands alone and is judged by the words of `answer`.
    pub fn new(prompt: impl Into<String>, answer: impl Into<String>, kind: Kind) -> Self {
        let (prompt, answer) = (prompt.into(), answer.into());
        Self { before: Vec::new(), prompt, answer, kind, half: Half::Gate, judge: None }
    }

    /// The problem that it poses, if a task's verifier judges it.
    pub fn posed(&self) -> Option<&Posed> {
        match &self.judge {
            Some(Judge::Task(posed)) => Some(posed),
            _ => None,
        }
    }

    /// The answer that the right one is preferred to, if that is what is judged.
    pub fn over(&self) -> Option<&str> {
        match &self.judge {
            Some(Judge::Over(other)) => Some(other),
            _ => None,
        }
    }

    /// The turns before it as given ones: none of them is learnt.
    pub fn given(&self) -> Vec<Turn> {
        self.before.iter().map(|turn| Turn { learnt: false, ..turn.clone() }).collect()
    }
}

/// How one question went under one head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The answer was right.
    pub right: bool,
    /// What the model answered.
    pub said: String,
    /// Mean natural log-probability of the right answer's tokens; `None` where no right answer is known.
    #[serde(default)]
    pub logprob: Option<f64>,
    /// The answer ended by itself.
    pub finished: bool,
}

/// An exam that was taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sitting {
    /// How each question went, in their order.
    pub outcomes: Vec<Outcome>,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Seconds that it took.
    pub seconds: f64,
}
