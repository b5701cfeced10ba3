//! What the report's template is filled with.

use std::collections::BTreeMap;

use serde::Serialize;

use super::contamination::Contamination;
use super::course::{Chart, charts};
use super::rewards::{self, RewardRow};
use super::text::{duration, percent, points, printable, thousands};
use super::tree_view::{TreeNode, tree};
use crate::ladder::events::{
    Evaluated, Event, FinishReason, Finished, JudgedSample, LevelResult, PassRate, Step, Variants, Verified,
};
use crate::ladder::run::RunCard;
use crate::ladder::stats::paired_difference;
use crate::ladder::tree::{Node, NodeKind, Rejection};

/// Most training answers that the page shows.
const MAX_SAMPLES: usize = 16;

/// The whole page.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    model: String,
    device: String,
    task: String,
    version: String,
    status: String,
    facts: Vec<Fact>,
    headline: Option<Headline>,
    rewards: Vec<RewardRow>,
    levels: Vec<LevelRow>,
    pass_ks: Vec<PassKRow>,
    charts: Vec<Chart>,
    tree: Vec<TreeNode>,
    tree_size: usize,
    tree_omitted: usize,
    yields: Option<Yields>,
    contamination: Contamination,
    examples: Vec<Example>,
    samples: Vec<Example>,
    settings: Vec<Setting>,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

#[derive(Debug, Serialize)]
struct Headline {
    n: usize,
    samples: usize,
    before: Rate,
    after: Rate,
    after_step: u64,
    /// Points gained, with sign.
    gain: String,
    /// Its interval, if the evaluations are of the same problems.
    gain_ci: Option<String>,
}

/// A rate as text and as places on a bar, in per cent.
#[derive(Debug, Serialize)]
struct Rate {
    text: String,
    ci: String,
    at: f64,
    low: f64,
    width: f64,
}

impl Rate {
    fn of(rate: f64, ci95: [f64; 2]) -> Self {
        Self {
            text: percent(rate),
            ci: format!("{} to {}", percent(ci95[0]), percent(ci95[1])),
            at: rate * 100.0,
            low: ci95[0] * 100.0,
            width: (ci95[1] - ci95[0]) * 100.0,
        }
    }
}

#[derive(Debug, Serialize)]
struct LevelRow {
    name: String,
    n: usize,
    before: Rate,
    after: Rate,
}

#[derive(Debug, Serialize)]
struct PassKRow {
    k: String,
    before: String,
    after: String,
}

#[derive(Debug, Serialize)]
struct Yields {
    completions: usize,
    empty: usize,
    written: usize,
    accepted: usize,
    accepted_share: String,
    accepted_bar: f64,
    frontier: usize,
    measured: usize,
    rows: Vec<YieldRow>,
}

#[derive(Debug, Serialize)]
struct YieldRow {
    reason: &'static str,
    count: u64,
    share: f64,
}

#[derive(Debug, Serialize)]
struct Example {
    context: String,
    problem: String,
    text: String,
    verdict: &'static str,
    reason: String,
    answer: Option<String>,
}

#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    value: String,
}

/// The parts of a log that the page shows.
#[derive(Default)]
struct Log<'a> {
    steps: Vec<&'a Step>,
    evaluations: Vec<&'a Evaluated>,
    variants: Vec<&'a Variants>,
    verified: Vec<&'a Verified>,
    finished: Option<&'a Finished>,
}

impl<'a> Log<'a> {
    fn of(events: &'a [Event]) -> Self {
        let mut log = Self::default();
        for event in events {
            match event {
                Event::Step(event) => log.steps.push(event),
                Event::Evaluated(event) => log.evaluations.push(event),
                Event::Variants(event) => log.variants.push(event),
                Event::Verified(event) => log.verified.push(event),
                Event::Finished(event) => log.finished = Some(event),
                Event::Started(_)
                | Event::Downloading(_)
                | Event::Loaded(_)
                | Event::Rollout(_)
                | Event::Checkpoint(_)
                | Event::Warning(_) => {}
            }
        }
        log
    }
}

impl Page {
    pub(super) fn of(card: &RunCard, events: &[Event], nodes: &[Node]) -> Self {
        let log = Log::of(events);
        let (tree, shown) = tree(nodes, log.steps.last().map_or(0, |step| step.step));
        // A browser's card is written before the device is known; the log has it.
        let started = events.iter().rev().find_map(|event| match event {
            Event::Started(started) => Some(&started.policy),
            _ => None,
        });
        let policy = card.policy.as_ref().or(started).cloned().unwrap_or_default();
        Self {
            title: format!("LADDER: {} on {}", printable(&card.model), printable(&card.task)),
            model: printable(&card.model),
            device: printable(&policy.device),
            task: printable(&card.task),
            version: card.version.clone(),
            status: status(&log, card),
            facts: facts(&log, card, nodes),
            headline: headline(&log),
            rewards: rewards::rows(&log.evaluations),
            levels: levels(&log),
            pass_ks: pass_ks(&log),
            charts: charts(&log.steps, &log.evaluations),
            tree,
            tree_size: nodes.len(),
            tree_omitted: nodes.len().saturating_sub(shown),
            yields: yields(&log, nodes),
            contamination: Contamination::of(events),
            examples: examples(&log),
            samples: samples(&log),
            settings: settings(card),
        }
    }
}

fn status(log: &Log<'_>, card: &RunCard) -> String {
    let steps = log.steps.last().map_or(0, |step| step.step);
    let of = format!("{steps} of {} steps", card.settings.steps);
    match log.finished.map(|finished| finished.reason) {
        None => format!("running, {of}"),
        Some(FinishReason::Completed) => format!("complete, {of}"),
        Some(FinishReason::TokenBudget) => format!("token budget spent, {of}"),
        Some(FinishReason::Cancelled) => format!("stopped, {of}"),
        Some(FinishReason::Diverged) => format!("diverged, {of}"),
    }
}

fn facts(log: &Log<'_>, card: &RunCard, nodes: &[Node]) -> Vec<Fact> {
    let last = log.steps.last();
    let mut facts = vec![
        Fact { name: "Rollout tokens", value: thousands(last.map_or(0, |step| step.total_rollout_tokens)) },
        Fact { name: "Time", value: duration(last.map_or(0.0, |step| step.elapsed)) },
        Fact { name: "Problems in the tree", value: thousands(nodes.len() as u64) },
        Fact { name: "Seed", value: card.settings.seed.to_string() },
    ];
    if let Some(policy) = &card.policy {
        facts.push(Fact { name: "Parameters", value: thousands(policy.parameters) });
        facts.push(Fact { name: "Trained (LoRA)", value: thousands(policy.trainable_parameters) });
    }
    facts
}

fn first_and_last<'a>(log: &Log<'a>) -> Option<(&'a Evaluated, &'a Evaluated)> {
    Some((log.evaluations.first()?, log.evaluations.last()?))
}

fn headline(log: &Log<'_>) -> Option<Headline> {
    let (before, after) = first_and_last(log)?;
    // Where numbers alone judge there is no pass rate.
    before.pass_at.get("1").zip(after.pass_at.get("1"))?;
    let rates = |evaluation: &Evaluated| -> Vec<f64> {
        evaluation.correct.iter().map(|&correct| correct as f64 / evaluation.samples.max(1) as f64).collect()
    };
    let paired = paired_difference(&rates(before), &rates(after)).filter(|_| after.step > before.step);
    Some(Headline {
        n: after.n,
        samples: after.samples,
        before: Rate::of(before.pass_at_1(), before.ci95),
        after: Rate::of(after.pass_at_1(), after.ci95),
        after_step: after.step,
        gain: points(after.pass_at_1() - before.pass_at_1()),
        gain_ci: paired.map(|(_, [low, high])| format!("{} to {}", points(low), points(high))),
    })
}

fn levels(log: &Log<'_>) -> Vec<LevelRow> {
    let Some((before, after)) = first_and_last(log).filter(|(_, after)| !after.pass_at.is_empty()) else {
        return Vec::new();
    };
    let row = |name: String, n, before: PassRate, after: PassRate| LevelRow {
        name,
        n,
        before: Rate::of(before.pass_at_1, before.ci95),
        after: Rate::of(after.pass_at_1, after.ci95),
    };
    let rate = |result: &LevelResult| PassRate { pass_at_1: result.pass_at_1, ci95: result.ci95 };
    let whole = |event: &Evaluated| PassRate { pass_at_1: event.pass_at_1(), ci95: event.ci95 };
    let mut rows = Vec::new();
    if before.by_level.len() > 1 {
        for earlier in &before.by_level {
            if let Some(later) = after.by_level.iter().find(|later| later.level == earlier.level) {
                let name = earlier.level.map_or("without level".to_owned(), |level| format!("level {level}"));
                rows.push(row(name, earlier.n, rate(earlier), rate(later)));
            }
        }
    }
    rows.push(row("all".to_owned(), after.n, whole(before), whole(after)));
    rows
}

fn pass_ks(log: &Log<'_>) -> Vec<PassKRow> {
    let Some((before, after)) = first_and_last(log) else { return Vec::new() };
    let mut rows: Vec<(u64, PassKRow)> = before
        .pass_at
        .iter()
        .filter_map(|(k, rate)| {
            let row =
                PassKRow { k: k.clone(), before: percent(*rate), after: percent(*after.pass_at.get(k)?) };
            Some((k.parse().unwrap_or(u64::MAX), row))
        })
        .collect();
    rows.sort_by_key(|(k, _)| *k);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn yields(log: &Log<'_>, nodes: &[Node]) -> Option<Yields> {
    if log.variants.is_empty() {
        return None;
    }
    let mut rejected: BTreeMap<Rejection, u64> = BTreeMap::new();
    for (reason, count) in log.variants.iter().flat_map(|event| &event.rejected) {
        *rejected.entry(*reason).or_default() += *count as u64;
    }
    let written: usize = log.variants.iter().map(|event| event.variants.len()).sum();
    let accepted: usize = log.variants.iter().map(|event| event.accepted).sum();
    let share = |count: f64| count / written.max(1) as f64;
    let rows = [
        Rejection::Duplicate,
        Rejection::Restatement,
        Rejection::Invalid,
        Rejection::Unsolvable,
        Rejection::TooLong,
        Rejection::Limit,
    ];
    let name = |reason| match reason {
        Rejection::Duplicate => "already in the tree",
        Rejection::Restatement => "restates its parent or an ancestor",
        Rejection::Invalid => "not in the task's notation",
        Rejection::Unsolvable => "no answer could be found or confirmed",
        Rejection::TooLong => "too long",
        Rejection::HeldOut => "equal to a held-out problem",
        Rejection::Limit => "over the limits of the tree",
    };
    let measured: Vec<f64> =
        nodes.iter().filter(|node| node.kind != NodeKind::Root).filter_map(Node::pass_rate).collect();
    Some(Yields {
        completions: log.variants.iter().map(|event| event.completions).sum(),
        empty: log.variants.iter().map(|event| event.empty).sum(),
        written,
        accepted,
        accepted_share: percent(share(accepted as f64)),
        accepted_bar: share(accepted as f64) * 100.0,
        frontier: measured.iter().filter(|rate| (0.2..=0.8).contains(*rate)).count(),
        measured: measured.len(),
        rows: rows
            .into_iter()
            .map(|reason| {
                let count = rejected.get(&reason).copied().unwrap_or(0);
                YieldRow { reason: name(reason), count, share: share(count as f64) * 100.0 }
            })
            .collect(),
    })
}

fn examples(log: &Log<'_>) -> Vec<Example> {
    let Some(evaluation) = log.evaluations.last() else { return Vec::new() };
    let context =
        |level: Option<u32>| level.map_or("held out".to_owned(), |level| format!("held out, level {level}"));
    evaluation
        .examples
        .iter()
        .map(|example| answer(context(example.level), &example.problem, &example.sample))
        .collect()
}

/// The newest groups, those with a right and a wrong answer first.
fn samples(log: &Log<'_>) -> Vec<Example> {
    let mut groups: Vec<&&Verified> = log.verified.iter().rev().take(20 * MAX_SAMPLES).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.samples.len()));
    groups
        .into_iter()
        .flat_map(|group| {
            let context = format!("step {}, problem {}", group.step, group.node);
            group.samples.iter().map(move |sample| answer(context.clone(), &group.problem, sample))
        })
        .take(MAX_SAMPLES)
        .collect()
}

fn answer(context: String, problem: &str, sample: &JudgedSample) -> Example {
    Example {
        context,
        problem: printable(problem),
        text: printable(&sample.text),
        verdict: sample.verdict.verdict.name(),
        reason: printable(&sample.verdict.reason),
        answer: sample.verdict.answer.as_deref().map(printable),
    }
}

/// Every setting with its path, one a line.
fn settings(card: &RunCard) -> Vec<Setting> {
    let mut rows = Vec::new();
    if let Ok(value) = serde_json::to_value(&card.settings) {
        flatten("", &value, &mut rows);
    }
    rows
}

fn flatten(path: &str, value: &serde_json::Value, rows: &mut Vec<Setting>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, rows);
            }
        }
        value => rows.push(Setting { name: path.to_owned(), value: printable(&value.to_string()) }),
    }
}
