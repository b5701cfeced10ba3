//! Held-out problems: pass@1 with its interval, pass@k, and what the answers cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::ladder::climb::{judge, sample};
use crate::ladder::events::{
    Evaluated, EvaluatedExample, JudgedSample, LevelResult, MeanReward, PassRate, Phase, VerdictCounts,
};
use crate::ladder::group::logged;
use crate::ladder::policy::{Policy, Request};
use crate::ladder::reward::OWN;
use crate::ladder::settings::EvaluationSettings;
use crate::ladder::shots::{Cost, dialogue};
use crate::ladder::state::Host;
use crate::ladder::stats::{mean_with_ci, mean_with_interval, pass_at_k};
use crate::ladder::vote::{self, Vote};
use crate::random::stream;
use crate::task::{Attempt, Problem, Task, Verdict, VerdictKind};
use crate::train::advantage::mean;

/// Problems whose first answer goes into the `evaluated` event.
const EXAMPLES: usize = 12;

/// Names the random streams of evaluations. They depend on the seed and the problem alone, so that evaluations before
/// and after training differ by the policy only.
const EVALUATION: u64 = 0x6576_616c;

/// One problem's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProblemResult {
    /// The problem.
    pub problem: String,
    /// The user's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Correct samples.
    pub correct: usize,
    /// The answer that most samples gave, and whether it is right; `None` if no sample held one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub majority: Option<Vote>,
    /// Every sample with its judgement.
    pub samples: Vec<JudgedSample>,
}

impl ProblemResult {
    /// Whether the answer of the majority is right.
    pub fn majority_correct(&self) -> bool {
        self.majority.as_ref().is_some_and(|vote| vote.verdict.verdict == VerdictKind::Correct)
    }

    /// Share of correct samples.
    pub fn pass_rate(&self) -> f64 {
        self.correct as f64 / self.samples.len().max(1) as f64
    }
}

/// An evaluation of a set of problems.
///
/// An answer that the verifier cannot judge is not counted as correct here: a claim of accuracy must not rise by
/// answers that nobody could check. The counts tell how many there were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of problems.
    pub n: usize,
    /// Samples of each.
    pub samples: usize,
    /// Unbiased pass@k by k, for k = 1, 2, 4, ... and the number of samples; empty where numbers alone judge.
    pub pass_at: BTreeMap<String, f64>,
    /// 95 % interval of pass@1 ([`mean_with_ci`]).
    pub ci95: [f64; 2],
    /// Means of the numbers that the task gave, by name; `reward` is that of the answer itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rewards: BTreeMap<String, MeanReward>,
    /// Share of problems whose majority answer is right: maj@k for k samples, without a verifier's help.
    pub majority: f64,
    /// pass@1 by level, problems without a level last.
    pub by_level: Vec<LevelResult>,
    /// Judgements of all samples.
    pub verdicts: VerdictCounts,
    /// Tokens generated.
    pub tokens: usize,
    /// What the answers took.
    #[serde(flatten)]
    pub cost: Cost,
    /// Each problem's result.
    pub problems: Vec<ProblemResult>,
}

impl Evaluation {
    fn of(problems: Vec<ProblemResult>, samples: usize, cost: Cost) -> Self {
        let rates =
            |results: &[&ProblemResult]| -> Vec<f64> { results.iter().map(|r| r.pass_rate()).collect() };
        let mut verdicts = VerdictCounts::default();
        let mut tokens = 0;
        for sample in problems.iter().flat_map(|result| &result.samples) {
            verdicts.add(sample.verdict.verdict, sample.finished);
            tokens += sample.tokens;
        }
        // Numbers tell nothing of right and wrong: such problems have no pass rate.
        let numbers_alone = verdicts.scored > 0 && verdicts.with_verdict() == 0;
        let all: Vec<&ProblemResult> = problems.iter().filter(|_| !numbers_alone).collect();
        let (_, ci95) = mean_with_ci(&rates(&all), samples);
        let pass_at = pass_ks(samples)
            .into_iter()
            .filter(|_| !numbers_alone)
            .map(|k| {
                let sum: f64 = all.iter().filter_map(|r| pass_at_k(r.samples.len(), r.correct, k)).sum();
                (k.to_string(), sum / all.len().max(1) as f64)
            })
            .collect();
        let mut levels: BTreeMap<(bool, Option<u32>), Vec<&ProblemResult>> = BTreeMap::new();
        for result in &all {
            levels.entry((result.level.is_none(), result.level)).or_default().push(result);
        }
        let by_level = levels
            .into_iter()
            .map(|((_, level), results)| {
                let (pass_at_1, ci95) = mean_with_ci(&rates(&results), samples);
                LevelResult { level, n: results.len(), pass_at_1, ci95 }
            })
            .collect();
        let voted = problems.iter().filter(|result| result.majority_correct()).count();
        let majority = voted as f64 / problems.len().max(1) as f64;
        let cost = cost.by_question(problems.len(), tokens);
        Self {
            n: problems.len(),
            samples,
            pass_at,
            ci95,
            rewards: mean_rewards(&problems),
            majority,
            by_level,
            verdicts,
            tokens,
            cost,
            problems,
        }
    }

    /// pass@1 with its interval; `None` where numbers alone judge.
    pub fn pass_rate(&self) -> Option<PassRate> {
        Some(PassRate { pass_at_1: *self.pass_at.get("1")?, ci95: self.ci95 })
    }

    /// The event that tells of it.
    pub(crate) fn event(&self, step: u64, total_rollout_tokens: u64, seconds: f64) -> Evaluated {
        let examples = self.problems.iter().filter_map(|result| {
            Some(EvaluatedExample {
                problem: result.problem.clone(),
                level: result.level,
                sample: result.samples.first()?.clone(),
            })
        });
        // Spread over the file, which is often sorted by level.
        let stride = self.problems.len().div_ceil(EXAMPLES).max(1);
        Evaluated {
            step,
            n: self.n,
            samples: self.samples,
            pass_at: self.pass_at.clone(),
            ci95: self.ci95,
            rewards: self.rewards.clone(),
            by_level: self.by_level.clone(),
            verdicts: self.verdicts,
            correct: self.problems.iter().map(|result| result.correct).collect(),
            total_rollout_tokens,
            tokens: self.tokens,
            seconds,
            examples: examples.step_by(stride).collect(),
        }
    }
}

/// The mean of every number that the task gave, over the problems that have it; of a single problem, over its samples.
fn mean_rewards(problems: &[ProblemResult]) -> BTreeMap<String, MeanReward> {
    let mut values: BTreeMap<&str, Vec<Vec<f64>>> = BTreeMap::new();
    for result in problems {
        let mut of_problem: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for verdict in result.samples.iter().map(|sample| &sample.verdict) {
            let own = verdict.reward.map(|value| (OWN, value));
            let named = verdict.rewards.iter().map(|(name, &value)| (name.as_str(), value));
            for (name, value) in own.into_iter().chain(named) {
                of_problem.entry(name).or_default().push(value);
            }
        }
        for (name, of_problem) in of_problem {
            values.entry(name).or_default().push(of_problem);
        }
    }
    let told = |(name, problems): (&str, Vec<Vec<f64>>)| {
        let means = match &problems[..] {
            [single] => single.clone(),
            several => several.iter().map(|of_problem| mean(of_problem)).collect(),
        };
        let (mean, ci95) = mean_with_interval(&means);
        (name.to_owned(), MeanReward { mean, ci95 })
    };
    values.into_iter().map(told).collect()
}

/// 1, 2, 4, ... up to `samples`, and `samples` itself.
fn pass_ks(samples: usize) -> Vec<usize> {
    let mut ks: Vec<usize> =
        std::iter::successors(Some(1), |k| Some(k * 2)).take_while(|k| *k < samples).collect();
    ks.push(samples.max(1));
    ks
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Questions<'a> {
    /// The problems.
    pub problems: &'a [Problem],
    /// Solved problems, with answers, that stand in the context before each; usually none.
    pub shots: &'a [Problem],
}

/// Answers every problem `settings.samples` times and judges the answers. `step` is for the progress events.
///
/// # Errors
/// [`crate::Error::Cancelled`]; the policy's and the host's.
pub async fn evaluate<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    Questions { problems, shots }: Questions<'_>,
    settings: &EvaluationSettings,
    seed: u64,
    step: u64,
    host: &mut Host<'_>,
) -> Result<Evaluation> {
    let style = policy.prompt_style();
    let shots = dialogue(task, style, shots);
    let mut requests = Vec::with_capacity(problems.len());
    for (index, problem) in problems.iter().enumerate() {
        requests.push(Request {
            prompt: policy.encode_dialogue(&shots, &task.prompt(&problem.problem, style))?,
            samples: settings.samples,
            sampling: settings.sampling,
            seed: rand::Rng::next_u64(&mut stream(seed, &[EVALUATION, index as u64])),
        });
    }
    let (began, computed) = ((host.clock)(), policy.prefilled_tokens());
    let answers = sample(policy, host, Phase::Evaluation, step, &requests).await?;
    let cost = Cost {
        shots: shots.len(),
        prompt_tokens: requests.iter().map(|request| request.prompt.len()).sum(),
        prefilled_tokens: usize::try_from(policy.prefilled_tokens() - computed).unwrap_or(usize::MAX),
        seconds: (host.clock)() - began,
        ..Cost::default()
    };
    let attempts = problems.iter().zip(&answers).flat_map(|(problem, samples)| {
        samples.iter().map(move |sample| Attempt { problem, completion: &sample.text })
    });
    let mut judged = judge(task, host, step, &attempts.collect::<Vec<_>>()).await?.into_iter();
    let results = problems
        .iter()
        .zip(answers)
        .map(|(problem, samples)| {
            let verdicts: Vec<Verdict> = judged.by_ref().take(samples.len()).collect();
            let majority = vote::count(task, problem, &verdicts).into_iter().next();
            let samples: Vec<JudgedSample> =
                samples.iter().zip(&verdicts).map(|(sample, verdict)| logged(sample, verdict)).collect();
            ProblemResult {
                problem: problem.problem.clone(),
                id: problem.id.clone(),
                level: problem.level,
                correct: samples.iter().filter(|s| s.verdict.verdict == VerdictKind::Correct).count(),
                majority,
                samples,
            }
        })
        .collect();
    Ok(Evaluation::of(results, settings.samples, cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ks_are_powers_of_two_and_the_number_of_samples() {
        assert_eq!(pass_ks(1), [1]);
        assert_eq!(pass_ks(4), [1, 2, 4]);
        assert_eq!(pass_ks(10), [1, 2, 4, 8, 10]);
    }
}
