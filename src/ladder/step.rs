//! One step: choose problems, answer them in groups, judge, update.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::Result;
use crate::error::named;
use crate::ladder::climb::{Climb, judge};
use crate::ladder::curriculum::{self, Beliefs, Draw, Outcomes};
use crate::ladder::events::{self, Event, Phase, RolloutRate, VerdictCounts, WarningCode, finite};
use crate::ladder::group::{Group, logged};
use crate::ladder::policy::{Policy, Request, UpdateSettings, UpdateStats};
use crate::ladder::reward::{Scoring, Tally};
use crate::ladder::settings::Method;
use crate::task::{Attempt, Problem, Verdict, VerdictKind};
use crate::train::advantage::{advantages, mean, std};
use crate::train::loss::LossName;
use crate::train::trainer::Trajectory;

/// What a step collects on its way.
#[derive(Default)]
struct Collected {
    /// In order of the first visit.
    order: Vec<u32>,
    groups: HashMap<u32, Group>,
    with_signal: HashSet<u32>,
    rounds: usize,
    tokens: usize,
    /// The rewards of all groups, once they are there.
    tally: Tally,
}

impl<P: Policy> Climb<'_, '_, P> {
    /// One step of the loop. On an error the tree and the progress are to be put back by the caller; the policy has
    /// not changed then.
    pub(crate) async fn step(&mut self) -> Result<()> {
        let began = (self.host.clock)();
        let step = self.progress.step + 1;
        let mut collected = self.collect(step).await?;
        collected.tally = self.tally(&collected);
        let groups: Vec<&Group> = collected
            .order
            .iter()
            .filter(|id| collected.with_signal.contains(id))
            .map(|id| &collected.groups[id])
            .collect();
        let learning_rate = self.settings.schedule().at(self.progress.step);
        let stats = self.update(&groups, learning_rate).await?;
        if groups.is_empty() {
            let message = format!(
                "no group of {} had answers of different reward, so there was no update",
                collected.order.len()
            );
            self.warn(step, WarningCode::NoSignal, message)?;
        }
        let skipped = stats.is_some_and(|stats| stats.skipped);
        if skipped {
            self.progress.non_finite_in_a_row += 1;
            let message = "the loss or gradient was not finite; the update was skipped".to_owned();
            self.warn(step, WarningCode::NonFinite, message)?;
        } else if stats.is_some() {
            self.progress.non_finite_in_a_row = 0;
        }
        let limits = &self.settings.variants.limits;
        let mut changes =
            curriculum::after_step(&mut self.tree, &self.settings.curriculum, limits, &collected.order, step);
        if !self.settings.variants.enabled {
            changes.grow.clear();
        }
        self.progress.pending.extend(&changes.grow);
        self.progress.step = step;
        let missing = collected.tally.missing(&self.settings.reward);
        // A misspelt name shows in the first step, and one warning is enough.
        if step == 1 && !missing.is_empty() {
            let message = format!(
                "no answer of this step has a reward named {}, which reward.weights weighs; the rewards are {}",
                missing.join(", "),
                collected.tally.names().collect::<Vec<_>>().join(", ")
            );
            self.warn(step, WarningCode::Other, message)?;
        }
        let event = self.report(&collected, groups.len(), stats, learning_rate, changes.promoted, began);
        let verdicts = &event.verdicts;
        if verdicts.unverifiable > 0 && verdicts.judged() == 0 {
            let reason = collected
                .groups
                .values()
                .flat_map(|group| &group.verdicts)
                .map(|verdict| &verdict.reason)
                .min();
            let message = format!(
                "none of the {} answers of this step could be judged, so nothing was learnt: {}",
                verdicts.unverifiable,
                reason.map_or("", String::as_str)
            );
            self.warn(step, WarningCode::Checker, events::logged_text(&message))?;
        }
        let truncated = event.verdicts.truncated;
        if truncated * 2 > event.verdicts.total() {
            let message = format!(
                "{truncated} of {} answers were cut off after {} tokens; {}",
                event.verdicts.total(),
                self.settings.sampling.max_tokens,
                named("raise <sampling.max_tokens> if this goes on")
            );
            self.warn(step, WarningCode::Truncated, message)?;
        }
        self.host.emit(&Event::Step(Box::new(event)))
    }

    /// Rolls out problems until enough groups have a signal or the rounds are used up.
    ///
    /// A problem of which little is known, or little is hoped for, gets a few probes first and the rest of its group
    /// only if that group is likely to have a signal. That the decision depends on the probes, which stay in the group, biases a group's
    /// composition towards mixed outcomes; dropping groups without signal does the same.
    async fn collect(&mut self, step: u64) -> Result<Collected> {
        let settings = self.settings;
        let c = &settings.curriculum;
        // Probes look for outcomes that differ; expert iteration wants any right one.
        let expert = settings.method == Method::ExpertIteration;
        let mut collected = Collected::default();
        for round in 0..=c.refill_rounds {
            let found = collected.with_signal.len();
            let missing = settings.prompts_per_step.saturating_sub(found);
            if missing == 0 {
                break;
            }
            // Draw as many as the yield so far asks for, at most four times what is missing.
            let visited = collected.order.len();
            let rate = if visited == 0 { 1.0 } else { (found as f64 / visited as f64).max(0.25) };
            let count = (missing as f64 / rate).ceil() as usize;
            let used: HashSet<u32> = collected.order.iter().copied().chain(self.withheld()).collect();
            let beliefs = Beliefs::of(&self.tree, c);
            let mut rng = self.progress.random.stream();
            let draw = Draw { step, count, used: &used, or_resting: round == 0 };
            let chosen = curriculum::select(&self.tree, &beliefs, c, &draw, &mut rng);
            if chosen.is_empty() {
                break;
            }
            collected.rounds = round;
            let first: Vec<(u32, usize)> = chosen
                .iter()
                .map(|&id| {
                    let promising = self.tree.node(id).recent_attempts >= c.probe_until
                        && beliefs.posterior(id).signal(settings.group_size) >= c.probe_threshold;
                    let whole = c.probe_samples == 0 || promising || expert;
                    (id, if whole { settings.group_size } else { c.probe_samples })
                })
                .collect();
            self.rollout(step, &first, &mut collected).await?;
            let beliefs = Beliefs::of(&self.tree, c);
            let second: Vec<(u32, usize)> = first
                .into_iter()
                .filter(|&(_, taken)| taken < settings.group_size)
                .filter(|(id, taken)| {
                    let rest = settings.group_size - taken;
                    collected.groups[id].mixed(&self.scoring())
                        || beliefs.posterior(*id).signal(rest) >= c.probe_threshold
                })
                .map(|(id, taken)| (id, settings.group_size - taken))
                .collect();
            if !second.is_empty() {
                self.rollout(step, &second, &mut collected).await?;
            }
            let groups: Vec<&Group> = chosen.iter().map(|id| &collected.groups[id]).collect();
            let signals = self.signals(&groups);
            let beliefs = Beliefs::of(&self.tree, c);
            for (&id, signal) in chosen.iter().zip(signals) {
                // Probes alone are too few for a group's statistics.
                let full = collected.groups[&id].samples.len() >= settings.group_size;
                if signal && full {
                    collected.with_signal.insert(id);
                }
                let estimate = beliefs.posterior(id).mean();
                self.verified(step, id, &collected.groups[&id], signal && full, estimate)?;
            }
        }
        Ok(collected)
    }

    /// Whether each group teaches something by the method in use.
    fn signals(&self, groups: &[&Group]) -> Vec<bool> {
        match self.settings.method {
            Method::ExpertIteration => {
                let scoring = self.scoring();
                groups.iter().map(|group| !group.solutions(&scoring).is_empty()).collect()
            }
            Method::PolicyGradient => {
                let rewards: Vec<Vec<Option<f32>>> =
                    groups.iter().map(|group| self.rewards_of(group)).collect();
                advantages(self.settings.loss.advantage, &rewards).has_signal
            }
        }
    }

    fn rewards_of(&self, group: &Group) -> Vec<Option<f32>> {
        group.rewards(&self.scoring(), self.settings.loss.mask_truncated)
    }

    fn scoring(&self) -> Scoring<'_> {
        Scoring {
            rewards: &self.settings.reward,
            range: self.task.reward_range(),
            max_tokens: self.settings.sampling.max_tokens,
        }
    }

    /// Adds `count` judged completions to the group of each node and to the node's estimate.
    async fn rollout(&mut self, step: u64, wanted: &[(u32, usize)], collected: &mut Collected) -> Result<()> {
        let style = self.policy.prompt_style();
        let mut requests = Vec::with_capacity(wanted.len());
        for &(id, samples) in wanted {
            requests.push(Request {
                prompt: self.policy.encode_prompt(&self.task.prompt(&self.tree.node(id).problem, style))?,
                samples,
                sampling: self.settings.sampling,
                seed: self.progress.random.seed(),
            });
        }
        let answers = self.sample(Phase::Training, step, &requests).await?;
        let problems: Vec<Problem> = wanted.iter().map(|&(id, _)| self.tree.node(id).as_problem()).collect();
        let attempts = problems.iter().zip(&answers).flat_map(|(problem, samples)| {
            samples.iter().map(move |sample| Attempt { problem, completion: &sample.text })
        });
        let attempts: Vec<Attempt<'_>> = attempts.collect();
        let mut judged = judge(self.task, self.host, step, &attempts).await?.into_iter();
        for ((&(id, _), request), samples) in wanted.iter().zip(requests).zip(answers) {
            let verdicts: Vec<Verdict> = judged.by_ref().take(samples.len()).collect();
            let mut outcomes = Outcomes::default();
            for (sample, verdict) in samples.iter().zip(&verdicts) {
                collected.tokens += sample.tokens.len();
                let Some(quality) = self.scoring().quality(verdict) else { continue };
                outcomes.judged += 1;
                match verdict.verdict {
                    VerdictKind::Scored => outcomes.scores += quality,
                    kind => outcomes.correct += usize::from(kind == VerdictKind::Correct),
                }
            }
            let first = !collected.groups.contains_key(&id);
            let memory = self.settings.curriculum.memory;
            curriculum::observe(&mut self.tree, id, outcomes, first, memory);
            if first {
                collected.order.push(id);
            }
            let group = collected.groups.entry(id).or_default();
            group.prompt = request.prompt;
            group.samples.extend(samples);
            group.verdicts.extend(verdicts);
        }
        Ok(())
    }

    fn verified(&mut self, step: u64, id: u32, group: &Group, signal: bool, estimate: f64) -> Result<()> {
        let rewards: Vec<f64> = self.rewards_of(group).into_iter().flatten().map(f64::from).collect();
        let shown = group.shown(&self.scoring()).into_iter();
        let samples = shown.map(|place| logged(&group.samples[place], &group.verdicts[place])).collect();
        let node = self.tree.node(id);
        self.host.emit(&Event::Verified(events::Verified {
            step,
            node: id,
            problem: node.problem.clone(),
            depth: node.depth,
            counts: group.counts(),
            reward_mean: (!rewards.is_empty()).then(|| mean(&rewards)),
            signal,
            estimate,
            samples,
        }))
    }

    /// The optimizer steps on groups with signal; `None` if there are none. Gives the numbers of the last pass.
    async fn update(&mut self, groups: &[&Group], learning_rate: f64) -> Result<Option<UpdateStats>> {
        if groups.is_empty() {
            return Ok(None);
        }
        self.host.check_cancelled()?;
        let (trajectories, loss) = match self.settings.method {
            Method::PolicyGradient => (self.trajectories(groups), self.settings.loss.clone()),
            Method::ExpertIteration => {
                let learnt = |group: &&Group| -> Vec<Trajectory> {
                    let right = group.solutions(&self.scoring()).into_iter();
                    right.map(|right| Trajectory::sampled(&group.prompt, right, 1.0)).collect()
                };
                let solved = groups.iter().flat_map(learnt).collect();
                (solved, LossName::Sft.config(self.settings.sampling.max_tokens))
            }
        };
        let settings = UpdateSettings { loss, learning_rate, optimizer: self.settings.optimizer };
        let mut stats = self.policy.update(&trajectories, &settings).await?;
        for _ in 1..self.settings.passes_per_step {
            if stats.skipped {
                break;
            }
            // Only the first pass sees the policy that sampled.
            let logprob_gap = stats.logprob_gap;
            stats = UpdateStats { logprob_gap, ..self.policy.update(&trajectories, &settings).await? };
        }
        Ok(Some(stats))
    }

    /// Every completion with its advantage; those without a reward are left out.
    fn trajectories(&self, groups: &[&Group]) -> Vec<Trajectory> {
        let rewards: Vec<Vec<Option<f32>>> = groups.iter().map(|group| self.rewards_of(group)).collect();
        let computed = advantages(self.settings.loss.advantage, &rewards);
        let learnt = |(group, values): (&&Group, &Vec<Option<f32>>)| {
            let written = group.samples.iter().zip(values).filter(|(sample, _)| !sample.tokens.is_empty());
            written
                .filter_map(|(sample, advantage)| {
                    Some(Trajectory::sampled(&group.prompt, sample, (*advantage)?))
                })
                .collect::<Vec<_>>()
        };
        groups.iter().zip(&computed.values).flat_map(learnt).collect()
    }

    /// The parts of all rewards that count, by group.
    fn tally(&self, collected: &Collected) -> Tally {
        let scoring = self.scoring();
        let mut tally = Tally::default();
        for group in collected.order.iter().map(|id| &collected.groups[id]) {
            let judged = group.samples.iter().zip(&group.verdicts).zip(self.rewards_of(group));
            let counted = judged.filter(|(_, reward)| reward.is_some());
            let parts = counted.map(|((sample, verdict), _)| scoring.parts(verdict, sample.tokens.len()));
            tally.add_group(&parts.collect::<Vec<_>>(), group.samples.len() >= self.settings.group_size);
        }
        tally
    }

    fn report(
        &mut self,
        collected: &Collected,
        groups: usize,
        stats: Option<UpdateStats>,
        learning_rate: f64,
        promoted: Vec<u32>,
        began: f64,
    ) -> events::Step {
        let step = self.progress.step;
        let mut verdicts = VerdictCounts::default();
        let (mut by_level, mut by_depth) = (BTreeMap::new(), BTreeMap::new());
        let mut rewards = Vec::new();
        let mut probes = 0;
        for id in &collected.order {
            let group = &collected.groups[id];
            let counts = group.counts();
            verdicts.merge(&counts);
            rewards.extend(self.rewards_of(group).into_iter().flatten().map(f64::from));
            probes += usize::from(group.samples.len() < self.settings.group_size);
            let node = self.tree.node(*id);
            let keys = [(&mut by_depth, Some(node.depth)), (&mut by_level, node.level)];
            for (rates, key) in keys.into_iter().filter_map(|(rates, key)| Some((rates, key?))) {
                let rate = rates.entry(key).or_insert(RolloutRate { key, samples: 0, correct: 0 });
                rate.samples += counts.with_verdict();
                rate.correct += counts.correct;
            }
        }
        let progress = &mut self.progress;
        progress.total_rollout_tokens += collected.tokens as u64;
        let rollout_tokens = collected.tokens + std::mem::take(&mut progress.variant_tokens);
        let seconds = (self.host.clock)() - began;
        progress.step_seconds += seconds;
        let beliefs = Beliefs::of(&self.tree, &self.settings.curriculum);
        let measured = |value: fn(&UpdateStats) -> f64| stats.as_ref().and_then(|stats| finite(value(stats)));
        events::Step {
            step,
            steps: self.settings.steps,
            learning_rate,
            loss: measured(|stats| stats.loss),
            grad_norm: measured(|stats| stats.grad_norm),
            kl: measured(|stats| stats.kl),
            entropy: measured(|stats| stats.entropy),
            clip_fraction: measured(|stats| stats.clip_fraction),
            logprob_gap: stats.and_then(|stats| stats.logprob_gap),
            skipped: stats.is_some_and(|stats| stats.skipped),
            reward_mean: (!rewards.is_empty()).then(|| mean(&rewards)),
            reward_std: (!rewards.is_empty()).then(|| std(&rewards)),
            rewards: collected.tally.stats(&self.settings.reward),
            pass_rate: verdicts.pass_rate(),
            by_level: by_level.into_values().collect(),
            by_depth: by_depth.into_values().collect(),
            verdicts,
            groups,
            groups_without_signal: collected.order.len() - probes - groups,
            probes,
            refills: collected.rounds,
            rollout_tokens,
            total_rollout_tokens: progress.total_rollout_tokens,
            tokens_per_second: if seconds > 0.0 { collected.tokens as f64 / seconds } else { 0.0 },
            seconds,
            elapsed: progress.elapsed + seconds,
            remaining: progress.step_seconds / step as f64 * self.settings.steps.saturating_sub(step) as f64,
            nodes: self.tree.len(),
            frontier: beliefs.frontier(),
            solved: self.tree.nodes().iter().filter(|node| node.rests_until > step).count(),
            promoted,
        }
    }
}
