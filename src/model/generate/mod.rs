//! Continuous, batched generation: the GPU samples and goes on by itself, the CPU reads tokens a block late.
//!
//! A prompt of P tokens is prefilled once up to token P − 2; its full cache pages are shared by all its samples. Every
//! row of the decode batch then starts with the prompt's last token. A row that ends gives its place to the next sample.
//! Whole pages that all prompts of a call begin with (instructions, solved examples) are prefilled once for all of them.

mod batch;
mod pages;
mod prefill;
mod prefix;
mod sizes;

pub use prefix::common_prefix;
pub use sizes::{Lengths, Sizes};

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use batch::{Batch, RowStart, Snapshot};
use pages::{Pages, place};
use prefill::{Part, Prefill};

use super::block::LayerCache;
use super::config::ModelConfig;
use super::lora::Lora;
use super::score::check_logprobs;
use super::{Model, index32};
use crate::gpu::{Gpu, Pending};
use crate::kernel::attention::PAGE;
use crate::kernel::attention::decode_split::is_long;
use crate::kernel::sample::{MAX_STOPS, Settings};
use crate::{Error, Result};

/// How completions are drawn.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Most tokens, the stop token included.
    pub max_tokens: usize,
    /// Softmax temperature; 0 is greedy.
    pub temperature: f32,
    /// Keep this many of the most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Of these, keep the fewest whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Of these, keep those with at least this share of the largest probability; 0 keeps all.
    pub min_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { max_tokens: 256, temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl Sampling {
    /// Fails on values that mean nothing.
    pub fn validate(&self) -> Result<()> {
        let fail =
            |option: &str, value: f32, hint: &str| Err(Error::usage(option, format!("is {value}"), hint));
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return fail("temperature", self.temperature, "use a number from 0 (greedy) up, such as 1");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return fail("top_p", self.top_p, "use a number above 0 and up to 1");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return fail("min_p", self.min_p, "use a number from 0 to 1");
        }
        if self.max_tokens == 0 {
            return fail("max_tokens", 0.0, "use at least 1");
        }
        Ok(())
    }
}

/// Several completions of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Tokens of the prompt; at least one.
    pub prompt: Vec<u32>,
    /// Number of completions.
    pub samples: usize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// Completion i depends on this and i, not on what else is in the batch.
    pub seed: u64,
}

impl Request {
    /// The most tokens that a completion can have in a context of `context` tokens.
    ///
    /// # Errors
    /// [`Error::Context`] if the prompt leaves no room, [`Error::Usage`] for what cannot be sampled.
    pub fn check(&self, config: &ModelConfig, context: usize) -> Result<usize> {
        self.sampling.validate()?;
        let len = self.prompt.len();
        if len == 0 {
            return Err(Error::usage("prompt", "is empty", "give at least one token of text"));
        }
        if len >= context {
            return Err(Error::context("the prompt", len, context));
        }
        let vocab = config.vocab_size;
        if let Some(token) = self.prompt.iter().find(|&&token| token as usize >= vocab) {
            return Err(Error::usage(
                "prompt",
                format!("token {token} is outside of the vocabulary of {vocab}"),
                "use the tokenizer that belongs to the model",
            ));
        }
        Ok(self.sampling.max_tokens.min(context - len))
    }
}

/// One completion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    /// Tokens, the stop token included.
    pub tokens: Vec<u32>,
    /// Log-probability of each under the model at temperature 1.
    pub logprobs: Vec<f32>,
    /// Whether a stop token ended it.
    pub stopped: bool,
}

/// News from a running generation.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Index of the request.
    pub request: usize,
    /// Index of the sample.
    pub sample: usize,
    /// Its tokens since the last news.
    pub tokens: &'a [u32],
    /// Whether it is complete.
    pub done: bool,
}

/// Called for every row with news; `Break` stops with [`Error::Cancelled`].
pub type OnProgress<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

/// Steps between two looks at the rows. A GPU wants few looks; a software adapter wants rows that ended replaced soon.
fn block_steps(gpu: &Gpu) -> usize {
    if gpu.is_software() { 4 } else { 8 }
}

/// A sample in a row of the batch.
struct Running {
    request: usize,
    sample: usize,
    start: RowStart,
    /// Tokens taken over so far.
    seen: usize,
    /// The first block that it runs in; what was read of earlier ones is about the row's predecessor.
    since: u64,
}

/// A sample that waits for a row.
struct Waiting {
    request: usize,
    sample: usize,
    start: RowStart,
}

/// Everything recorded to generate with one model and one adapter.
pub struct Generator {
    model: Arc<Model>,
    lora: Option<Lora>,
    max_rows: usize,
    stops: Vec<u32>,
    cache: Vec<LayerCache>,
    pages: Pages,
    batch: Option<Batch>,
    /// Whether the rows of the requests at hand are long.
    long: bool,
    prefill: Prefill,
    prefilled_tokens: u64,
    cancel: Arc<AtomicBool>,
}

impl Generator {
    /// A generator of at most `max_rows` rows at a time. The adapter is live: later changes of its values count.
    pub fn new(model: Arc<Model>, lora: Option<&Lora>, max_rows: usize) -> Self {
        let stops = model.config().eos_token_ids.clone();
        Self {
            model,
            lora: lora.cloned(),
            max_rows: max_rows.max(1),
            stops,
            cache: Vec::new(),
            pages: Pages::default(),
            batch: None,
            long: false,
            prefill: Prefill::default(),
            prefilled_tokens: 0,
            cancel: Arc::default(),
        }
    }

    /// The flag that stops work between two submissions with [`Error::Cancelled`].
    pub fn set_cancel(&mut self, cancel: Arc<AtomicBool>) {
        self.cancel = cancel;
    }

    /// Most rows at a time.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Tokens of prompts that were computed since it was made: those of a common prefix once a call, the others once a
    /// prompt, whatever its number of samples.
    pub fn prefilled_tokens(&self) -> u64 {
        self.prefilled_tokens
    }

    /// Makes caches and state large enough for these requests, which share `prefix` tokens. What is large enough already
    /// is kept.
    fn ensure(&mut self, requests: &[Request], prefix: usize) -> Result<()> {
        let lengths: Vec<Lengths> = requests
            .iter()
            .map(|r| Lengths {
                prompt: r.prompt.len(),
                samples: r.samples,
                max_tokens: r.sampling.max_tokens,
            })
            .collect();
        let Sizes { rows, row_pages, capacity, pages: needed, .. } =
            Sizes::new(&lengths, self.max_rows, self.model.context(), prefix);
        self.long = is_long(row_pages);
        let (had_rows, had_pages, had_capacity) = self
            .batch
            .as_ref()
            .map_or((0, 0, 0), |batch| (batch.rows(), batch.row_pages(), batch.capacity()));
        if rows <= had_rows
            && row_pages <= had_pages
            && capacity <= had_capacity
            && needed <= self.pages.total()
        {
            return Ok(());
        }
        let gpu = self.model.gpu();
        let (rows, row_pages) = (rows.max(had_rows), row_pages.max(had_pages));
        let total = needed.max(self.pages.total());
        self.batch = None;
        self.prefill = Prefill::new(row_pages);
        if total > self.pages.total() {
            self.cache.clear();
            let kv = self.model.config().kv_size();
            for _ in 0..self.model.config().num_layers {
                self.cache.push(LayerCache {
                    k: gpu.buffer("k_pages", &[total * PAGE, kv])?,
                    v: gpu.buffer("v_pages", &[total * PAGE, kv])?,
                });
            }
            self.pages = Pages::new(total);
        }
        self.batch =
            Some(Batch::new(&self.model, rows, row_pages, capacity.max(had_capacity), self.lora.as_ref())?);
        Ok(())
    }

    /// Completions of every request: outer index request, inner index sample.
    ///
    /// # Errors
    /// [`Error::Context`] for prompts that do not fit, [`Error::Usage`] for bad settings, [`Error::NotFinite`],
    /// [`Error::Cancelled`] when `progress` says so, GPU errors.
    pub async fn generate(
        &mut self,
        requests: &[Request],
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Completion>>> {
        let (config, context) = (self.model.config(), self.model.context());
        let limits =
            requests.iter().map(|request| request.check(config, context)).collect::<Result<Vec<_>>>()?;
        let sampled = requests.iter().filter(|request| request.samples > 0);
        let prefix = common_prefix(sampled.map(|request| request.prompt.as_slice()));
        self.ensure(requests, prefix.len())?;
        let mut results: Vec<Vec<Completion>> =
            requests.iter().map(|request| vec![Completion::default(); request.samples]).collect();
        let outcome = match self.share(prefix).await {
            Ok(()) => self.run(requests, &limits, &mut results, progress).await,
            Err(error) => Err(error),
        };
        // Whatever happened, no page stays taken.
        self.pages = Pages::new(self.pages.total());
        outcome.map(|()| results)
    }

    async fn run(
        &mut self,
        requests: &[Request],
        limits: &[usize],
        results: &mut [Vec<Completion>],
        progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        let model = Arc::clone(&self.model);
        let gpu = model.gpu();
        let Some(mut batch) = self.batch.take() else { return Ok(()) };
        // Reading a block late keeps a GPU busy; a software adapter would spend the same cores on rows that ended.
        let lag = usize::from(!gpu.is_software());
        let mut active =
            batch.rows().min(results.iter().map(Vec::len).sum::<usize>().max(1).next_power_of_two());
        let mut rows: Vec<Option<Running>> = (0..active).map(|_| None).collect();
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        let mut reads: VecDeque<(u64, Pending)> = VecDeque::new();
        let (mut next, mut block) = (0, 0);
        batch.reset(gpu)?;
        let outcome = loop {
            let free = rows.iter().filter(|row| row.is_none()).count();
            if free > waiting.len() && next < requests.len() {
                next = self.admit(requests, limits, next, free - waiting.len(), &mut waiting).await?;
            }
            for (index, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.is_none()) {
                let Some(Waiting { request, sample, start }) = waiting.pop_front() else { break };
                batch.start_row(gpu, index, &start)?;
                *row = Some(Running { request, sample, start, seen: 0, since: block });
            }
            let live = rows.iter().filter(|row| row.is_some()).count();
            if live == 0 && reads.is_empty() {
                break Ok(());
            }
            let shrink = waiting.is_empty() && next == requests.len() && live * 2 <= active && live > 0;
            if shrink && reads.is_empty() {
                active = live.next_power_of_two();
                rows = compact(gpu, &batch, rows, active, results, block)?;
            }
            if live > 0 && (!shrink || reads.is_empty()) {
                let shape = (active, self.long);
                // No more steps than the row with the most to say may take.
                let left =
                    rows.iter().flatten().map(|row| limits[row.request].saturating_sub(row.seen)).max();
                let steps = block_steps(gpu).min(left.unwrap_or(0)).max(1);
                batch.run(&model, &self.cache, self.lora.as_ref(), shape, steps, &self.cancel).await?;
                reads.push_back((block, batch.read_later(gpu, active)?));
                block += 1;
            }
            if reads.len() > lag || live == 0 || shrink {
                let Some((number, read)) = reads.pop_front() else { continue };
                let snapshot = batch.snapshot(gpu, read, active).await?;
                if let Err(error) = self.collect(&snapshot, number, &mut rows, results, progress) {
                    break Err(error);
                }
            }
        };
        self.batch = Some(batch);
        outcome
    }

    /// Computes the tokens that all prompts begin with, whole pages of them.
    async fn share(&mut self, prefix: &[u32]) -> Result<()> {
        let pages = self.pages.take_prefix(prefix.len() / PAGE);
        let tokens = &prefix[..pages.len() * PAGE];
        if tokens.is_empty() {
            return Ok(());
        }
        let pairs = (0..tokens.len()).map(|position| (position, place(pages[position / PAGE], position)));
        let part = Part { tokens, pairs: pairs.collect(), table: Vec::new() };
        self.prefilled_tokens += tokens.len() as u64;
        self.prefill.run(&self.model, self.lora.as_ref(), &self.cache, &[part], 0, &self.cancel).await
    }

    /// Prefills prompts from `next` on until `wanted` samples wait; returns the next prompt.
    async fn admit(
        &mut self,
        requests: &[Request],
        limits: &[usize],
        mut next: usize,
        wanted: usize,
        waiting: &mut VecDeque<Waiting>,
    ) -> Result<usize> {
        let prefix = self.pages.prefix_tokens();
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut added = 0;
        while next < requests.len() && added < wanted {
            let request = &requests[next];
            if request.samples == 0 {
                next += 1;
                continue;
            }
            let Some(group) = self.pages.take_group(request.prompt.len(), limits[next], request.samples)
            else {
                break;
            };
            let tokens = &request.prompt[prefix..request.prompt.len() - 1];
            let mut pairs = Vec::new();
            for (token, position) in (prefix..).take(tokens.len()).enumerate() {
                // Pages that are not full go on differently in every sample.
                let own = if position / PAGE < group.shared.len() { 1 } else { request.samples };
                pairs.extend((0..own).map(|sample| (token, group.place(sample, position))));
            }
            for sample in 0..request.samples {
                let start = self.row_start(request, limits[next], sample, group.table(sample));
                waiting.push_back(Waiting { request: next, sample, start });
            }
            if !tokens.is_empty() {
                parts.push(Part { tokens, pairs, table: group.table(0) });
            }
            self.prefilled_tokens += (tokens.len() + 1) as u64;
            added += request.samples;
            next += 1;
        }
        if added == 0 && next < requests.len() && waiting.is_empty() && self.pages.all_free() {
            return Err(Error::OutOfMemory {
                what: "the KV cache of one prompt".into(),
                needed: 0,
                available: 0,
                hint: "lower <group_size|max_tokens>".into(),
            });
        }
        self.prefill.run(&self.model, self.lora.as_ref(), &self.cache, &parts, prefix, &self.cancel).await?;
        Ok(next)
    }

    fn row_start(&self, request: &Request, limit: usize, sample: usize, table: Vec<u32>) -> RowStart {
        let first = request.prompt.len() - 1;
        let mut stop = [0; MAX_STOPS];
        stop[..self.stops.len()].copy_from_slice(&self.stops);
        let settings = Settings {
            temperature: request.sampling.temperature,
            top_p: request.sampling.top_p,
            min_p: request.sampling.min_p,
            top_k: index32(request.sampling.top_k),
            seed: row_seed(request.seed, sample as u64),
            first: index32(first),
            limit: index32(limit),
            stops: index32(self.stops.len()),
            stop,
        };
        RowStart { settings, token: request.prompt[first], position: index32(first), table }
    }

    /// Takes over the news that were read after block `number`; frees rows that ended.
    fn collect(
        &mut self,
        snapshot: &Snapshot,
        number: u64,
        rows: &mut [Option<Running>],
        results: &mut [Vec<Completion>],
        progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        for (index, slot) in rows.iter_mut().enumerate() {
            let Some(row) = slot.as_mut().filter(|row| row.since <= number) else { continue };
            let (tokens, logprobs) = snapshot.news(index, row.start.settings.first as usize, row.seen);
            check_logprobs(&logprobs)?;
            let done = !snapshot.live(index);
            row.seen += tokens.len();
            let (request, sample) = (row.request, row.sample);
            let completion = &mut results[request][sample];
            completion.tokens.extend_from_slice(&tokens);
            completion.logprobs.extend_from_slice(&logprobs);
            completion.stopped = completion.tokens.last().is_some_and(|token| self.stops.contains(token));
            if done {
                self.pages.release(&row.start.table);
                *slot = None;
            }
            if progress(Progress { request, sample, tokens: &tokens, done }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }
}

/// Moves the rows that still run to the first `active` places. Every block has been read, so the CPU knows where each
/// row stands.
fn compact(
    gpu: &Gpu,
    batch: &Batch,
    rows: Vec<Option<Running>>,
    active: usize,
    results: &[Vec<Completion>],
    block: u64,
) -> Result<Vec<Option<Running>>> {
    batch.reset(gpu)?;
    let mut moved: Vec<Option<Running>> = Vec::with_capacity(active);
    for mut row in rows.into_iter().flatten() {
        if let Some(&token) = results[row.request][row.sample].tokens.last() {
            row.start.token = token;
        }
        row.start.position = row.start.settings.first + index32(row.seen);
        row.since = block;
        batch.start_row(gpu, moved.len(), &row.start)?;
        moved.push(Some(row));
    }
    moved.resize_with(active, || None);
    Ok(moved)
}

/// Splits a 64-bit seed and a sample's number into the seed of one row (SplitMix64's finaliser, Steele et al. 2014).
fn row_seed(seed: u64, sample: u64) -> u32 {
    let mut z = seed.wrapping_add((sample + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 32) as u32
}
