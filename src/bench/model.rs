//! Decoding and training steps of a random model in the shape of SmolLM2-135M.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::measure::{Cost, PeakWork, Peaks, median};
use super::{Options, Row, Schedule, row};
use crate::gpu::Gpu;
use crate::kernel::weight::Format;
use crate::model::Model;
use crate::model::config::ModelConfig;
use crate::model::generate::{Generator, Request, Sampling};
use crate::model::lora::Layout;
use crate::model::module::Module;
use crate::model::source::{Dtype, TensorInfo, TensorSource, expected};
use crate::train::loss::LossName;
use crate::train::trainer::{Optimizer, Trainer, Trajectory};
use crate::{Error, Result};

const LAYERS: usize = 30;
/// Rank and alpha of the adapter that is trained.
const RANK: usize = 16;
const LEARNING_RATE: f64 = 1e-4;
/// Tokens that each row of a batch decodes in one sample.
const DECODE_STEPS: usize = 16;
/// Longest sequence.
const CONTEXT: usize = 512;

/// Layers of the model: a software adapter would spend the whole time on loading thirty.
fn layers(gpu: &Gpu, options: Options) -> usize {
    match (gpu.is_software(), options.quick) {
        (true, true) => 1,
        (true, false) => 4,
        (false, _) => LAYERS,
    }
}

/// Weight formats to measure.
pub(super) fn formats(options: Options) -> &'static [Format] {
    if options.quick { &[Format::F32] } else { &[Format::F32, Format::F16, Format::Q8, Format::Q4] }
}

/// A format's usual name.
pub(super) fn name(format: Format) -> &'static str {
    match format {
        Format::F32 => "f32",
        Format::F16 => "f16",
        Format::Q8 => "q8",
        Format::Q8x2 => "q8x2",
        Format::Q4 => "q4",
    }
}

/// `count` numbers from -1 to 1, the same for the same seed (a linear congruential generator, Knuth's constants).
pub(super) fn random_values(count: usize, seed: usize) -> Vec<f32> {
    let mut state = (seed as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / f64::from(1 << 23) as f32 - 1.0
        })
        .collect()
}

fn config(layers: usize) -> Result<ModelConfig> {
    let json = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": layers,
        "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048, "rope_theta": 10_000.0, "tie_word_embeddings": true,
    });
    ModelConfig::from_json(Path::new("benchmark"), &json.to_string())
}

/// Random weights in memory: a pool of numbers, read from another place for every tensor.
struct RandomWeights {
    tensors: Vec<TensorInfo>,
    pool: Vec<u8>,
}

impl RandomWeights {
    /// Numbers in the pool; a prime, so that rows of any usual length differ.
    const POOL: usize = 65_537;

    fn new(config: &ModelConfig) -> Self {
        let tensors = expected(config)
            .into_iter()
            .map(|(name, shape)| TensorInfo { name, dtype: Dtype::F32, shape })
            .collect();
        // The size of weights that keep activations of the order of 1.
        let values = random_values(Self::POOL, 0).into_iter().map(|value| value * 0.07);
        Self { tensors, pool: values.flat_map(f32::to_le_bytes).collect() }
    }
}

impl TensorSource for RandomWeights {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        let info = &self.tensors[index];
        let mut left = row_count * info.row_bytes();
        out.clear();
        if info.shape.len() == 1 {
            // A norm's weights.
            out.extend(std::iter::repeat_n(1.0f32.to_le_bytes(), left / 4).flatten());
            return Ok(());
        }
        let mut at = (index * 7_919 + row_start * info.cols()) % Self::POOL * 4;
        while left > 0 {
            let count = left.min(self.pool.len() - at);
            out.extend_from_slice(&self.pool[at..at + count]);
            left -= count;
            at = 0;
        }
        Ok(())
    }

    fn name(&self) -> String {
        "random weights".into()
    }
}

/// A generator or trainer with its samples.
struct Timed<W> {
    shape: String,
    cost: Cost,
    /// Tokens of one run, and of one of its steps.
    tokens: (usize, usize),
    work: W,
    samples: Vec<f64>,
}

/// What was measured of a generator or trainer.
pub(super) struct Measured {
    name: &'static str,
    shape: String,
    cost: Cost,
    tokens: f64,
    seconds: f64,
}

impl Measured {
    /// Tokens per second, beside what the peaks allow.
    pub(super) fn row(&self, peaks: &Peaks) -> Row {
        let value = self.tokens / self.seconds;
        Row { value, unit: "tokens/s", ..row(peaks, self.name, &self.shape, self.cost, self.seconds) }
    }
}

impl<W> Timed<W> {
    /// The median step.
    fn measured(&self, name: &'static str) -> Measured {
        let (run, step) = (self.tokens.0 as f64, self.tokens.1 as f64);
        let seconds = median(&self.samples) * step / run;
        Measured { name, shape: self.shape.clone(), cost: self.cost, tokens: step, seconds }
    }
}

impl Timed<Generator> {
    fn decode(model: &Arc<Model>, what: &str, batch: usize) -> Self {
        let bytes = model.weights().bytes() as f64;
        let cost = Cost { flops: 2.0 * parameters(model) * batch as f64, bytes };
        Self {
            shape: format!("batch {batch}, {what}"),
            cost,
            tokens: (DECODE_STEPS * batch, batch),
            work: Generator::new(Arc::clone(model), None, batch),
            samples: Vec::new(),
        }
    }

    async fn sample(&mut self) -> Result<f64> {
        let sampling = Sampling { max_tokens: DECODE_STEPS, ..Sampling::default() };
        let request = Request { prompt: vec![1], samples: self.tokens.1, sampling, seed: 1 };
        let start = Instant::now();
        self.work.generate(&[request], &mut |_| ControlFlow::Continue(())).await?;
        Ok(start.elapsed().as_secs_f64())
    }
}

impl Timed<Trainer> {
    /// Forward, recomputation and the gradient of every input take 2 operations a parameter and token each; the head
    /// is not recomputed. Attention and the adapter are left out: they are small at these lengths.
    fn train(model: &Arc<Model>, what: &str, count: usize, len: usize) -> Result<Self> {
        let config = model.config();
        let tokens = count * len;
        let head = (config.vocab_size * config.hidden_size) as f64;
        let flops = 6.0 * (parameters(model) - head) * tokens as f64 + 4.0 * head * (tokens - count) as f64;
        let modules = (0..config.num_layers).flat_map(|l| Module::ALL.map(|module| (l, module, RANK, 1.0)));
        let layout = Layout::new(config, modules)?;
        Ok(Self {
            shape: format!("{count} x {len} tokens, rank {RANK}, {what}"),
            cost: Cost { flops, bytes: 3.0 * model.weights().bytes() as f64 },
            tokens: (tokens, tokens),
            work: Trainer::new(Arc::clone(model), &layout, tokens)?,
            samples: Vec::new(),
        })
    }

    async fn sample(&mut self, count: usize) -> Result<f64> {
        let len = self.tokens.0 / count;
        let text = |i: usize| (0..len).map(|t| ((i * len + t) * 977 % 49_152) as u32).collect();
        let batch: Vec<Trajectory> =
            (0..count).map(|i| Trajectory::supervised(text(i), vec![true; len])).collect();
        let start = Instant::now();
        let loss = LossName::Sft.config(0);
        let report = self.work.step(&batch, &loss, LEARNING_RATE, &Optimizer::default()).await?;
        let seconds = start.elapsed().as_secs_f64();
        if report.skipped {
            let problem = format!("a training step gave loss {} and was skipped", report.loss);
            return Err(Error::Gpu { what: "bench".into(), problem });
        }
        Ok(seconds)
    }
}

/// Values of all matrices, the tied embedding once.
fn parameters(model: &Model) -> f64 {
    let weights = model.weights();
    let linears = weights.layers.iter().flat_map(|l| Module::ALL.map(|m| &l.linear(m).weight));
    std::iter::once(weights.head()).chain(linears).map(|w| (w.rows * w.cols) as f64).sum()
}

/// Measures decoding and training with weights of one format.
pub(super) async fn rows(
    gpu: &Arc<Gpu>,
    options: Options,
    schedule: Schedule,
    format: Format,
    peaks: &mut PeakWork,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Vec<Measured>> {
    let layers = layers(gpu, options);
    let config = config(layers)?;
    let mut source = RandomWeights::new(&config);
    let model = Model::load(Arc::clone(gpu), config, &mut source, Some(format), CONTEXT, &mut |_, _| ())?;
    let model = Arc::new(model);
    let what = format!("{layers} of {LAYERS} layers, {}", name(format));
    let batches: &[usize] = if gpu.is_software() { &[1, 8] } else { &[1, 8, 64] };
    let mut decodes: Vec<_> = batches.iter().map(|&batch| Timed::decode(&model, &what, batch)).collect();
    let mut trains = Vec::new();
    let sizes: &[(usize, usize)] = if options.quick { &[(1, 32)] } else { &[(1, 128), (4, 64)] };
    for &(count, len) in sizes {
        trains.push((count, Timed::train(&model, &what, count, len)?));
    }
    let (mut round, mut start) = (0, Instant::now());
    // Round 0 compiles and allocates; it is not kept.
    while round == 0 || schedule.goes_on(round - 1, start) {
        peaks.sample(gpu).await?;
        for decode in &mut decodes {
            go_on()?;
            let seconds = decode.sample().await?;
            decode.samples.extend((round > 0).then_some(seconds));
        }
        for (count, train) in &mut trains {
            go_on()?;
            let seconds = train.sample(*count).await?;
            train.samples.extend((round > 0).then_some(seconds));
        }
        if round == 0 {
            start = Instant::now();
        }
        round += 1;
    }
    let decodes = decodes.iter().map(|decode| decode.measured("decode"));
    Ok(decodes.chain(trains.iter().map(|(_, train)| train.measured("train"))).collect())
}
