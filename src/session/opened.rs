//! A model whose files are open and sound, on a device that is open, before its weights are read: what can be found wrong with a
//! call is found here.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value};

use super::Session;
use crate::gpu::{Gpu, GpuOptions};
use crate::kernel::cache::CacheFormat;
use crate::kernel::weight::Format;
use crate::ladder::base::wording;
use crate::ladder::learner::{Language, LearnerSettings};
use crate::model::Model;
use crate::model::chat::unended_turn;
use crate::model::config::ModelConfig;
use crate::model::config::advice::SamplingAdvice;
use crate::model::generate::Lengths;
use crate::model::lora::Layout;
use crate::model::open::OpenModel;
use crate::model::source::{TensorInfo, TensorSource};
use crate::model::tokenizer::Lacking;
use crate::task::PromptStyle;
use crate::train::adapter;
use crate::train::fingerprint;
use crate::train::fit::{Fit, Workload};
use crate::train::lora_config::LoraConfig;
use crate::train::peft::AdapterFile;
use crate::{Error, Result};

/// How a model is put on a GPU, and what surrounds its work.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Which GPU, and how much of it.
    pub gpu: GpuOptions,
    /// How the weights are stored there; `None` is as in their file.
    pub weights: Option<Format>,
    /// Most tokens of a sequence, prompt and answer together, where the model has no fewer.
    pub context: usize,
    /// Becomes true to stop what is running, which then ends with [`Error::Cancelled`].
    pub cancel: Arc<AtomicBool>,
    /// Hears what the user should know, a sentence at a time.
    pub warn: fn(&str),
}

/// What the program takes; warnings go to `tracing`.
#[cfg(not(target_arch = "wasm32"))]
impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            gpu: GpuOptions::default(),
            weights: None,
            context: crate::settings::PROGRAM.context,
            cancel: Arc::default(),
            warn: |text| tracing::warn!("{text}"),
        }
    }
}

/// A model whose files are open and sound, on a device that is open; the weights are still to be read.
pub struct Opened {
    /// Its name as the user gave it.
    pub name: String,
    /// The device.
    pub gpu: Arc<Gpu>,
    /// Sizes and constants.
    pub config: ModelConfig,
    /// Tokenizer and chat template.
    pub language: Arc<Language>,
    /// How its makers advise to draw tokens.
    pub advice: SamplingAdvice,
    /// Longest sequence, in tokens.
    pub context_length: usize,
    /// Becomes true to stop what is running.
    pub cancel: Arc<AtomicBool>,
    source: RefCell<Box<dyn TensorSource>>,
    format: Option<Format>,
    warn: fn(&str),
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Opened").field("name", &self.name).field("config", &self.config).finish()
    }
}

impl Opened {
    /// The model in `files` on `gpu`. Their warnings are the caller's to tell.
    pub fn new(files: OpenModel, gpu: Arc<Gpu>, options: &SessionOptions) -> Self {
        let OpenModel { config, source, tokenizer, chat_template, advice, name, .. } = files;
        let context_length = options.context.min(config.max_position_embeddings);
        let end = config.eos_token_ids.first().copied();
        Self {
            name,
            gpu,
            config,
            language: Arc::new(Language { tokenizer, chat: chat_template, style: None, end }),
            advice,
            context_length,
            cancel: Arc::clone(&options.cancel),
            source: RefCell::new(source),
            format: options.weights,
            warn: options.warn,
        }
    }

    /// Words prompts as `style` says, or without one as the model's chat template does.
    pub fn word(&mut self, style: Option<PromptStyle>) {
        self.language = self.worded(style);
    }

    /// The language that words prompts as `style` says, or without one as the model's chat template does.
    pub(super) fn worded(&self, style: Option<PromptStyle>) -> Arc<Language> {
        match self.language.style == style {
            true => Arc::clone(&self.language),
            false => Arc::new(self.language.worded(style)),
        }
    }

    /// Tells what the user should know.
    pub fn warn(&self, text: &str) {
        (self.warn)(text);
    }

    /// Says so if the model's answers in a chat would not stop where its template ends them.
    pub fn tell_unended(&self) {
        let Some(chat) = &self.language.chat else { return };
        if let Some(end) = unended_turn(chat, &self.language.tokenizer, &self.config.eos_token_ids) {
            self.warn(&format!(
                "{}: the chat template ends a turn with {end:?}, which is no end token: answers may not stop; set eos_token_id in generation_config.json",
                self.name
            ));
        }
    }

    /// Says so if the vocabulary lacks characters of `texts`.
    pub fn tell_lacking<'a>(&self, texts: impl IntoIterator<Item = &'a str>) {
        let lacking = Lacking::of(&self.language.tokenizer, texts);
        if !lacking.is_empty() {
            self.warn(&lacking.to_string());
        }
    }

    /// The hash of the weights ([`fingerprint::weights`]).
    ///
    /// # Errors
    /// Those of reading.
    pub fn weights_hash(&self) -> Result<String> {
        fingerprint::weights(&mut **self.source.borrow_mut())
    }

    /// What the model computes beside its weights. What `asks` it depends on the texts that the model gets and where its answers
    /// end, too.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn computed(&self, asks: bool) -> Result<Map<String, Value>> {
        let mut model = fingerprint::numbers(&self.config);
        if asks {
            model.extend(wording(&self.language, &self.config, self.context_length)?);
        }
        Ok(model)
    }

    /// The layout of an adapter of this shape, if it can be one of this model.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn layout(&self, lora: &LoraConfig) -> Result<Layout> {
        lora.validate()?;
        let rank = lora.rank_pattern.values().copied().fold(lora.rank, usize::max);
        let smallest = LoraConfig { rank: 1, rank_pattern: Default::default(), ..lora.clone() };
        // Sizes of memory must be numbers: those of the values, their gradients and two moments, four bytes each.
        let most = usize::MAX / 16 / adapter::layout(&self.config, &smallest)?.len().max(1);
        if rank > most {
            return Err(Error::usage("lora.rank", format!("is {rank}"), format!("use at most {most}")));
        }
        adapter::layout(&self.config, lora)
    }

    /// A fresh adapter, which does nothing yet.
    ///
    /// # Errors
    /// [`Error::Usage`] for a shape that cannot be.
    pub fn fresh_adapter(&self, lora: &LoraConfig, seed: u64) -> Result<AdapterFile> {
        let config = LoraConfig { base_model: Some(self.name.clone()), ..lora.clone() };
        AdapterFile::init(config, &adapter::dims(&self.config), seed)
    }

    /// The adapter in a PEFT folder.
    ///
    /// # Errors
    /// [`Error::Input`] for one that is damaged or of another model; those of reading.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_adapter(&self, folder: &std::path::Path) -> Result<AdapterFile> {
        crate::train::files::read_adapter_for(folder, &self.config, &mut **self.source.borrow_mut())
    }

    /// The adapter to be trained: the one in a PEFT folder, or a fresh one.
    ///
    /// # Errors
    /// As [`Opened::read_adapter`] and [`Opened::fresh_adapter`]; [`Error::Input`] for one with dropout.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn trainable(
        &self,
        folder: Option<&std::path::Path>,
        fresh: &LoraConfig,
        seed: u64,
    ) -> Result<AdapterFile> {
        let Some(folder) = folder else { return self.fresh_adapter(fresh, seed) };
        let adapter = self.read_adapter(folder)?;
        adapter.expect_no_dropout(folder)?;
        Ok(adapter)
    }

    /// Fails, with what is needed and which setting lowers it, if `workload` takes more memory than there is.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn check_memory(&self, what: &str, workload: &Workload) -> Result<()> {
        self.fit(workload).check(what, self.gpu.available_bytes(), self.gpu.max_binding_bytes())
    }

    /// [`Opened::check_memory`] of `workload` and of what is done `beside` it at the same time.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn check_fit(&self, what: &str, workload: &Workload, beside: Option<Fit>) -> Result<()> {
        let fit = self.fit(workload);
        let fit = beside.map_or(fit, |other| fit.beside(other));
        fit.check(what, self.gpu.available_bytes(), self.gpu.max_binding_bytes())
    }

    /// The memory that `workload` takes.
    pub fn fit(&self, workload: &Workload) -> Fit {
        Fit::new(&self.config, &**self.source.borrow(), self.format, self.context_length, workload)
    }

    /// [`Opened::check_memory`] of sampling `requests`, which share the first `prefix` tokens, together, with `adapter` or
    /// without, and keys and values in `format`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Usage`] for an adapter that is not one of this model.
    pub fn check_sampling(
        &self,
        requests: &[Lengths],
        prefix: usize,
        adapter: Option<&AdapterFile>,
        format: CacheFormat,
    ) -> Result<()> {
        let sizes = LearnerSettings::default().sampling(requests, self.context_length, prefix);
        let adapter = adapter.map(|file| adapter::layout(&self.config, &file.config)).transpose()?;
        let workload = Workload { adapter, sampling: Some(sizes.kept_as(format)), ..Workload::default() };
        self.check_memory(&format!("sampling from {}", self.name), &workload)
    }

    /// Streams the weights to the GPU; `progress` hears bytes done and all, and stops it by `false`.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; those of reading and of the GPU.
    pub fn load(self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Session> {
        let stop = Cell::new(false);
        let mut report = |done, total| stop.set(!progress(done, total));
        let model = {
            let mut source = self.source.borrow_mut();
            let mut source = Stoppable { source: &mut **source, stop: &stop };
            let (gpu, config) = (Arc::clone(&self.gpu), self.config.clone());
            Model::load(gpu, config, &mut source, self.format, self.context_length, &mut report)?
        };
        model.gpu().check()?;
        Ok(Session { opened: self, model: Arc::new(model) })
    }
}

/// Weights whose reading ends when `stop` is set.
struct Stoppable<'a> {
    source: &'a mut dyn TensorSource,
    stop: &'a Cell<bool>,
}

impl TensorSource for Stoppable<'_> {
    fn tensors(&self) -> &[TensorInfo] {
        self.source.tensors()
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        match self.stop.get() {
            true => Err(Error::Cancelled),
            false => self.source.read(index, row_start, row_count, out),
        }
    }

    fn name(&self) -> String {
        self.source.name()
    }

    fn is_gguf(&self) -> bool {
        self.source.is_gguf()
    }
}
