//! What a study came to: numbers by arm and seed, and the comparisons that follow from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ladder::events::VerdictCounts;
use crate::ladder::policy::PolicyInfo;
use crate::ladder::stats::{mean_with_ci, paired_difference};
use crate::ladder::study::plan::Study;
use crate::ladder::tree::Rejection;

/// `results.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Name of the study.
    pub study: String,
    /// What it asks.
    pub question: String,
    /// Version of the program.
    pub version: String,
    /// Model and device.
    pub policy: PolicyInfo,
    /// Held-out problems by group, for headings.
    pub groups: Vec<Group>,
    /// Tokens of a training arm.
    pub token_budget: u64,
    /// Attempts at each held-out problem.
    pub samples: usize,
    /// Arm that the others are compared with.
    pub reference: String,
    /// Seconds of all jobs.
    pub seconds: f64,
    /// Problems that are in both the training set and the held-out one, in any notation; such roots are not trained on.
    pub contamination: Vec<Hit>,
    /// Every arm.
    pub arms: Vec<ArmResult>,
}

/// A held-out problem and the training problem that is equal to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The held-out problem.
    pub held_out: String,
    /// The training problem.
    pub training: String,
}

/// A set of held-out problems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// `all`, `easy`, `hard`, or `level 7`.
    pub name: String,
    /// Places among the held-out problems.
    pub places: Vec<usize>,
}

/// One arm of all its seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// Its name.
    pub name: String,
    /// What the table calls it.
    pub label: String,
    /// Whether it is an ablation of the reference.
    pub ablation: bool,
    /// By seed.
    pub seeds: Vec<Outcome>,
}

/// What one job came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Seed.
    pub seed: u64,
    /// Score of each held-out problem from 0 to 1; `null` for those that were not asked.
    pub scores: Vec<Option<f64>>,
    /// Whether the most frequent answer to each problem was right.
    pub majority: Vec<Option<f64>>,
    /// Whether any answer to each problem was right, as a verifier that picks would find.
    pub best: Vec<Option<f64>>,
    /// Attempts at each problem that the scores are shares of.
    pub samples: usize,
    /// Attempts that majority and best were chosen among.
    pub attempts: usize,
    /// Judgements of the attempts.
    pub verdicts: VerdictCounts,
    /// Tokens generated to learn, variants included.
    pub training_tokens: u64,
    /// Tokens generated to answer, all attempts.
    pub answer_tokens: u64,
    /// Prompt tokens and generated tokens that one answer costs, on average: those of one attempt, or of all attempts where the
    /// answer is chosen among them.
    pub tokens_per_question: f64,
    /// Seconds of learning.
    pub training_seconds: f64,
    /// Seconds of answering.
    pub answer_seconds: f64,
    /// Optimizer steps.
    pub steps: u64,
    /// Held-out pass@1 on the way, as (training tokens, pass@1 of all, pass@1 of the hard problems).
    #[serde(default)]
    pub curve: Vec<(u64, f64, f64)>,
    /// Share of groups in each step that carried a signal, as (training tokens, share).
    #[serde(default)]
    pub signal: Vec<(u64, f64)>,
    /// Variants written, by what became of them; the accepted ones under `accepted`.
    #[serde(default)]
    pub variants: BTreeMap<String, u64>,
    /// Nodes in the tree at the end.
    #[serde(default)]
    pub nodes: usize,
    /// Mean of log(policy / base) per token of the policy's own answers to the held-out problems: an estimate of KL(policy‖base).
    #[serde(default)]
    pub kl: Option<f64>,
    /// Mean log-probability per token of the held-out text.
    #[serde(default)]
    pub text_logprob: Option<f64>,
}

/// The key of accepted variants in [`Outcome::variants`].
pub const ACCEPTED: &str = "accepted";

/// The key of a rejection in [`Outcome::variants`].
pub fn rejection_key(reason: Rejection) -> String {
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Outcome {
    /// Scores of the problems at `places` that were asked.
    pub fn at(&self, places: &[usize]) -> Vec<f64> {
        pick(&self.scores, places)
    }

    /// The same with one choice among the attempts as the score: `choice` is [`Outcome::majority`] or [`Outcome::best`].
    pub fn chosen(&self, choice: fn(&Self) -> &Vec<Option<f64>>) -> Self {
        // An answer costs its prompt once and every attempt.
        let asked = self.scores.iter().flatten().count().max(1) as f64;
        let attempts = self.answer_tokens as f64 / asked;
        let prompt = self.tokens_per_question - attempts / self.attempts.max(1) as f64;
        let tokens_per_question = prompt + attempts;
        Self { scores: choice(self).clone(), samples: 1, tokens_per_question, ..self.clone() }
    }

    /// Mean and 95 % interval over those problems; `None` if none was asked.
    pub fn rate(&self, places: &[usize]) -> Option<(f64, [f64; 2])> {
        let scores = self.at(places);
        (!scores.is_empty()).then(|| mean_with_ci(&scores, self.samples))
    }
}

/// The values at those of `places` that have one.
pub fn pick(values: &[Option<f64>], places: &[usize]) -> Vec<f64> {
    places.iter().filter_map(|&place| values.get(place).copied().flatten()).collect()
}

/// How much better `other` is than `this` on the problems that both were asked, with the 95 % interval of the paired
/// difference over problems; `None` for fewer than two problems.
pub fn advantage(other: &Outcome, this: &Outcome, places: &[usize]) -> Option<(f64, [f64; 2])> {
    let both = |&&place: &&usize| {
        let asked = |outcome: &Outcome| outcome.scores.get(place).is_some_and(Option::is_some);
        asked(other) && asked(this)
    };
    let places: Vec<usize> = places.iter().filter(both).copied().collect();
    paired_difference(&this.at(&places), &other.at(&places))
}

impl Results {
    /// The group called `name`.
    pub fn group(&self, name: &str) -> &[usize] {
        self.groups.iter().find(|group| group.name == name).map_or(&[], |group| &group.places)
    }

    /// The arm called `name`.
    pub fn arm(&self, name: &str) -> Option<&ArmResult> {
        self.arms.iter().find(|arm| arm.name == name)
    }
}

/// The groups of a study's held-out problems: all, easy, hard, then each level.
pub fn groups(study: &Study) -> Vec<Group> {
    let mut groups = vec![
        Group { name: "all".into(), places: (0..study.held_out.len()).collect() },
        Group { name: "easy".into(), places: study.of_levels(&study.plan.easy_levels) },
        Group { name: "hard".into(), places: study.hard() },
    ];
    let levels: std::collections::BTreeSet<u32> =
        study.held_out.iter().filter_map(|problem| problem.level).collect();
    for level in levels {
        groups.push(Group { name: format!("level {level}"), places: study.of_levels(&[level].into()) });
    }
    groups
}
