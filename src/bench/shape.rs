//! Models whose shapes are measured, with random weights in memory, so that no file is needed.

use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::gpu::Gpu;
use crate::kernel::attention::Heads;
use crate::kernel::weight::{Format, Weight};
use crate::model::Model;
use crate::model::config::ModelConfig;
use crate::model::module::Module;
use crate::model::pack;
use crate::model::source::{Dtype, TensorInfo, TensorSource, expected};

/// The sizes of a model.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Name, as `--shape` takes it.
    pub name: &'static str,
    family: Family,
    pub(super) hidden: usize,
    pub(super) mlp: usize,
    pub(super) vocab: usize,
    pub(super) layers: usize,
    pub(super) heads: Heads,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Family {
    Llama,
    Qwen2,
}

const fn heads(heads: usize, kv_heads: usize, head_dim: usize) -> Heads {
    Heads::new(heads, kv_heads, head_dim)
}

impl Shape {
    /// SmolLM2-135M, what is measured unless another is named.
    pub const SMOLLM2: Self = Self {
        name: "smollm2-135m",
        family: Family::Llama,
        hidden: 576,
        mlp: 1536,
        vocab: 49_152,
        layers: 30,
        heads: heads(9, 3, 64),
    };

    /// All that can be named.
    pub const ALL: [Self; 4] = [
        Self::SMOLLM2,
        Self {
            name: "qwen2.5-0.5b",
            family: Family::Qwen2,
            hidden: 896,
            mlp: 4864,
            vocab: 151_936,
            layers: 24,
            heads: heads(14, 2, 64),
        },
        Self {
            name: "qwen2.5-1.5b",
            family: Family::Qwen2,
            hidden: 1536,
            mlp: 8960,
            vocab: 151_936,
            layers: 28,
            heads: heads(12, 2, 128),
        },
        Self {
            name: "llama-3.2-1b",
            family: Family::Llama,
            hidden: 2048,
            mlp: 8192,
            vocab: 128_256,
            layers: 16,
            heads: heads(32, 8, 64),
        },
    ];

    /// The shape of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name == name)
    }

    fn config(self, layers: usize) -> Result<ModelConfig> {
        let (architecture, model_type) = match self.family {
            Family::Llama => ("LlamaForCausalLM", "llama"),
            Family::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
        };
        let json = serde_json::json!({
            "architectures": [architecture], "model_type": model_type, "hidden_act": "silu",
            "vocab_size": self.vocab, "hidden_size": self.hidden, "intermediate_size": self.mlp,
            "num_hidden_layers": layers, "num_attention_heads": self.heads.heads,
            "num_key_value_heads": self.heads.kv_heads, "head_dim": self.heads.head_dim, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 4096, "rope_theta": 10_000.0, "tie_word_embeddings": true,
        });
        ModelConfig::from_json(Path::new("benchmark"), &json.to_string())
    }

    /// A model of the first `layers` layers with random weights.
    pub(super) fn load(
        self,
        gpu: &Arc<Gpu>,
        layers: usize,
        format: Format,
        context: usize,
    ) -> Result<Arc<Model>> {
        let config = self.config(layers)?;
        let mut source = RandomWeights::new(&config);
        let model = Model::load(Arc::clone(gpu), config, &mut source, Some(format), context, &mut |_, _| ())?;
        Ok(Arc::new(model))
    }
}

/// Values of all matrices, the tied embedding once.
pub(super) fn parameters(model: &Model) -> f64 {
    let weights = model.weights();
    let linears = weights.layers.iter().flat_map(|l| Module::PARTS.map(|m| &l.linear(m).weight));
    std::iter::once(weights.head()).chain(linears).map(|w| (w.rows * w.cols) as f64).sum()
}

/// A weight matrix of random numbers.
pub(super) fn random_weight(
    gpu: &Gpu,
    label: &str,
    format: Format,
    rows: usize,
    cols: usize,
) -> Result<Weight> {
    let weight = Weight::new(gpu, label, format, rows, cols)?;
    // Rows of large matrices, which all have a multiple of 64, repeat: that takes less time and no kernel notices.
    let some = if rows > 1_024 { 64 } else { rows };
    let packed = pack::pack_as(format, &random_values(some * cols, 0), cols)?;
    for row in (0..rows).step_by(some) {
        weight.write_rows(gpu, row, &packed.words, &packed.scales)?;
    }
    Ok(weight)
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

    fn is_gguf(&self) -> bool {
        // The weights of norms are those that are multiplied with.
        true
    }
}
