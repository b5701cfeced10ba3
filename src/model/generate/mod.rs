//! Continuous, batched generation: the GPU samples and goes on by itself, the CPU reads tokens a block late.
//!
//! A prompt of P tokens is prefilled once up to token P − 2; its full cache pages are shared by all its samples. Every
//! row of the decode batch then starts with the prompt's last token. A row that ends gives its place to the next sample.
//! Whole pages that all prompts of a call begin with (instructions, solved examples) are prefilled once for all of them.
//! A generator that is told to [`Generator::keep`] them takes the keys and values of one call's sequence over into the next.

mod adjust;
mod batch;
mod continuous;
mod kept;
mod pages;
mod prefill;
mod prefix;
mod request;
mod sizes;

pub use adjust::{Adjustment, Guide};
pub use continuous::{Continuous, End, News};
pub use prefix::common_prefix;
pub use request::{Completion, OnProgress, Progress, Request, Sampling};
pub use sizes::{Lengths, Sizes};

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use batch::{Batch, RowStart, Shape, Snapshot};
use kept::Kept;
use pages::{Pages, place};
use prefill::{Part, Prefill};

use super::block::LayerCache;
use super::lora::Lora;
use super::score::check_logprobs;
use super::{Model, index32};
use crate::gpu::{Buffer, Gpu, Pending, Recorder};
use crate::kernel::attention::PAGE;
use crate::kernel::attention::decode_split::is_long;
use crate::kernel::cache::CacheFormat;
use crate::{Error, Result};

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
    format: CacheFormat,
    cache: Vec<LayerCache>,
    pages: Pages,
    batch: Option<Batch>,
    /// Whether the rows of the requests at hand are long.
    long: bool,
    prefill: Prefill,
    prefilled_tokens: u64,
    /// The sequence that the cache holds between two calls, if it may hold one.
    kept: Option<Kept>,
    /// [`Lora::changes`] when it was computed.
    kept_changes: u64,
    cached_tokens: usize,
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
            format: CacheFormat::default(),
            cache: Vec::new(),
            pages: Pages::default(),
            batch: None,
            long: false,
            prefill: Prefill::default(),
            prefilled_tokens: 0,
            kept: None,
            kept_changes: 0,
            cached_tokens: 0,
            cancel: Arc::default(),
        }
    }

    /// Keeps keys and values in this format, which is that of [`Sizes::kept_as`]. What is kept in another goes.
    pub fn keep_as(&mut self, format: CacheFormat) {
        if std::mem::replace(&mut self.format, format) != format {
            (self.cache, self.pages, self.batch) = (Vec::new(), Pages::default(), None);
            self.kept = self.kept.take().map(|_| Kept::default());
        }
    }

    /// From now on the keys and values of a call for one completion stay, and the next such call computes only what comes
    /// after the tokens that both begin with, unless these are few before a long text. A call for more, and a change of the
    /// adapter, drop them. The memory is that of the call itself. Log-probabilities then depend on the calls before in their
    /// last bits, so runs that must be repeatable to the bit do without.
    pub fn keep(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// Tokens of the last call's prompt that were in the cache already.
    pub fn cached_tokens(&self) -> usize {
        self.cached_tokens
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
    /// prompt, whatever its number of samples; none of those that were kept.
    pub fn prefilled_tokens(&self) -> u64 {
        self.prefilled_tokens
    }

    /// Makes caches and state large enough for these requests, which share `prefix` tokens. What is large enough already
    /// is kept. Pages keep their contents and numbers if `held` says so.
    fn ensure(&mut self, requests: &[Request], prefix: usize, held: bool) -> Result<()> {
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
        let (rows, row_pages) = (rows.max(had_rows), row_pages.max(had_pages));
        let total = needed.max(self.pages.total());
        self.batch = None;
        self.prefill = Prefill::new(row_pages);
        if total > self.pages.total() {
            self.grow(total, held)?;
        }
        self.batch =
            Some(Batch::new(&self.model, rows, row_pages, capacity.max(had_capacity), self.lora.as_ref())?);
        Ok(())
    }

    /// Makes room for `total` pages, layer by layer; what there is stays in its place if it is `held`.
    fn grow(&mut self, total: usize, held: bool) -> Result<()> {
        let (gpu, words) = (self.model.gpu(), self.format.words(self.model.config().kv_size()));
        let mut old = std::mem::take(&mut self.cache).into_iter();
        // Until all of it is there, there is none.
        self.pages = Pages::default();
        if !held {
            old = Vec::new().into_iter();
        }
        let mut cache = Vec::new();
        for _ in 0..self.model.config().num_layers {
            let new = |label, old: Option<Buffer>| {
                let new = gpu.buffer(label, &[total * PAGE, words])?;
                if let Some(old) = old {
                    let mut rec = Recorder::new(gpu);
                    rec.copy(&old, &new.view(0, old.shape())?)?;
                    gpu.run(&rec.finish()?)?;
                }
                Ok::<_, Error>(new)
            };
            let (k, v) = old.next().map(|LayerCache { k, v }| (k, v)).unzip();
            cache.push(LayerCache { k: new("k_pages", k)?, v: new("v_pages", v)? });
        }
        self.cache = cache;
        self.pages = Pages::new(total);
        Ok(())
    }

    /// Takes over what the calls before left for these requests, and makes room for them.
    fn take_over(&mut self, requests: &[Request], prefix: usize) -> Result<Kept> {
        let changes = self.lora.as_ref().map_or(0, Lora::changes);
        let before = std::mem::replace(&mut self.kept_changes, changes);
        let mut held = match (&mut self.kept, requests) {
            (Some(kept), [request]) if request.samples == 1 && before == changes => {
                std::mem::take(kept).beginning(&request.prompt)
            }
            (Some(kept), _) => {
                *kept = Kept::default();
                Kept::default()
            }
            (None, _) => Kept::default(),
        };
        match self.ensure(requests, prefix, !held.tokens.is_empty()) {
            // Old and new do not fit side by side.
            Err(Error::OutOfMemory { .. }) if !held.tokens.is_empty() => {
                held = Kept::default();
                self.ensure(requests, prefix, false)?;
            }
            outcome => outcome?,
        }
        self.cached_tokens = held.tokens.len();
        self.pages = Pages::holding(self.pages.total(), &held);
        Ok(held)
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
        let held = self.take_over(requests, prefix.len())?;
        let mut results: Vec<Vec<Completion>> =
            requests.iter().map(|request| vec![Completion::default(); request.samples]).collect();
        if let Some(kept) = &mut self.kept {
            *kept = held;
        }
        let outcome = match self.share(prefix).await {
            Ok(()) => self.run(requests, &limits, &mut results, progress).await,
            Err(error) => Err(error),
        };
        // Whatever happened, no page stays taken but those of what is kept.
        self.pages = Pages::new(self.pages.total());
        if let Some(kept) = &mut self.kept {
            match (&outcome, requests, &results[..]) {
                (Ok(()) | Err(Error::Cancelled), [request], [made]) if request.samples == 1 => {
                    kept.extend(request.prompt.last(), &made[0].tokens);
                }
                _ => *kept = Kept::default(),
            }
        }
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
                let shape = Shape { rows: active, long: self.long, adjusts: false };
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
        if prefix.is_empty() {
            return Ok(());
        }
        let pages = self.pages.take_prefix(prefix.len() / PAGE);
        let tokens = &prefix[..pages.len() * PAGE];
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
                let start = RowStart::new(&self.stops, request, limits[next], sample, group.table(sample));
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
        if let (Some(kept), [request]) = (&mut self.kept, requests)
            && let Some(row) = waiting.front().filter(|_| request.samples == 1)
        {
            kept.tokens = request.prompt[..request.prompt.len() - 1].to_vec();
            kept.table.clone_from(&row.start.table);
        }
        Ok(next)
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
            completion.truncated = !completion.tokens.last().is_some_and(|token| self.stops.contains(token));
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
