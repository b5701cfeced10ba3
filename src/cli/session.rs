//! What commands that run a model share: the device, the model with its progress bar, its language, its adapter.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::weight::Format;
use stepladder::ladder::learner::{Language, Learner, LearnerSettings};
use stepladder::model::Model;
use stepladder::model::open::{OpenModel, open_with_progress};
use stepladder::train::adapter;
use stepladder::train::files::read_adapter;
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::peft::AdapterFile;
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::context::Context;
use super::progress::Progress;

/// A model that is ready.
pub(super) struct Session {
    /// As the user named it.
    pub(super) name: String,
    pub(super) model: Arc<Model>,
    pub(super) language: Arc<Language>,
}

/// Opens the device that was asked for.
pub(super) fn open_gpu(context: &Context, device: &DeviceArgs) -> Result<Arc<Gpu>> {
    let options =
        GpuOptions { name: context.gpu.clone(), memory_limit: device.memory_limit, ..GpuOptions::default() };
    Ok(Arc::new(block_on(Gpu::open(&options))?))
}

/// Opens a model's files, downloading them with a bar if they are on the hub.
pub(super) fn open_model(context: &Context, spec: &str) -> Result<OpenModel> {
    let mut bar: Option<(String, Progress)> = None;
    open_with_progress(spec, &mut |news| {
        if bar.as_ref().is_none_or(|(file, _)| file != news.file) {
            bar = Some((news.file.to_string(), Progress::new("downloading", "B", news.total)));
        }
        if let Some((file, bar)) = &mut bar {
            bar.set(news.done, file);
        }
        !context.cancelled().load(Ordering::Relaxed)
    })
}

impl Session {
    /// Opens and loads `spec`.
    pub(super) fn load(context: &Context, spec: &str, device: &DeviceArgs) -> Result<Self> {
        let gpu = open_gpu(context, device)?;
        let OpenModel { config, mut source, tokenizer, chat_template, name } = open_model(context, spec)?;
        let mut bar: Option<Progress> = None;
        let mut progress = |done: u64, total: u64| {
            bar.get_or_insert_with(|| Progress::new("loading", "B", total)).set(done, "");
        };
        let format = device.weights.map(Format::from);
        let context_length = device.context.unwrap_or(DEFAULT_CONTEXT) as usize;
        let model = Model::load(gpu, config, &mut *source, format, context_length, &mut progress)?;
        let language = Arc::new(Language { tokenizer, chat: chat_template });
        Ok(Self { name, model: Arc::new(model), language })
    }

    /// The adapter in a PEFT folder.
    pub(super) fn adapter(&self, folder: &Path) -> Result<AdapterFile> {
        read_adapter(folder, &adapter::dims(self.model.config()))
    }

    /// A learner that goes on from the adapter in `folder`, or from a fresh one.
    pub(super) fn learner(
        &self,
        context: &Context,
        folder: Option<&Path>,
        fresh: &LoraConfig,
        seed: u64,
    ) -> Result<Learner> {
        let adapter = match folder {
            Some(folder) => self.adapter(folder)?,
            None => {
                let config = LoraConfig { base_model: Some(self.name.clone()), ..fresh.clone() };
                AdapterFile::init(config, &adapter::dims(self.model.config()), seed)?
            }
        };
        Learner::new(
            self.name.clone(),
            Arc::clone(&self.model),
            Arc::clone(&self.language),
            &adapter,
            LearnerSettings::default(),
            Arc::clone(context.cancelled()),
        )
    }
}

/// Longest sequence unless `--context` says otherwise: enough for the presets, small enough for any GPU.
const DEFAULT_CONTEXT: u32 = 4096;

/// The problems in a file.
pub(super) fn read_problems(path: &Path) -> Result<Vec<stepladder::task::Problem>> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::read(path, source))?;
    stepladder::task::parse_problems(path, &text)
}
