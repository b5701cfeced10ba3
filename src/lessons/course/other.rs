//! What a course does beside teaching: everything learnt anew, heads examined, notes asked instead of weights.

use web_time::Instant;

use super::Course;
use crate::Result;
use crate::lessons::card::{FactRef, Lesson};
use crate::lessons::ledger::{Cost, Entry};
use crate::lessons::notes::{Notes, View};

impl Course<'_> {
    /// Learns all lessons that count but `without` anew from the base, which is exact unlearning of those, and makes the result the
    /// head.
    ///
    /// # Errors
    /// As [`Course::teach`]; [`Error::Usage`](crate::Error::Usage) while a lesson waits.
    pub async fn consolidate(&mut self, without: &[u32]) -> Result<Option<String>> {
        let began = Instant::now();
        let active: Vec<Lesson> = self.library.active().into_iter().cloned().collect();
        let kept: Vec<&Lesson> =
            active.iter().filter(|lesson| !without.contains(&lesson.card.number)).collect();
        let mut cost = Cost::default();
        let mut head = None;
        if let Some(&last) = kept.last() {
            let mut mixture = self.with_base();
            for lesson in &kept {
                // What a lesson that is left out had replaced holds again.
                let replaced = |fact: usize| {
                    let this = FactRef { lesson: lesson.card.number, fact };
                    kept.iter().any(|later| later.card.supersedes.contains(&this))
                };
                self.add_new(&mut mixture, lesson, &|fact| !replaced(fact))?;
            }
            self.load(None)?;
            let settings = self.library.card().settings.clone();
            let stream_id = u64::from(last.card.number) << 8 | 0xff;
            let learned = self.learn(&mixture, &settings, stream_id, last).await?;
            cost = learned.cost;
            let file = self.learner.adapter_file().await?;
            let name = self.library.write_head(&file)?;
            for lesson in &kept {
                self.ask(lesson, Some(&name), &format!("of {}", lesson.title()), &mut cost).await?;
            }
            self.library.remove_checkpoints(last)?;
            head = Some(name);
        }
        cost.seconds = began.elapsed().as_secs_f64();
        self.library.note(Entry::Consolidated { without: without.to_vec(), head: head.clone(), cost })?;
        Ok(head)
    }

    /// Examines a head on every lesson that counts, where that is still to be done.
    ///
    /// # Errors
    /// As [`Course::teach`].
    pub async fn examine_head(&mut self, head: Option<&str>, lessons: &[u32]) -> Result<()> {
        self.load(head)?;
        let mut cost = Cost::default();
        for number in lessons {
            let lesson = self.library.lesson(*number)?.clone();
            self.ask(&lesson, head, &format!("of {}", lesson.title()), &mut cost).await?;
        }
        Ok(())
    }

    /// Asks the base a lesson's exam with its notes in the context; kept beside the results of heads.
    ///
    /// # Errors
    /// As [`Course::teach`]; [`Error::Context`](crate::Error::Context) where the notes do not fit.
    pub async fn examine_notes(&mut self, number: u32, view: View) -> Result<()> {
        let lesson = self.library.lesson(number)?.clone();
        let name = view.name();
        if self.library.results(&lesson, &name)?.is_some() {
            return Ok(());
        }
        self.load(None)?;
        let facts = lesson.facts.iter().enumerate();
        let holds = |place: &usize| !self.library.is_superseded(number, *place, None);
        let notes = Notes::of(facts.filter(|(place, _)| holds(place)).map(|(_, fact)| fact));
        let what = format!("of {} with {name}", lesson.title());
        let sitting = self.sit(&lesson, &what, &|question| notes.before(&question.prompt, view)).await?;
        self.library.write_results(&lesson, &name, &sitting)
    }
}
