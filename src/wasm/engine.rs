//! A model on the GPU with the adapter that was trained or loaded.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, to_json};
use super::files::JsFile;
use super::fit::{context_of, planned};
use super::options::{FitOptions, Load};
use super::text::warn;
use super::voice::Voice;
use crate::gpu::{Gpu, GpuOptions};
use crate::kernel::cache::CacheFormat;
use crate::ladder::learner::Language;
use crate::ladder::settings::Preset;
use crate::model::Model;
use crate::model::generate::Generator;
use crate::model::lora::Layout;
use crate::model::open::OpenModel;
use crate::model::source::{TensorInfo, TensorSource};
use crate::train::adapter;
use crate::train::checkpoint::State;
use crate::train::fit::{Fit, Workload};
use crate::train::lora_config::LoraConfig;
use crate::train::peft::{AdapterFile, CONFIG_FILE, WEIGHTS_FILE};
use crate::train::trainer::adapter_of;
use crate::{Error, Result};

/// Weights whose reading ends when `stop` is set.
struct Stoppable<'a> {
    source: Box<dyn TensorSource>,
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

/// A model on the GPU. Its methods are called one after the other, but for `cancel` and those that only look.
#[wasm_bindgen]
pub struct Engine {
    pub(super) name: String,
    pub(super) model: Arc<Model>,
    pub(super) language: Arc<Language>,
    /// Asks what is running to stop.
    pub(super) cancel: Arc<AtomicBool>,
    /// What was trained or loaded; what runs on the GPU is made from it and read back into it.
    pub(super) adapter: RefCell<Option<AdapterFile>>,
    /// The head of a library that is asked, by its name.
    pub(super) head: RefCell<Option<(String, AdapterFile)>>,
    /// A generator of each voice that spoke, with what it said last in its cache.
    pub(super) generators: RefCell<BTreeMap<Voice, Generator>>,
    /// How these keep keys and values.
    pub(super) kv_cache: CacheFormat,
    source: Box<dyn TensorSource>,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the device and the model in `files`, objects with `name`, `size` and a synchronous `readAt(offset, into)`,
    /// and streams the weights to the device. `progress(done, total)` is called in between; loading stops where it answers
    /// `false`.
    ///
    /// # Errors
    /// `cancelled`, `no_adapter`, `out_of_memory`; `input` for files that are damaged or contradict each other.
    pub async fn load(name: String, files: Array, options: String, progress: Function) -> Answer<Engine> {
        let options: Load = from_json("options", &options)?;
        let open = OpenModel::from_files(&name, JsFile::all(&files)?, options.now)?;
        let OpenModel { config, source, tokenizer, chat_template, name, warnings, .. } = open;
        for warning in &warnings {
            warn(warning);
        }
        let Load { default_limits, context_length, gpu_name, kv_cache, .. } = options;
        let gpu = GpuOptions { default_limits, unnamed: gpu_name, ..GpuOptions::default() };
        let gpu = Arc::new(Gpu::open(&gpu).await?);
        let context = context_of(&config, context_length);
        let fit = Fit::new(&config, &*source, None, context, &Workload::default());
        fit.check(&name, gpu.available_bytes(), gpu.max_binding_bytes())?;
        let end = config.eos_token_ids.first().copied();
        let language = Arc::new(Language { tokenizer, chat: chat_template, style: None, end });
        let stop = Cell::new(false);
        let mut report = |done: u64, total: u64| {
            let answer = progress.call2(&JsValue::NULL, &(done as f64).into(), &(total as f64).into());
            // Progress is a courtesy: a listener that throws does not stop the load.
            stop.set(answer.is_ok_and(|answer| answer == JsValue::FALSE));
        };
        let mut stoppable = Stoppable { source, stop: &stop };
        let model = Model::load(gpu, config, &mut stoppable, None, context, &mut report);
        let source = stoppable.source;
        let model = model?;
        model.gpu().check()?;
        Ok(Self {
            name,
            model: Arc::new(model),
            language,
            cancel: Arc::new(AtomicBool::new(false)),
            adapter: RefCell::new(None),
            head: RefCell::new(None),
            generators: RefCell::default(),
            kv_cache,
            source,
        })
    }

    /// The model and its device, as JSON (`ModelInfo`).
    ///
    /// # Errors
    /// None in practice.
    pub fn info(&self) -> Answer<String> {
        let (config, report) = (self.model.config(), self.model.gpu().report());
        let adapter = self.adapter.borrow();
        let trainable = adapter.as_ref().map_or(0, |adapter| {
            adapter.tensors.values().map(|pair| pair.a.len() + pair.b.len()).sum::<usize>()
        });
        to_json(&json!({
            "name": self.name,
            "family": config.family.name,
            "parameters": config.parameters(),
            "trainableParameters": trainable,
            "contextLength": self.model.context(),
            "vocabSize": config.vocab_size,
            "layers": config.num_layers,
            "hasChatTemplate": self.language.chat.is_some(),
            "gpuBytes": self.model.gpu().memory().current(),
            "gpu": {
                "name": report.name,
                "vendor": report.driver,
                "software": report.kind == "software",
                "features": report.features,
                "limits": {
                    "maxBufferSize": report.max_buffer_size,
                    "maxStorageBufferBindingSize": report.max_binding_size,
                    "maxComputeWorkgroupStorageSize": report.max_workgroup_memory,
                    "maxComputeInvocationsPerWorkgroup": report.max_workgroup_size,
                },
            },
        }))
    }

    /// Bytes in buffers on the GPU now.
    pub fn gpu_bytes(&self) -> f64 {
        self.model.gpu().memory().current() as f64
    }

    /// What training and sampling of a given size need of the GPU, as JSON (`Fit`).
    ///
    /// # Errors
    /// `usage` for a rank that cannot be.
    pub fn fit(&self, options: &str) -> Answer<String> {
        let options: FitOptions = from_json("workload", options)?;
        let gpu = self.model.gpu();
        let device = (Some(gpu.max_binding_bytes()), gpu.available_bytes());
        to_json(&planned(self.model.config(), &*self.source, &options, self.model.context(), device)?)
    }

    /// Asks what is running to stop at the next opportunity.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// The adapter as the files of a PEFT folder: an array of `{name, bytes}`.
    ///
    /// # Errors
    /// `usage` if nothing was trained or loaded.
    pub fn save_adapter(&self) -> Answer<Array> {
        let adapter = self.adapter.borrow();
        let adapter = adapter.as_ref().ok_or_else(|| {
            Error::usage("adapter", "there is none", "train one or load one before saving it")
        })?;
        let (config, weights) = adapter.to_bytes()?;
        Ok(named_files([(CONFIG_FILE, config), (WEIGHTS_FILE, weights)]))
    }

    /// Takes the two files of a PEFT folder.
    ///
    /// # Errors
    /// `input` if a file is damaged or does not fit the model.
    pub fn load_adapter(&self, config: &[u8], weights: &[u8]) -> Answer<()> {
        let dims = adapter::dims(self.model.config());
        let folder = Path::new("adapter");
        let file = AdapterFile::from_bytes(config, weights, folder, &dims)?;
        file.expect_no_dropout(folder)?;
        self.set_adapter(Some(file));
        Ok(())
    }

    /// Takes the adapter of a run's checkpoint.
    ///
    /// # Errors
    /// `input` if card or checkpoint are damaged or not of this model.
    pub fn adopt(&self, card: &str, state: &[u8]) -> Answer<()> {
        let file = Path::new("state.safetensors");
        let lora = lora_of(card)?;
        let layout = self.layout(&lora)?;
        let flat = adapter_of(State::from_bytes(state, file)?, layout.len(), file)?;
        self.set_adapter(Some(adapter::unflatten(&layout, lora, &flat)));
        Ok(())
    }

    /// Back to the base model.
    pub fn clear_adapter(&self) {
        self.set_adapter(None);
    }

    /// Whether there is an adapter.
    pub fn has_adapter(&self) -> bool {
        self.adapter.borrow().is_some()
    }

    /// Makes the device unusable, as a driver reset would; for tests of the recovery from that.
    pub fn lose_device(&self) {
        self.model.gpu().destroy();
    }

    /// Gives everything on the GPU back. Nothing may be running.
    pub fn dispose(self) {
        self.model.gpu().destroy();
    }
}

/// Files as an array of `{name, bytes}`.
pub(super) fn named_files(files: [(&str, Vec<u8>); 2]) -> Array {
    let array = Array::new();
    for (name, bytes) in files {
        let file = Object::new();
        for (field, value) in [("name", name.into()), ("bytes", Uint8Array::from(&*bytes).into())] {
            // Setting a field of a fresh object cannot fail.
            let _ = Reflect::set(&file, &field.into(), &value);
        }
        array.push(&file);
    }
    array
}

/// The shape of the adapter that the run of a card trains.
fn lora_of(card: &str) -> Answer<LoraConfig> {
    #[derive(Deserialize)]
    struct Settings {
        lora: Option<LoraConfig>,
    }
    #[derive(Deserialize)]
    struct Card {
        lora: Option<LoraConfig>,
        settings: Settings,
    }
    let card: Card = from_json("card", card)?;
    let lora = card.lora.or(card.settings.lora);
    Ok(lora.ok_or_else(|| Error::input("card.json", "lora", "is missing", "start the run again"))?)
}

impl Engine {
    /// Beginning of a call that can be cancelled.
    pub(super) fn begin(&self) {
        self.cancel.store(false, Ordering::Relaxed);
    }

    /// Gives the memory of all generators back; whether there was one.
    pub(super) fn silence(&self) -> bool {
        !self.generators.take().is_empty()
    }

    /// Replaces the adapter; a generator that speaks by another goes.
    pub(super) fn set_adapter(&self, adapter: Option<AdapterFile>) {
        self.generators.borrow_mut().remove(&Voice::Adapter);
        self.adapter.replace(adapter);
    }

    /// Replaces the head of a library, `None` for the base; a generator that speaks by another goes.
    pub(super) fn set_head(&self, head: Option<(String, AdapterFile)>) {
        self.generators.borrow_mut().remove(&Voice::Head);
        self.head.replace(head);
    }

    /// The adapter of a voice, if it has one.
    pub(super) fn voiced(&self, voice: Voice) -> Option<AdapterFile> {
        match voice {
            Voice::Base => None,
            Voice::Adapter => self.adapter.borrow().clone(),
            Voice::Head => self.head.borrow().as_ref().map(|(_, head)| head.clone()),
        }
    }

    /// The adapter to train: the one there is, or a fresh one.
    pub(super) fn trainable(&self, fresh: LoraConfig, seed: u64) -> Result<AdapterFile> {
        match &*self.adapter.borrow() {
            Some(adapter) => Ok(adapter.clone()),
            None => {
                let config = LoraConfig { base_model: Some(self.name.clone()), ..fresh };
                AdapterFile::init(config, &adapter::dims(self.model.config()), seed)
            }
        }
    }

    /// The layout of an adapter of this shape, if it can be one of this model.
    pub(super) fn layout(&self, lora: &LoraConfig) -> Result<Layout> {
        lora.validate()?;
        let config = self.model.config();
        let rank = lora.rank_pattern.values().copied().fold(lora.rank, usize::max);
        let smallest = LoraConfig { rank: 1, rank_pattern: BTreeMap::new(), ..lora.clone() };
        // Sizes count in 32 bits here: those of the values, their gradients and two moments, four bytes each.
        let most = u32::MAX as usize / 16 / adapter::layout(config, &smallest)?.len().max(1);
        if rank > most {
            return Err(Error::usage("lora.rank", format!("is {rank}"), format!("use at most {most}")));
        }
        adapter::layout(config, lora)
    }

    /// Fails, with what is needed, if `workload` takes more memory than there is.
    pub(super) fn check_memory(&self, what: &str, workload: &Workload) -> Result<()> {
        let (config, gpu) = (self.model.config(), self.model.gpu());
        let fit = Fit::new(config, &*self.source, None, self.model.context(), workload);
        fit.check(what, gpu.available_bytes(), gpu.max_binding_bytes())
    }

    /// The preset that suits the model and the device if none is asked for.
    pub(super) fn preset(&self) -> Preset {
        match &*self.name {
            "tiny" => Preset::Tiny,
            _ if self.model.gpu().is_software() => Preset::Software,
            _ => Preset::Small,
        }
    }
}
