//! The policy of a real run: a model on the GPU, its tokenizer, and one adapter that is sampled from and trained.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::policy::{
    AdapterFile, OnProgress, Policy, PolicyInfo, SampleProgress, UpdateSettings, UpdateStats,
};
use crate::ladder::settings::Settings;
use crate::ladder::shots;
use crate::model::Model;
use crate::model::chat::{ChatTemplate, Message};
use crate::model::config::ModelConfig;
use crate::model::forest;
use crate::model::generate::{Completion, Generator, Lengths, Request, Sampling, Sizes};
use crate::model::lora::Layout;
use crate::model::tokenizer::Tokenizer;
use crate::task::{Problem, PromptStyle, Task, VariantKind, VariantRequest};
use crate::train::adapter;
use crate::train::checkpoint::{STATE_FILE, State};
use crate::train::fit::Workload;
use crate::train::lora_config::LoraConfig;
use crate::train::peft;
use crate::train::trainer::{Trainer, Trajectory};
use crate::{Error, Result};

/// How much is done at a time.
#[derive(Debug, Clone, Copy)]
pub struct LearnerSettings {
    /// Completions that are sampled together.
    pub rows: usize,
    /// Tokens of one training forward pass. Sets the memory and not the result.
    pub pack_tokens: usize,
}

impl Default for LearnerSettings {
    fn default() -> Self {
        Self { rows: 64, pack_tokens: 2048 }
    }
}

impl LearnerSettings {
    /// What sampling `requests`, whose prompts begin with the same `prefix` tokens, in one batch asks of the GPU.
    pub fn sampling(&self, requests: &[Lengths], context: usize, prefix: usize) -> Sizes {
        Sizes::new(requests, self.rows, context, prefix)
    }

    /// What a run asks of the GPU: `roots` and `held_out` are its problems, `layout` is its adapter.
    ///
    /// # Errors
    /// [`Error::Context`] if a problem is too long for the context; those of the tokenizer and the chat template.
    pub fn run(
        &self,
        settings: &Settings,
        language: &Language,
        task: &dyn Task,
        [roots, held_out]: [&[Problem]; 2],
        layout: Layout,
        (config, context): (&ModelConfig, usize),
    ) -> Result<Workload> {
        let prompt = longest_prompt(language, task, roots)?;
        let room = |prompt| match prompt < context {
            true => Ok(prompt),
            false => Err(Error::context("the prompt of a problem", prompt, context)),
        };
        room(prompt)?;
        let tokens = |sampling: &Sampling| sampling.max_tokens;
        let answer = Lengths { prompt, samples: settings.group_size, max_tokens: tokens(&settings.sampling) };
        let mut sizes = self.sampling(&vec![answer; settings.prompts_per_step], context, 0);
        if !held_out.is_empty() {
            let prompt = room(longest_prompt(language, task, held_out)?)?;
            let evaluation = &settings.evaluation;
            let max_tokens = tokens(&evaluation.sampling);
            let request = Lengths { prompt, samples: evaluation.samples, max_tokens };
            sizes = sizes.union(self.sampling(&vec![request; held_out.len()], context, 0));
        }
        if settings.variants.enabled {
            let variants = &settings.variants;
            let prompt = longest_variant_prompt(language, task, roots, settings)?;
            let request =
                Lengths { prompt, samples: variants.per_node, max_tokens: tokens(&variants.sampling) };
            sizes = sizes.union(self.sampling(&vec![request; roots.len().max(1)], context, 0));
        }
        let sequence = (prompt + answer.max_tokens).min(context);
        let (whole, own) = (config.whole_length(), answer.max_tokens.min(context - prompt));
        let group = forest::most_rows(whole, settings.group_size, prompt, own);
        let batch = settings.prompts_per_step * group;
        let training = Some(batch.min(self.pack_tokens.max(sequence)));
        Ok(Workload { adapter: Some(layout), sampling: Some(sizes), training, scoring: None })
    }
}

/// Tokens of the longest prompt that poses one of `problems`.
pub fn longest_prompt(language: &Language, task: &dyn Task, problems: &[Problem]) -> Result<usize> {
    Ok(prompts(language, task, &[], problems)?.iter().map(Vec::len).fold(1, usize::max))
}

/// The prompts that pose `problems`, each after the solved problems `examples`.
pub fn prompts(
    language: &Language,
    task: &dyn Task,
    examples: &[Problem],
    problems: &[Problem],
) -> Result<Vec<Vec<u32>>> {
    let style = language.style();
    let shots = shots::dialogue(task, style, examples);
    problems.iter().map(|problem| language.dialogue(&shots, &task.prompt(&problem.problem, style))).collect()
}

/// Tokens of a prompt that asks for variants of the longest of `problems`.
fn longest_variant_prompt(
    language: &Language,
    task: &dyn Task,
    problems: &[Problem],
    settings: &Settings,
) -> Result<usize> {
    let kind = VariantKind::Easier;
    let library = task.transformations(kind).iter().take(settings.variants.transformations[1]);
    let request = VariantRequest {
        kind,
        count: settings.variants.per_completion,
        transformations: library.map(|&text| text.to_owned()).collect(),
        persona: settings.variants.personas.first().cloned(),
    };
    let Some(problem) = problems.iter().max_by_key(|problem| problem.problem.len()) else { return Ok(1) };
    let prompt = task.variant_prompt(&problem.problem, &request, language.style());
    Ok(language.prompt(&prompt)?.len())
}

/// Text in and out of a model.
#[derive(Debug)]
pub struct Language {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The chat template, if the model has one; such models are asked in full sentences, unless `style` says otherwise.
    pub chat: Option<ChatTemplate>,
    /// How prompts are worded, if that does not follow from the template.
    pub style: Option<PromptStyle>,
    /// The token that ends a text.
    pub end: Option<u32>,
}

impl Language {
    /// A copy that words prompts as `style` says, or without one as the model's chat template does.
    pub fn worded(&self, style: Option<PromptStyle>) -> Self {
        Self { tokenizer: self.tokenizer.clone(), chat: self.chat.clone(), style, end: self.end }
    }

    /// How the model's prompts are worded.
    pub fn style(&self) -> PromptStyle {
        let usual = if self.chat.is_some() { PromptStyle::Instruct } else { PromptStyle::Terse };
        self.style.unwrap_or(usual)
    }

    /// Whether the model is asked in sentences, in its chat format.
    pub fn asks_in_sentences(&self) -> bool {
        self.style() == PromptStyle::Instruct
    }

    /// Tokens of a prompt: one user turn of the chat template, or the text as it stands where there is none or the
    /// wording is terse.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        self.dialogue(&[], text)
    }

    /// Tokens of a prompt after the earlier turns of its conversation, each a role and what is said.
    ///
    /// # Errors
    /// [`Error::Usage`] without a chat template; those of the tokenizer and the template.
    pub fn conversation(&self, before: &[(&str, &str)], text: &str) -> Result<Vec<u32>> {
        let Some(chat) = self.chat.as_ref().filter(|_| self.asks_in_sentences()) else {
            return Err(Error::usage(
                "messages",
                "the model has no chat template to write earlier turns with",
                "use an instruction-tuned model, or questions that stand alone",
            ));
        };
        let before = before.iter().map(|&(role, content)| Message::new(role, content));
        let messages: Vec<Message> = before.chain([Message::user(text)]).collect();
        self.tokenizer.encode(&chat.render(&messages, true)?, false)
    }

    /// [`Language::prompt`] after solved examples (user message, assistant's text): earlier turns of the chat template,
    /// or texts one after the other as training sees them, each with its end token.
    ///
    /// # Errors
    /// [`Error::Usage`] for examples without a template or an end token; those of the tokenizer and the template.
    pub fn dialogue(&self, shots: &[(String, String)], text: &str) -> Result<Vec<u32>> {
        if let Some(chat) = self.chat.as_ref().filter(|_| self.asks_in_sentences()) {
            let turns = shots.iter().flat_map(|(asked, answer)| {
                [Message::user(asked.as_str()), Message::new("assistant", answer.as_str())]
            });
            let messages: Vec<Message> = turns.chain([Message::user(text)]).collect();
            return self.tokenizer.encode(&chat.render(&messages, true)?, false);
        }
        let mut tokens = Vec::new();
        for (asked, answer) in shots {
            let end = self.end.ok_or_else(|| {
                Error::usage(
                    "shots",
                    "the model names no token that ends a text, so examples cannot be told apart",
                    "add eos_token_id to its config.json, or leave <shots> out",
                )
            })?;
            tokens.extend(self.tokenizer.encode_prompt(asked)?);
            tokens.extend(self.tokenizer.encode_continuation(tokens.last().copied(), answer)?);
            tokens.push(end);
        }
        tokens.extend(self.tokenizer.encode_prompt(text)?);
        Ok(tokens)
    }
}

/// A model that learns.
pub struct Learner {
    name: String,
    language: Arc<Language>,
    trainer: Trainer,
    generator: Generator,
    cancel: Arc<AtomicBool>,
    config: LoraConfig,
    alone: bool,
}

impl Learner {
    /// A learner that goes on from `adapter`.
    ///
    /// # Errors
    /// [`Error::Usage`] if the adapter is not one of this model, GPU errors.
    pub fn new(
        name: String,
        model: Arc<Model>,
        language: Arc<Language>,
        adapter: &peft::AdapterFile,
        settings: LearnerSettings,
        cancel: Arc<AtomicBool>,
    ) -> Result<Self> {
        let layout = adapter::layout(model.config(), &adapter.config)?;
        let mut trainer = Trainer::new(Arc::clone(&model), &layout, settings.pack_tokens)?;
        trainer.set_cancel(Arc::clone(&cancel));
        trainer.write_adapter(&adapter::flatten(&layout, adapter)?)?;
        let mut generator = Generator::new(model, Some(trainer.lora()), settings.rows);
        generator.set_cancel(Arc::clone(&cancel));
        Ok(Self { name, language, trainer, generator, cancel, config: adapter.config.clone(), alone: false })
    }

    /// The trainer, for supervised steps on the same adapter.
    pub fn trainer(&mut self) -> &mut Trainer {
        &mut self.trainer
    }

    /// Goes on from another adapter of the same shape.
    ///
    /// # Errors
    /// [`Error::Usage`] if its shape is another; GPU errors.
    pub fn take_adapter(&mut self, adapter: &peft::AdapterFile) -> Result<()> {
        let values = adapter::flatten(self.trainer.lora().layout(), adapter)?;
        self.trainer.write_adapter(&values)
    }

    /// Tokenizer and template.
    pub fn language(&self) -> &Arc<Language> {
        &self.language
    }

    /// From now on draws the completions of each request by themselves, slower: the last bits of log-probabilities depend on the
    /// number of rows that are drawn together, and workers draw one request at a time ([`super::remote`]). With this a run ends
    /// with the bits of one whose completions workers drew.
    pub fn draw_alone(&mut self) {
        self.alone = true;
    }

    /// From now on samples from the base model: an adapter that does nothing would only cost time.
    pub fn sample_base(&mut self) {
        let rows = self.generator.max_rows();
        self.generator = Generator::new(Arc::clone(self.trainer.model()), None, rows);
        self.generator.set_cancel(Arc::clone(&self.cancel));
    }

    /// The adapter as it is now.
    pub async fn adapter_file(&self) -> Result<peft::AdapterFile> {
        let flat = self.trainer.read_adapter().await?;
        Ok(adapter::unflatten(self.trainer.lora().layout(), self.config.clone(), &flat))
    }
}

/// A device in words; browsers leave out the driver, and some the name.
fn device_words(name: &str, backend: &str, driver: &str) -> String {
    let name = if name.is_empty() { "a GPU without a name" } else { name };
    let rest: Vec<&str> = [backend, driver].into_iter().filter(|word| !word.is_empty()).collect();
    format!("{name} ({})", rest.join(", "))
}

impl Policy for Learner {
    fn info(&self) -> PolicyInfo {
        let model = self.trainer.model();
        let report = model.gpu().report();
        PolicyInfo {
            model: self.name.clone(),
            device: device_words(&report.name, &report.backend, &report.driver),
            parameters: model.config().parameters(),
            trainable_parameters: self.trainer.lora().layout().parameters() as u64,
            context_length: model.context(),
        }
    }

    fn prompt_style(&self) -> PromptStyle {
        self.language.style()
    }

    fn encode_dialogue(&self, shots: &[(String, String)], user_message: &str) -> Result<Vec<u32>> {
        let tokens = self.language.dialogue(shots, user_message)?;
        if tokens.is_empty() {
            return Err(Error::usage("problem", "its prompt is empty", "give a problem of the task"));
        }
        shots::check_length(shots.len(), tokens.len(), self.trainer.model().context())?;
        Ok(tokens)
    }

    fn prefilled_tokens(&self) -> u64 {
        self.generator.prefilled_tokens()
    }

    async fn sample(
        &mut self,
        requests: &[Request],
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Completion>>> {
        let total = requests.iter().map(|request| request.samples).sum();
        let mut so_far = SampleProgress { done: 0, total, tokens: 0 };
        let mut watch = |news: crate::model::generate::Progress<'_>| {
            so_far.done += usize::from(news.done);
            so_far.tokens += news.tokens.len();
            progress(so_far)
        };
        let mut groups = Vec::with_capacity(requests.len());
        for together in requests.chunks(if self.alone { 1 } else { requests.len().max(1) }) {
            groups.extend(self.generator.generate(together, &mut watch).await?);
        }
        let tokenizer = &self.language.tokenizer;
        let decode = |group: Vec<Completion>| group.into_iter().map(|one| one.decoded(tokenizer)).collect();
        groups.into_iter().map(decode).collect()
    }

    async fn update(&mut self, batch: &[Trajectory], settings: &UpdateSettings) -> Result<UpdateStats> {
        let report =
            self.trainer.step(batch, &settings.loss, settings.learning_rate, &settings.optimizer).await?;
        let metrics = &report.metrics;
        Ok(UpdateStats {
            loss: report.loss,
            grad_norm: report.grad_norm,
            kl: if settings.loss.kl.is_some() { metrics.kl_mean() } else { 0.0 },
            entropy: metrics.entropy_mean().unwrap_or(0.0),
            clip_fraction: metrics.clip_fraction(),
            logprob_gap: metrics.logprob_gap(),
            tokens: usize::try_from(metrics.tokens).unwrap_or(usize::MAX),
            skipped: report.skipped,
        })
    }

    fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        self.language.tokenizer.encode(text, true)
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.language.tokenizer.decode(tokens)
    }

    async fn logprobs(&mut self, sequences: &[(usize, Vec<u32>)], adapter: bool) -> Result<Vec<Vec<f32>>> {
        let batch: Vec<Trajectory> =
            sequences.iter().map(|(first, tokens)| Trajectory::completing(tokens.clone(), *first)).collect();
        let scores = self.trainer.logprobs(&batch, adapter).await?;
        Ok(scores.into_iter().map(|scores| scores.logp).collect())
    }

    async fn adapter(&mut self) -> Result<Vec<AdapterFile>> {
        let (config, weights) = self.adapter_file().await?.to_bytes()?;
        Ok(vec![
            AdapterFile { name: peft::CONFIG_FILE.into(), bytes: config },
            AdapterFile { name: peft::WEIGHTS_FILE.into(), bytes: weights },
        ])
    }

    async fn state(&mut self) -> Result<State> {
        self.trainer.state().await
    }

    async fn restore(&mut self, state: &State) -> Result<()> {
        self.trainer.restore(state, Path::new(STATE_FILE))
    }

    async fn push_adapter(&mut self) -> Result<()> {
        self.trainer.push_adapter()
    }

    async fn pop_adapter(&mut self, keep: bool) -> Result<()> {
        self.trainer.pop_adapter(keep)
    }
}
