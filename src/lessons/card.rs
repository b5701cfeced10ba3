//! What is written about a library and its lessons.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::gate::GateRules;
use super::outcome::Question;
use super::settings::LearnSettings;
use crate::train::fingerprint::Base;
use crate::train::loss::preference::PreferenceConfig;

/// The format that this version writes and reads.
pub(super) const FORMAT: u32 = 1;

/// What a library was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Version of the format.
    pub format: u32,
    /// The base model as the user named it.
    pub model: String,
    /// What ties the library to the base: hash of its weights, tokenizer, template.
    pub base: Base,
    /// How lessons are learnt.
    pub settings: LearnSettings,
    /// The gate's numbers.
    pub gate: GateRules,
    /// Repeating answers of the base, of those that the gate looks at.
    pub base_loops: usize,
}

impl Card {
    /// The card of a new library.
    pub fn new(model: String, base: Base, settings: LearnSettings, base_loops: usize) -> Self {
        Self { format: FORMAT, model, base, settings, gate: GateRules::default(), base_loops }
    }
}

/// Where a lesson comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LessonKind {
    /// Pairs of questions and answers.
    Pairs,
    /// What a LADDER run solved.
    Run,
    /// Thumbs, edits, and choices between two answers.
    Feedback,
    /// A text, as questions and answers that a model made of it.
    Document,
    /// Conversations of several turns, alone or beside pairs.
    Conversations,
    /// Other answers to questions that were taught.
    Correction,
}

impl LessonKind {
    /// One word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Run => "run",
            Self::Feedback => "feedback",
            Self::Document => "document",
            Self::Conversations => "conversations",
            Self::Correction => "correction",
        }
    }
}

/// A fact of an earlier lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactRef {
    /// The lesson's number.
    pub lesson: u32,
    /// The fact's place in it, from 0.
    pub fact: usize,
}

/// What is known of a lesson beside its facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LessonCard {
    /// Its number, from 1.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub kind: LessonKind,
    /// SHA-256 of its source.
    pub source_sha256: String,
    /// The head that it was proposed for; `None` for the base.
    pub parent: Option<String>,
    /// What it takes the place of.
    pub supersedes: Vec<FactRef>,
    /// Tokens that its facts take in a context.
    pub context_tokens: usize,
    /// Share of its exam that where it comes from gets right itself, if that is known: no more can be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<f64>,
    /// What must stay as it is beside the earlier lessons, with the answers of the head that it was proposed for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbours: Vec<Question>,
    /// The loss on answers that are preferred to others, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferenceConfig>,
}

/// A lesson.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// What is known of it.
    pub card: LessonCard,
    /// What it teaches.
    pub facts: Vec<Fact>,
    /// Its folder in the library.
    pub(super) folder: String,
}

impl Lesson {
    /// Its exam's questions, each with the place of its fact.
    pub fn questions(&self) -> impl Iterator<Item = (usize, &Question)> {
        self.facts
            .iter()
            .enumerate()
            .flat_map(|(place, fact)| fact.exam.iter().map(move |question| (place, question)))
    }

    /// Its name with its number, for people.
    pub fn title(&self) -> String {
        format!("lesson {} ({})", self.card.number, self.card.name)
    }
}

/// Cards for tests of what keeps them.
#[cfg(test)]
pub(super) mod examples {
    use super::*;

    /// A library's, of a small model.
    pub(in crate::lessons) fn card() -> Card {
        Card::new("tiny".into(), Base::default(), LearnSettings::for_model(1_000), 0)
    }

    /// A lesson's, of pairs.
    pub(in crate::lessons) fn lesson(name: &str) -> LessonCard {
        LessonCard {
            number: 0,
            name: name.into(),
            kind: LessonKind::Pairs,
            source_sha256: String::new(),
            parent: None,
            supersedes: Vec::new(),
            context_tokens: 3,
            reached: None,
            neighbours: Vec::new(),
            preference: None,
        }
    }
}
