//! The model writes variants of problems, and those that are problems of their own become nodes.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::ladder::climb::{Climb, Goal};
use crate::ladder::events::{self, Event, Phase, VariantRecord, logged_text};
use crate::ladder::policy::{Completion, Policy, Request, Sampling};
use crate::ladder::settings::{Settings, VariantMix, VariantSettings};
use crate::ladder::state::{Cycle, Host, Progress, Randomness};
use crate::ladder::tree::{NodeKind, Proposal, Rejection, Tree};
use crate::random::{below, permutation};
use crate::task::{Problem, PromptStyle, Task, VariantKind, VariantRequest};
use crate::{Error, Result};

/// A problem that was proposed for a tree, with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedVariant {
    /// Its node; `None` if it was dropped.
    pub id: Option<u32>,
    /// The node that it is a variant of; `None` for the root.
    pub parent: Option<u32>,
    /// The text as it was written.
    pub problem: String,
    /// The kind that was asked for.
    pub kind: NodeKind,
    /// Whether it became a node.
    pub valid: bool,
    /// Why it did not.
    pub reason: Option<Rejection>,
}

/// The tree of variants of one problem, as a run makes it before its first step: the root, then everything that the
/// model proposed, dropped proposals included.
///
/// # Errors
/// [`Error::Usage`] if the problem or the settings are unusable; [`Error::Cancelled`]; errors of policy and host.
pub async fn variant_tree<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    problem: &Problem,
    settings: &Settings,
    host: &mut Host<'_>,
) -> Result<Vec<ProposedVariant>> {
    settings.check()?;
    let tree = single_root(task, problem)?;
    let progress = Progress::new(settings.seed);
    let goal = Goal::Answer;
    let mut climb = Climb { policy, task, settings, host, tree, progress, goal, keeps: false };
    let mut proposed = vec![ProposedVariant {
        id: Some(0),
        parent: None,
        problem: problem.problem.clone(),
        kind: NodeKind::Root,
        valid: true,
        reason: None,
    }];
    climb.plant();
    while !climb.progress.pending.is_empty() {
        for report in climb.grow_batch().await? {
            proposed.extend(report.variants.into_iter().map(|variant| ProposedVariant {
                id: variant.id,
                parent: Some(report.parent),
                problem: variant.problem,
                kind: variant.kind,
                valid: variant.id.is_some(),
                reason: variant.rejection,
            }));
        }
    }
    Ok(proposed)
}

/// A tree with `problem` as its only root and nothing held out.
pub(crate) fn single_root(task: &dyn Task, problem: &Problem) -> Result<Tree> {
    let mut tree = Tree::new(HashSet::new());
    match tree.add_root(task, problem) {
        Ok(_) => Ok(tree),
        Err(reason) => {
            let text = format!("`{}`: {}", logged_text(&problem.problem), reason.words());
            Err(Error::usage("problem", text, "write it in the task's notation"))
        }
    }
}

/// One prompt that asks for variants, and how often it is sampled.
#[derive(Debug, Clone, PartialEq)]
struct Ask {
    request: VariantRequest,
    prompt: String,
    temperature: f32,
    samples: usize,
}

/// Splits `total` by the shares of `mix`, largest remainders first; the parts add up to `total`.
fn apportion(mix: &VariantMix, total: usize) -> [(VariantKind, usize); 3] {
    let shares = [mix.easier, mix.equivalent, mix.harder].map(|share| share * total as f64);
    let mut counts = shares.map(|share| share.floor() as usize);
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| (shares[b].fract()).total_cmp(&shares[a].fract()).then(a.cmp(&b)));
    let missing = total.saturating_sub(counts.iter().sum());
    for place in order.into_iter().cycle().filter(|&place| shares[place] > 0.0).take(missing) {
        counts[place] += 1;
    }
    [(VariantKind::Easier, counts[0]), (VariantKind::Equivalent, counts[1]), (VariantKind::Harder, counts[2])]
}

/// The prompts for `wanted` variants of `problem`. Prompts that come out equal (terse ones name neither persona nor
/// transformations) are merged, so that their samples share a KV cache.
fn plan(
    (task, style): (&dyn Task, PromptStyle),
    library: &dyn Fn(VariantKind) -> Vec<String>,
    settings: &VariantSettings,
    problem: &str,
    wanted: usize,
    cycle: &mut Cycle,
    random: &mut Randomness,
) -> Vec<Ask> {
    let terse = style == PromptStyle::Terse;
    let per_completion = if terse { 1 } else { settings.per_completion };
    let mut rng = random.stream();
    let mut asks: Vec<Ask> = Vec::new();
    for (kind, mut missing) in apportion(&settings.mix, wanted) {
        while missing > 0 {
            let count = missing.min(per_completion);
            missing -= count;
            let place = cycle.temperature as usize % settings.temperatures.len();
            let temperature = settings.temperatures[place];
            cycle.temperature += 1;
            let (mut transformations, mut persona) = (Vec::new(), None);
            if !terse {
                let library = library(kind);
                let [fewest, most] = settings.transformations;
                let offered = fewest + below(&mut rng, most - fewest + 1);
                let order = permutation(&mut rng, library.len());
                transformations =
                    order.into_iter().take(offered).map(|index| library[index].clone()).collect();
                if !settings.personas.is_empty() {
                    persona =
                        Some(settings.personas[cycle.persona as usize % settings.personas.len()].clone());
                    cycle.persona += 1;
                }
            }
            let request = VariantRequest { kind, count, transformations, persona };
            let prompt = task.variant_prompt(problem, &request, style);
            match asks.iter_mut().find(|ask| ask.prompt == prompt && ask.temperature == temperature) {
                Some(ask) => ask.samples += 1,
                None => asks.push(Ask { request, prompt, temperature, samples: 1 }),
            }
        }
    }
    asks
}

/// The variants in a completion that was asked for `count`. The last one of a completion that was cut off may be
/// half an expression that happens to parse, so it is left out.
fn read_variants(task: &dyn Task, sample: &Completion, count: usize) -> Vec<String> {
    let mut variants = task.parse_variants(&sample.text);
    if sample.truncated {
        variants.pop();
    }
    variants.truncate(count);
    variants
}

impl<P: Policy> Climb<'_, '_, P> {
    /// Asks for variants of every node of `parents` in one batch and adds those that hold up; one report a parent.
    pub(crate) async fn grow(&mut self, parents: &[u32]) -> Result<Vec<events::Variants>> {
        let settings = self.settings;
        let variants = &settings.variants;
        let style = self.policy.prompt_style();
        let step = self.progress.step;
        let mut asks: Vec<(u32, Ask)> = Vec::new();
        let mut requests = Vec::new();
        for &parent in parents {
            if !self.tree.may_grow(parent, &variants.limits) {
                continue;
            }
            let wanted = variants.per_node.min(variants.limits.children - self.tree.children(parent).len());
            let problem = self.tree.node(parent).problem.clone();
            let (mut cycle, mut random) = (self.progress.cycle, self.progress.random);
            let library = |kind| self.transformations(kind);
            let from = (self.task, style);
            let planned = plan(from, &library, variants, &problem, wanted, &mut cycle, &mut random);
            (self.progress.cycle, self.progress.random) = (cycle, random);
            for ask in planned {
                requests.push(Request {
                    prompt: self.policy.encode_prompt(&ask.prompt)?,
                    samples: ask.samples,
                    sampling: Sampling { temperature: ask.temperature, ..variants.sampling },
                    seed: self.progress.random.seed(),
                });
                asks.push((parent, ask));
            }
            self.tree.node_mut(parent).expansions += 1;
        }
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.sample(Phase::Variants, step, &requests).await?;
        let mut reports: BTreeMap<u32, events::Variants> = BTreeMap::new();
        for ((parent, ask), samples) in asks.iter().zip(&answers) {
            let mut report = reports.remove(parent).unwrap_or_else(|| events::Variants {
                step,
                parent: *parent,
                problem: self.tree.node(*parent).problem.clone(),
                completions: 0,
                empty: 0,
                variants: Vec::new(),
                accepted: 0,
                rejected: BTreeMap::new(),
                tokens: 0,
            });
            for sample in samples {
                self.take_variants(*parent, ask, sample, style, &mut report);
            }
            reports.insert(*parent, report);
        }
        let reports: Vec<events::Variants> = reports.into_values().collect();
        for report in &reports {
            self.progress.total_rollout_tokens += report.tokens as u64;
            self.progress.variant_tokens += report.tokens;
            self.host.emit(&Event::Variants(report.clone()))?;
        }
        self.progress.rejections = self.tree.rejections().clone();
        Ok(reports)
    }

    fn take_variants(
        &mut self,
        parent: u32,
        ask: &Ask,
        sample: &Completion,
        style: PromptStyle,
        report: &mut events::Variants,
    ) {
        let found = read_variants(self.task, sample, ask.request.count);
        report.completions += 1;
        report.empty += usize::from(found.is_empty());
        report.tokens += sample.tokens.len();
        for problem in found {
            let kind = ask.request.kind;
            // A problem that the model cannot be asked is worth nothing, however valid it is.
            let fits = self.policy.encode_prompt(&self.task.prompt(&problem, style)).is_ok();
            let outcome = if fits {
                let proposal = Proposal {
                    parent,
                    problem: &problem,
                    kind,
                    persona: ask.request.persona.as_deref(),
                    transformations: &ask.request.transformations,
                    step: self.progress.step,
                    check_solvable: self.settings.variants.check_solvable,
                };
                self.tree.propose(self.task, &self.settings.variants.limits, &proposal)
            } else {
                self.tree.reject(Rejection::TooLong)
            };
            report.accepted += usize::from(outcome.is_ok());
            if let Err(reason) = outcome {
                *report.rejected.entry(reason).or_default() += 1;
            }
            report.variants.push(VariantRecord {
                id: outcome.ok(),
                problem: logged_text(&problem),
                kind: kind.into(),
                rejection: outcome.err(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apportioned_parts_add_up() {
        let mix = VariantMix { easier: 0.7, equivalent: 0.3, harder: 0.0 };
        for total in 0..50 {
            let parts = apportion(&mix, total).map(|(_, count)| count);
            assert_eq!(parts.iter().sum::<usize>(), total);
            assert_eq!(parts[2], 0);
        }
        assert_eq!(apportion(&mix, 10).map(|(_, count)| count), [7, 3, 0]);
        assert_eq!(apportion(&mix, 8).map(|(_, count)| count), [6, 2, 0]);
    }
}
