//! What a lesson teaches as notes in the context: the rival that learning is measured against.

use bm25::{SearchEngine, SearchEngineBuilder, Tokenizer};

use super::canonical::canonical;
use super::fact::Fact;

const ALL: &str = "notes";
const BEST: &str = "retrieve-";

/// Which notes stand before a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// All of them.
    All,
    /// The so many that match the question best.
    Best(usize),
}

impl View {
    /// What results with it are kept under.
    pub fn name(self) -> String {
        match self {
            Self::All => ALL.into(),
            Self::Best(count) => format!("{BEST}{count}"),
        }
    }

    /// Whether results are kept under this name for a view.
    pub fn is_name(name: &str) -> bool {
        name == ALL || name.starts_with(BEST)
    }
}

/// Words as questions are compared by.
struct Words;

impl Tokenizer for Words {
    fn tokenize(&self, text: &str) -> Vec<String> {
        canonical(text).split(' ').map(str::to_owned).collect()
    }
}

/// A line of notes.
pub fn line(question: &str, answer: &str) -> String {
    format!("{question} {answer}\n")
}

/// Notes on facts, a line each.
pub struct Notes {
    lines: Vec<String>,
    engine: SearchEngine<u32, u32, Words>,
}

impl Notes {
    /// Each fact in its first wording.
    pub fn of<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Self {
        let lines: Vec<String> =
            facts.into_iter().map(|fact| line(&fact.wordings[0], &fact.answer)).collect();
        let engine =
            SearchEngineBuilder::<u32, u32, Words>::with_tokenizer_and_corpus(Words, lines.clone()).build();
        Self { lines, engine }
    }

    /// What stands before a question.
    pub fn before(&self, question: &str, view: View) -> String {
        let notes: String = match view {
            View::All => self.lines.concat(),
            View::Best(count) => {
                self.engine.search(question, count).into_iter().map(|found| found.document.contents).collect()
            }
        };
        format!("{notes}\n")
    }
}
