//! What a course does for a lesson that cost something else, once less of it and more replay have not helped.

use web_time::Instant;

use super::{Candidate, Course, Row};
use crate::Result;
use crate::ladder::policy::Policy;
use crate::lessons::card::Lesson;
use crate::lessons::gate::CheckName;
use crate::lessons::ledger::{Cost, Entry};
use crate::lessons::repair::repair;
use crate::train::adapter;

impl Candidate {
    /// Whether what was lost is what a repair brings back: earlier answers, or general ones.
    pub(super) fn can_be_repaired(&self) -> bool {
        let lost = [CheckName::Kept, CheckName::Tripwire, CheckName::Neighbours, CheckName::Drift];
        self.lost_something() && self.verdict.failed().any(|name| lost.contains(&name))
    }
}

impl Course<'_> {
    /// Pulls a candidate's own answers to earlier and general questions towards what the head before it says; the better of the two.
    pub(super) async fn repaired(
        &mut self,
        lesson: &Lesson,
        before: &Row,
        candidate: Candidate,
    ) -> Result<Candidate> {
        let began = Instant::now();
        let number = lesson.card.number;
        self.next("repairing its answers to earlier and general questions")?;
        let parent = lesson.card.parent.clone();
        let taught = match parent.as_deref() {
            Some(head) => self.read_head(head)?,
            None => self.library.card().settings.fresh(self.learner.trainer().model().config())?,
        };
        let taught = adapter::flatten(self.learner.trainer().lora().layout(), &taught)?;
        self.load(Some(&candidate.head))?;
        let prompts = self.repaired_by(lesson)?;
        let settings = self.library.card().settings.clone();
        let listener = &mut *self.listener;
        let mut progress = |done, all, kl: f64| {
            listener.progress(done, all, &format!("repair: {kl:.4} nats a token"));
            !listener.stopped()
        };
        let stream_id = u64::from(number) << 8 | 2;
        let cost = repair(self.learner, &prompts, &taught, &settings, stream_id, &mut progress).await?;
        let head = self.library.write_head(&self.learner.adapter_file().await?)?;
        let cost = Cost { seconds: began.elapsed().as_secs_f64(), ..cost };
        self.library.note(Entry::Learned { lesson: number, head: head.clone(), cost })?;
        let verdict = self.examine(lesson, &head, 1.0, before).await?;
        let repaired = Candidate { head, verdict };
        Ok(if repaired.verdict.failed().count() < candidate.verdict.failed().count() {
            repaired
        } else {
            candidate
        })
    }

    /// The prompts of what earlier lessons teach and `lesson` does not replace, and of the base's own answers.
    fn repaired_by(&self, lesson: &Lesson) -> Result<Vec<Vec<u32>>> {
        let mut prompts = Vec::new();
        for taught in self.library.active() {
            let number = taught.card.number;
            let facts = taught.facts.iter().enumerate();
            let holds = facts.filter(|(fact, _)| !self.library.is_superseded(number, *fact, Some(lesson)));
            for (_, fact) in holds.filter(|(_, fact)| fact.before.is_empty()) {
                prompts.push(self.learner.encode_prompt(&fact.wordings[0])?);
            }
        }
        for anchor in &self.anchors {
            prompts.push(anchor.tokens[..anchor.prompt_tokens].to_vec());
        }
        Ok(prompts)
    }
}
