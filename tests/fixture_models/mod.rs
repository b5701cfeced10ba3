//! The small random models of tests/fixtures and the numbers that PyTorch gave for them.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

pub(crate) mod checks;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod web;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{f16_gpu, folder, gpu, limited_gpu, load, read, source};
#[cfg(target_arch = "wasm32")]
pub(crate) use web::{folder, read, source};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use stepladder::gpu::Gpu;
use stepladder::kernel::weight::Format;
use stepladder::model::Model;
use stepladder::model::config::ModelConfig;
use stepladder::model::source::TensorSource;
use stepladder::train::adapter;
use stepladder::train::peft::AdapterFile;
use stepladder::train::trainer::{Trainer, Trajectory};

pub(crate) const FAMILIES: [&str; 10] =
    ["llama", "qwen2", "qwen3", "gemma3", "smollm3", "granite", "ministral3", "olmo2", "olmo3", "phi3"];

/// Loads weights from `source` into a model of the fixture's configuration.
pub(crate) fn load_on(
    gpu: Arc<Gpu>,
    name: &str,
    source: &mut dyn TensorSource,
    format: Option<Format>,
) -> Arc<Model> {
    let file = folder(name).join("config.json");
    let config = ModelConfig::from_json(&file, &text(&file)).unwrap();
    Arc::new(Model::load(gpu, config, source, format, 256, &mut |_, _| {}).unwrap())
}

fn text(path: &Path) -> String {
    String::from_utf8(read(path)).unwrap()
}

pub(crate) fn adapter_file(model: &Model, path: &Path) -> AdapterFile {
    let read = |name: &str| read(&path.join(name));
    let dims = adapter::dims(model.config());
    AdapterFile::from_bytes(&read("adapter_config.json"), &read("adapter_model.safetensors"), path, &dims)
        .unwrap()
}

pub(crate) fn trainer(model: &Arc<Model>, file: &AdapterFile, pack_tokens: usize) -> Trainer {
    let layout = adapter::layout(model.config(), &file.config).unwrap();
    let mut trainer = Trainer::new(Arc::clone(model), &layout, pack_tokens).unwrap();
    trainer.write_adapter(&adapter::flatten(&layout, file).unwrap()).unwrap();
    trainer
}

/// Numbers that PyTorch gave for a fixture.
pub(crate) struct Expected {
    pub(crate) tensors: BTreeMap<String, Vec<f32>>,
    pub(crate) tokens: Vec<Vec<u32>>,
    pub(crate) json: serde_json::Value,
}

impl Expected {
    pub(crate) fn read(name: &str) -> Self {
        let bytes = read(&folder(name).join("expected.safetensors"));
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut tensors = BTreeMap::new();
        let mut tokens = BTreeMap::new();
        for (key, view) in file.tensors() {
            if key.starts_with("tokens.") {
                tokens.insert(key, bytemuck::pod_collect_to_vec::<u8, u32>(view.data()));
            } else {
                tensors.insert(key, bytemuck::pod_collect_to_vec::<u8, f32>(view.data()));
            }
        }
        let json = text(&folder(name).join("expected.json"));
        Self { tensors, tokens: tokens.into_values().collect(), json: serde_json::from_str(&json).unwrap() }
    }

    pub(crate) fn all_scored(&self) -> Vec<Trajectory> {
        let scored = |tokens: &Vec<u32>| vec![true; tokens.len()];
        self.tokens.iter().map(|t| Trajectory::supervised(t.clone(), scored(t))).collect()
    }

    /// The batch of the loss: completions only.
    pub(crate) fn completions(&self) -> Vec<Trajectory> {
        let prompts: Vec<usize> = serde_json::from_value(self.json["prompt_lengths"].clone()).unwrap();
        let scored = |tokens: &Vec<u32>, prompt: usize| (0..tokens.len()).map(|t| t + 1 >= prompt).collect();
        let pairs = self.tokens.iter().zip(prompts);
        pairs.map(|(tokens, prompt)| Trajectory::supervised(tokens.clone(), scored(tokens, prompt))).collect()
    }
}
