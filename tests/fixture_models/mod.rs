//! The small random models of tests/fixtures and the numbers that PyTorch gave for them.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::weight::Format;
use stepladder::model::Model;
use stepladder::model::config::ModelConfig;
use stepladder::model::source::TensorSource;
use stepladder::model::source::folder::Folder;
use stepladder::train::adapter;
use stepladder::train::peft::AdapterFile;
use stepladder::train::trainer::{Trainer, Trajectory};

pub(crate) const FAMILIES: [&str; 3] = ["llama", "qwen2", "qwen3"];

pub(crate) fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Arc::new(block_on(Gpu::open(&GpuOptions::default())).unwrap())))
}

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// A device with WebGPU's default limits.
pub(crate) fn limited_gpu() -> Arc<Gpu> {
    let options = GpuOptions { default_limits: true, ..GpuOptions::default() };
    Arc::new(block_on(Gpu::open(&options)).unwrap())
}

/// A device that multiplies in f16 where its adapter can.
pub(crate) fn f16_gpu() -> Arc<Gpu> {
    let options = GpuOptions { f16: true, ..GpuOptions::default() };
    Arc::new(block_on(Gpu::open(&options)).unwrap())
}

pub(crate) fn load(name: &str) -> Arc<Model> {
    load_on(gpu(), name, &mut Folder::open(folder(name)).unwrap(), None)
}

/// Loads weights from `source` into a model of the fixture's configuration.
pub(crate) fn load_on(
    gpu: Arc<Gpu>,
    name: &str,
    source: &mut dyn TensorSource,
    format: Option<Format>,
) -> Arc<Model> {
    let file = folder(name).join("config.json");
    let config = ModelConfig::from_json(&file, &std::fs::read_to_string(&file).unwrap()).unwrap();
    Arc::new(Model::load(gpu, config, source, format, 256, &mut |_, _| {}).unwrap())
}

pub(crate) fn adapter_file(model: &Model, path: &Path) -> AdapterFile {
    let read = |name: &str| std::fs::read(path.join(name)).unwrap();
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
        let bytes = std::fs::read(folder(name).join("expected.safetensors")).unwrap();
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
        let json = std::fs::read_to_string(folder(name).join("expected.json")).unwrap();
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
