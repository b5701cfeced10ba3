//! What a study of lessons came to.

use serde::{Deserialize, Serialize};

use crate::ladder::policy::PolicyInfo;
use crate::lessons::gate::{EarlierLesson, Evidence, GateRules, Verdict, judge};
use crate::lessons::metrics::{Metrics, Scores, share};
use crate::lessons::outcome::{Half, Outcome};

/// All of it; tables and plots are made from this and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// The study's name.
    pub study: String,
    /// What it asks.
    pub question: String,
    /// Version of the program.
    pub version: String,
    /// Model and device.
    pub policy: PolicyInfo,
    /// The lessons: name, and what the table calls it.
    pub lessons: Vec<(String, String)>,
    /// Orders of lessons, as their places.
    pub orders: Vec<Vec<usize>>,
    /// The arm that the study is about.
    pub subject: String,
    /// The arm that it must be better than.
    pub rival: String,
    /// The gate's numbers.
    pub rules: GateRules,
    /// General answers that the gate looks at.
    pub general: usize,
    /// Seconds of all jobs.
    pub seconds: f64,
    /// The base under each seed.
    pub bases: Vec<Base>,
    /// The arms.
    pub arms: Vec<ArmResult>,
}

/// What the base does before any lesson.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The seed.
    pub seed: u64,
    /// By lesson, which half of the exam each question is in: `g` gate, `a` audit.
    pub halves: Vec<String>,
    /// How it does.
    pub step: Step,
}

/// An arm with its jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmResult {
    /// Its name.
    pub name: String,
    /// What the table calls it.
    pub label: String,
    /// Only heads that the gate let through count.
    pub gated: bool,
    /// A head after each lesson, each made from the one before; else one for all.
    pub sequence: bool,
    /// One for each seed and order.
    pub jobs: Vec<Job>,
}

/// One arm with one seed in one order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The seed.
    pub seed: u64,
    /// The order's place.
    pub order: usize,
    /// After each lesson; one step for arms that learn all at once or nothing.
    pub steps: Vec<Step>,
}

/// What a head does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// By lesson, `1` for a question that was answered right and `0` for others; `None` where the exam was not asked.
    pub exams: Vec<Option<String>>,
    /// By lesson, mean log-probability of right answers' tokens.
    pub logprobs: Vec<Option<f64>>,
    /// Estimate of KL(base || head) in nats a token, and the tokens that it was measured on.
    pub drift: (f64, usize),
    /// General answers that repeat themselves.
    pub loops: usize,
    /// Mean log-probability per token of the held-out text.
    pub text: Option<f64>,
    /// The problems of the skill, right or wrong.
    pub skill: Option<String>,
    /// Tokens that were trained on.
    pub training_tokens: u64,
    /// Tokens of exams, prompts and answers.
    pub exam_tokens: u64,
    /// Seconds that learning took.
    pub seconds: f64,
    /// Epochs.
    pub epochs: u64,
    /// Share of the new facts that the last epoch recalled.
    pub recall: f64,
    /// Whether this head counts.
    pub counts: bool,
}

/// Flags as they are kept.
pub(super) fn packed(flags: impl IntoIterator<Item = bool>) -> String {
    flags.into_iter().map(|flag| if flag { '1' } else { '0' }).collect()
}

/// Kept flags.
fn flags(text: &str) -> Vec<bool> {
    text.chars().map(|c| c == '1').collect()
}

/// Per cent of kept flags that are set.
pub(super) fn percent(text: &str) -> f64 {
    100.0 * share(&flags(text))
}

impl Base {
    /// Those of a lesson's kept flags that are of `half`, or all.
    fn of_half(&self, lesson: usize, text: &str, half: Option<Half>) -> Vec<bool> {
        let sign = half.map(|half| if half == Half::Gate { 'g' } else { 'a' });
        let flags = flags(text).into_iter().zip(self.halves[lesson].chars());
        flags.filter(|(_, of)| sign.is_none_or(|sign| sign == *of)).map(|(flag, _)| flag).collect()
    }
}

impl Results {
    /// The arm called `name`.
    pub fn arm(&self, name: &str) -> Option<&ArmResult> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// The base under a seed.
    pub fn base(&self, seed: u64) -> Option<&Base> {
        self.bases.iter().find(|base| base.seed == seed)
    }

    /// What is served at the end of a job; nothing where no head counts.
    pub(super) fn head<'a>(&self, job: &'a Job) -> Option<&'a Step> {
        served(job, job.steps.len())
    }

    /// The half that an arm's numbers are of: what a gate has looked at is no measure of what it let through.
    fn half_of(arm: &ArmResult) -> Option<Half> {
        arm.gated.then_some(Half::Audit)
    }

    /// A lesson's exam under a step.
    pub fn exam(&self, arm: &ArmResult, seed: u64, step: &Step, lesson: usize) -> Option<Vec<bool>> {
        let text = step.exams.get(lesson)?.as_deref()?;
        Some(self.base(seed)?.of_half(lesson, text, Self::half_of(arm)))
    }

    /// All means of a job.
    pub fn metrics(&self, arm: &ArmResult, job: &Job) -> Metrics {
        let Some(base) = self.base(job.seed) else { return Metrics::default() };
        let row = |step: &Step| -> Vec<Option<Vec<bool>>> {
            (0..self.lessons.len()).map(|lesson| self.exam(arm, job.seed, step, lesson)).collect()
        };
        // Where a head does not count, the one before it goes on to be served.
        let served = (0..job.steps.len()).map(|place| served(job, place + 1).unwrap_or(&base.step));
        let rows: Vec<_> = std::iter::once(&base.step).chain(served).map(row).collect();
        let order = &self.orders[job.order];
        let head = |lesson: usize| match job.steps.len() == order.len() {
            true => order.iter().position(|&other| other == lesson).map(|place| place + 1),
            // All at once.
            false => Some(job.steps.len()),
        };
        let taught = (0..self.lessons.len()).map(head).collect();
        Scores { rows, taught, joint: Vec::new() }.metrics()
    }

    /// By question of all lessons but the last, how much of what was right after its lesson is wrong at the end: 1, 0, or -1 for one
    /// that came right later. `None` for arms that do not learn one lesson after the other.
    pub fn lost(&self, arm: &ArmResult, job: &Job) -> Option<Vec<f64>> {
        let order = &self.orders[job.order];
        let last = self.head(job).filter(|_| job.steps.len() == order.len())?;
        let mut lost = Vec::new();
        for (place, &lesson) in order.iter().enumerate().take(order.len() - 1) {
            let then = self.exam(arm, job.seed, &job.steps[place], lesson)?;
            let now = self.exam(arm, job.seed, last, lesson)?;
            lost.extend(
                then.iter()
                    .zip(&now)
                    .map(|(&then, &now)| f64::from(u8::from(then)) - f64::from(u8::from(now))),
            );
        }
        Some(lost)
    }

    /// What the gate says of a step of a sequence, and how much the audit half of the earlier exams fell, if it was asked.
    pub fn judged(&self, arm: &ArmResult, job: &Job, place: usize) -> Option<Judged> {
        let base = self.base(job.seed)?;
        let order = &self.orders[job.order];
        let step = job.steps.get(place).filter(|_| arm.sequence)?;
        let before = served(job, place).unwrap_or(&base.step);
        let of = |step: &Step, lesson: usize, half| {
            step.exams
                .get(lesson)
                .and_then(Option::as_deref)
                .map(|text| base.of_half(lesson, text, Some(half)))
        };
        let mut earlier = Vec::new();
        let (mut fell, mut asked) = (0.0, 0.0);
        for (at, &lesson) in order.iter().enumerate().take(place) {
            if !job.steps[at].counts {
                continue;
            }
            let mut best = vec![false; of(step, lesson, Half::Gate)?.len()];
            for head in job.steps[at..place].iter().filter(|head| head.counts) {
                best.iter_mut().zip(of(head, lesson, Half::Gate)?).for_each(|(best, right)| *best |= right);
            }
            earlier.push(EarlierLesson {
                title: self.lessons[lesson].1.clone(),
                before: outcomes(&of(before, lesson, Half::Gate)?),
                after: outcomes(&of(step, lesson, Half::Gate)?),
                best,
            });
            for (before, after) in
                of(before, lesson, Half::Audit)?.into_iter().zip(of(step, lesson, Half::Audit)?)
            {
                fell += f64::from(u8::from(before)) - f64::from(u8::from(after));
                asked += 1.0;
            }
        }
        let evidence = Evidence {
            reached: None,
            new_before: outcomes(&of(before, order[place], Half::Gate)?),
            new_after: outcomes(&of(step, order[place], Half::Gate)?),
            earlier,
            neighbours: Vec::new(),
            drift: step.drift.0,
            drift_tokens: step.drift.1,
            loops: step.loops,
            base_loops: base.step.loops,
            general: self.general,
        };
        Some(Judged { verdict: judge(&evidence, &self.rules), fell: (asked > 0.0).then(|| fell / asked) })
    }
}

/// The gate's word on a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The word.
    pub verdict: Verdict,
    /// By how much the share of right answers in the audit half of the earlier exams fell.
    pub fell: Option<f64>,
}

/// The step before `place` whose head counts.
pub(super) fn served(job: &Job, place: usize) -> Option<&Step> {
    job.steps[..place].iter().rev().find(|step| step.counts)
}

fn outcomes(flags: &[bool]) -> Vec<Outcome> {
    let outcome = |&right: &bool| Outcome { right, said: String::new(), logprob: None, finished: true };
    flags.iter().map(outcome).collect()
}
