//! How a course asks: the exams of lessons under a head, and questions of any kind.

use super::{Course, News, Row};
use crate::Result;
use crate::lessons::card::Lesson;
use crate::lessons::exam::examine;
use crate::lessons::ledger::Cost;
use crate::lessons::library::BASE;
use crate::lessons::outcome::{Outcome, Question, Sitting};

impl Course<'_> {
    /// Asks the exams of `lesson` and of all lessons that count, of the learner's adapter, which is `head`.
    pub(super) async fn row(&mut self, lesson: &Lesson, head: Option<&str>, cost: &mut Cost) -> Result<Row> {
        let new = self.ask(lesson, head, "of the new lesson", cost).await?;
        let active: Vec<Lesson> = self.library.active().into_iter().cloned().collect();
        let mut earlier = Vec::new();
        for taught in &active {
            earlier.push((
                taught.card.number,
                self.ask(taught, head, &format!("of {}", taught.title()), cost).await?,
            ));
        }
        Ok(Row { new, earlier })
    }

    /// The outcomes of a lesson's exam under `head`, which the learner holds: from the library, or asked now.
    pub(super) async fn ask(
        &mut self,
        lesson: &Lesson,
        head: Option<&str>,
        what: &str,
        cost: &mut Cost,
    ) -> Result<Vec<Outcome>> {
        let name = head.unwrap_or(BASE);
        if let Some(sitting) = self.library.results(lesson, name)? {
            return Ok(sitting.outcomes);
        }
        let sitting = self.sit(lesson, what, &|_| String::new()).await?;
        cost.exam_tokens += sitting.tokens;
        self.library.write_results(lesson, name, &sitting)?;
        Ok(sitting.outcomes)
    }

    /// Asks a lesson's exam of the learner's adapter, each question after what `before` says.
    pub(super) async fn sit(
        &mut self,
        lesson: &Lesson,
        what: &str,
        before: &dyn Fn(&Question) -> String,
    ) -> Result<Sitting> {
        let questions: Vec<&Question> = lesson.questions().map(|(_, question)| question).collect();
        self.put(&questions, what, before).await
    }

    /// Puts questions to the learner's adapter, each after what `before` says.
    pub(super) async fn put(
        &mut self,
        questions: &[&Question],
        what: &str,
        before: &dyn Fn(&Question) -> String,
    ) -> Result<Sitting> {
        if questions.is_empty() {
            return Ok(Sitting::default());
        }
        self.listener.news(&News::Exam { what: what.to_owned(), questions: questions.len() })?;
        let listener = &mut *self.listener;
        let max_tokens = self.library.card().settings.max_answer_tokens;
        let mut progress = |done: usize, all: usize| {
            listener.progress(done as u64, all as u64, what);
            !listener.stopped()
        };
        examine(self.learner, questions, before, max_tokens, &mut progress).await
    }
}
