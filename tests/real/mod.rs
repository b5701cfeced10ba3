//! Real models from packages, and the adapter that their fixtures give by formulas.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;
use std::sync::Arc;

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::model::Model;
use stepladder::model::module::Module;
use stepladder::model::source::bytes::File;
use stepladder::model::source::gguf::Gguf;
use stepladder::train::adapter;
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::peft::{AdapterFile, LoraPair};
use stepladder::train::trainer::Trainer;

/// A file that scripts/models.sh fetched.
pub(crate) fn path(file: &str) -> PathBuf {
    let home = || std::env::var("HOME").map(|home| format!("{home}/.cache")).unwrap();
    let cache = std::env::var("STEPLADDER_CACHE").unwrap_or_else(|_| {
        format!("{}/stepladder", std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| home()))
    });
    let path = PathBuf::from(cache).join("models").join(file);
    assert!(path.exists(), "{} is missing: run `make models` or `make test-models`", path.display());
    path
}

/// A model for sequences of up to `context` tokens, with its weights stored as in the file.
pub(crate) fn load(source: &mut Gguf<File>, context: usize) -> Arc<Model> {
    let gpu = Arc::new(block_on(Gpu::open(&GpuOptions::default())).unwrap());
    let config = source.config().clone();
    Arc::new(Model::load(gpu, config, source, None, context, &mut |_, _| {}).unwrap())
}

/// The adapter that the fixtures' formulas give, ready to be trained.
pub(crate) fn trainer(model: Arc<Model>, pack_tokens: usize) -> (Trainer, LoraConfig) {
    let config = LoraConfig { rank: 4, alpha: 8.0, ..LoraConfig::default() };
    let layout = adapter::layout(model.config(), &config).unwrap();
    let tensors = layout.sites().iter().map(|site| {
        let t = Module::ALL.iter().position(|module| *module == site.module).unwrap() as f64;
        let layer = site.layer as f64;
        let a =
            (0..site.rank * site.inputs).map(|i| (0.02 * (0.1 * i as f64 + layer + 0.5 * t).sin()) as f32);
        let b =
            (0..site.outputs * site.rank).map(|i| (0.01 * (0.07 * i as f64 + layer + 0.5 * t).cos()) as f32);
        ((site.layer, site.module), LoraPair { a: a.collect(), b: b.collect() })
    });
    let file = AdapterFile { config: config.clone(), tensors: tensors.collect() };
    let mut trainer = Trainer::new(model, &layout, pack_tokens).unwrap();
    trainer.write_adapter(&adapter::flatten(&layout, &file).unwrap()).unwrap();
    (trainer, config)
}
