//! The way of a lesson: asked before, learnt, asked again, judged; on failure scaled, or learnt with more replay, or kept apart.

mod mend;
mod other;
mod sitting;

use serde::Serialize;
use web_time::Instant;

use super::anchors::{self, Anchor, SANE_PROMPTS};
use super::blend::blend;
use super::card::Lesson;
use super::fact::Fact;
use super::gate::{Decision, EarlierLesson, Evidence, Verdict, judge};
use super::heads;
use super::learn::{Epoch, Learned, Mixture, Watch, learn};
use super::ledger::{Cost, Entry};
use super::library::{BASE, Library};
use super::outcome::{Half, Outcome, Question};
use super::preferences;
use super::records::Encoder;
use super::settings::LearnSettings;
use super::standing::Status;
use crate::ladder::learner::Learner;
use crate::train::checkpoint::State;
use crate::train::peft::AdapterFile;
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// Halvings of the share of an update that is kept, and the least share (STABLE, arXiv 2510.16089, has five and 0.1).
const HALVINGS: usize = 4;
const LEAST_SHARE: f64 = 0.1;

/// Largest shares of replay when a lesson is learnt again.
const MOST_EARLIER: f64 = 0.4;
const MOST_BASE: f64 = 0.3;

/// News of a lesson.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum News {
    /// An exam begins.
    Exam {
        /// What is asked, for people.
        what: String,
        /// Questions.
        questions: usize,
    },
    /// What of the facts that are learnt is recalled after an epoch.
    Recall {
        /// The lesson.
        lesson: u32,
        /// For each fact, in the lesson's order.
        right: Vec<bool>,
    },
    /// An epoch is over.
    Epoch {
        /// The lesson.
        lesson: u32,
        /// How it went.
        #[serde(flatten)]
        epoch: Epoch,
    },
    /// A candidate was judged.
    Judged {
        /// The lesson.
        lesson: u32,
        /// The candidate.
        head: String,
        /// Share of the update that it keeps.
        scale: f64,
        /// The gate's word.
        verdict: Verdict,
    },
    /// What is tried next, for people.
    Next {
        /// In words.
        what: String,
    },
}

/// Listens to a course. Every call may stop it by an error.
pub trait Listener {
    /// Something happened.
    fn news(&mut self, news: &News) -> Result<()>;
    /// `done` of `all` parts of what the last news began are done.
    fn progress(&mut self, done: u64, all: u64, words: &str);
    /// Whether to stop.
    fn stopped(&self) -> bool;
}

/// A library at work with its model.
pub struct Course<'a> {
    library: &'a mut Library,
    learner: &'a mut Learner,
    listener: &'a mut dyn Listener,
    anchors: Vec<Anchor>,
}

/// A head that was made for a lesson, and the gate's word on it.
struct Candidate {
    head: String,
    verdict: Verdict,
}

impl Candidate {
    /// Whether the lesson was learnt, or may have been, and something else was lost.
    fn lost_something(&self) -> bool {
        self.verdict.decision == Decision::Rejected && self.verdict.did_learn()
    }
}

/// Outcomes of the lessons that count and of the one at hand under one head.
struct Row {
    new: Vec<Outcome>,
    earlier: Vec<(u32, Vec<Outcome>)>,
}

impl<'a> Course<'a> {
    /// A course on `library`, open for writing, with a learner of its base whose adapter has the library's shape.
    ///
    /// # Errors
    /// Those of reading the library.
    pub fn new(
        library: &'a mut Library,
        learner: &'a mut Learner,
        listener: &'a mut dyn Listener,
    ) -> Result<Self> {
        let anchors = library.anchors()?;
        Ok(Self { library, learner, listener, anchors })
    }

    /// Takes a lesson from where it stands to a verdict; the lesson then waits for a decision.
    ///
    /// # Errors
    /// [`Error::Cancelled`], after which [`Course::teach`] goes on; those of training and of the disk.
    pub async fn teach(&mut self, number: u32) -> Result<Verdict> {
        if self.library.standing().status(number) == Some(Status::Waiting)
            && let Some(verdict) = self.library.standing().verdict(number)
        {
            return Ok(verdict.clone());
        }
        let lesson = self.library.lesson(number)?.clone();
        let parent = lesson.card.parent.clone();
        let began = Instant::now();
        let mut cost = Cost::default();
        self.load(None)?;
        self.ask(&lesson, None, "of what the base knows", &mut cost).await?;
        self.load(parent.as_deref())?;
        let before = self.row(&lesson, parent.as_deref(), &mut cost).await?;
        cost.seconds += began.elapsed().as_secs_f64();
        let settings = self.library.card().settings.clone();
        let mut best = self.attempt(&lesson, &settings, 0, &before, cost).await?;
        if best.lost_something() {
            best = self.scale(&lesson, &before, best).await?;
        }
        if best.lost_something() {
            let doubled = LearnSettings {
                earlier_share: (2.0 * settings.earlier_share).min(MOST_EARLIER),
                base_share: settings.base_share.max((2.0 * settings.base_share).min(MOST_BASE)),
                ..settings
            };
            self.next("learning it again with twice the replay")?;
            self.load(parent.as_deref())?;
            best = self.attempt(&lesson, &doubled, 1, &before, Cost::default()).await?;
        }
        if best.can_be_repaired() {
            best = self.repaired(&lesson, &before, best).await?;
        }
        let Candidate { head, verdict } = best;
        // From here on a kill finds it concluded.
        self.library.note(Entry::Concluded { lesson: number, head, verdict: verdict.clone() })?;
        self.library.remove_checkpoints(&lesson)?;
        Ok(verdict)
    }

    /// Learns and examines once.
    async fn attempt(
        &mut self,
        lesson: &Lesson,
        settings: &LearnSettings,
        attempt: u64,
        before: &Row,
        spent: Cost,
    ) -> Result<Candidate> {
        let began = Instant::now();
        let mixture = self.mixture(lesson)?;
        let stream_id = u64::from(lesson.card.number) << 8 | attempt;
        let learned = self.learn(&mixture, settings, stream_id, lesson).await?;
        let file = self.learner.adapter_file().await?;
        let head = self.library.write_head(&file)?;
        let mut cost = Cost { seconds: began.elapsed().as_secs_f64(), ..learned.cost };
        cost += spent;
        self.library.note(Entry::Learned { lesson: lesson.card.number, head: head.clone(), cost })?;
        let verdict = self.examine(lesson, &head, 1.0, before).await?;
        Ok(Candidate { head, verdict })
    }

    /// Learns a mixture; a checkpoint after every epoch lets a call after a kill go on with the same bits.
    async fn learn(
        &mut self,
        mixture: &Mixture,
        settings: &LearnSettings,
        stream_id: u64,
        lesson: &Lesson,
    ) -> Result<Learned> {
        const LEARNT: &str = "learnt";
        let identity = mixture.identity(settings, stream_id)?;
        let library = &*self.library;
        let saved = library.checkpoint(lesson, &|state, file| state.get::<String>(LEARNT, file).map(drop))?;
        // A checkpoint of another attempt, or of other records, is of no use.
        let resumed = saved.filter(|state| state.value.get(LEARNT).is_some_and(|learnt| *learnt == identity));
        let mut watch = Epochs {
            listener: &mut *self.listener,
            lesson: lesson.card.number,
            save: &|mut state: State| {
                state.put(LEARNT, &identity)?;
                library.save_checkpoint(lesson, &state)
            },
        };
        learn(self.learner, mixture, settings, stream_id, resumed.as_ref(), &mut watch).await
    }

    /// Halves the share of the update that is kept until the gate lets it through, then looks for the largest that it does.
    async fn scale(&mut self, lesson: &Lesson, before: &Row, whole: Candidate) -> Result<Candidate> {
        let new = self.read_head(&whole.head)?;
        let old = lesson.card.parent.as_deref().map(|head| self.read_head(head)).transpose()?;
        let (mut low, mut high) = (0.0, 1.0);
        let mut best = None;
        for _ in 0..HALVINGS {
            let share = (low + high) / 2.0;
            if share < LEAST_SHARE {
                break;
            }
            let (file, lost) = blend(old.as_ref(), &new, share);
            let loses = if lost > 0.0 {
                format!(" (the rank loses {:.2} % of a layer's change)", 100.0 * lost)
            } else {
                String::new()
            };
            self.next(&format!("keeping {:.0} % of the update{loses}", 100.0 * share))?;
            let head = self.library.write_head(&file)?;
            self.learner.take_adapter(&file)?;
            let candidate = Candidate { verdict: self.examine(lesson, &head, share, before).await?, head };
            // With less of it the lesson would not be learnt either; with more it would lose as much.
            match candidate.lost_something() {
                true => high = share,
                false => low = share,
            }
            if candidate.verdict.decision != Decision::Rejected {
                best = Some(candidate);
            }
        }
        Ok(best.unwrap_or(whole))
    }

    /// Examines the learner's adapter, which is the head `head`, and lets the gate judge it.
    async fn examine(&mut self, lesson: &Lesson, head: &str, scale: f64, before: &Row) -> Result<Verdict> {
        let began = Instant::now();
        let mut cost = Cost::default();
        let after = self.row(lesson, Some(head), &mut cost).await?;
        let (drift, drift_tokens) = anchors::drift(self.learner, &self.anchors).await?;
        let loops = {
            let listener = &mut *self.listener;
            anchors::loops(self.learner, &self.anchors, &mut |done, all| {
                listener.progress(done as u64, all as u64, "general questions");
                !listener.stopped()
            })
            .await?
        };
        let gate_half = |questions: Vec<(usize, &Question)>, outcomes: &[Outcome]| -> Vec<Outcome> {
            let halves = questions.into_iter().zip(outcomes);
            halves
                .filter(|((_, question), _)| question.half == Half::Gate)
                .map(|(_, outcome)| outcome.clone())
                .collect()
        };
        let new = |row: &Row| gate_half(lesson.questions().collect(), &row.new);
        let mut earlier = Vec::new();
        for ((number, old), (_, now)) in before.earlier.iter().zip(&after.earlier) {
            let taught = self.library.lesson(*number)?;
            let counts = self.counting(taught, lesson);
            let best = self.best(taught, &counts)?;
            let pick = |outcomes: &[Outcome]| -> Vec<Outcome> {
                counts.iter().map(|&place| outcomes[place].clone()).collect()
            };
            earlier.push(EarlierLesson { title: taught.title(), before: pick(old), after: pick(now), best });
        }
        let near: Vec<&Question> = lesson.card.neighbours.iter().collect();
        let near = self.put(&near, "of what must stay", &|_| String::new()).await?;
        cost.exam_tokens += near.tokens;
        let evidence = Evidence {
            new_before: new(before),
            new_after: new(&after),
            reached: lesson.card.reached,
            earlier,
            neighbours: near.outcomes,
            drift,
            drift_tokens,
            loops,
            base_loops: self.library.card().base_loops,
            general: SANE_PROMPTS.min(self.anchors.len()),
        };
        let verdict = judge(&evidence, &self.library.card().gate);
        cost.seconds = began.elapsed().as_secs_f64();
        let number = lesson.card.number;
        let entry = Entry::Examined {
            lesson: number,
            head: head.to_owned(),
            scale,
            drift,
            cost,
            verdict: verdict.clone(),
        };
        self.library.note(entry)?;
        self.listener.news(&News::Judged {
            lesson: number,
            head: head.to_owned(),
            scale,
            verdict: verdict.clone(),
        })?;
        Ok(verdict)
    }

    /// Places of an earlier lesson's gate questions whose facts still hold once `lesson` is learnt.
    fn counting(&self, taught: &Lesson, lesson: &Lesson) -> Vec<usize> {
        let holds = |fact: usize| !self.library.is_superseded(taught.card.number, fact, Some(lesson));
        let questions = taught.questions().enumerate();
        questions
            .filter(|(_, (fact, question))| question.half == Half::Gate && holds(*fact))
            .map(|(place, _)| place)
            .collect()
    }

    /// The best that any head so far did on each of a lesson's questions.
    fn best(&self, taught: &Lesson, places: &[usize]) -> Result<Vec<bool>> {
        let mut best = vec![false; places.len()];
        for record in self.library.standing().heads() {
            let Some(sitting) = self.library.results(taught, record.head.as_deref().unwrap_or(BASE))? else {
                continue;
            };
            for (best, &place) in best.iter_mut().zip(places) {
                *best |= sitting.outcomes[place].right;
            }
        }
        Ok(best)
    }

    /// What `lesson` is learnt with.
    fn mixture(&mut self, lesson: &Lesson) -> Result<Mixture> {
        let mut mixture = self.with_base();
        let active: Vec<Lesson> = self.library.active().into_iter().cloned().collect();
        for taught in &active {
            let number = taught.card.number;
            let holds: Vec<bool> = (0..taught.facts.len())
                .map(|fact| !self.library.is_superseded(number, fact, Some(lesson)))
                .collect();
            mixture.earlier.push(self.records(taught, &|fact| holds[fact])?);
            let facts = taught.facts.iter().zip(&holds).filter(|(_, holds)| **holds);
            mixture.kept.push(facts.map(|(fact, _)| fact.recall()).collect());
        }
        self.add_new(&mut mixture, lesson, &|_| true)?;
        Ok(mixture)
    }

    /// A mixture of the base's own answers alone.
    fn with_base(&self) -> Mixture {
        let base = anchors::replayed(&self.anchors).iter().map(Anchor::record).collect();
        Mixture { base, ..Mixture::default() }
    }

    /// Adds those of a lesson's facts that `holds` lets through to what is new.
    fn add_new(
        &mut self,
        mixture: &mut Mixture,
        lesson: &Lesson,
        holds: &dyn Fn(usize) -> bool,
    ) -> Result<()> {
        let encoder = Encoder::of(self.learner, self.library.card().settings.max_length);
        mixture.new.extend(self.records(lesson, &|fact| holds(fact) && !lesson.facts[fact].is_choice())?);
        let held: Vec<&Fact> = lesson
            .facts
            .iter()
            .enumerate()
            .filter(|(place, _)| holds(*place))
            .map(|(_, fact)| fact)
            .collect();
        let config = lesson.card.preference.unwrap_or_default();
        mixture.choices.extend(preferences::choices(&encoder, &held, config)?);
        mixture.recall.extend(held.into_iter().map(Fact::recall));
        Ok(())
    }

    /// The records of those of a lesson's facts that `holds` lets through.
    fn records(&mut self, lesson: &Lesson, holds: &dyn Fn(usize) -> bool) -> Result<Vec<Trajectory>> {
        let encoder = Encoder::of(self.learner, self.library.card().settings.max_length);
        let mut records = Vec::new();
        for (_, fact) in lesson.facts.iter().enumerate().filter(|(place, _)| holds(*place)) {
            records.extend(encoder.records(fact)?);
        }
        Ok(records)
    }

    fn next(&mut self, what: &str) -> Result<()> {
        self.listener.news(&News::Next { what: what.to_owned() })
    }

    /// Puts a head into the learner; `None` is the base, an adapter that does nothing.
    fn load(&mut self, head: Option<&str>) -> Result<()> {
        heads::load(self.library, self.learner, head)
    }

    fn read_head(&mut self, head: &str) -> Result<AdapterFile> {
        heads::read(self.library, self.learner, head)
    }
}

/// Passes epochs on, with a checkpoint each.
struct Epochs<'a> {
    listener: &'a mut dyn Listener,
    lesson: u32,
    save: &'a dyn Fn(State) -> Result<()>,
}

impl Watch for Epochs<'_> {
    fn update(&mut self, done: u64, all: u64, loss: f64) -> Result<()> {
        self.listener.progress(done, all, &format!("loss {loss:.4}"));
        if self.listener.stopped() { Err(Error::Cancelled) } else { Ok(()) }
    }

    fn recalled(&mut self, right: &[bool]) -> Result<()> {
        self.listener.news(&News::Recall { lesson: self.lesson, right: right.to_vec() })
    }

    fn epoch(&mut self, epoch: &Epoch, state: State) -> Result<()> {
        (self.save)(state)?;
        self.listener.news(&News::Epoch { lesson: self.lesson, epoch: *epoch })
    }

    fn stopped(&self) -> bool {
        self.listener.stopped()
    }
}
