//! One job of a study of lessons: one arm with one seed, in one order.

use std::path::PathBuf;

use super::lab::Lab;
use super::merge::{slao, slao_start, ties};
use super::plan::{Arm, Study, Taught, Way};
use super::results::{Step, packed};
use crate::ladder::policy::{Policy, Request, Sampling};
use crate::ladder::study::drift::text_logprob;
use crate::ladder::study::records::{read_json, write_json};
use crate::lessons::anchors::{self, Anchor};
use crate::lessons::exam::examine;
use crate::lessons::fact::Fact;
use crate::lessons::gate::Decision;
use crate::lessons::learn::{Epoch, Learned, Mixture, Watch, learn};
use crate::lessons::notes::{Notes, View};
use crate::lessons::outcome::Question;
use crate::lessons::records::Encoder;
use crate::lessons::settings::LearnSettings;
use crate::task::{self, VerdictKind};
use crate::train::adapter;
use crate::train::checkpoint::State;
use crate::train::files::{create_folder, read_adapter, write_adapter};
use crate::train::peft::AdapterFile;
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// The head that an arm serves after a step, and what the step learnt where that is something else.
const SERVED: &str = "served";
const OWN: &str = "own";

/// What a job works with.
pub(super) struct Job<'a> {
    pub(super) study: &'a Study,
    pub(super) arm: &'a Arm,
    pub(super) order: &'a [usize],
    pub(super) lessons: &'a [Taught],
    pub(super) anchors: &'a [Anchor],
    pub(super) settings: LearnSettings,
    /// The job's own folder.
    pub(super) folder: PathBuf,
}

impl Job<'_> {
    /// Does the steps that are not done yet; all of them, with what `gate` says of those that it is asked about.
    pub(super) async fn run(
        &self,
        lab: &mut Lab<'_>,
        gate: &dyn Fn(&[Step]) -> Option<Decision>,
    ) -> Result<Vec<Step>> {
        let count = match self.arm.kind {
            Way::Joint | Way::Notes | Way::Retrieve => 1,
            _ => self.order.len(),
        };
        let mut steps: Vec<Step> = Vec::new();
        for place in 0..count {
            let folder = self.step_folder(place);
            let file = folder.join("step.json");
            if let Some(step) = read_json::<Step>(&file)? {
                steps.push(step);
                continue;
            }
            create_folder(&folder)?;
            let mut step = match self.arm.kind {
                Way::Notes | Way::Retrieve => self.look_up(lab).await?,
                _ => self.learn(lab, place, &steps).await?,
            };
            step.counts = true;
            steps.push(step);
            if self.arm.gated {
                steps[place].counts = gate(&steps) == Some(Decision::Accepted);
            }
            write_json(&file, &steps[place])?;
        }
        Ok(steps)
    }

    fn step_folder(&self, place: usize) -> PathBuf {
        self.folder.join(format!("step-{}", place + 1))
    }

    fn read(&self, lab: &mut Lab<'_>, place: usize, name: &str) -> Result<AdapterFile> {
        let dims = adapter::dims(lab.learner.trainer().model().config());
        read_adapter(self.step_folder(place).join(name), &dims)
    }

    /// Learns the lesson of a step, or all, and examines what is served then.
    async fn learn(&self, lab: &mut Lab<'_>, place: usize, done: &[Step]) -> Result<Step> {
        let served = done.iter().rposition(|step| step.counts);
        let start = match (self.arm.kind, served, place.checked_sub(1)) {
            (Way::Sequence, Some(served), _) => Some(self.read(lab, served, SERVED)?),
            (Way::Slao, _, Some(before)) => Some(slao_start(&self.read(lab, before, OWN)?)),
            _ => None,
        };
        let start = match start {
            Some(start) => start,
            None => self.settings.fresh(lab.learner.trainer().model().config())?,
        };
        lab.learner.take_adapter(&start)?;
        let began = (lab.clock)();
        let mixture = self.mixture(lab, place, done)?;
        let title = format!("{}, lesson {} of {}", self.arm.label, place + 1, self.order.len());
        let mut watch = Listen { title: &title, lab_words: lab.words, stopped: lab.stopped };
        let learned: Learned =
            learn(lab.learner, &mixture, &self.settings, place as u64 + 1, None, &mut watch).await?;
        let seconds = (lab.clock)() - began;
        let tuned = lab.learner.adapter_file().await?;
        let folder = self.step_folder(place);
        let head = match self.arm.kind {
            Way::Slao => {
                write_adapter(folder.join(OWN), &tuned)?;
                let merged = place.checked_sub(1).map(|before| self.read(lab, before, SERVED)).transpose()?;
                slao(merged.as_ref(), &tuned, place + 1)
            }
            Way::Ties => {
                write_adapter(folder.join(OWN), &tuned)?;
                let mut all = Vec::new();
                for before in 0..place {
                    all.push(self.read(lab, before, OWN)?);
                }
                all.push(tuned.clone());
                ties(&all).unwrap_or(tuned)
            }
            Way::Sequence | Way::Joint | Way::Apart | Way::Notes | Way::Retrieve => tuned,
        };
        write_adapter(folder.join(SERVED), &head)?;
        lab.learner.take_adapter(&head)?;
        let mut step = self.examine(lab, place, done).await?;
        step.seconds = seconds;
        step.training_tokens = learned.cost.training_tokens;
        step.exam_tokens += learned.cost.exam_tokens;
        (step.epochs, step.recall) = (learned.last.epoch, learned.last.recall);
        Ok(step)
    }

    /// What a step learns: its lesson, or all, with the lessons before it and the base's answers in the shares of the settings.
    fn mixture(&self, lab: &mut Lab<'_>, place: usize, done: &[Step]) -> Result<Mixture> {
        let encoder = Encoder::of(lab.learner, self.settings.max_length);
        let records = |facts: &mut dyn Iterator<Item = &Fact>| -> Result<Vec<Trajectory>> {
            let mut records = Vec::new();
            for fact in facts {
                records.extend(encoder.records(fact)?);
            }
            Ok(records)
        };
        let base = match self.settings.base_share > 0.0 {
            true => anchors::replayed(self.anchors).iter().map(Anchor::record).collect(),
            false => Vec::new(),
        };
        let mut mixture = Mixture { base, ..Mixture::default() };
        let joint = self.arm.kind == Way::Joint;
        let new = if joint { self.order } else { &self.order[place..=place] };
        for &lesson in new {
            let taught = &self.lessons[lesson];
            // Learnt at once, what is replaced is never taught.
            let holds = |fact: &usize| !(joint && taught.replaced[*fact]);
            let facts: Vec<&Fact> =
                (0..taught.facts.len()).filter(holds).map(|fact| &taught.facts[fact]).collect();
            mixture.new.extend(records(&mut facts.iter().copied())?);
            mixture.recall.extend(facts.iter().map(|fact| fact.recall()));
        }
        if self.arm.kind == Way::Sequence && self.settings.earlier_share > 0.0 {
            // The lesson at hand takes the place of what it corrects.
            let known: Vec<usize> =
                (0..place).filter(|&at| done[at].counts).map(|at| self.order[at]).collect();
            let correcting = known.iter().chain(&self.order[place..=place]);
            let replaced: Vec<&(usize, Vec<usize>)> =
                correcting.filter_map(|&lesson| self.lessons[lesson].corrects.as_ref()).collect();
            for &lesson in &known {
                let holds =
                    |fact: usize| !replaced.iter().any(|(of, facts)| *of == lesson && facts.contains(&fact));
                let facts = self.lessons[lesson].facts.iter().enumerate();
                let facts: Vec<&Fact> = facts.filter(|(at, _)| holds(*at)).map(|(_, fact)| fact).collect();
                mixture.earlier.push(records(&mut facts.iter().copied())?);
                mixture.kept.push(facts.iter().map(|fact| fact.recall()).collect());
            }
        }
        Ok(mixture)
    }

    /// Examines the head that the learner holds: in the lessons so far and the next one, on the base's own answers, and at the end in
    /// its skill.
    async fn examine(&self, lab: &mut Lab<'_>, place: usize, done: &[Step]) -> Result<Step> {
        let mut step = self.nothing();
        let last = place + 1 == self.order.len() || self.arm.kind == Way::Joint;
        let asked: Vec<usize> = match self.arm.kind {
            Way::Joint => self.order.to_vec(),
            Way::Apart => vec![self.order[place]],
            // What the gate turns away leaves the head before it, which is examined in later lessons too.
            _ if self.arm.gated => self.order.to_vec(),
            _ => self.order[..(place + 2).min(self.order.len())].to_vec(),
        };
        if let (Way::Apart, Some(before)) = (self.arm.kind, done.last()) {
            // Earlier lessons have their own adapters, as they had.
            (step.exams, step.logprobs) = (before.exams.clone(), before.logprobs.clone());
        }
        for lesson in asked {
            self.ask(lab, &mut step, lesson, &|_| String::new()).await?;
        }
        self.general(lab, &mut step, last || self.arm.gated).await?;
        Ok(step)
    }

    /// The base with notes before its questions.
    async fn look_up(&self, lab: &mut Lab<'_>) -> Result<Step> {
        let fresh = self.settings.fresh(lab.learner.trainer().model().config())?;
        lab.learner.take_adapter(&fresh)?;
        let mut step = self.nothing();
        let current = |lesson: usize| {
            let taught = &self.lessons[lesson];
            taught
                .facts
                .iter()
                .zip(&taught.replaced)
                .filter(|(_, replaced)| !**replaced)
                .map(|(fact, _)| fact)
        };
        let all = Notes::of(self.order.iter().flat_map(|&lesson| current(lesson)));
        for &lesson in self.order {
            if self.arm.kind == Way::Retrieve {
                let before = |question: &Question| all.before(&question.prompt, View::Best(self.arm.lines));
                self.ask(lab, &mut step, lesson, &before).await?;
            } else {
                let own = Notes::of(current(lesson));
                let before = |question: &Question| own.before(&question.prompt, View::All);
                self.ask(lab, &mut step, lesson, &before).await?;
            }
        }
        self.general(lab, &mut step, true).await?;
        Ok(step)
    }

    fn nothing(&self) -> Step {
        let none = self.lessons.len();
        Step { exams: vec![None; none], logprobs: vec![None; none], ..Step::default() }
    }

    /// Asks a lesson's exam without what is replaced.
    async fn ask(
        &self,
        lab: &mut Lab<'_>,
        step: &mut Step,
        lesson: usize,
        before: &dyn Fn(&Question) -> String,
    ) -> Result<()> {
        let questions = self.lessons[lesson].questions();
        let stopped = lab.stopped;
        let mut go_on = |_, _| !stopped();
        let sitting =
            examine(lab.learner, &questions, before, self.settings.max_answer_tokens, &mut go_on).await?;
        step.exam_tokens += sitting.tokens;
        step.exams[lesson] = Some(packed(sitting.outcomes.iter().map(|outcome| outcome.right)));
        let known: Vec<f64> = sitting.outcomes.iter().filter_map(|outcome| outcome.logprob).collect();
        step.logprobs[lesson] = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        Ok(())
    }

    /// What no lesson is about.
    async fn general(&self, lab: &mut Lab<'_>, step: &mut Step, last: bool) -> Result<()> {
        let stopped = lab.stopped;
        let mut go_on = |_, _| !stopped();
        step.drift = anchors::drift(lab.learner, self.anchors).await?;
        step.loops = anchors::loops(lab.learner, self.anchors, &mut go_on).await?;
        step.text = text_logprob(lab.learner, &self.study.texts).await?;
        if last && let Some(skill) = &self.study.plan.skill {
            let task = task::create(&skill.task, &Default::default())?;
            let style = lab.learner.prompt_style();
            let sampling = Sampling { max_tokens: skill.max_tokens, temperature: 0.0, ..Sampling::default() };
            let mut requests = Vec::new();
            for problem in &self.study.problems {
                let prompt = lab.learner.encode_prompt(&task.prompt(&problem.problem, style))?;
                requests.push(Request { prompt, samples: 1, sampling, seed: 0 });
            }
            let answers = anchors::sample(lab.learner, &requests, &mut go_on).await?;
            let right = self.study.problems.iter().zip(answers).map(|(problem, answers)| {
                answers
                    .first()
                    .is_some_and(|answer| task.verify(problem, &answer.text).verdict == VerdictKind::Correct)
            });
            step.skill = Some(packed(right));
        }
        Ok(())
    }

    /// The base, asked everything.
    pub(super) async fn base(&self, lab: &mut Lab<'_>) -> Result<Step> {
        let file = self.folder.join("step.json");
        if let Some(step) = read_json::<Step>(&file)? {
            return Ok(step);
        }
        create_folder(&self.folder)?;
        let fresh = self.settings.fresh(lab.learner.trainer().model().config())?;
        lab.learner.take_adapter(&fresh)?;
        let mut step = self.nothing();
        for &lesson in self.order {
            self.ask(lab, &mut step, lesson, &|_| String::new()).await?;
        }
        self.general(lab, &mut step, true).await?;
        step.counts = true;
        write_json(&file, &step)?;
        Ok(step)
    }
}

/// Tells how learning goes.
struct Listen<'a> {
    title: &'a str,
    lab_words: &'a dyn Fn(&str),
    stopped: &'a dyn Fn() -> bool,
}

impl Watch for Listen<'_> {
    fn update(&mut self, _: u64, _: u64, _: f64) -> Result<()> {
        if self.stopped() { Err(Error::Cancelled) } else { Ok(()) }
    }

    fn recalled(&mut self, _: &[bool]) -> Result<()> {
        Ok(())
    }

    fn epoch(&mut self, epoch: &Epoch, _: State) -> Result<()> {
        (self.lab_words)(&format!("{}: {}", self.title, epoch.words()));
        Ok(())
    }

    fn stopped(&self) -> bool {
        (self.stopped)()
    }
}
