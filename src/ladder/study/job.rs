//! One job of a study: one arm with one seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::drift;
use super::lab::Lab;
use super::plan::{Arm, Kind, Study};
use super::records::{read_json, write_json};
use super::results::{ACCEPTED, Outcome, rejection_key};
use crate::ladder::eval::{Evaluation, Questions, evaluate};
use crate::ladder::events::{Event, VerdictCounts};
use crate::ladder::policy::Policy;
use crate::ladder::run::{self, RunCard};
use crate::ladder::run_folder::{RunFolder, begun, read_events};
use crate::ladder::settings::{EvaluationSettings, Settings};
use crate::ladder::shots::{self, Cost};
use crate::ladder::state::{Host, MemoryStore};
use crate::ladder::ttrl::{TtrlSettings, ttrl};
use crate::task::{Problem, Task, VerdictKind};
use crate::{Error, Result};

/// What a job works with.
pub(super) struct Job<'a> {
    pub(super) study: &'a Study,
    pub(super) arm: &'a Arm,
    pub(super) seed: u64,
    pub(super) task: &'a dyn Task,
    /// The job's own folder.
    pub(super) folder: PathBuf,
    /// Attempts at each problem that the budget buys, for arms that sample.
    pub(super) attempts: usize,
    /// Folder of the adapter to go on from.
    pub(super) adapter: Option<PathBuf>,
}

impl Job<'_> {
    /// Does the job.
    pub(super) async fn run<L: Lab>(&self, lab: &mut L, host: &mut Host<'_>) -> Result<Outcome> {
        let settings = self.study.settings(self.arm, self.seed)?;
        match self.arm.kind {
            Kind::Evaluate => {
                let mut policy = lab.policy(&settings, self.adapter.as_deref())?;
                let evaluation = self.answer(&mut policy, &settings, self.study.plan.samples, host).await?;
                let mut outcome = self.outcome(&evaluation);
                outcome.text_logprob = drift::text_logprob(&mut policy, &self.study.texts).await?;
                Ok(outcome)
            }
            Kind::Sample => {
                let mut policy = lab.policy(&settings, self.adapter.as_deref())?;
                let evaluation = self.answer(&mut policy, &settings, self.attempts, host).await?;
                Ok(self.outcome(&evaluation))
            }
            Kind::Train => self.train(lab, &settings, host).await,
            Kind::Ttrl => self.test_time(lab, settings, host).await,
        }
    }

    async fn answer<P: Policy>(
        &self,
        policy: &mut P,
        settings: &Settings,
        samples: usize,
        host: &mut Host<'_>,
    ) -> Result<Evaluation> {
        let settings = EvaluationSettings { every: 0, samples, ..settings.evaluation };
        let problems = &self.study.held_out[..];
        let solved = self.study.shots.get(&self.arm.name).map_or(&[][..], Vec::as_slice);
        let shots = shots::choose(self.task, solved, problems, self.arm.shots, self.seed)?;
        let questions = Questions { problems, shots: &shots };
        let evaluation = evaluate(policy, self.task, questions, &settings, self.seed, 0, host).await?;
        if evaluation.pass_at.is_empty() {
            return Err(Error::usage(
                "task",
                format!(
                    "`{}` gave numbers without verdicts, and arms are compared by pass rates",
                    self.task.name()
                ),
                "let its replies hold a verdict too",
            ));
        }
        Ok(evaluation)
    }

    fn outcome(&self, evaluation: &Evaluation) -> Outcome {
        let asked = evaluation.n * evaluation.samples;
        let one = |hit: bool| Some(f64::from(u8::from(hit)));
        Outcome {
            seed: self.seed,
            scores: evaluation.problems.iter().map(|result| Some(result.pass_rate())).collect(),
            majority: evaluation.problems.iter().map(|result| one(result.majority_correct())).collect(),
            best: evaluation.problems.iter().map(|result| one(result.correct > 0)).collect(),
            samples: evaluation.samples,
            attempts: evaluation.samples,
            verdicts: evaluation.verdicts,
            training_tokens: 0,
            answer_tokens: evaluation.tokens as u64,
            tokens_per_question: evaluation.cost.prompt_tokens as f64 / evaluation.n.max(1) as f64
                + evaluation.tokens as f64 / asked.max(1) as f64,
            training_seconds: 0.0,
            answer_seconds: 0.0,
            steps: 0,
            curve: Vec::new(),
            signal: Vec::new(),
            variants: BTreeMap::new(),
            nodes: 0,
            kl: None,
            text_logprob: None,
        }
    }

    /// A run in a folder of its own, which goes on if it was stopped, then the evaluation of its adapter.
    async fn train<L: Lab>(&self, lab: &mut L, settings: &Settings, host: &mut Host<'_>) -> Result<Outcome> {
        let path = self.folder.join("run");
        let card = self.card(settings, lab);
        let (mut folder, saved) = match path.join("run.json").exists() || begun(&path) {
            true => RunFolder::open(&path)?,
            false => (RunFolder::create(&path, card.clone())?, None),
        };
        for warning in folder.warnings() {
            tracing::warn!("{warning}");
        }
        let mut policy = lab.policy(settings, self.adapter.as_deref())?;
        folder.set_policy(policy.info())?;
        let outcome = {
            let mut inner =
                Host { store: &mut folder, sink: &mut *host.sink, clock: host.clock, cancel: host.cancel };
            run::run(&mut policy, self.task, &card, saved, &mut inner).await?
        };
        folder.write_report(&outcome.nodes)?;
        let evaluation = self.answer(&mut policy, settings, self.study.plan.samples, host).await?;
        let sampling = settings.evaluation.sampling;
        let kl = drift::kl(&mut policy, self.task, &self.study.held_out, sampling, self.seed, host).await?;
        let mut result = Outcome {
            training_tokens: outcome.finished.total_rollout_tokens,
            training_seconds: outcome.finished.elapsed,
            steps: outcome.finished.step,
            nodes: outcome.nodes.len(),
            kl: Some(kl),
            text_logprob: drift::text_logprob(&mut policy, &self.study.texts).await?,
            ..self.outcome(&evaluation)
        };
        self.course(&read_events(&path)?, &mut result);
        Ok(result)
    }

    fn card<L: Lab>(&self, settings: &Settings, lab: &L) -> RunCard {
        let plan = &self.study.plan;
        RunCard {
            version: env!("CARGO_PKG_VERSION").into(),
            model: plan.model.clone(),
            adapter: self.adapter.as_ref().map(|path| path.display().to_string()),
            task: plan.task.clone(),
            task_options: plan.task_options.clone(),
            checker: lab.checker(),
            settings: settings.clone(),
            problems: self.study.problems(self.arm).to_vec(),
            held_out: self.study.held_out.clone(),
            base: lab.base(),
            alone: false,
            swarm: None,
            policy: lab.info(),
        }
    }

    /// Curves and counts out of a run's log.
    fn course(&self, events: &[Event], outcome: &mut Outcome) {
        let hard = self.study.hard();
        for event in events {
            match event {
                Event::Evaluated(e) => {
                    let share = |places: &mut dyn Iterator<Item = usize>| {
                        let (mut sum, mut n) = (0, 0);
                        for place in places {
                            sum += e.correct.get(place).copied().unwrap_or(0);
                            n += e.samples;
                        }
                        sum as f64 / n.max(1) as f64
                    };
                    let all = share(&mut (0..e.correct.len()));
                    outcome.curve.push((e.total_rollout_tokens, all, share(&mut hard.iter().copied())));
                }
                Event::Step(step) => {
                    let full = step.groups + step.groups_without_signal + step.probes;
                    let share = step.groups as f64 / full.max(1) as f64;
                    outcome.signal.push((step.total_rollout_tokens, share));
                }
                Event::Variants(variants) => {
                    *outcome.variants.entry(ACCEPTED.into()).or_default() += variants.accepted as u64;
                    for (reason, count) in &variants.rejected {
                        *outcome.variants.entry(rejection_key(*reason)).or_default() += *count as u64;
                    }
                }
                _ => {}
            }
        }
    }

    /// Test-time learning on each question; the answers are kept one by one, so that a killed job goes on.
    async fn test_time<L: Lab>(
        &self,
        lab: &mut L,
        settings: Settings,
        host: &mut Host<'_>,
    ) -> Result<Outcome> {
        let mut policy = lab.policy(&settings, self.adapter.as_deref())?;
        let preset = TtrlSettings::preset(self.study.plan.preset);
        let sampling = settings.evaluation.sampling;
        let settings = TtrlSettings { settings, sampling, ..preset };
        let mut scores = vec![None; self.study.held_out.len()];
        let mut result = Outcome { samples: 1, attempts: settings.votes, ..self.outcome(&nothing()) };
        for place in self.study.questions(self.arm) {
            let problem = &self.study.held_out[place];
            let solved = self.question(&mut policy, problem, place, &settings, host).await?;
            let correct = solved.verdict.as_ref().is_some_and(|v| v.verdict == VerdictKind::Correct);
            scores[place] = Some(f64::from(u8::from(correct)));
            if let Some(verdict) = &solved.verdict {
                result.verdicts.add(verdict.verdict, true);
            }
            result.training_tokens += solved.rollout_tokens;
            result.answer_tokens += solved.vote_tokens as u64;
            result.training_seconds += solved.seconds;
            result.steps += solved.steps;
            result.nodes += solved.nodes;
        }
        let asked = scores.iter().flatten().count().max(1) as f64;
        result.tokens_per_question = (result.training_tokens + result.answer_tokens) as f64 / asked;
        // The answer is one by majority.
        result.majority = scores.clone();
        result.best = vec![None; scores.len()];
        result.scores = scores;
        Ok(result)
    }

    async fn question<P: Policy>(
        &self,
        policy: &mut P,
        problem: &Problem,
        place: usize,
        settings: &TtrlSettings,
        host: &mut Host<'_>,
    ) -> Result<Solved> {
        let file = self.folder.join(format!("question-{place}.json"));
        if let Some(known) = read_json::<Solved>(&file)? {
            return Ok(known);
        }
        let began = (host.clock)();
        let outcome = {
            let mut store = MemoryStore::default();
            let mut inner =
                Host { store: &mut store, sink: &mut *host.sink, clock: host.clock, cancel: host.cancel };
            ttrl(policy, self.task, problem, &settings.for_question(place), &mut inner).await?
        };
        let solved = Solved {
            answer: outcome.answer,
            verdict: outcome.verdict,
            rollout_tokens: outcome.rollout_tokens,
            vote_tokens: outcome.vote_tokens,
            steps: outcome.steps,
            nodes: outcome.nodes,
            seconds: (host.clock)() - began,
        };
        write_json(&file, &solved)?;
        Ok(solved)
    }
}

/// What one question came to, as it is kept.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Solved {
    answer: Option<String>,
    verdict: Option<crate::task::Verdict>,
    rollout_tokens: u64,
    vote_tokens: usize,
    steps: u64,
    nodes: usize,
    seconds: f64,
}

/// An evaluation of nothing, to count from.
fn nothing() -> Evaluation {
    Evaluation {
        n: 0,
        samples: 1,
        pass_at: BTreeMap::new(),
        rewards: BTreeMap::new(),
        ci95: [0.0, 1.0],
        majority: 0.0,
        by_level: Vec::new(),
        verdicts: VerdictCounts::default(),
        tokens: 0,
        cost: Cost::default(),
        problems: Vec::new(),
    }
}

/// The folder of the adapter that a training job left.
pub(super) fn adapter_of(folder: &Path) -> PathBuf {
    folder.join("run").join("adapter")
}
