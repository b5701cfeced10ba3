//! Whole models on the GPU against PyTorch + transformers + PEFT in float32 (design section 4).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::model::Model;
use stepladder::model::config::ModelConfig;
use stepladder::model::source::folder::Folder;
use stepladder::train::adapter;
use stepladder::train::loss::LossName;
use stepladder::train::peft::AdapterFile;
use stepladder::train::trainer::{Optimizer, Trainer, Trajectory};

const FAMILIES: [&str; 3] = ["llama", "qwen2", "qwen3"];

fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Arc::new(block_on(Gpu::open(&GpuOptions::default())).unwrap())))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

fn load(name: &str) -> Arc<Model> {
    let path = folder(name);
    let text = std::fs::read_to_string(path.join("config.json")).unwrap();
    let config = ModelConfig::from_json(&path.join("config.json"), &text).unwrap();
    let mut source = Folder::open(&path).unwrap();
    Arc::new(Model::load(gpu(), config, &mut source, None, 256, &mut |_, _| {}).unwrap())
}

fn adapter_file(model: &Model, path: &Path) -> AdapterFile {
    let read = |name: &str| std::fs::read(path.join(name)).unwrap();
    let dims = adapter::dims(model.config());
    AdapterFile::from_bytes(&read("adapter_config.json"), &read("adapter_model.safetensors"), path, &dims)
        .unwrap()
}

fn trainer(model: &Arc<Model>, file: &AdapterFile, pack_tokens: usize) -> Trainer {
    let layout = adapter::layout(model.config(), &file.config).unwrap();
    let mut trainer = Trainer::new(Arc::clone(model), &layout, pack_tokens).unwrap();
    trainer.write_adapter(&adapter::flatten(&layout, file).unwrap()).unwrap();
    trainer
}

/// Numbers that PyTorch gave for a fixture.
struct Expected {
    tensors: BTreeMap<String, Vec<f32>>,
    tokens: Vec<Vec<u32>>,
    json: serde_json::Value,
}

impl Expected {
    fn read(name: &str) -> Self {
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

    fn all_scored(&self) -> Vec<Trajectory> {
        let scored = |tokens: &Vec<u32>| vec![true; tokens.len()];
        self.tokens.iter().map(|t| Trajectory::supervised(t.clone(), scored(t))).collect()
    }

    /// The batch of the loss: completions only.
    fn completions(&self) -> Vec<Trajectory> {
        let prompts: Vec<usize> = serde_json::from_value(self.json["prompt_lengths"].clone()).unwrap();
        let scored = |tokens: &Vec<u32>, prompt: usize| (0..tokens.len()).map(|t| t + 1 >= prompt).collect();
        let pairs = self.tokens.iter().zip(prompts);
        pairs.map(|(tokens, prompt)| Trajectory::supervised(tokens.clone(), scored(tokens, prompt))).collect()
    }
}

fn max_error(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn relative_l2(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let difference: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
    let size: f64 = want.iter().map(|b| square(*b)).sum();
    (difference / size.max(1e-30)).sqrt()
}

#[test]
fn logprobs_equal_pytorch_with_and_without_adapter() {
    for name in FAMILIES {
        let (model, expected) = (load(name), Expected::read(name));
        let file = adapter_file(&model, &folder(name).join("adapter"));
        let mut trainer = trainer(&model, &file, 512);
        for (kind, on) in [("base", false), ("adapter", true)] {
            let scores = block_on(trainer.logprobs(&expected.all_scored(), on)).unwrap();
            for (index, scores) in scores.iter().enumerate() {
                let error = max_error(&scores.logp, &expected.tensors[&format!("logprobs.{kind}.{index}")]);
                assert!(error < 1e-3, "{name} {kind} sequence {index}: {error}");
            }
        }
    }
}

#[test]
fn gradients_equal_pytorch() {
    for name in FAMILIES {
        let (model, expected) = (load(name), Expected::read(name));
        let file = adapter_file(&model, &folder(name).join("adapter"));
        // Packs of every size give the same sum: one sequence at a time, and all at once.
        for pack_tokens in [1, 512] {
            let mut trainer = trainer(&model, &file, pack_tokens);
            let config = LossName::Sft.config(1);
            let (loss, _) = block_on(trainer.gradient(&expected.completions(), &config)).unwrap();
            let want = expected.json["loss"].as_f64().unwrap();
            assert!((loss - want).abs() < 1e-3 * want, "{name}: loss {loss}, PyTorch {want}");
            let flat = block_on(trainer.read_gradient()).unwrap();
            let got = adapter::unflatten(trainer.lora().layout(), file.config.clone(), &flat);
            for ((layer, module), pair) in &got.tensors {
                for (letter, values) in [("A", &pair.a), ("B", &pair.b)] {
                    let key = format!("grad.base_model.model.{}.lora_{letter}.weight", module.path(*layer));
                    let error = relative_l2(values, &expected.tensors[&key]);
                    assert!(error < 1e-3, "{name} {key}: {error}");
                }
            }
        }
    }
}

#[test]
fn ten_adamw_steps_equal_pytorch() {
    for name in FAMILIES {
        let (model, expected) = (load(name), Expected::read(name));
        let file = adapter_file(&model, &folder(name).join("adapter"));
        let mut trainer = trainer(&model, &file, 512);
        let settings = Optimizer { weight_decay: 0.01, max_grad_norm: 1.0, ..Optimizer::default() };
        let config = LossName::Sft.config(1);
        for step in 0..10 {
            let report = block_on(trainer.step(&expected.completions(), &config, 1e-2, &settings)).unwrap();
            let want = f64::from(expected.tensors["steps.loss"][step]);
            assert!((report.loss - want).abs() < 1e-3 * want, "{name} step {step}: {} {want}", report.loss);
            let want = f64::from(expected.tensors["steps.grad_norm"][step]);
            assert!(
                (report.grad_norm - want).abs() < 1e-2 * want,
                "{name} step {step}: {} {want}",
                report.grad_norm
            );
        }
    }
}
