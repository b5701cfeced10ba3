//! LoRA adapters in PEFT's own layout: a folder with `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Here are bytes only; [`crate::train::files`] reads and writes the folder.

mod config;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::lora_config::{LoraConfig, Module};
use super::tensor_file::{self, Tensor, TensorFile};
use crate::model::family::tensors::{EMBEDDING, HEAD};
use crate::random;
use crate::{Error, Result};

/// The settings' file name in an adapter folder.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// The weights' file name in an adapter folder.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// What PEFT puts before a module's path.
const PREFIX: &str = "base_model.model.";
/// The purpose of the random stream that fills A.
const INIT_STREAM: u64 = 0x4c6f_5241;

/// The two matrices of one module, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraPair {
    /// A `[rank, in]`, applied first.
    pub a: Vec<f32>,
    /// B `[out, rank]`.
    pub b: Vec<f32>,
}

/// Sizes of a linear module of the base model: (layer, module) to (out, in), `None` where there is no such module.
pub type Dims<'a> = dyn Fn(usize, Module) -> Option<(usize, usize)> + 'a;

/// How a tensor that is saved with an adapter compares with the base model's of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// The same shape and values.
    Equal,
    /// Others.
    Different,
    /// The base model has none of that name.
    Unknown,
    /// The base model's weights are not at hand.
    NotCompared,
}

/// Compares a tensor with the base model's of a name such as `lm_head.weight`.
pub type Compare<'a> = dyn FnMut(&str, &Tensor) -> Result<Copy> + 'a;

/// An adapter: its settings and its weights by layer and module.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterFile {
    /// Settings.
    pub config: LoraConfig,
    /// Weights; exactly the modules that the settings adapt.
    pub tensors: BTreeMap<(usize, Module), LoraPair>,
}

impl AdapterFile {
    /// A fresh adapter: A uniform in (-1/sqrt(in), 1/sqrt(in)), which is what PEFT's
    /// `kaiming_uniform_(a=sqrt(5))` comes to, and B zero. Every A has its own random stream, so that adapting more modules
    /// does not change the others.
    ///
    /// Errors: [`Error::Usage`] on bad settings, or if the model lacks one of the target modules.
    pub fn init(config: LoraConfig, dims: &Dims<'_>, seed: u64) -> Result<Self> {
        config.validate()?;
        let mut tensors = BTreeMap::new();
        for (layer, module, out, inner) in
            modules(dims).filter(|&(layer, module, ..)| config.adapts(layer, module))
        {
            let rank = config.rank_of(layer, module);
            if rank > out.max(inner) {
                let problem = format!("is {rank}, more than {} of this model has", module.path(layer));
                return Err(Error::usage("lora.rank", problem, format!("use at most {}", out.min(inner))));
            }
            let mut stream = random::stream(seed, &[INIT_STREAM, layer as u64, module as u64]);
            let bound = 1.0 / (inner as f64).sqrt();
            let mut draw = || ((2.0 * random::uniform(&mut stream) - 1.0) * bound) as f32;
            let a = (0..rank * inner).map(|_| draw()).collect();
            tensors.insert((layer, module), LoraPair { a, b: vec![0.0; out * rank] });
        }
        let adapted: BTreeSet<Module> = tensors.keys().map(|&(_, module)| module).collect();
        let is_adapted =
            |target: &Module| adapted.iter().any(|of| of == target || of.parts().contains(target));
        let lacking = config.targets.iter().find(|target| !is_adapted(target));
        // All parts stand for whatever the model has.
        if let Some(target) = lacking.filter(|_| adapted.is_empty() || config.targets != Module::PARTS.into())
        {
            let has: BTreeSet<Module> = modules(dims).map(|(_, module, ..)| module).collect();
            let problem = match has.iter().find(|of| of.parts().contains(target)) {
                Some(whole) => format!("the model has {target} only as a part of {whole}"),
                None => format!("the model has no {target}"),
            };
            let names: Vec<String> = has.iter().map(ToString::to_string).collect();
            let hint = format!("use all-linear, or any of {}", names.join(", "));
            return Err(Error::usage("lora.targets", problem, hint));
        }
        Ok(Self { config: LoraConfig { targets: adapted, ..config }, tensors })
    }

    /// Reads the two files of `folder`, which is named in errors, for a model with the modules `dims`.
    ///
    /// Errors: [`Error::Input`] if a file is damaged, is not a plain LoRA adapter, or does not fit the model.
    pub fn from_bytes(config: &[u8], weights: &[u8], folder: &Path, dims: &Dims<'_>) -> Result<Self> {
        let mut compare = |name: &str, _: &Tensor| match EMBEDDING.is(name) || HEAD.is(name) {
            true => Ok(Copy::NotCompared),
            false => Ok(Copy::Unknown),
        };
        Self::from_bytes_over(config, weights, folder, dims, &mut compare)
    }

    /// [`AdapterFile::from_bytes`] where `compare` can tell whether a tensor that PEFT saved along, such as the embedding of a
    /// vocabulary that was looked at, is the base model's own. Such copies change nothing; others are an error.
    ///
    /// Errors: as there, and those of `compare`.
    pub fn from_bytes_over(
        config: &[u8],
        weights: &[u8],
        folder: &Path,
        dims: &Dims<'_>,
        compare: &mut Compare<'_>,
    ) -> Result<Self> {
        let config_path = folder.join(CONFIG_FILE);
        let parsed = config::Parsed::from_bytes(config, &config_path)?;
        let config = parsed.resolve(&|layer, module| dims(layer, module).is_some(), &config_path)?;
        let file = folder.join(WEIGHTS_FILE);
        let mut matrices = sort(TensorFile::from_bytes(weights, &file)?, &file, compare)?;
        let made_for = match &config.base_model {
            Some(name) => format!("use the model that the adapter was made for (`{name}`)"),
            None => "use the model that the adapter was made for".to_owned(),
        };
        let mut tensors = BTreeMap::new();
        for (layer, module, out, inner) in
            modules(dims).filter(|&(layer, module, ..)| config.adapts(layer, module))
        {
            let rank = config.rank_of(layer, module);
            let mut take = |part: Part, shape: [usize; 2]| {
                let name = format!("{PREFIX}{}.{}.weight", module.path(layer), part.name());
                let Some(tensor) = matrices.remove(&(layer, module, part)) else {
                    return Err(Error::input(
                        &file,
                        name,
                        "is missing, though the settings name its module",
                        &made_for,
                    ));
                };
                if tensor.shape != shape {
                    let problem = format!("has shape {:?}, expected {shape:?} (rank {rank})", tensor.shape);
                    return Err(Error::input(&file, name, problem, &made_for));
                }
                if tensor.data.iter().any(|x| !x.is_finite()) {
                    let hint = "the training that made it diverged; use an earlier adapter";
                    return Err(Error::input(&file, name, "holds a number that is not finite", hint));
                }
                Ok(tensor.data)
            };
            let pair = LoraPair { a: take(Part::A, [rank, inner])?, b: take(Part::B, [out, rank])? };
            tensors.insert((layer, module), pair);
        }
        if let Some((layer, module, part)) = matrices.into_keys().next() {
            let name = format!("{PREFIX}{}.{}.weight", module.path(layer), part.name());
            let problem = match dims(layer, module) {
                None => "is for a module that the model does not have",
                Some(_) => "is for a module that the settings do not name",
            };
            return Err(Error::input(&file, name, problem, made_for));
        }
        Ok(Self { config, tensors })
    }

    /// The two files: settings, weights (F32).
    ///
    /// Errors: [`Error::Shape`] if a matrix has not the size that its rank asks for.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut matrices = Vec::with_capacity(2 * self.tensors.len());
        for (&(layer, module), pair) in &self.tensors {
            let rank = self.config.rank_of(layer, module);
            for (part, data) in [(Part::A, &pair.a), (Part::B, &pair.b)] {
                let other = data.len() / rank.max(1);
                let shape = if part == Part::A { vec![rank, other] } else { vec![other, rank] };
                matrices.push((
                    format!("{PREFIX}{}.{}.weight", module.path(layer), part.name()),
                    shape,
                    data.as_slice(),
                ));
            }
        }
        Ok((config::to_bytes(&self.config), tensor_file::to_bytes(matrices, ("format", "pt"))?))
    }

    /// Errors ([`Error::Input`]) unless the adapter of `folder` has the rank that was asked for.
    pub fn expect_rank(&self, rank: usize, folder: &Path) -> Result<()> {
        match self.config.rank == rank {
            true => Ok(()),
            false => Err(Error::input(
                folder.join(CONFIG_FILE),
                "r",
                format!("is {}, but rank {rank} was asked for", self.config.rank),
                "leave <lora.rank> out to go on with the adapter's own, or start without <adapter>",
            )),
        }
    }
}

impl AdapterFile {
    /// Errors ([`Error::Input`]) if the adapter of `folder` was trained with dropout, which is not done here: it can be
    /// used, but going on would train it in another way than its settings say.
    pub fn expect_no_dropout(&self, folder: &Path) -> Result<()> {
        match self.config.dropout == 0.0 {
            true => Ok(()),
            false => Err(Error::input(
                folder.join(CONFIG_FILE),
                "lora_dropout",
                format!("is {}, and training with dropout is not supported", self.config.dropout),
                "set it to 0 to go on without dropout, or start without <adapter>",
            )),
        }
    }
}

/// One of the two matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    A,
    B,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::A => "lora_A",
            Self::B => "lora_B",
        }
    }
}

/// (layer, module, out, in) of every module, layer by layer up to the first without any.
fn modules<'a>(dims: &'a Dims<'_>) -> impl Iterator<Item = (usize, Module, usize, usize)> + 'a {
    let of = |layer| {
        let in_layer: Vec<_> = Module::ALL
            .into_iter()
            .filter_map(|module| dims(layer, module).map(|(out, inner)| (layer, module, out, inner)))
            .collect();
        (!in_layer.is_empty()).then_some(in_layer)
    };
    (0..).map_while(of).flatten()
}

/// Files the tensors by what their names say; copies of the base model's are left out.
fn sort(
    file: TensorFile,
    path: &Path,
    compare: &mut Compare<'_>,
) -> Result<BTreeMap<(usize, Module, Part), Tensor>> {
    let supported = "adapters of q, k, v, o, gate, up and down projections are supported, and of qkv and gate_up; merge others with PEFT";
    let mut sorted = BTreeMap::new();
    for (name, tensor) in file.tensors {
        let Some(key) = parse_name(&name) else {
            let (problem, hint) = match compare(&base_name(&name), &tensor)? {
                Copy::Equal => continue,
                Copy::Different => (
                    "differs from the base model's, and adapters that change it are not supported",
                    supported,
                ),
                Copy::Unknown => ("is not a LoRA matrix of a known module", supported),
                Copy::NotCompared => (
                    "was saved along (`modules_to_save`), and the base model's weights are not at hand here to compare it with",
                    "leave it out: `stepladder export -m MODEL --adapter DIR --adapter-only --output NEW` compares it and writes \
                     the adapter alone",
                ),
            };
            return Err(Error::input(path, &name, problem, hint));
        };
        if sorted.insert(key, tensor).is_some() {
            return Err(Error::input(
                path,
                &name,
                "occurs under two names",
                "save the adapter again with PEFT",
            ));
        }
    }
    Ok(sorted)
}

/// The base model's name of a tensor that PEFT saved as it is.
fn base_name(name: &str) -> String {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    [".modules_to_save.default", ".modules_to_save", ".original_module", ".base_layer"]
        .iter()
        .fold(name.to_string(), |name, wrapper| name.replace(wrapper, ""))
}

/// Reads `base_model.model.<path>.lora_A.weight`, or `.lora_A.default.weight` as in a PEFT model's own state.
fn parse_name(name: &str) -> Option<(usize, Module, Part)> {
    let rest = name.strip_prefix(PREFIX)?.strip_suffix(".weight")?;
    let rest = rest.strip_suffix(".default").unwrap_or(rest);
    let (path, part) = rest.rsplit_once('.')?;
    let part = [Part::A, Part::B].into_iter().find(|candidate| candidate.name() == part)?;
    let (layer, module) = Module::from_path(path)?;
    Some((layer, module, part))
}
