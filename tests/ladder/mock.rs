//! A task whose problems are `difficulty:index`, and a policy that answers them by chance.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use stepladder::ladder::events::Event;
use stepladder::ladder::policy::{
    AdapterFile, Completion, OnProgress, Policy, PolicyInfo, Request, SampleProgress, UpdateSettings,
    UpdateStats,
};
use stepladder::ladder::presets::Preset;
use stepladder::ladder::run::{Outcome, RunCard, run};
use stepladder::ladder::settings::Settings;
use stepladder::ladder::state::{Host, MemoryStore, Snapshot, Store};
use stepladder::random::{below, stream, uniform};
use stepladder::task::{
    Parameter, Problem, PromptStyle, Task, VariantKind, VariantRequest, Verdict, VerdictKind,
};
use stepladder::train::checkpoint::State;
use stepladder::train::loss::LogprobGap;
use stepladder::train::trainer::Trajectory;
use stepladder::{Error, Result};

/// Problems `d:i`; the canonical form is the pair of integers, and `i` and `i + 1000` are the same problem reworded.
pub(crate) struct Pairs;

fn parse(problem: &str) -> Option<(u32, u32)> {
    let (difficulty, index) = problem.trim().split_once(':')?;
    Some((difficulty.parse().ok().filter(|d| *d < 10)?, index.parse().ok().filter(|i| *i < 1_000_000)?))
}

impl Task for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    fn prompt(&self, problem: &str, _: PromptStyle) -> String {
        format!("solve {problem}")
    }

    fn variant_prompt(&self, problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
        let kind = match request.kind {
            VariantKind::Easier => "easier",
            VariantKind::Equivalent => "equivalent",
            VariantKind::Harder => "harder",
        };
        match style {
            PromptStyle::Terse => format!("{kind} {problem}"),
            PromptStyle::Instruct => format!(
                "{kind} {problem} {} by {} with {}",
                request.count,
                request.persona.as_deref().unwrap_or("nobody"),
                request.transformations.join("+")
            ),
        }
    }

    fn transformations(&self, _: VariantKind) -> &'static [&'static str] {
        &["lower", "split", "drop", "swap", "shift", "scale", "merge", "turn"]
    }

    fn parse_variants(&self, completion: &str) -> Vec<String> {
        completion.split_whitespace().map(str::to_owned).collect()
    }

    fn canonical(&self, problem: &str) -> Result<String, String> {
        parse(problem).map(|(d, i)| format!("{d}:{i}")).ok_or_else(|| "it is not a pair".to_owned())
    }

    fn is_restatement(&self, parent: &str, variant: &str) -> bool {
        match (parse(parent), parse(variant)) {
            (Some((d, i)), Some((e, j))) => d == e && i % 1000 == j % 1000,
            _ => false,
        }
    }

    /// Problems whose index ends in 13 have no answer.
    fn solvable(&self, problem: &str) -> Result<(), String> {
        match parse(problem) {
            Some((_, index)) if index % 100 == 13 => Err("unlucky".to_owned()),
            _ => Ok(()),
        }
    }

    fn verify(&self, _: &Problem, completion: &str) -> Verdict {
        let (verdict, answer) = match completion {
            "ok" => (VerdictKind::Correct, Some("ok")),
            "no" => (VerdictKind::Wrong, Some("no")),
            "?" => (VerdictKind::Unverifiable, None),
            _ => (VerdictKind::Malformed, None),
        };
        Verdict::new(verdict, format!("said {completion}"), answer.map(str::to_owned))
    }
}

/// Text that would do harm in a page that did not escape it.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\u{0}\"'><img src=x onerror=alert(2)>";

/// What the mock does besides answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Every update is not finite.
    NotFinite,
    /// What was learnt is not finite after so many updates.
    NaN(u64),
    /// The device is lost in the call to `sample` with this number.
    Lost(usize),
    /// The user presses Ctrl-C during the call to `sample` with this number.
    Cancel(usize),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Skill {
    /// Logit of the pass rate by difficulty.
    logits: Vec<f64>,
    updates: u64,
}

/// One trajectory as the policy got it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) prompt: String,
    pub(crate) text: String,
    pub(crate) truncated: bool,
    pub(crate) advantage: f32,
}

impl Seen {
    fn of(trajectory: &Trajectory) -> Self {
        let prompt = 1 + trajectory.scored.iter().position(|&scored| scored).unwrap();
        Self {
            prompt: text_of(&trajectory.tokens[..prompt]),
            text: text_of(&trajectory.tokens[prompt..]),
            truncated: trajectory.truncated,
            advantage: trajectory.advantage.unwrap(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Mock {
    pub(crate) skill: Skill,
    pub(crate) set_aside: Vec<Skill>,
    pub(crate) style: PromptStyle,
    pub(crate) fault: Fault,
    pub(crate) cancel: &'static AtomicBool,
    pub(crate) calls: usize,
    pub(crate) seen: Vec<Vec<Seen>>,
    pub(crate) learning_rates: Vec<f64>,
    pub(crate) requests: Vec<(String, usize, f32)>,
    pub(crate) prefilled: u64,
    /// Share of answers that are unverifiable, malformed, and cut off.
    pub(crate) noise: f64,
}

impl Mock {
    pub(crate) fn new() -> Self {
        Self {
            skill: Skill { logits: (0..11).map(|d| 3.0 - 1.5 * f64::from(d)).collect(), updates: 0 },
            set_aside: Vec::new(),
            style: PromptStyle::Terse,
            fault: Fault::None,
            cancel: Box::leak(Box::new(AtomicBool::new(false))),
            calls: 0,
            seen: Vec::new(),
            learning_rates: Vec::new(),
            requests: Vec::new(),
            prefilled: 0,
            noise: 0.05,
        }
    }

    pub(crate) fn with(fault: Fault) -> Self {
        Self { fault, ..Self::new() }
    }

    pub(crate) fn rate(&self, difficulty: usize) -> f64 {
        1.0 / (1.0 + (-self.skill.logits[difficulty]).exp())
    }

    pub(crate) fn updates(&self) -> u64 {
        self.skill.updates
    }

    pub(crate) fn set_logit(&mut self, difficulty: usize, logit: f64) {
        self.skill.logits[difficulty] = logit;
    }

    fn answer(&self, prompt: &str, rng: &mut rand_pcg::Pcg64Mcg) -> (String, bool) {
        if prompt.starts_with("Here is a problem") {
            return (
                "- turn it upside down\n- lower\n- take the half of it\n- take the other half".to_owned(),
                true,
            );
        }
        // Examples are lines before the question.
        let mut words = prompt.rsplit('\n').next().unwrap().split(' ');
        let (what, problem) = (words.next().unwrap(), words.next().unwrap());
        let (difficulty, index) = parse(problem).unwrap();
        let count = words.next().map_or(1, |count| count.parse().unwrap());
        let truncated = uniform(rng) < self.noise;
        let chance = uniform(rng);
        let text = match what {
            "solve" if chance < self.noise => "?".to_owned(),
            "solve" if chance < 2.0 * self.noise => HOSTILE.to_owned(),
            "solve" if uniform(rng) < self.rate(difficulty as usize) => "ok".to_owned(),
            "solve" => "no".to_owned(),
            kind => (0..count)
                .map(|_| {
                    let next = match kind {
                        "easier" => difficulty.saturating_sub(1),
                        "harder" => (difficulty + 1).min(9),
                        _ => difficulty,
                    };
                    match below(rng, 10) {
                        0 => HOSTILE.split_whitespace().next().unwrap().to_owned(),
                        1 => format!("{difficulty}:{}", index + 1000),
                        2 => "4:7".to_owned(),
                        _ => format!("{next}:{}", below(rng, 60)),
                    }
                })
                .collect::<Vec<_>>()
                .join(" "),
        };
        (text, truncated)
    }
}

impl Policy for Mock {
    fn info(&self) -> PolicyInfo {
        PolicyInfo { model: "mock".into(), device: "no GPU".into(), parameters: 11, ..PolicyInfo::default() }
    }

    fn prompt_style(&self) -> PromptStyle {
        self.style
    }

    fn encode_dialogue(&self, shots: &[(String, String)], user_message: &str) -> Result<Vec<u32>> {
        if user_message.len() > 600 {
            return Err(Error::usage("problems", "the prompt is too long", "shorten it"));
        }
        let examples: String = shots.iter().map(|(asked, answer)| format!("{asked} {answer}\n")).collect();
        Ok((examples + user_message).chars().map(u32::from).collect())
    }

    fn prefilled_tokens(&self) -> u64 {
        self.prefilled
    }

    async fn sample(
        &mut self,
        requests: &[Request],
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Completion>>> {
        self.calls += 1;
        match self.fault {
            Fault::Lost(call) if call == self.calls => return Err(Error::DeviceLost("unplugged".into())),
            Fault::Cancel(call) if call == self.calls => self.cancel.store(true, Ordering::Relaxed),
            _ => {}
        }
        let total = requests.iter().map(|request| request.samples).sum();
        if progress(SampleProgress { done: 0, total, tokens: 0 }) == ControlFlow::Break(()) {
            return Err(Error::Cancelled);
        }
        Ok(requests
            .iter()
            .map(|request| {
                let prompt = text_of(&request.prompt);
                self.prefilled += request.prompt.len() as u64;
                self.requests.push((prompt.clone(), request.samples, request.sampling.temperature));
                (0..request.samples)
                    .map(|index| {
                        let mut rng = stream(request.seed, &[index as u64]);
                        let (text, truncated) = self.answer(&prompt, &mut rng);
                        let tokens: Vec<u32> = text.chars().map(u32::from).collect();
                        Completion { logprobs: vec![-1.0; tokens.len()], tokens, text, truncated }
                    })
                    .collect()
            })
            .collect())
    }

    async fn update(&mut self, batch: &[Trajectory], settings: &UpdateSettings) -> Result<UpdateStats> {
        self.learning_rates.push(settings.learning_rate);
        let seen: Vec<Seen> = batch.iter().map(Seen::of).collect();
        self.seen.extend(seen.chunk_by(|a, b| a.prompt == b.prompt).map(<[Seen]>::to_vec));
        if self.fault == Fault::NotFinite {
            return Ok(UpdateStats { loss: f64::NAN, skipped: true, ..UpdateStats::default() });
        }
        self.skill.updates += 1;
        for Seen { prompt, advantage, .. } in
            seen.into_iter().filter(|seen| seen.advantage > 0.0 && seen.text == "ok")
        {
            let (difficulty, _) = parse(prompt.trim_start_matches("solve ")).unwrap();
            let gain = 0.02 * f64::from(advantage);
            self.skill.logits[difficulty as usize] += gain;
            self.skill.logits[difficulty as usize + 1] += gain / 2.0;
        }
        Ok(UpdateStats {
            loss: -0.1,
            grad_norm: 0.7 / self.skill.updates as f64,
            kl: 0.001 * self.skill.updates as f64,
            entropy: 0.4,
            logprob_gap: LogprobGap::of(&[1e-6, 3e-6 * self.skill.updates as f32]),
            ..UpdateStats::default()
        })
    }

    fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        Ok(text.chars().map(u32::from).collect())
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        Ok(text_of(tokens))
    }

    async fn logprobs(&mut self, sequences: &[(usize, Vec<u32>)], adapter: bool) -> Result<Vec<Vec<f32>>> {
        let value = if adapter { -1.0 + 0.001 * self.skill.updates as f32 } else { -1.0 };
        Ok(sequences.iter().map(|(first, tokens)| vec![value; tokens.len() - first]).collect())
    }

    async fn adapter(&mut self) -> Result<Vec<AdapterFile>> {
        Ok(vec![AdapterFile {
            name: "adapter_config.json".into(),
            bytes: self.skill.updates.to_string().into_bytes(),
        }])
    }

    async fn state(&mut self) -> Result<State> {
        let mut state = State::default();
        state.put("skill", &self.skill)?;
        let spoilt = matches!(self.fault, Fault::NaN(updates) if self.skill.updates >= updates);
        state.tensors.insert("adapter".into(), vec![if spoilt { f32::NAN } else { 1.0 }]);
        Ok(state)
    }

    async fn restore(&mut self, state: &State) -> Result<()> {
        self.skill = state.get("skill", "state".as_ref())?;
        Ok(())
    }

    async fn push_adapter(&mut self) -> Result<()> {
        self.set_aside.push(self.skill.clone());
        Ok(())
    }

    async fn pop_adapter(&mut self, keep: bool) -> Result<()> {
        let before = self.set_aside.pop().unwrap();
        if !keep {
            self.skill = before;
        }
        Ok(())
    }
}

fn text_of(tokens: &[u32]) -> String {
    tokens.iter().map(|&token| char::from_u32(token).unwrap()).collect()
}

pub(crate) fn problems(texts: &[&str]) -> Vec<Problem> {
    texts
        .iter()
        .map(|text| Problem {
            problem: (*text).to_owned(),
            id: None,
            level: parse(text).map(|(difficulty, _)| difficulty),
            answer: None,
        })
        .collect()
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings::preset(Preset::Tiny);
    settings.steps = 6;
    settings.prompts_per_step = 6;
    // What the mock's rules of learning were made for; the preset follows what is best for the real model.
    settings.group_size = 8;
    settings.curriculum.root_share = 0.5;
    settings.checkpoint_every = 2;
    settings.evaluation.every = 3;
    settings.seed = 11;
    settings
}

pub(crate) fn card(settings: Settings) -> RunCard {
    RunCard {
        version: "0.0.0".into(),
        model: "mock".into(),
        adapter: None,
        task: "pairs".into(),
        task_options: Default::default(),
        checker: Default::default(),
        settings,
        problems: problems(&["4:1", "4:2", "4:3", "3:1"]),
        // 4:7 is what the mock proposes when it contaminates.
        held_out: problems(&["4:7", "4:8", "4:9", "3:7", "3:8", "2:7", "2:8"]),
        base: None,
        alone: false,
        swarm: None,
        policy: None,
    }
}

/// Runs with a clock that stands still, so that logs can be compared.
pub(crate) fn run_in(
    store: &mut dyn Store,
    policy: &mut Mock,
    card: &RunCard,
    saved: Option<Snapshot>,
) -> Result<Outcome> {
    run_task_in(store, policy, &Pairs, card, saved)
}

fn run_task_in(
    store: &mut dyn Store,
    policy: &mut Mock,
    task: &dyn Task,
    card: &RunCard,
    saved: Option<Snapshot>,
) -> Result<Outcome> {
    let mut sink = |_: &Event| Ok(());
    let cancel = policy.cancel;
    let mut host = Host { store, sink: &mut sink, clock: &|| 0.0, cancel };
    pollster::block_on(run(policy, task, card, saved, &mut host))
}

pub(crate) fn run_in_memory(policy: &mut Mock, card: &RunCard) -> (Result<Outcome>, MemoryStore) {
    run_task_in_memory(policy, &Pairs, card)
}

pub(crate) fn run_task_in_memory(
    policy: &mut Mock,
    task: &dyn Task,
    card: &RunCard,
) -> (Result<Outcome>, MemoryStore) {
    let mut store = MemoryStore::default();
    let outcome = run_task_in(&mut store, policy, task, card, None);
    (outcome, store)
}
