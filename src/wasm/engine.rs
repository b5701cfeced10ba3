//! A model on the GPU with the adapter that was trained or loaded.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::prelude::*;

use super::console::warn;
use super::convert::{Answer, from_json, to_json};
use super::files::JsFile;
use super::fit::planned;
use super::options::{FitOptions, Load};
use super::voice::Voice;
use crate::gpu::{Gpu, GpuOptions};
use crate::kernel::cache::CacheFormat;
use crate::model::generate::Generator;
use crate::model::open::OpenModel;
use crate::session::{Opened, Session, SessionOptions};
use crate::settings::PACKAGE;
use crate::train::adapter;
use crate::train::checkpoint::{STATE_FILE, State};
use crate::train::fit::Workload;
use crate::train::lora_config::LoraConfig;
use crate::train::peft::{AdapterFile, CONFIG_FILE, WEIGHTS_FILE};
use crate::train::trainer::adapter_of;
use crate::{Error, Result};

/// A model on the GPU. Its methods are called one after the other; `cancel` and those that only look may be called at any time.
#[wasm_bindgen]
pub struct Engine {
    pub(super) session: Session,
    /// What was trained or loaded; what runs on the GPU is made from it and read back into it.
    pub(super) adapter: RefCell<Option<AdapterFile>>,
    /// The head of a library that is asked, by its name.
    pub(super) head: RefCell<Option<(String, AdapterFile)>>,
    /// A generator of each voice that spoke, with what it said last in its cache.
    pub(super) generators: RefCell<BTreeMap<Voice, Generator>>,
    /// How these keep keys and values.
    pub(super) kv_cache: CacheFormat,
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
        open.warnings.iter().for_each(|warning| warn(warning));
        let Load { default_limits, context_length, gpu_name, kv_cache, .. } = options;
        let gpu = GpuOptions { default_limits, unnamed: gpu_name, ..GpuOptions::default() };
        let device = Arc::new(Gpu::open(&gpu).await?);
        let context = context_length.unwrap_or(PACKAGE.context);
        let options = SessionOptions { gpu, weights: None, context, cancel: Arc::default(), warn };
        let opened = Opened::new(open, device, &options);
        opened.check_memory(&name, &Workload::default())?;
        let session = opened.load(&mut |done, total| {
            let answer = progress.call2(&JsValue::NULL, &(done as f64).into(), &(total as f64).into());
            // Progress is a courtesy: a listener that throws does not stop the load.
            !answer.is_ok_and(|answer| answer == JsValue::FALSE)
        })?;
        Ok(Self {
            session,
            adapter: RefCell::new(None),
            head: RefCell::new(None),
            generators: RefCell::default(),
            kv_cache,
        })
    }

    /// The model and its device, as JSON (`ModelInfo`).
    ///
    /// # Errors
    /// None in practice.
    pub fn info(&self) -> Answer<String> {
        let opened = self.opened();
        let (config, report) = (&opened.config, opened.gpu.report());
        let adapter = self.adapter.borrow();
        let trainable = adapter.as_ref().map_or(0, |adapter| {
            adapter.tensors.values().map(|pair| pair.a.len() + pair.b.len()).sum::<usize>()
        });
        to_json(&json!({
            "name": opened.name,
            "family": config.family.name,
            "parameters": config.parameters(),
            "trainableParameters": trainable,
            "contextLength": opened.context_length,
            "vocabSize": config.vocab_size,
            "layers": config.num_layers,
            "hasChatTemplate": opened.language.chat.is_some(),
            "gpuBytes": opened.gpu.memory().current(),
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
        self.opened().gpu.memory().current() as f64
    }

    /// What training and sampling of a given size need of the GPU, as JSON (`Fit`).
    ///
    /// # Errors
    /// `usage` for a rank that cannot be.
    pub fn fit(&self, options: &str) -> Answer<String> {
        let options: FitOptions = from_json("workload", options)?;
        let opened = self.opened();
        let workload = options.workload(&opened.config, opened.context_length)?;
        let device = (Some(opened.gpu.max_binding_bytes()), opened.gpu.available_bytes());
        to_json(&planned(&opened.fit(&workload), device))
    }

    /// Asks what is running to stop at the next opportunity.
    pub fn cancel(&self) {
        self.opened().cancel.store(true, Ordering::Relaxed);
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
        let dims = adapter::dims(&self.opened().config);
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
        let file = Path::new(STATE_FILE);
        let lora = lora_of(card)?;
        let layout = self.opened().layout(&lora)?;
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
        self.opened().gpu.destroy();
    }

    /// Gives everything on the GPU back. Nothing may be running.
    pub fn dispose(self) {
        self.opened().gpu.destroy();
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
    /// Names, sizes, tokenizer and device.
    pub(super) fn opened(&self) -> &Opened {
        self.session.opened()
    }

    /// Beginning of a call that can be cancelled.
    pub(super) fn begin(&self) {
        self.opened().cancel.store(false, Ordering::Relaxed);
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
    pub(super) fn trainable(&self, fresh: &LoraConfig, seed: u64) -> Result<AdapterFile> {
        match &*self.adapter.borrow() {
            Some(adapter) => Ok(adapter.clone()),
            None => self.opened().fresh_adapter(fresh, seed),
        }
    }
}
