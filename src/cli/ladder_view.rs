//! What a person sees of a LADDER run: a bar, a line a step, a table at the end. Programs get the events as they are.

use std::time::Instant;

use stepladder::Result;
use stepladder::ladder::events::{
    Evaluated, Event, FinishReason, Finished, MeanReward, PassRate, Phase, Rollout, Step, Variants,
};
use stepladder::ladder::state::{Host, MemoryStore};

use super::context::Context;
use super::progress::Progress;

/// Variants shown at the end.
const EXAMPLES: usize = 3;

/// Shows events.
pub(super) struct View<'a> {
    context: &'a Context,
    bar: Progress,
    /// Whether events go to standard output.
    events: bool,
    /// Steps of the run; 0 if it has none.
    steps: u64,
    step: u64,
    /// What the last step came to, for the bar.
    state: String,
}

/// What is told of a run at its end.
#[derive(Debug, Default)]
pub(super) struct Summary {
    first: Option<Evaluated>,
    last: Option<Evaluated>,
    /// Accepted variants as (problem, variant).
    examples: Vec<(String, String)>,
}

impl<'a> View<'a> {
    /// A view of a run of `steps` steps.
    pub(super) fn new(context: &'a Context, name: &'static str, steps: u64) -> Self {
        let bar = Progress::new(name, "steps", steps);
        Self { context, bar, events: context.json, steps, step: 0, state: String::new() }
    }

    /// A view of work that has no steps and whose answer is one document: events move the bar and are not printed.
    pub(super) fn quiet(context: &'a Context, name: &'static str) -> Self {
        Self { events: false, bar: Progress::new(name, "completions", 0), ..Self::new(context, name, 0) }
    }

    /// Runs `work` that logs nowhere, with this view as its listener.
    pub(super) fn host<T>(&mut self, work: impl FnOnce(&mut Host<'_>) -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let clock = move || began.elapsed().as_secs_f64();
        let cancel = self.context.cancelled();
        let mut sink = |event: &Event| self.event(event);
        work(&mut Host { store: &mut MemoryStore::default(), sink: &mut sink, clock: &clock, cancel })
    }

    /// Takes an event.
    pub(super) fn event(&mut self, event: &Event) -> Result<()> {
        if self.events {
            self.context.answer(event, String::new)?;
        }
        match event {
            Event::Started(started) => {
                let policy = &started.policy;
                self.note(&format!(
                    "{} on {}: {} parameters, {} trained; {} problems, {} held out",
                    policy.model,
                    policy.device,
                    policy.parameters,
                    policy.trainable_parameters,
                    started.roots,
                    started.held_out
                ));
            }
            Event::Rollout(rollout) => self.rollout(rollout),
            Event::Step(step) => self.step(step),
            Event::Evaluated(evaluated) => self.evaluated(evaluated),
            Event::Warning(warning) => self.note(&format!("step {}: {}", warning.step, warning.message)),
            Event::Variants(_)
            | Event::Downloading(_)
            | Event::Loaded(_)
            | Event::Verified(_)
            | Event::Checkpoint(_)
            | Event::Finished(_) => {}
        }
        Ok(())
    }

    fn note(&self, text: &str) {
        self.bar.note(text);
    }

    fn rollout(&mut self, rollout: &Rollout) {
        let phase = match rollout.phase {
            Phase::Variants => "writing variants",
            Phase::Training => "attempts",
            Phase::Evaluation => "held-out problems",
            Phase::Vote => "final vote",
        };
        if self.steps == 0 {
            self.bar.set_of(rollout.done as u64, rollout.total as u64, phase);
            return;
        }
        let message = format!("{phase} {}/{}  {}", rollout.done, rollout.total, self.state);
        self.bar.set(self.step, &message);
    }

    fn step(&mut self, step: &Step) {
        self.step = step.step;
        let percent =
            |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.0} %", 100.0 * share));
        let parts: Vec<String> =
            step.rewards.iter().map(|(name, part)| format!("{name} {:.2}", part.mean)).collect();
        // A single part is the reward itself, or all that there is to it.
        let parts = if parts.len() > 1 { format!(" ({})", parts.join(", ")) } else { String::new() };
        self.state = format!("solved {}", percent(step.pass_rate));
        // A mean of nothing but right and wrong is the share that was solved.
        let reward = step.reward_mean.filter(|&reward| !parts.is_empty() || step.pass_rate != Some(reward));
        let reward = reward.map_or(String::new(), |reward| format!("  reward {reward:.2}{parts}"));
        if step.step == 1 {
            self.note("solved: share of a step's attempts; its problems get harder as it learns");
        }
        self.note(&format!(
            "step {}/{}  {}{reward}  loss {}  signal in {} of {} groups  tree {}",
            step.step,
            step.steps,
            self.state,
            step.loss.map_or("-".into(), shown_loss),
            step.groups,
            step.groups + step.groups_without_signal,
            step.nodes,
        ));
        self.bar.set(step.step, &format!("{}  {:.0} tokens/s", self.state, step.tokens_per_second));
    }

    fn evaluated(&mut self, evaluated: &Evaluated) {
        let pass_rate = pass_rate(evaluated)
            .map(|pass_rate| format!("{} of {} held-out problems", rate(&pass_rate), evaluated.n));
        let rewards = evaluated.rewards.iter().map(|(name, reward)| format!("{name} {}", mean(reward)));
        self.note(&format!(
            "after {} steps: {} ({} samples each, {:.0} s)",
            evaluated.step,
            pass_rate.into_iter().chain(rewards).collect::<Vec<_>>().join("; "),
            evaluated.samples,
            evaluated.seconds
        ));
    }
}

impl Summary {
    /// What the events of a whole run tell.
    pub(super) fn told_by(events: &[Event]) -> Self {
        let mut summary = Self::default();
        for event in events {
            match event {
                Event::Variants(variants) => summary.variants(variants),
                Event::Evaluated(evaluated) => {
                    summary.first.get_or_insert_with(|| evaluated.clone());
                    summary.last = Some(evaluated.clone());
                }
                _ => {}
            }
        }
        summary
    }

    fn variants(&mut self, variants: &Variants) {
        for record in variants.variants.iter().filter(|record| record.id.is_some()) {
            // Spread over the run: one of each parent until there are enough.
            if self.examples.len() < EXAMPLES && !self.examples.iter().any(|(p, _)| *p == variants.problem) {
                self.examples.push((variants.problem.clone(), record.problem.clone()));
            }
        }
    }

    /// The first measurement and the last, as far as there are.
    pub(super) fn evaluations(&self) -> [Option<&Evaluated>; 2] {
        [self.first.as_ref(), self.last.as_ref()]
    }

    /// What a run that ended with `nodes` problems in its tree came to.
    pub(super) fn of(&self, finished: &Finished, nodes: usize) -> String {
        let reason = match finished.reason {
            FinishReason::Completed => "done",
            FinishReason::TokenBudget => "token budget spent",
            FinishReason::Cancelled => "stopped",
            FinishReason::Diverged => "diverged",
        };
        let measured = self.measured(finished.before.zip(finished.after));
        format!(
            "\n{reason}: {} steps in {:.0} s, {} tokens generated, {nodes} problems in the tree\n{}",
            finished.step, finished.elapsed, finished.total_rollout_tokens, measured
        )
    }

    /// What a run that is not at its end was measured at.
    pub(super) fn so_far(&self) -> String {
        let rates = self.evaluations().map(|evaluated| evaluated.and_then(pass_rate));
        self.measured(rates[0].zip(rates[1]))
    }

    /// Before and after on the held-out problems, and some variants.
    fn measured(&self, rates: Option<(PassRate, PassRate)>) -> String {
        let mut text = String::new();
        let Some((first, last)) = self.first.as_ref().zip(self.last.as_ref()) else {
            return "\nno held-out problems (--eval-problems): nothing can be said of what was learned\n"
                .to_owned()
                + &self.written();
        };
        let is_later = last.step > first.step;
        if let Some((before, after)) = rates {
            text += "\nheld-out problems solved (pass@1, 95 % interval)\n";
            let after = if is_later { rate(&after) } else { "  not measured yet".to_owned() };
            text += &format!("  before   {}\n  after    {after}\n", rate(&before));
        }
        if is_later {
            if !first.rewards.is_empty() {
                text += "\nrewards on held-out problems (mean, 95 % interval)\n";
            }
            for (name, before) in &first.rewards {
                let after = last.rewards.get(name).map_or_else(|| "-".to_owned(), mean);
                text += &format!("  {name}   {} -> {after}\n", mean(before));
            }
            for (a, b) in first.by_level.iter().zip(&last.by_level) {
                let level = a.level.map_or("-".into(), |level| level.to_string());
                let (before, after) = (100.0 * a.pass_at_1, 100.0 * b.pass_at_1);
                text += &format!("  level {level}: {before:5.1} % -> {after:5.1} %  ({} problems)\n", a.n);
            }
        }
        text + &self.written()
    }

    /// Some variants.
    fn written(&self) -> String {
        let mut text = String::new();
        if !self.examples.is_empty() {
            text += "\nvariants that the model wrote\n";
            for (problem, variant) in &self.examples {
                text += &format!("  {problem}  ->  {variant}\n");
            }
        }
        text
    }
}

/// A loss with three digits; one that rounds to nothing has no sign.
fn shown_loss(loss: f64) -> String {
    let text = format!("{loss:.3}");
    if text == "-0.000" { text[1..].to_owned() } else { text }
}

/// The share of problems solved at one attempt, where answers are right or wrong.
fn pass_rate(evaluated: &Evaluated) -> Option<PassRate> {
    evaluated.pass_at.get("1").map(|&pass_at_1| PassRate { pass_at_1, ci95: evaluated.ci95 })
}

/// The mean of a reward with its interval.
pub(super) fn mean(reward: &MeanReward) -> String {
    let interval = reward.ci95.map(|[low, high]| format!("  [{low:.3}, {high:.3}]"));
    format!("{:.3}{}", reward.mean, interval.unwrap_or_default())
}

fn rate(rate: &PassRate) -> String {
    let [low, high] = rate.ci95.map(|bound| 100.0 * bound);
    format!("{:5.1} %  [{low:.1}, {high:.1}]", 100.0 * rate.pass_at_1)
}
