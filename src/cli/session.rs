//! What commands that run a model share: the device, the model with its progress bar, its language, its adapter.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::cache::CacheFormat;
use stepladder::kernel::weight::Format;
use stepladder::ladder::base::{first_difference, wording};
use stepladder::ladder::learner::{Language, Learner, LearnerSettings};
use stepladder::ladder::settings::Settings;
use stepladder::model::Model;
use stepladder::model::chat::unended_turn;
use stepladder::model::config::ModelConfig;
use stepladder::model::config::advice::SamplingAdvice;
use stepladder::model::generate::Lengths;
use stepladder::model::lora::Lora;
use stepladder::model::module::Module;
use stepladder::model::open::{OpenModel, open_with_progress};
use stepladder::model::source::{TensorSource, bytes};
use stepladder::model::tokenizer::Lacking;
use stepladder::task::{Problem, PromptStyle, Task};
use stepladder::train::adapter;
use stepladder::train::files::{read_adapter_for, write_atomic};
use stepladder::train::fingerprint::{self, Base};
use stepladder::train::fit::{Fit, Workload};
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::peft::AdapterFile;
use stepladder::train::resume::words;
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::context::Context;
use super::progress::Progress;
use super::signals::say;

/// A model whose files are open and sound, on a device that is open; the weights are still to be read.
pub(super) struct Opened {
    /// As the user named it.
    pub(super) name: String,
    pub(super) gpu: Arc<Gpu>,
    pub(super) config: ModelConfig,
    pub(super) language: Arc<Language>,
    /// How its makers advise to draw tokens.
    pub(super) advice: SamplingAdvice,
    /// The weights; an adapter may be compared with them.
    pub(super) source: RefCell<Box<dyn TensorSource>>,
    pub(super) format: Option<Format>,
    /// Longest sequence.
    pub(super) context_length: usize,
}

/// A model that is ready.
pub(super) struct Session {
    /// As the user named it.
    pub(super) name: String,
    pub(super) model: Arc<Model>,
    pub(super) language: Arc<Language>,
}

/// Opens the device that was asked for.
pub(super) fn open_gpu(context: &Context, device: &DeviceArgs) -> Result<Arc<Gpu>> {
    let options = GpuOptions {
        name: context.gpu.clone(),
        memory_limit: device.memory_limit,
        f16: context.f16 || device.f16,
        ..GpuOptions::default()
    };
    let gpu = block_on(Gpu::open(&options))?;
    if context.profile {
        gpu.start_profiling()?;
    }
    Ok(Arc::new(gpu))
}

/// Opens a model's files, downloading them with a bar if they are on the hub.
pub(super) fn open_model(context: &Context, spec: &str) -> Result<OpenModel> {
    let mut bar: Option<(String, Progress)> = None;
    let model = open_with_progress(spec, &mut |news| {
        if bar.as_ref().is_none_or(|(file, _)| file != news.file) {
            bar = Some((news.file.to_string(), Progress::new("downloading", "B", news.total)));
        }
        if let Some((file, bar)) = &mut bar {
            bar.set(news.done, file);
        }
        !context.cancelled().load(Ordering::Relaxed)
    })?;
    for warning in &model.warnings {
        say(&warning.to_string());
    }
    Ok(model)
}

impl Opened {
    /// Opens `spec` and the device.
    pub(super) fn new(context: &Context, spec: &str, device: &DeviceArgs) -> Result<Self> {
        let OpenModel { config, source, tokenizer, chat_template, advice, name, .. } =
            open_model(context, spec)?;
        let gpu = open_gpu(context, device)?;
        let context_length = device.context_length().min(config.max_position_embeddings);
        let language = Arc::new(Language {
            tokenizer,
            chat: chat_template,
            style: None,
            end: config.eos_token_ids.first().copied(),
        });
        let format = device.weights;
        let source = RefCell::new(source);
        Ok(Self { name, gpu, config, language, advice, source, format, context_length })
    }

    /// Words prompts as `style` says, or as the model's chat template does.
    pub(super) fn worded(mut self, style: Option<PromptStyle>) -> Self {
        self.language = Arc::new(self.language.worded(style));
        if self.language.style() == PromptStyle::Instruct {
            self.tell_unended();
        }
        self
    }

    /// Holds a run to the model that it was begun with, or notes what it begins with. One that `asks` depends on the texts
    /// that the model gets and where its answers end, too; what training sees is held to by its tokens.
    ///
    /// # Errors
    /// [`Error::Input`] if the weights, or what is computed with them, are others; those of reading.
    pub(super) fn tie(
        &mut self,
        base: &mut Option<Base>,
        device: &DeviceArgs,
        context: &Context,
        asks: bool,
    ) -> Result<()> {
        let other = |field: &str, problem: String| {
            Err(Error::input(
                &self.name,
                field,
                problem,
                "give the model that the run was begun with by -m, or start a new run in another folder",
            ))
        };
        let sha256 = fingerprint::weights(&mut **self.source.borrow_mut())?;
        if base.as_ref().is_some_and(|base| !base.sha256.is_empty() && base.sha256 != sha256) {
            return other("weights", "are not those that the run was begun with".into());
        }
        let mut model = fingerprint::numbers(&self.config);
        if asks {
            model.extend(wording(&self.language, &self.config, self.context_length)?);
        }
        let old = base.as_ref().map(|base| &base.model);
        if let Some((field, old, new)) = old.and_then(|old| first_difference(old, &model)) {
            let problem = format!("is {}, but the run was begun with {}", words(&new), words(&old));
            return other(&field, problem);
        }
        *base = Some(Base { sha256, model, ..device.base(context) });
        Ok(())
    }

    /// Says so if the model's answers in a chat would not stop where its template ends them.
    pub(super) fn tell_unended(&self) {
        let Some(chat) = &self.language.chat else { return };
        if let Some(end) = unended_turn(chat, &self.language.tokenizer, &self.config.eos_token_ids) {
            say(&format!(
                "{}: the chat template ends a turn with {end:?}, which is no end token: answers may not stop; set eos_token_id in generation_config.json",
                self.name
            ));
        }
    }

    /// Says so if the vocabulary lacks characters of `texts`.
    pub(super) fn tell_lacking<'a>(&self, texts: impl IntoIterator<Item = &'a str>) {
        let lacking = Lacking::of(&self.language.tokenizer, texts);
        if !lacking.is_empty() {
            say(&lacking.to_string());
        }
    }

    /// The adapter in a PEFT folder, if one is given.
    pub(super) fn adapter(&self, folder: Option<&Path>) -> Result<Option<AdapterFile>> {
        let read = |folder| read_adapter_for(folder, &self.config, &mut **self.source.borrow_mut());
        folder.map(read).transpose()
    }

    /// The adapter to be trained: the one in `folder`, or a fresh one.
    pub(super) fn trainable(
        &self,
        folder: Option<&Path>,
        fresh: &LoraConfig,
        seed: u64,
    ) -> Result<AdapterFile> {
        match (self.adapter(folder)?, folder) {
            (Some(adapter), Some(folder)) => {
                adapter.expect_no_dropout(folder)?;
                Ok(adapter)
            }
            _ => {
                let config = LoraConfig { base_model: Some(self.name.clone()), ..fresh.clone() };
                AdapterFile::init(config, &adapter::dims(&self.config), seed)
            }
        }
    }

    /// Fails, with what is needed and which option lowers it, if `workload` takes more memory than there is.
    pub(super) fn check_memory(&self, what: &str, workload: &Workload) -> Result<()> {
        let (source, context) = (self.source.borrow(), self.context_length);
        let fit = Fit::new(&self.config, &**source, self.format, context, workload);
        fit.check(what, self.gpu.available_bytes(), self.gpu.max_binding_bytes())
    }

    /// [`Opened::check_memory`] of a run that learns.
    pub(super) fn check_run(
        &self,
        what: &str,
        settings: &Settings,
        task: &dyn Task,
        problems: [&[Problem]; 2],
        adapter: &AdapterFile,
    ) -> Result<()> {
        self.tell_lacking(problems.into_iter().flatten().map(|problem| problem.problem.as_str()));
        let layout = adapter::layout(&self.config, &adapter.config)?;
        let learner = LearnerSettings::default();
        let workload = learner.run(
            settings,
            &self.language,
            task,
            problems,
            layout,
            (&self.config, self.context_length),
        )?;
        self.check_memory(what, &workload)
    }

    /// [`Opened::check_memory`] of sampling `requests`, which share the first `prefix` tokens, together, with `adapter` or
    /// without, and keys and values in `format`.
    pub(super) fn check_sampling(
        &self,
        requests: &[Lengths],
        prefix: usize,
        adapter: Option<&AdapterFile>,
        format: CacheFormat,
    ) -> Result<()> {
        let layout = |file: &AdapterFile| adapter::layout(&self.config, &file.config);
        let sizes = LearnerSettings::default().sampling(requests, self.context_length, prefix);
        let workload = Workload {
            adapter: adapter.map(layout).transpose()?,
            sampling: Some(sizes.kept_as(format)),
            ..Workload::default()
        };
        self.check_memory(&format!("sampling from {}", self.name), &workload)
    }

    /// Streams the weights to the GPU.
    pub(super) fn load(mut self) -> Result<Session> {
        let mut bar: Option<Progress> = None;
        let mut progress = |done: u64, total: u64| {
            bar.get_or_insert_with(|| Progress::new("loading", "B", total)).set(done, "");
        };
        let model = Model::load(
            self.gpu,
            self.config,
            &mut **self.source.get_mut(),
            self.format,
            self.context_length,
            &mut progress,
        )?;
        Ok(Session { name: self.name, model: Arc::new(model), language: self.language })
    }
}

impl Session {
    /// A learner that goes on from `adapter`.
    pub(super) fn learner(&self, context: &Context, adapter: &AdapterFile) -> Result<Learner> {
        Learner::new(
            self.name.clone(),
            Arc::clone(&self.model),
            Arc::clone(&self.language),
            adapter,
            LearnerSettings::default(),
            Arc::clone(context.cancelled()),
        )
    }

    /// A learner that will only be asked to sample: with `adapter`, or from the model as it is.
    pub(super) fn sampler(&self, context: &Context, adapter: Option<&AdapterFile>) -> Result<Learner> {
        if let Some(adapter) = adapter {
            return self.learner(context, adapter);
        }
        let smallest = LoraConfig { rank: 1, targets: [Module::Q].into(), ..LoraConfig::default() };
        let nothing = AdapterFile::init(smallest, &adapter::dims(self.model.config()), 0)?;
        let mut learner = self.learner(context, &nothing)?;
        learner.sample_base();
        Ok(learner)
    }

    /// The adapter on the GPU, if there is one.
    pub(super) fn lora(&self, adapter: Option<&AdapterFile>) -> Result<Option<Lora>> {
        adapter.map(|file| adapter::upload(self.model.gpu(), self.model.config(), file)).transpose()
    }

    /// Prints the time of every kernel on standard error and writes the trace, if they were asked for.
    pub(super) fn print_profile(&self, context: &Context) -> Result<()> {
        print_profile(context, self.model.gpu())
    }
}

/// Prints the time of every kernel of a device on standard error and writes the trace, if they were asked for.
pub(super) fn print_profile(context: &Context, gpu: &Gpu) -> Result<()> {
    if !context.profile {
        return Ok(());
    }
    let profile = block_on(gpu.profile())?;
    if let Some(file) = &context.trace {
        write_atomic(file, profile.trace().as_bytes())?;
    }
    let rows = profile.rows();
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    say(&format!("{:<32} {:>8} {:>11} {:>6} {:>9} {:>9}", "kernel", "calls", "ms", "%", "GB/s", "GFLOP/s"));
    for row in rows {
        say(&format!(
            "{:<32} {:>8} {:>11.2} {:>6.1} {:>9.2} {:>9.2}",
            row.kernel,
            row.calls,
            1e3 * row.seconds,
            100.0 * row.seconds / total.max(1e-12),
            row.gigabytes_per_second,
            row.gigaflops
        ));
    }
    Ok(())
}

/// The problems in a file.
pub(super) fn read_problems(path: &Path) -> Result<Vec<stepladder::task::Problem>> {
    stepladder::task::parse_problems(path, &read_text(path)?)
}

/// The longest file of problems or texts that is read: ten million lines.
const MAX_TEXT: u64 = 1 << 30;

/// A text file of the user's.
pub(super) fn read_text(path: &Path) -> Result<String> {
    bytes::read_text(path, MAX_TEXT)
}
