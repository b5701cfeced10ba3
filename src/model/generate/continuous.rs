//! Continuous batching for requests that come while others run: between two blocks of decode steps a row is begun, ended or
//! looked at. A [`Generator`](super::Generator) knows all its requests beforehand; here they come and go.
//!
//! Pages that an ended row filled stay until their room is needed, and so do those of running rows serve others: a prompt that
//! begins with the same tokens under the same adapter shares whole pages and computes only the rest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::Model;
use super::super::block::LayerCache;
use super::super::forest::common_length;
use super::super::lora::Lora;
use super::super::score::check_logprobs;
use super::adjust::{Adjustment, Guide};
use super::batch::{Batch, RowStart, Shape};
use super::block_steps;
use super::kept::is_less;
use super::pages::{Pages, place};
use super::prefill::{Part, Prefill};
use super::request::Request;
use super::sizes::Sizes;
use crate::gpu::{Gpu, Pending};
use crate::kernel::adjust::mask_words;
use crate::kernel::attention::PAGE;
use crate::kernel::attention::decode_split::is_long;
use crate::kernel::cache::CacheFormat;
use crate::{Error, Result};

/// Most sequences that are remembered after their rows, so that looking through them stays cheap.
const MAX_HELD: usize = 256;

/// Why a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It chose a stop token.
    Stop,
    /// It ran into its most tokens, or the context.
    Length,
    /// A log-probability was no finite number; its last tokens are left out.
    NotFinite,
    /// Its guide could not go on.
    Unguided,
}

/// What a row did since the last news of it.
#[derive(Debug)]
pub struct News<'a> {
    /// The row's name, as [`Continuous::admit`] got it.
    pub id: u64,
    /// New tokens, the stop token included.
    pub tokens: &'a [u32],
    /// Their log-probabilities at temperature 1.
    pub logprobs: &'a [f32],
    /// Of each, the likeliest tokens with their log-probabilities, if the row asked for some.
    pub likeliest: &'a [Vec<(u32, f32)>],
    /// Whether it ended, and why.
    pub end: Option<End>,
}

/// A running row.
struct Row {
    id: u64,
    start: RowStart,
    /// The prompt, and what was read of its completion.
    tokens: Vec<u32>,
    prompt: usize,
    limit: usize,
    /// How many of the likeliest tokens are wanted.
    likeliest: usize,
    adjustment: Adjustment,
    guide: Option<Box<dyn Guide>>,
    /// The first block that it runs in.
    since: u64,
}

impl Row {
    fn is_adjusted(&self) -> bool {
        self.guide.is_some() || self.adjustment.is_some()
    }

    /// Tells the device which tokens may come next. Whether the guide knows it.
    fn mask(&mut self, batch: &Batch, gpu: &Gpu, index: usize, vocab: usize) -> Result<bool> {
        let Some(guide) = &mut self.guide else { return Ok(true) };
        let mut words = vec![0; mask_words(vocab)];
        if let Err(error) = guide.allowed(&mut words) {
            tracing::warn!("{error}");
            return Ok(false);
        }
        batch.mask_row(gpu, index, &words).map(|()| true)
    }
}

/// A sequence whose pages are kept: whole ones.
struct Held {
    adapter: usize,
    tokens: Vec<u32>,
    table: Vec<u32>,
}

/// A block whose outcome is not looked at yet.
struct Read {
    number: u64,
    rows: usize,
    state: Pending,
    logits: Option<Pending>,
}

/// A decode batch whose rows come and go.
pub struct Continuous {
    model: Arc<Model>,
    /// The adapter's number, which tells whose keys and values pages hold.
    adapter: usize,
    lora: Option<Lora>,
    sizes: Sizes,
    cache: Vec<LayerCache>,
    pages: Pages,
    batch: Option<Batch>,
    prefill: Prefill,
    rows: Vec<Option<Row>>,
    /// The one not used for longest comes first.
    held: VecDeque<Held>,
    reads: VecDeque<Read>,
    block: u64,
    never: AtomicBool,
}

impl Continuous {
    /// Sizes of a batch of `rows` rows, each with room for `context` tokens.
    pub fn sizes(rows: usize, context: usize, format: CacheFormat) -> Sizes {
        let pages = context.div_ceil(PAGE);
        Sizes {
            rows,
            row_pages: pages.next_power_of_two(),
            capacity: context,
            pages: rows * pages,
            prefill: context,
            format,
        }
    }

    /// A batch of these [`Continuous::sizes`], without an adapter.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; GPU errors.
    pub fn new(model: Arc<Model>, sizes: Sizes) -> Result<Self> {
        let (gpu, config) = (model.gpu(), model.config());
        let words = sizes.format.words(config.kv_size());
        let cache = (0..config.num_layers).map(|_| {
            let pages = |label| gpu.buffer(label, &[sizes.pages * PAGE, words]);
            Ok(LayerCache { k: pages("k_pages")?, v: pages("v_pages")? })
        });
        Ok(Self {
            cache: cache.collect::<Result<_>>()?,
            pages: Pages::new(sizes.pages),
            batch: None,
            prefill: Prefill::new(sizes.row_pages),
            rows: (0..sizes.rows).map(|_| None).collect(),
            held: VecDeque::new(),
            reads: VecDeque::new(),
            block: 0,
            never: AtomicBool::new(false),
            adapter: 0,
            lora: None,
            model,
            sizes,
        })
    }

    /// Rows that run.
    pub fn running(&self) -> usize {
        self.rows.iter().flatten().count()
    }

    /// The number of the adapter that rows are computed with; 0 before another is taken.
    pub fn adapter(&self) -> usize {
        self.adapter
    }

    /// From now on rows are computed with this adapter, or without one. Its number stands for its values from now on.
    ///
    /// # Errors
    /// [`Error::Usage`] while a row runs.
    pub fn take_adapter(&mut self, number: usize, lora: Option<&Lora>) -> Result<()> {
        if self.running() > 0 {
            let problem = "is changed while completions run with another";
            return Err(Error::usage("adapter", problem, "wait until they have ended"));
        }
        // What was recorded reads the values of the adapter before, and has room for its rank.
        (self.batch, self.prefill) = (None, Prefill::new(self.sizes.row_pages));
        self.reads.clear();
        (self.adapter, self.lora) = (number, lora.cloned());
        Ok(())
    }

    /// Begins completion number `sample` of a request in a free row, and computes what of its prompt is not in the cache.
    /// `likeliest` is the number of likeliest tokens to tell with each. The tokens that were in the cache; `None` if no row, or
    /// too few pages, are free.
    ///
    /// # Errors
    /// As [`Request::check`]; GPU errors.
    pub async fn admit(
        &mut self,
        id: u64,
        request: &Request,
        sample: usize,
        likeliest: usize,
    ) -> Result<Option<usize>> {
        self.admit_adjusted(id, request, sample, likeliest, Adjustment::default(), &mut || None).await
    }

    /// The same with logits that are adjusted before tokens are chosen, and tokens that a guide allows; it is made once the row
    /// begins. Log-probabilities are those of what is chosen from. While a row has a guide, steps are taken one by one.
    ///
    /// # Errors
    /// As [`Continuous::admit`]; [`Error::Usage`] for numbers that mean nothing; [`Error::OutOfMemory`].
    pub async fn admit_adjusted(
        &mut self,
        id: u64,
        request: &Request,
        sample: usize,
        likeliest: usize,
        adjustment: Adjustment,
        guide: &mut dyn FnMut() -> Option<Box<dyn Guide>>,
    ) -> Result<Option<usize>> {
        let model = Arc::clone(&self.model);
        adjustment.validate(model.config().vocab_size)?;
        let context = model.context().min(self.sizes.capacity);
        let limit = request.check(model.config(), context)?;
        let Some(free) = self.rows.iter().position(Option::is_none) else { return Ok(None) };
        let prompt = &request.prompt;
        let shared = self.beginning(prompt);
        let pages = (prompt.len() + limit).div_ceil(PAGE);
        let Some(own) = self.take_pages(pages - shared.len(), &shared) else { return Ok(None) };
        let first = shared.len() * PAGE;
        let table = [shared, own].concat();
        if let Err(error) = self.compute(prompt, first, &table).await {
            self.pages.release(&table);
            return Err(error);
        }
        let start = RowStart::new(&model.config().eos_token_ids, request, limit, sample, table);
        let guide = guide();
        if let Some(batch) = &mut self.batch {
            let adjusted = batch.adjust_row(model.gpu(), free, prompt, &adjustment, guide.is_some());
            if let Err(error) = adjusted {
                self.pages.release(&start.table);
                return Err(error);
            }
            batch.start_row(model.gpu(), free, &start)?;
        }
        let (tokens, prompt, since) = (prompt.clone(), prompt.len(), self.block);
        let row = Row { id, start, tokens, prompt, limit, likeliest, adjustment, guide, since };
        self.rows[free] = Some(row);
        Ok(Some(first))
    }

    /// Computes a prompt from position `first` on without its last token, which the decode loop feeds.
    async fn compute(&mut self, prompt: &[u32], first: usize, table: &[u32]) -> Result<()> {
        let (model, lora) = (Arc::clone(&self.model), self.lora.clone());
        if self.batch.is_none() {
            let Sizes { rows, row_pages, capacity, .. } = self.sizes;
            let batch = Batch::new(&model, rows, row_pages, capacity, lora.as_ref())?;
            batch.reset(model.gpu())?;
            self.batch = Some(batch);
        }
        let tokens = &prompt[first..prompt.len() - 1];
        if tokens.is_empty() {
            return Ok(());
        }
        let places = (first..).take(tokens.len()).map(|position| place(table[position / PAGE], position));
        let part = Part { tokens, pairs: places.enumerate().collect(), table: table.to_vec() };
        self.prefill.run(&model, lora.as_ref(), &self.cache, &[part], first, &self.never).await
    }

    /// Pages of a sequence at hand that `prompt` begins with; none where going on from them is more work than beginning anew.
    fn beginning(&mut self, prompt: &[u32]) -> Vec<u32> {
        let most = &prompt[..prompt.len() - 1];
        let running = self.rows.iter().flatten().map(|row| {
            // The last token of a row is not computed yet.
            let computed = &row.tokens[..row.tokens.len() - 1];
            (common_length(computed, most) / PAGE, &row.start.table)
        });
        let (length, table) = running.max_by_key(|(length, _)| *length).unwrap_or((0, &EMPTY));
        let held = self.held.iter().enumerate().filter(|(_, held)| held.adapter == self.adapter);
        let held = held.map(|(index, held)| (common_length(&held.tokens, most) / PAGE, index));
        let (pages, used) = match held.max_by_key(|(length, _)| *length) {
            Some((longer, index)) if longer > length => {
                (self.held[index].table[..longer].to_vec(), Some(index))
            }
            _ => (table[..length].to_vec(), None),
        };
        let kept = pages.len() * PAGE;
        if !is_less(kept, most.len() - kept) {
            return Vec::new();
        }
        if let Some(held) = used.and_then(|index| self.held.remove(index)) {
            self.held.push_back(held);
        }
        pages
    }

    /// `count` pages beside those of `shared`, of which this is a user more from now on. What nobody runs on makes room.
    fn take_pages(&mut self, count: usize, shared: &[u32]) -> Option<Vec<u32>> {
        self.pages.share(shared);
        loop {
            if let Some(pages) = self.pages.take(count) {
                return Some(pages);
            }
            let Some(oldest) = self.held.pop_front() else {
                self.pages.release(shared);
                return None;
            };
            self.pages.release(&oldest.table);
        }
    }

    /// Runs the rows for a few steps; `news` hears what they did, a block late where that keeps the device busy.
    ///
    /// # Errors
    /// GPU errors, after which nothing can be expected of the rows that run.
    pub async fn step(&mut self, news: &mut dyn FnMut(News<'_>)) -> Result<()> {
        let model = Arc::clone(&self.model);
        let gpu = model.gpu();
        let guided = self.rows.iter().flatten().any(|row| row.guide.is_some());
        // What a guide allows depends on every token before.
        while guided && !self.reads.is_empty() {
            self.look(news).await?;
        }
        if guided {
            self.mask(news)?;
        }
        let last = self.rows.iter().rposition(Option::is_some);
        if let (Some(last), Some(batch)) = (last, &mut self.batch) {
            let rows = (last + 1).next_power_of_two().min(self.rows.len());
            let wants_logits = self.rows.iter().flatten().any(|row| row.likeliest > 0);
            let left = |row: &Row| (row.prompt + row.limit).saturating_sub(row.tokens.len());
            let left = self.rows.iter().flatten().map(left).max().unwrap_or(0);
            // The logits of a step are gone after the next.
            let steps = if wants_logits || guided { 1 } else { block_steps(gpu).min(left).max(1) };
            let adjusts = self.rows.iter().flatten().any(Row::is_adjusted);
            let shape = Shape { rows, long: is_long(self.sizes.row_pages), adjusts };
            batch.run(&model, &self.cache, self.lora.as_ref(), shape, steps, &self.never).await?;
            let state = batch.read_later(gpu, rows)?;
            let logits = wants_logits.then(|| batch.read_logits_later(gpu, rows)).transpose()?;
            self.reads.push_back(Read { number: self.block, rows, state, logits });
            self.block += 1;
        }
        let lag = usize::from(!gpu.is_software() && !guided);
        if self.reads.len() > lag || last.is_none() {
            self.look(news).await?;
        }
        Ok(())
    }

    /// Tells the device which tokens the guided rows may choose next; ends those whose guides do not know.
    fn mask(&mut self, news: &mut dyn FnMut(News<'_>)) -> Result<()> {
        let (gpu, vocab) = (self.model.gpu(), self.model.config().vocab_size);
        let Some(batch) = &self.batch else { return Ok(()) };
        for (index, slot) in self.rows.iter_mut().enumerate() {
            let Some(row) = slot else { continue };
            if row.mask(batch, gpu, index, vocab)? {
                continue;
            }
            batch.stop_row(gpu, index)?;
            let end = Some(End::Unguided);
            news(News { id: row.id, tokens: &[], logprobs: &[], likeliest: &[], end });
            slot.take().into_iter().for_each(|row| hold(&mut self.held, &mut self.pages, self.adapter, row));
        }
        Ok(())
    }

    /// Tells what the oldest block that was not looked at did.
    async fn look(&mut self, news: &mut dyn FnMut(News<'_>)) -> Result<()> {
        let model = Arc::clone(&self.model);
        let (gpu, stops) = (model.gpu(), &model.config().eos_token_ids);
        let (Some(read), Some(batch)) = (self.reads.pop_front(), &self.batch) else { return Ok(()) };
        let snapshot = batch.snapshot(gpu, read.state, read.rows).await?;
        let logits: Vec<f32> = match read.logits {
            Some(logits) => bytemuck::pod_collect_to_vec(&logits.bytes(gpu).await?),
            None => Vec::new(),
        };
        for index in 0..read.rows {
            let Some(row) = self.rows[index].as_mut().filter(|row| row.since <= read.number) else {
                continue;
            };
            let seen = row.tokens.len() - row.prompt;
            let (tokens, logprobs) = snapshot.news(index, row.prompt - 1, seen);
            let vocab = model.config().vocab_size;
            let of_row = logits.get(index * vocab..(index + 1) * vocab).filter(|_| row.likeliest > 0);
            let likeliest: Vec<_> = of_row
                .filter(|_| tokens.len() == 1)
                .map(|z| likeliest(z, row.likeliest))
                .into_iter()
                .collect();
            row.tokens.extend_from_slice(&tokens);
            let taken = row.guide.as_mut().map_or(Ok(()), |guide| {
                let mut drawn = tokens.iter().filter(|token| !stops.contains(token));
                drawn.try_for_each(|&token| guide.take(token))
            });
            let end = match (check_logprobs(&logprobs), snapshot.live(index), tokens.last()) {
                (Err(_), ..) => Some(End::NotFinite),
                (Ok(()), true, _) if taken.is_err() => Some(End::Unguided),
                (Ok(()), true, _) => None,
                (Ok(()), false, Some(token)) if stops.contains(token) => Some(End::Stop),
                (Ok(()), false, _) => Some(End::Length),
            };
            let id = row.id;
            match end {
                Some(End::NotFinite) => {
                    // Its keys are no numbers either.
                    let row = self.rows[index].take();
                    row.iter().for_each(|row| self.pages.release(&row.start.table));
                    batch.stop_row(gpu, index)?;
                    news(News { id, tokens: &[], logprobs: &[], likeliest: &[], end });
                }
                _ => {
                    if end == Some(End::Unguided) {
                        batch.stop_row(gpu, index)?;
                    }
                    if end.is_some() {
                        let row = self.rows[index].take();
                        row.into_iter()
                            .for_each(|row| hold(&mut self.held, &mut self.pages, self.adapter, row));
                    }
                    news(News { id, tokens: &tokens, logprobs: &logprobs, likeliest: &likeliest, end });
                }
            }
        }
        Ok(())
    }

    /// Ends the row of this name before its time, if it still runs.
    ///
    /// # Errors
    /// GPU errors.
    pub fn stop(&mut self, id: u64) -> Result<()> {
        let is_it = |row: &Option<Row>| row.as_ref().is_some_and(|row| row.id == id);
        let Some(index) = self.rows.iter().position(is_it) else { return Ok(()) };
        if let Some(batch) = &self.batch {
            batch.stop_row(self.model.gpu(), index)?;
        }
        if let Some(row) = self.rows[index].take() {
            hold(&mut self.held, &mut self.pages, self.adapter, row);
        }
        Ok(())
    }
}

/// The table of no row.
static EMPTY: Vec<u32> = Vec::new();

/// Keeps the pages that an ended row filled, and frees the others.
fn hold(held: &mut VecDeque<Held>, pages: &mut Pages, adapter: usize, row: Row) {
    let Row { mut tokens, start: RowStart { mut table, .. }, .. } = row;
    // The last token was chosen and not computed.
    let whole = (tokens.len() - 1) / PAGE;
    pages.release(&table.split_off(whole));
    tokens.truncate(whole * PAGE);
    held.retain(|old| {
        let covered = old.adapter == adapter && tokens.starts_with(&old.tokens);
        if covered {
            pages.release(&old.table);
        }
        !covered
    });
    if held.len() >= MAX_HELD
        && let Some(oldest) = held.pop_front()
    {
        pages.release(&oldest.table);
    }
    if whole > 0 {
        held.push_back(Held { adapter, tokens, table });
    }
}

/// The `count` likeliest tokens of a row of logits, the likeliest first, with their log-probabilities.
fn likeliest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&z| f64::from(z - largest).exp()).sum();
    let log_sum = f64::from(largest) + sum.ln();
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let descending = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let count = count.min(order.len());
    if count < order.len() {
        order.select_nth_unstable_by(count, descending);
        order.truncate(count);
    }
    order.sort_unstable_by(descending);
    order.into_iter().map(|token| (token, (f64::from(logits[token as usize]) - log_sum) as f32)).collect()
}
