//! Base weights on the GPU, streamed there from a source a few rows at a time.

use std::collections::HashMap;
use std::path::Path;

use super::config::ModelConfig;
use super::family::Family;
use super::family::tensors::{HEAD, Role};
use super::module::{GATE_UP, Module, QKV};
use super::pack::{self, Packed};
use super::source::{self, Dtype, TensorInfo, TensorSource, quant};
use crate::gpu::{Buffer, Gpu, region_elements};
use crate::kernel::weight::{Format, Weight};
use crate::{Error, Result};

/// Bytes of a tensor that are held on the host at a time.
const CHUNK_BYTES: usize = 16 << 20;

/// A linear layer y = W·x + bias.
#[derive(Debug)]
pub struct Linear {
    /// `[outputs, inputs]`
    pub weight: Weight,
    /// `[outputs]`
    pub bias: Option<Buffer>,
}

/// The weights of one block.
#[derive(Debug)]
pub struct LayerWeights {
    /// RMSNorm before attention `[hidden]`, where the family has it.
    pub attention_norm: Option<Buffer>,
    /// RMSNorm of each q and k head `[head_dim]`, or of all q and all k heads together, where the family has them.
    pub qk_norm: Option<[Buffer; 2]>,
    /// RMSNorm of what attention adds `[hidden]`, where the family has it.
    pub post_attention_norm: Option<Buffer>,
    /// RMSNorm before the MLP `[hidden]`, where the family has it.
    pub mlp_norm: Option<Buffer>,
    /// RMSNorm of what the MLP adds `[hidden]`, where the family has it.
    pub post_mlp_norm: Option<Buffer>,
    linears: [Linear; Module::PARTS.len()],
    /// Queries, keys and values as one matrix, gate and up as another, where the file has them so or in one format.
    joined: [Option<Weight>; 2],
}

/// Parts whose matrices are stored one behind the other; in some families they are one module.
const JOINED: [&[Module]; 2] = [QKV, GATE_UP];

impl LayerWeights {
    /// The linear layer that is one of [`Module::PARTS`].
    pub fn linear(&self, module: Module) -> &Linear {
        &self.linears[module as usize]
    }

    /// The matrices of `modules` as one, if they are [`QKV`] or [`GATE_UP`] and stored so.
    pub fn joined(&self, modules: &[Module]) -> Option<&Weight> {
        let index = JOINED.iter().position(|&group| group == modules)?;
        self.joined[index].as_ref()
    }
}

/// All weights of a model.
#[derive(Debug)]
pub struct Weights {
    /// Token embedding `[vocab, hidden]`.
    pub embedding: Weight,
    /// The blocks.
    pub layers: Vec<LayerWeights>,
    /// RMSNorm before the head `[hidden]`, divided by what logits are divided by.
    pub norm: Buffer,
    head: Option<Weight>,
}

impl Weights {
    /// The output head `[vocab, hidden]`: the embedding where the two are tied.
    pub fn head(&self) -> &Weight {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Streams every tensor to the GPU.
    ///
    /// `format` converts the matrices; without it each keeps the precision of the file. `progress` gets
    /// `(bytes read, bytes in all)`.
    ///
    /// # Errors
    /// What the source, the check against the configuration or the GPU's memory say.
    pub fn load(
        gpu: &Gpu,
        config: &ModelConfig,
        source: &mut dyn TensorSource,
        format: Option<Format>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        source::check(config, source)?;
        let needed = weight_bytes(config, source, format);
        if let Some(available) = gpu.available_bytes()
            && needed > available
        {
            return Err(Error::OutOfMemory {
                what: format!("the weights of {}", source.name()),
                needed,
                available,
                hint: format!(
                    "load them smaller with <weights> {}, or take a smaller model",
                    Format::choice(Format::has_scales)
                ),
            });
        }
        let index: HashMap<String, usize> =
            source.tensors().iter().enumerate().map(|(i, tensor)| (tensor.name.clone(), i)).collect();
        let total: u64 = source.tensors().iter().map(|t| (t.rows() * t.row_bytes()) as u64).sum();
        let family = config.family;
        let mut loader =
            Loader { gpu, family, source, index, format, progress, done: 0, total, bytes: Vec::new() };
        let embedding = loader.matrix(Role::Embedding, 0)?;
        let mut layers = Vec::with_capacity(config.num_layers);
        for layer in 0..config.num_layers {
            layers.push(loader.layer(config, layer)?);
        }
        let norm = loader.vector_by(Role::FinalNorm, 0, config.multipliers.logits)?;
        let head = if config.tie_word_embeddings { None } else { Some(loader.matrix(Role::Head, 0)?) };
        gpu.check()?;
        Ok(Self { embedding, layers, norm, head })
    }

    /// The formats in use.
    pub fn formats(&self) -> Vec<Format> {
        let linears = self.layers.iter().flat_map(|layer| &layer.linears).map(|linear| linear.weight.format);
        let mut formats = vec![self.head().format];
        for format in linears {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        formats
    }

    /// Bytes on the GPU.
    pub fn bytes(&self) -> u64 {
        let linears = self.layers.iter().flat_map(|layer| &layer.linears).map(|linear| linear.weight.bytes());
        self.embedding.bytes() + self.head.as_ref().map_or(0, Weight::bytes) + linears.sum::<u64>()
    }
}

/// The format that a tensor of `dtype` gets on the GPU: the file's own precision unless another is wanted.
pub fn target_format(dtype: Dtype, cols: usize, wanted: Option<Format>) -> Format {
    wanted.map_or_else(|| Format::for_dtype(dtype, cols), |format| format.for_cols(cols))
}

/// Bytes that the matrices of a source take on the GPU.
pub fn weight_bytes(config: &ModelConfig, source: &dyn TensorSource, format: Option<Format>) -> u64 {
    let matrices = source.tensors().iter().filter(|tensor| tensor.shape.len() == 2);
    matrices
        .filter(|tensor| !(config.tie_word_embeddings && HEAD.is(&tensor.name)))
        .map(|tensor| target_format(tensor.dtype, tensor.cols(), format).bytes(tensor.rows(), tensor.cols()))
        .sum()
}

/// Bytes that a loaded model takes on the GPU: matrices, vectors (as f32) and the rotation tables.
pub fn resident_bytes(
    config: &ModelConfig,
    source: &dyn TensorSource,
    format: Option<Format>,
    context: usize,
) -> u64 {
    let vectors = source.tensors().iter().filter(|tensor| tensor.shape.len() == 1);
    let vectors: u64 = vectors.map(|tensor| tensor.cols() as u64 * 4).sum();
    let biases = bias_sizes(config);
    let padding = match config.attention_bias() {
        true => 4 * (config.num_layers * (region_elements(1, &biases) - biases.iter().sum::<usize>())) as u64,
        false => 0,
    };
    let tables = 1 + usize::from(config.local_rope.is_some());
    weight_bytes(config, source, format) + vectors + padding + (tables * context * config.head_dim * 4) as u64
}

/// The sizes of the biases of [`QKV`].
fn bias_sizes(config: &ModelConfig) -> [usize; 3] {
    [config.q_size(), config.kv_size(), config.kv_size()]
}

struct Loader<'a> {
    gpu: &'a Gpu,
    family: &'static Family,
    source: &'a mut dyn TensorSource,
    index: HashMap<String, usize>,
    format: Option<Format>,
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
    bytes: Vec<u8>,
}

impl Loader<'_> {
    /// The tensor for `role`, in block `layer` if it is one of blocks.
    fn find(&self, role: Role, layer: usize) -> Result<(usize, TensorInfo)> {
        let name = self.family.tensor(role).map(|tensor| tensor.hf_name(layer));
        let name = name.ok_or_else(|| Error::Gpu {
            what: "weights".into(),
            problem: format!("{} has no tensor for {role:?}", self.family.name),
        })?;
        let found = self.index.get(&name).map(|&i| (i, self.source.tensors()[i].clone()));
        found.ok_or_else(|| {
            let file = self.source.name();
            Error::input(Path::new(&file), name, "the tensor is missing", "take the complete model")
        })
    }

    fn read(&mut self, index: usize, row: usize, rows: usize) -> Result<()> {
        self.source.read(index, row, rows, &mut self.bytes)?;
        source::check_finite(self.source, index, &self.bytes)?;
        self.done += self.bytes.len() as u64;
        (self.progress)(self.done, self.total);
        Ok(())
    }

    fn values(&mut self, role: Role, layer: usize) -> Result<Vec<f32>> {
        let (index, info) = self.find(role, layer)?;
        self.read(index, 0, 1)?;
        let mut values = vec![0.0; info.cols()];
        quant::dequantize(info.dtype, &self.bytes, &mut values)?;
        Ok(values)
    }

    /// A vector that only some families have.
    fn vector_if(&mut self, role: Role, layer: usize) -> Result<Option<Buffer>> {
        self.family.has(role).then(|| self.vector(role, layer)).transpose()
    }

    /// A norm's weight, in f32 whatever the file has: 1 + w has more digits than w.
    fn vector(&mut self, role: Role, layer: usize) -> Result<Buffer> {
        self.vector_by(role, layer, 1.0)
    }

    /// The same divided by `divisor`.
    fn vector_by(&mut self, role: Role, layer: usize, divisor: f64) -> Result<Buffer> {
        let (_, info) = self.find(role, layer)?;
        let mut values = self.values(role, layer)?;
        if !self.source.is_gguf() {
            values.iter_mut().for_each(|value| *value += self.family.norm_offset);
        }
        values.iter_mut().for_each(|value| *value = (f64::from(*value) / divisor) as f32);
        self.gpu.upload(&info.name, &[values.len()], &values)
    }

    fn matrix(&mut self, role: Role, layer: usize) -> Result<Weight> {
        let (index, info) = self.find(role, layer)?;
        let format = target_format(info.dtype, info.cols(), self.format);
        let weight = Weight::new(self.gpu, &info.name, format, info.rows(), info.cols())?;
        self.fill(index, &info, &weight)?;
        Ok(weight)
    }

    /// Memory for the matrices of `modules` one behind the other, if they get the same format. In families in which they are one
    /// module, that one's matrix.
    fn joined(&mut self, layer: usize, modules: &[Module]) -> Result<Option<Weight>> {
        let one = self.family.holder(modules[0]);
        if one.parts() == modules {
            return self.matrix(Role::Weight(one), layer).map(Some);
        }
        let mut all: Option<(Format, usize, usize)> = None;
        for module in modules {
            let (_, info) = self.find(Role::Weight(*module), layer)?;
            let format = target_format(info.dtype, info.cols(), self.format);
            let (first, cols, rows) = *all.get_or_insert((format, info.cols(), 0));
            if (format, info.cols()) != (first, cols) {
                return Ok(None);
            }
            all = Some((first, cols, rows + info.rows()));
        }
        let Some((format, cols, rows)) = all else { return Ok(None) };
        let names: Vec<&str> = modules.iter().map(|module| module.hf_name()).collect();
        Weight::new(self.gpu, &format!("layer {layer} {}", names.join(" ")), format, rows, cols).map(Some)
    }

    /// Reads a matrix into rows of the GPU's memory.
    fn fill(&mut self, index: usize, info: &TensorInfo, weight: &Weight) -> Result<()> {
        let (rows, cols, format) = (info.rows(), info.cols(), weight.format);
        let step = (CHUNK_BYTES / info.row_bytes().max(1)).max(1);
        let mut row = 0;
        while row < rows {
            let count = step.min(rows - row);
            self.read(index, row, count)?;
            let packed = if format == Format::for_dtype(info.dtype, cols) {
                pack::pack(info.dtype, &self.bytes, cols)?
            } else {
                let mut values = vec![0.0; count * cols];
                quant::dequantize(info.dtype, &self.bytes, &mut values)?;
                pack::pack_as(format, &values, cols)?
            };
            if packed.format != format {
                let file = self.source.name();
                let problem = "has values beyond the range of f16";
                let hint =
                    format!("load it with <weights> {}", Format::choice(|format| format != Format::F16));
                return Err(Error::input(file, &info.name, problem, hint));
            }
            let Packed { words, scales, .. } = packed;
            weight.write_rows(self.gpu, row, &words, &scales)?;
            self.gpu.flush()?;
            row += count;
        }
        Ok(())
    }

    /// The bias of each module, those of queries, keys and values in one buffer.
    fn biases(
        &mut self,
        config: &ModelConfig,
        layer: usize,
    ) -> Result<[Option<Buffer>; Module::PARTS.len()]> {
        let mut biases = [const { None }; Module::PARTS.len()];
        if !config.attention_bias() {
            return Ok(biases);
        }
        for (module, place) in QKV.iter().zip(self.gpu.regions("bias", 1, &bias_sizes(config))?) {
            let values = self.values(Role::Bias(*module), layer)?;
            let bias = place.view(0, &[place.len()])?;
            self.gpu.write(&bias, 0, &values)?;
            biases[*module as usize] = Some(bias);
        }
        Ok(biases)
    }

    fn layer(&mut self, config: &ModelConfig, layer: usize) -> Result<LayerWeights> {
        let [qkv, gate_up] = JOINED.map(|group| self.joined(layer, group));
        let joined = [qkv?, gate_up?];
        let biases = self.biases(config, layer)?;
        let mut linears = Vec::with_capacity(Module::PARTS.len());
        let mut row = [0; 2];
        for (module, bias) in Module::PARTS.into_iter().zip(biases) {
            let holder = self.family.holder(module);
            let role = Role::Weight(holder);
            let rows = config.part_rows(module);
            let group = JOINED.iter().position(|group| group.contains(&module));
            let weight = match group.and_then(|group| Some((group, joined[group].as_ref()?))) {
                Some((group, whole)) => {
                    let weight = whole.rows_from(row[group], rows)?;
                    row[group] += rows;
                    if holder == module {
                        let (index, info) = self.find(role, layer)?;
                        self.fill(index, &info, &weight)?;
                    }
                    weight
                }
                None => self.matrix(role, layer)?,
            };
            debug_assert_eq!(weight.rows, rows);
            linears.push(Linear { weight, bias });
        }
        let qk_norm = match config.qk_norm() {
            true => Some([self.vector(Role::QueryNorm, layer)?, self.vector(Role::KeyNorm, layer)?]),
            false => None,
        };
        Ok(LayerWeights {
            attention_norm: self.vector_if(Role::AttentionNorm, layer)?,
            qk_norm,
            post_attention_norm: self.vector_if(Role::PostAttentionNorm, layer)?,
            mlp_norm: self.vector_if(Role::MlpNorm, layer)?,
            post_mlp_norm: self.vector_if(Role::PostMlpNorm, layer)?,
            joined,
            linears: linears.try_into().map_err(|_| Error::Gpu {
                what: "weights".into(),
                problem: "a block does not have seven linear layers".into(),
            })?,
        })
    }
}
