//! An examination that a user asks for: of a head, or of the base with notes in the context; and its papers.

use serde::Serialize;

use super::course::Course;
use super::library::{BASE, Library};
use super::notes::View;
use super::outcome::{Outcome, Question};
use crate::{Error, Result};

/// What is examined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// The head that answers; `None` for the base.
    head: Option<String>,
    /// Notes that the base has in the context, in place of a head.
    view: Option<View>,
    /// Whose exams are sat.
    lessons: Vec<u32>,
}

/// One lesson's exam, as it was answered.
#[derive(Debug, Clone, Serialize)]
pub struct Paper<'a> {
    /// The lesson.
    pub lesson: u32,
    /// Its name.
    pub name: &'a str,
    /// The head, `base`, or the kind of notes.
    pub by: String,
    /// Questions that were answered right, of all.
    pub right: usize,
    /// All questions.
    pub questions: usize,
    /// Tokens of questions with what stands before them, and of answers.
    pub tokens: u64,
    /// Seconds that it took.
    pub seconds: f64,
    /// Each question with what was said.
    pub outcomes: Vec<Answered<'a>>,
}

/// A question with what was said.
#[derive(Debug, Clone, Serialize)]
pub struct Answered<'a> {
    /// The question.
    pub question: &'a Question,
    /// What was said.
    pub outcome: Outcome,
}

impl Examination {
    /// Of `head` (its name, `base`, or the one that is served), or of the base with the notes of `view`, in `lesson` or in all that
    /// count.
    ///
    /// # Errors
    /// [`Error::Input`] for a head that is damaged or not there; [`Error::Usage`] for a lesson that is not there, without
    /// any that counts, and for a head with notes.
    pub fn of(
        library: &Library,
        head: Option<&str>,
        view: Option<View>,
        lesson: Option<u32>,
    ) -> Result<Self> {
        if let (Some(_), Some(view)) = (head, view) {
            let problem = format!("the base answers with {}, no head", view.name());
            return Err(Error::usage("head", problem, "leave one of them out"));
        }
        let head = match head {
            None => library.standing().head(),
            Some(BASE) => None,
            Some(head) => {
                library.head_files(head)?;
                Some(head)
            }
        };
        let lessons = match lesson {
            Some(number) => vec![library.lesson(number)?.card.number],
            None => library.standing().active().to_vec(),
        };
        if lessons.is_empty() {
            let hint = "accept a lesson, or name one that is not accepted";
            return Err(Error::usage("lesson", "no lesson counts yet", hint));
        }
        Ok(Self { head: head.map(str::to_owned), view, lessons })
    }

    /// Asks what was not asked yet.
    ///
    /// # Errors
    /// As [`Course::examine_head`] and [`Course::examine_notes`].
    pub async fn sit(&self, course: &mut Course<'_>) -> Result<()> {
        let Some(view) = self.view else {
            return course.examine_head(self.head.as_deref(), &self.lessons).await;
        };
        for lesson in &self.lessons {
            course.examine_notes(*lesson, view).await?;
        }
        Ok(())
    }

    /// The papers of all that was sat, a lesson each.
    ///
    /// # Errors
    /// Those of reading.
    pub fn papers<'a>(&self, library: &'a Library) -> Result<Vec<Paper<'a>>> {
        let by = match self.view {
            Some(view) => view.name(),
            None => self.head.clone().unwrap_or_else(|| BASE.into()),
        };
        let mut papers = Vec::new();
        for &number in &self.lessons {
            let lesson = library.lesson(number)?;
            let Some(sitting) = library.results(lesson, &by)? else { continue };
            let questions = lesson.questions().map(|(_, question)| question);
            papers.push(Paper {
                lesson: number,
                name: &lesson.card.name,
                by: by.clone(),
                right: sitting.outcomes.iter().filter(|outcome| outcome.right).count(),
                questions: sitting.outcomes.len(),
                tokens: sitting.tokens,
                seconds: sitting.seconds,
                outcomes: questions
                    .zip(sitting.outcomes)
                    .map(|(question, outcome)| Answered { question, outcome })
                    .collect(),
            });
        }
        Ok(papers)
    }
}
