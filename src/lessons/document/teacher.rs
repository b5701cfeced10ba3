//! Whether a model can teach itself from a text: facts on invented people, which no model knows, asked with and without them in
//! view. It may if it uses what it sees.

use super::{By, Models, REMEDY, prompts};
use crate::lessons::fact::{Fact, prepare};
use crate::lessons::generate::people;
use crate::lessons::grade::Grader;
use crate::lessons::notes::line;
use crate::lessons::outcome::Question;
use crate::{Error, Result};

/// Invented people, of five facts each.
const PEOPLE: usize = 4;
/// Share of the questions that must be answered with the facts in view, and points that must be more than without.
const ENOUGH: f64 = 0.8;
const MORE: f64 = 0.2;
/// Most tokens of an answer.
pub(super) const ANSWER_TOKENS: usize = 48;

/// How a test went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeacherTest {
    /// Questions.
    pub all: usize,
    /// Right with the facts in view.
    pub open: usize,
    /// Right without.
    pub closed: usize,
}

impl TeacherTest {
    /// Whether the model may teach itself.
    pub fn passed(&self) -> bool {
        let share = |count: usize| count as f64 / self.all.max(1) as f64;
        share(self.open) >= ENOUGH && share(self.open) - share(self.closed) >= MORE
    }

    /// In words.
    pub fn words(&self) -> String {
        format!(
            "with facts in view it answers {} of {} questions on them, without them {}; {:.0} and {:.0} more than without are asked for",
            self.open,
            self.all,
            self.closed,
            ENOUGH * self.all as f64,
            MORE * self.all as f64
        )
    }

    /// Fails unless it was passed.
    ///
    /// # Errors
    /// [`Error::Usage`] with the numbers.
    pub fn expect_passed(&self, name: &str) -> Result<()> {
        match self.passed() {
            true => Ok(()),
            false => {
                let problem = format!("{name} cannot teach itself from a text: {}", self.words());
                Err(Error::usage("document", problem, REMEDY))
            }
        }
    }
}

/// Tests the author.
///
/// # Errors
/// Those of [`Models::answers`].
pub async fn teacher_test(models: &mut impl Models, seed: u64) -> Result<TeacherTest> {
    let facts: Vec<Fact> = prepare(people(PEOPLE, seed), true, seed);
    let text: String = facts.iter().map(|fact| line(&fact.wordings[0], &fact.answer)).collect();
    let questions: Vec<&Question> = facts.iter().filter_map(|fact| fact.exam.first()).collect();
    let grader = Grader::new(questions.iter().copied())?;
    let mut right = [0; 2];
    for (open, right) in right.iter_mut().enumerate() {
        let prompts: Vec<String> = questions
            .iter()
            .map(|question| match open {
                0 => prompts::closed_book(&question.prompt),
                _ => prompts::open_book(&text, &question.prompt),
            })
            .collect();
        let what = "whether it can use a text";
        let said = models.answers(By::Author, what, &prompts, 1, 0.0, ANSWER_TOKENS).await?;
        *right = questions
            .iter()
            .zip(said)
            .filter(|(question, said)| said.first().is_some_and(|said| grader.is_right(question, said)))
            .count();
    }
    let [closed, open] = right;
    Ok(TeacherTest { all: questions.len(), open, closed })
}
