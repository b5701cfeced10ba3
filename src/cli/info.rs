//! `stepladder info`: GPUs, and what fits on them.

use std::path::PathBuf;

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::gpu::{AdapterReport, adapters};
use stepladder::kernel::cache::CacheFormat;
use stepladder::ladder::learner::LearnerSettings;
use stepladder::model::open::OpenModel;
use stepladder::train::adapter;
use stepladder::train::files::read_adapter_for;
use stepladder::train::fit::{Fit, Workload};
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::sft::settings::BATCH_SIZE;
use stepladder::train::sft::{SftOptions, SftSettings};
use stepladder::{Error, Result};

use super::args::{CacheArgs, DeviceArgs};
use super::context::Context;
use super::session::open_model;

/// Options of `info`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// Model to plan for: `tiny`, a folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long)]
    pub(super) model: Option<String>,
    /// PEFT adapter on the model, whose rank and modules are planned for
    #[arg(long, value_name = "DIR", requires = "model")]
    pub(super) adapter: Option<PathBuf>,
    /// Rank of the LoRA adapter to plan for
    #[arg(long, value_name = "N", default_value_t = SftSettings::adapter().rank as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rank: u32,
    /// Sequences at a time to plan for
    #[arg(long, value_name = "N", default_value_t = BATCH_SIZE as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch_size: u32,
    /// Tokens of the longest sequence to plan for
    #[arg(long, value_name = "N", default_value_t = SftOptions::default().max_length as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_length: u32,
    #[command(flatten)]
    pub(super) cache: CacheArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// What a model is, as its files say.
#[derive(Debug, Serialize)]
struct Described {
    name: String,
    family: &'static str,
    parameters: u64,
    /// How its values are stored, what has most of them first.
    formats: Vec<&'static str>,
    layers: usize,
    /// The longest sequence that it was made for.
    context: usize,
    vocabulary: usize,
    has_chat_template: bool,
}

impl Described {
    fn new(model: &OpenModel) -> Self {
        let mut values: Vec<(&'static str, usize)> = Vec::new();
        for tensor in model.source.tensors() {
            let count = tensor.rows() * tensor.cols();
            match values.iter_mut().find(|(name, _)| *name == tensor.dtype.name()) {
                Some((_, sum)) => *sum += count,
                None => values.push((tensor.dtype.name(), count)),
            }
        }
        values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Self {
            name: model.name.clone(),
            family: model.config.family.name,
            parameters: model.config.parameters(),
            formats: values.into_iter().map(|(name, _)| name).collect(),
            layers: model.config.num_layers,
            context: model.config.max_position_embeddings,
            vocabulary: model.config.vocab_size,
            has_chat_template: model.chat_template.is_some(),
        }
    }
}

impl std::fmt::Display for Described {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = indicatif::HumanCount(self.parameters);
        writeln!(out, "\n{}", self.name)?;
        writeln!(out, "  family     {}, {count} parameters in {} layers", self.family, self.layers)?;
        writeln!(out, "  weights    {}", self.formats.join(", "))?;
        writeln!(out, "  context    {} tokens; vocabulary {}", self.context, self.vocabulary)?;
        write!(out, "  chat       {}", if self.has_chat_template { "has a template" } else { "no template" })
    }
}

/// What a model takes, and whether the device that would be used has it.
#[derive(Debug, Serialize)]
struct MemoryTable {
    #[serde(skip)]
    model: Described,
    #[serde(flatten)]
    fit: Fit,
    total: u64,
    /// Largest rank of the adapter.
    rank: usize,
    batch_size: u32,
    /// At most what the context holds.
    max_length: usize,
    /// How keys and values are kept.
    kv_cache: CacheFormat,
    /// `--memory-limit`, if one was given; devices do not tell how much memory they have.
    memory_limit: Option<u64>,
    /// The largest buffer that the device allows.
    largest_buffer_allowed: Option<u64>,
    /// `None` without a device.
    fits: Option<bool>,
    /// Why it does not fit, and what to do.
    problem: Option<String>,
}

/// Lists the GPUs, and plans for a model.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let adapters = block_on(adapters());
    let wanted = context.gpu.as_ref().map(|name| name.to_lowercase());
    let chosen = adapters
        .iter()
        .find(|adapter| wanted.as_ref().is_none_or(|wanted| adapter.name.to_lowercase().contains(wanted)));
    if let (Some(name), None) = (&context.gpu, chosen) {
        let names: Vec<&str> = adapters.iter().map(|adapter| adapter.name.as_str()).collect();
        return Err(Error::NoAdapter {
            problem: format!("no adapter's name contains `{name}`"),
            hint: format!("this machine has: {}", names.join(", ")),
        });
    }
    let plan = args.model.as_deref().map(|model| args.plan(context, model, chosen)).transpose()?;
    context.answer(
        &json!({ "adapters": adapters, "model": plan.as_ref().map(|plan| &plan.model), "fit": plan }),
        || {
            let mut lines: Vec<String> = adapters.iter().map(describe).collect();
            if lines.is_empty() {
                lines.push(
                    "no GPU adapter; Debian: apt-get install mesa-vulkan-drivers gives a software one".into(),
                );
            }
            lines.extend(plan.iter().map(|plan| plan.model.to_string()));
            lines.extend(plan.iter().map(table));
            lines.join("\n")
        },
    )
}

impl Args {
    fn plan(&self, context: &Context, model: &str, device: Option<&AdapterReport>) -> Result<MemoryTable> {
        let mut opened = open_model(context, model)?;
        let described = Described::new(&opened);
        let config = &opened.config;
        let lora = match &self.adapter {
            Some(folder) => read_adapter_for(folder, config, &mut *opened.source)?.config,
            None => LoraConfig { rank: self.rank as usize, ..LoraConfig::default() },
        };
        let limit = self.device.context_length().min(config.max_position_embeddings);
        let length = (self.max_length as usize).min(limit);
        let batch = self.batch_size as usize;
        let layout = adapter::layout(config, &lora)?;
        let rank = layout.max_rank();
        let pack_tokens = LearnerSettings::default().pack_tokens;
        let mut workload = Workload::of_batch(layout, batch, length, pack_tokens, limit);
        let kv_cache = self.cache.kv_cache;
        workload.sampling = workload.sampling.map(|sizes| sizes.kept_as(kv_cache));
        let format = self.device.weights;
        let fit = Fit::new(config, &*opened.source, format, limit, &workload);
        let largest = device.map(|device| device.max_buffer_size.min(device.max_binding_size));
        let problem = largest.and_then(|largest| fit.check(model, self.device.memory_limit, largest).err());
        Ok(MemoryTable {
            model: described,
            total: fit.total(),
            fit,
            rank,
            batch_size: self.batch_size,
            max_length: length,
            kv_cache,
            memory_limit: self.device.memory_limit,
            largest_buffer_allowed: largest,
            fits: largest.map(|_| problem.is_none()),
            problem: problem.map(|error| error.to_string()),
        })
    }
}

fn describe(adapter: &AdapterReport) -> String {
    format!(
        "{} ({}, {}, {})\n  features: {}\n  buffers up to {}, bindings up to {}; workgroups of {} threads, {} memory",
        adapter.name,
        adapter.kind,
        adapter.backend,
        adapter.driver,
        if adapter.features.is_empty() { "none".into() } else { adapter.features.join(", ") },
        bytes(adapter.max_buffer_size),
        bytes(adapter.max_binding_size),
        adapter.max_workgroup_size,
        bytes(adapter.max_workgroup_memory.into()),
    )
}

fn table(plan: &MemoryTable) -> String {
    let MemoryTable { fit, rank, batch_size, max_length, kv_cache, .. } = plan;
    let kv = format!("KV in {}", kv_cache.name());
    let mut text = format!("\n{batch_size} sequences of {max_length} tokens, adapter of rank {rank}:");
    for (name, size) in [
        ("weights", fit.weights),
        (kv.as_str(), fit.kv),
        ("activations", fit.activations),
        ("adapter", fit.adapter),
        ("optimizer", fit.optimizer),
        ("total", plan.total),
    ] {
        text += &format!("\n  {name:<12} {:>12}", bytes(size));
    }
    match (&plan.problem, plan.fits) {
        (Some(problem), _) => text += &format!("\n{problem}"),
        (None, Some(true)) => text += "\nfits the limits of this device",
        _ => {}
    }
    text
}

/// A number of bytes for people.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
