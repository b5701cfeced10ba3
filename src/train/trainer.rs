//! One optimizer step: packs, forward, loss on the CPU, backward, AdamW. Sees log-probabilities and rewards, never tasks.

mod arena;
mod state;
mod trajectory;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arena::Arena;
pub(super) use arena::{arena_bytes, largest_buffer};
use state::Kept;
pub use state::adapter_of;
pub use trajectory::Trajectory;

use super::backward::Backward;
use super::loss::{self, LossConfig, LossMetrics, Normalizer, Objective, Sequence};
use crate::gpu::{Buffer, Gpu, Recorder, Recording};
use crate::kernel::adamw::{self, Hyper};
use crate::model::Model;
use crate::model::forest::Forest;
use crate::model::lora::{Layout, Lora};
use crate::model::packed::{self, Packed, bucket};
use crate::model::score::check_logprobs;
use crate::{Error, Result};

/// AdamW's settings.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Optimizer {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0 for none.
    pub max_grad_norm: f64,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 }
    }
}

/// What a step did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The loss before the step.
    pub loss: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// The loss or the gradient was not finite; nothing was changed.
    pub skipped: bool,
    /// Tokens of the sequences, each counted whole.
    pub tokens: usize,
    /// Counts and sums of the loss.
    pub metrics: LossMetrics,
}

/// Log-probabilities and entropies of one sequence's scored tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// Natural logarithms.
    pub logp: Vec<f32>,
    /// Nats.
    pub entropy: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pass {
    /// Log-probabilities, with the adapter or without; keeps every block's input.
    Forward { adapter: bool },
    /// Gradients, after `Forward { adapter: true }` of the same pack.
    Backward,
    /// Both at once, for losses whose coefficients do not depend on the log-probabilities.
    Fused,
}

/// A LoRA adapter with its optimizer, and everything recorded to train it.
pub struct Trainer {
    model: Arc<Model>,
    lora: Lora,
    grads: Lora,
    optimizer: adamw::State,
    steps: u64,
    pack_tokens: usize,
    forward_rows: u64,
    arena: Option<Arena>,
    recordings: HashMap<(usize, usize, Pass), Recording>,
    zero_grads: Recording,
    update: Recording,
    kept: Vec<Kept>,
    cancel: Arc<AtomicBool>,
}

impl Trainer {
    /// A zero adapter of this layout with a fresh optimizer. `pack_tokens` bounds the tokens in one forward pass:
    /// it sets the memory and not the result.
    pub fn new(model: Arc<Model>, layout: &Layout, pack_tokens: usize) -> Result<Self> {
        if layout.is_empty() {
            return Err(Error::usage("lora.targets", "adapts no module", "name at least one, such as q,v"));
        }
        let gpu = Arc::clone(model.gpu());
        let layers = model.config().num_layers;
        let lora = Lora::new(&gpu, "lora", layers, layout)?;
        let grads = Lora::new(&gpu, "lora.grad", layers, layout)?;
        let optimizer = adamw::State::new(&gpu, layout.len())?;
        let mut rec = Recorder::new(&gpu);
        rec.clear(grads.flat());
        let zero_grads = rec.finish()?;
        let mut rec = Recorder::new(&gpu);
        adamw::step(&mut rec, lora.flat(), grads.flat(), &optimizer)?;
        let update = rec.finish()?;
        Ok(Self {
            model,
            lora,
            grads,
            optimizer,
            steps: 0,
            pack_tokens: pack_tokens.max(1),
            forward_rows: 0,
            arena: None,
            recordings: HashMap::new(),
            zero_grads,
            update,
            kept: Vec::new(),
            cancel: Arc::new(AtomicBool::new(false)),
        })
    }

    /// The flag that stops work between two submissions with [`Error::Cancelled`].
    pub fn set_cancel(&mut self, cancel: Arc<AtomicBool>) {
        self.cancel = cancel;
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The adapter, live: rollouts that bind it see every update.
    pub fn lora(&self) -> &Lora {
        &self.lora
    }

    /// Optimizer steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Rows that forward passes have computed since the trainer was made: what sequences of a pass begin with counts once, padding
    /// does not count.
    pub fn forward_rows(&self) -> u64 {
        self.forward_rows
    }

    fn gpu(&self) -> &Arc<Gpu> {
        self.model.gpu()
    }

    /// Splits a batch into packs of at most `pack_tokens` tokens and as many scored ones, in order. What the sequences of a pack
    /// begin with counts once.
    fn packs<'b>(&self, batch: &'b [Trajectory]) -> Vec<&'b [Trajectory]> {
        let mut packs = Vec::new();
        let longest = self.model.config().whole_length();
        let (mut start, mut scored, mut forest) = (0, 0, Forest::new(longest));
        for (index, trajectory) in batch.iter().enumerate() {
            forest.push(&trajectory.tokens);
            scored += trajectory.scored_count();
            if forest.rows().max(scored) > self.pack_tokens && index > start {
                packs.push(&batch[start..index]);
                (start, scored) = (index, trajectory.scored_count());
                forest = Forest::of(longest, [trajectory.tokens.as_slice()]);
            }
        }
        if start < batch.len() {
            packs.push(&batch[start..]);
        }
        packs
    }

    fn pack(&self, pack: &[Trajectory]) -> Result<Packed> {
        let (context, vocab) = (self.model.context(), self.model.config().vocab_size);
        for trajectory in pack {
            if trajectory.tokens.len() > context {
                return Err(Error::usage(
                    "max_length",
                    format!("a sequence has {} tokens, the context holds {context}", trajectory.tokens.len()),
                    "lower <max_length|max_tokens>",
                ));
            }
            if let Some(token) = trajectory.tokens.iter().find(|&&token| token as usize >= vocab) {
                return Err(Error::usage(
                    "tokens",
                    format!("token {token} is outside of the vocabulary of {vocab}"),
                    "use the tokenizer that belongs to the model",
                ));
            }
        }
        let tokens: Vec<&[u32]> = pack.iter().map(|trajectory| trajectory.tokens.as_slice()).collect();
        let config = self.model.config();
        let packed = Packed::sharing(&tokens, config.window_size(), |sequence, t| pack[sequence].scores(t));
        // The gradient of each key is a sum over the heads that read it in every row that sees it.
        let rows =
            packed.spans.iter().enumerate().map(|(row, span)| span[3] as usize - row).max().unwrap_or(0);
        if rows * (config.num_heads / config.num_kv_heads + 1) > self.gpu().most_turns() {
            return Err(Error::usage(
                "max_length",
                format!(
                    "a sequence, with those that share its beginning, has {rows} tokens: too long for the loops of a software adapter"
                ),
                "lower <max_length|max_tokens>, or use a GPU",
            ));
        }
        Ok(packed)
    }

    /// Makes the recording of a pass and bucket, growing the arena where it is too small, and writes the pack.
    fn prepare(&mut self, packed: &Packed, pass: Pass) -> Result<(usize, usize)> {
        let tokens = bucket(packed.tokens.len());
        let rows = bucket(packed.rows.len().max(1));
        let gpu = Arc::clone(self.gpu());
        let (had_tokens, had_rows) =
            self.arena.as_ref().map_or((0, 0), |arena| (arena.tokens(), arena.rows()));
        if tokens > had_tokens || rows > had_rows {
            self.recordings.clear();
            self.arena = None;
            let rank = self.lora.layout().max_rank();
            self.arena =
                Some(Arena::new(&gpu, &self.model, tokens.max(had_tokens), rows.max(had_rows), rank)?);
        }
        let Some(arena) = &self.arena else { return Ok((tokens, rows)) };
        if !self.recordings.contains_key(&(tokens, rows, pass)) {
            let view = arena.first(tokens, rows)?;
            let mut rec = Recorder::new(&gpu);
            let model = &*self.model;
            let forward = |rec: &mut Recorder<'_>, lora: Option<&Lora>| {
                packed::record_blocks(rec, model, lora, &view.buffers, &view.act, &view.pass.hidden)?;
                packed::record_select(
                    rec,
                    model,
                    &view.buffers,
                    &view.pass.hidden[view.pass.hidden.len() - 1],
                )
            };
            let backward = Backward {
                model,
                lora: &self.lora,
                grads: &self.grads,
                buffers: &view.buffers,
                act: &view.act,
                hidden: &view.pass.hidden,
                coefficient: &view.pass.coefficient,
                d: &view.d,
            };
            match pass {
                Pass::Forward { adapter } => {
                    forward(&mut rec, adapter.then_some(&self.lora))?;
                    packed::record_logprobs(&mut rec, model, &view.buffers)?;
                }
                Pass::Backward => backward.record(&mut rec, false)?,
                Pass::Fused => {
                    forward(&mut rec, Some(&self.lora))?;
                    backward.record(&mut rec, true)?;
                }
            }
            let recording = rec.finish()?;
            self.recordings.insert((tokens, rows, pass), recording);
        }
        Ok((tokens, rows))
    }

    /// A pass that begins with a forward pass over `packed`.
    async fn run_forward(&mut self, packed: &Packed, key: (usize, usize), pass: Pass) -> Result<()> {
        self.forward_rows += packed.tokens.len() as u64;
        self.run(key, pass).await
    }

    async fn run(&self, key: (usize, usize), pass: Pass) -> Result<()> {
        match self.recordings.get(&(key.0, key.1, pass)) {
            Some(recording) => self.gpu().run_cancellable(recording, 1, &self.cancel).await,
            None => Err(Error::Gpu { what: "trainer".into(), problem: "a pass was not recorded".into() }),
        }
    }

    /// Reads log-probabilities and entropies of the last forward pass, one entry a sequence.
    async fn read_scores(&self, pack: &[Trajectory], packed: &Packed) -> Result<Vec<Scores>> {
        let Some(arena) = &self.arena else { return Ok(Vec::new()) };
        let count = packed.rows.len();
        if count == 0 {
            return Ok(vec![Scores::default(); pack.len()]);
        }
        let view = |buffer: &Buffer| buffer.view(0, &[count]);
        let (logp, entropy) = (view(&arena.buffers.logprob)?, view(&arena.buffers.entropy)?);
        let bytes = self.gpu().read_later(&[&logp, &entropy]).bytes(self.gpu()).await?;
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        let (logp, entropy) = values.split_at(count);
        let (mut logp, mut entropy) = (packed.in_order(logp), packed.in_order(entropy));
        let scores = pack.iter().map(Trajectory::scored_count).map(|count| Scores {
            logp: logp.by_ref().take(count).collect(),
            entropy: entropy.by_ref().take(count).collect(),
        });
        Ok(scores.collect())
    }

    async fn forward(&mut self, pack: &[Trajectory], adapter: bool) -> Result<Vec<Scores>> {
        let packed = self.pack(pack)?;
        let pass = Pass::Forward { adapter };
        let key = self.prepare(&packed, pass)?;
        self.write(&packed, key)?;
        self.run_forward(&packed, key, pass).await?;
        self.read_scores(pack, &packed).await
    }

    fn write(&self, packed: &Packed, key: (usize, usize)) -> Result<()> {
        let Some(arena) = &self.arena else { return Ok(()) };
        arena.buffers.first(key.0, key.1)?.write(self.gpu(), packed)
    }

    fn write_coefficients(&self, coefficients: &[f32], packed: &Packed, key: (usize, usize)) -> Result<()> {
        let Some(arena) = &self.arena else { return Ok(()) };
        let mut padded = packed.by_row(coefficients);
        padded.resize(key.1, 0.0);
        self.gpu().write(&arena.pass.coefficient, 0, &padded)
    }

    /// Log-probabilities of the scored tokens of each sequence, with the adapter or under the base model.
    pub async fn logprobs(&mut self, batch: &[Trajectory], adapter: bool) -> Result<Vec<Scores>> {
        let mut scores = Vec::with_capacity(batch.len());
        for pack in self.packs(batch) {
            scores.extend(self.forward(pack, adapter).await?);
        }
        scores.iter().try_for_each(|scores: &Scores| check_logprobs(&scores.logp))?;
        Ok(scores)
    }

    /// Before the first step it is the model or the adapter that is broken; later a run may have diverged.
    fn check_before_learning(&self, scores: &[Scores]) -> Result<()> {
        match self.steps {
            0 => scores.iter().try_for_each(|scores| check_logprobs(&scores.logp)),
            _ => Ok(()),
        }
    }

    /// The loss of a batch, and its gradient in [`Trainer::read_gradient`].
    pub async fn gradient(
        &mut self,
        batch: &[Trajectory],
        config: &LossConfig,
    ) -> Result<(f64, LossMetrics)> {
        let mut normalizer = Normalizer::default();
        for trajectory in batch {
            normalizer.add(config, trajectory.scored_count(), trajectory.advantage, trajectory.truncated);
        }
        self.gpu().run(&self.zero_grads)?;
        let (mut total, mut metrics) = (0.0, LossMetrics::default());
        let batch: Vec<Trajectory> = batch.iter().filter(|t| t.contributes(config)).cloned().collect();
        for pack in self.packs(&batch) {
            let output = if config.objective == Objective::CrossEntropy && config.kl.is_none() {
                self.supervised(pack, config, &normalizer).await?
            } else {
                self.policy(pack, config, &normalizer).await?
            };
            total += output.loss;
            metrics.merge(&output.metrics);
        }
        Ok((total, metrics))
    }

    async fn supervised(
        &mut self,
        pack: &[Trajectory],
        config: &LossConfig,
        normalizer: &Normalizer,
    ) -> Result<loss::LossOutput> {
        // Cross-entropy is linear in the log-probabilities: any values give the coefficients.
        let zeros: Vec<Scores> =
            pack.iter().map(|t| Scores { logp: vec![0.0; t.scored_count()], entropy: Vec::new() }).collect();
        let coefficients = loss::loss(config, &sequences(pack, &zeros, None), normalizer)?.coefficients;
        let packed = self.pack(pack)?;
        let key = self.prepare(&packed, Pass::Fused)?;
        self.write(&packed, key)?;
        self.write_coefficients(&coefficients, &packed, key)?;
        self.run_forward(&packed, key, Pass::Fused).await?;
        let scores = self.read_scores(pack, &packed).await?;
        self.check_before_learning(&scores)?;
        loss::loss(config, &sequences(pack, &scores, None), normalizer)
    }

    async fn policy(
        &mut self,
        pack: &[Trajectory],
        config: &LossConfig,
        normalizer: &Normalizer,
    ) -> Result<loss::LossOutput> {
        let reference = if config.needs_reference() { Some(self.reference(pack).await?) } else { None };
        let packed = self.pack(pack)?;
        // Both recordings first: making the second may grow the arena and lose the first's results.
        self.prepare(&packed, Pass::Backward)?;
        let scores = self.forward(pack, true).await?;
        self.check_before_learning(&scores)?;
        let output = loss::loss(config, &sequences(pack, &scores, reference.as_deref()), normalizer)?;
        let key = self.prepare(&packed, Pass::Backward)?;
        self.write_coefficients(&output.coefficients, &packed, key)?;
        self.run(key, Pass::Backward).await?;
        Ok(output)
    }

    /// Log-probabilities under the reference: a sequence's own, or the base model's.
    async fn reference(&mut self, pack: &[Trajectory]) -> Result<Vec<Scores>> {
        let mut scores = match pack.iter().all(|trajectory| trajectory.ref_logp.is_some()) {
            true => vec![Scores::default(); pack.len()],
            false => self.forward(pack, false).await?,
        };
        for (scores, trajectory) in scores.iter_mut().zip(pack) {
            if let Some(own) = &trajectory.ref_logp {
                scores.logp.clone_from(own);
            }
        }
        Ok(scores)
    }

    /// One AdamW step on the gradient of `batch`'s loss. A loss or gradient that is not finite changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for log-probabilities before the first step, when no learning rate can be to blame; GPU errors.
    pub async fn step(
        &mut self,
        batch: &[Trajectory],
        config: &LossConfig,
        learning_rate: f64,
        optimizer: &Optimizer,
    ) -> Result<StepReport> {
        let (loss, metrics) = self.gradient(batch, config).await?;
        let t = (self.steps + 1) as f64;
        let hyper = Hyper {
            learning_rate: learning_rate as f32,
            beta1: optimizer.beta1 as f32,
            beta2: optimizer.beta2 as f32,
            eps: optimizer.eps as f32,
            weight_decay: optimizer.weight_decay as f32,
            c1: (1.0 - optimizer.beta1.powf(t)) as f32,
            c2: (1.0 - optimizer.beta2.powf(t)) as f32,
            clip: optimizer.max_grad_norm as f32,
        };
        let tokens = batch.iter().map(|trajectory| trajectory.tokens.len()).sum();
        if !loss.is_finite() {
            return Ok(StepReport { loss, grad_norm: f64::NAN, skipped: true, tokens, metrics });
        }
        self.gpu().write(&self.optimizer.hyper, 0, &[hyper])?;
        self.lora.changed();
        self.gpu().run(&self.update)?;
        let norm: Vec<u32> = self.gpu().read(&self.optimizer.norm).await?;
        let finite = norm[2] == 1;
        self.steps += u64::from(finite);
        let grad_norm = if finite { f64::from(f32::from_bits(norm[0])) } else { f64::NAN };
        Ok(StepReport { loss, grad_norm, skipped: !finite, tokens, metrics })
    }
}

fn sequences<'a>(
    pack: &'a [Trajectory],
    scores: &'a [Scores],
    reference: Option<&'a [Scores]>,
) -> Vec<Sequence<'a>> {
    pack.iter()
        .zip(scores)
        .enumerate()
        .map(|(index, (trajectory, scores))| Sequence {
            logp: &scores.logp,
            old_logp: trajectory.old_logp.as_deref(),
            ref_logp: reference.map(|reference| reference[index].logp.as_slice()),
            entropy: (!scores.entropy.is_empty()).then_some(scores.entropy.as_slice()),
            advantage: trajectory.advantage,
            truncated: trajectory.truncated,
        })
        .collect()
}
